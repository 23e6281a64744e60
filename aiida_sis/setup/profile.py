"""The isolated AiiDA profile: SQLite, the ZeroMQ broker that the daemon brings, this machine as computer, three codes.

It is what ``verdi presto`` makes, kept in a folder of the project, with the waits taken out that a queue on a cluster
needs and a local machine does not. Everything here may be repeated: what is there already is left as it is.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_sis.command_lines import PROFILE_NAME, again
from aiida_sis.setup.codes import FoundCode, environment_of, prepend_text
from aiida_sis.setup.storage import use_write_ahead_log

if TYPE_CHECKING:
    from aiida import orm
    from aiida.manage.configuration.config import Config

__all__ = (
    'DEFAULT_FOLDER', 'ensure_codes', 'ensure_computer', 'ensure_profile', 'find_folder', 'load_node', 'load_run',
    'open_profile', 'point_to', 'point_to_nothing', 'set_options',
)  # fmt: skip

COMPUTER_LABEL = 'localhost'
#: Folder of the isolated profile, in the current folder.
DEFAULT_FOLDER = Path('.sis')

# Seconds between two looks at running jobs; one costs a worker 0.07 s of the cores that they need.
_JOB_POLL_INTERVAL = 1.0
_PROFILE_OPTIONS = {
    'runner.poll.interval': 1,
    'daemon.timeout': 20,
    'warnings.development_version': False,
}
#: What was set earlier and is AiiDA's own now: five tries within half a minute gave up on a disk that was away briefly.
_FORMER_OPTIONS = {'transport.task_retry_initial_interval': 2}


def find_folder(to_make: bool = False) -> Path:
    """Find the folder of AiiDA's configuration where nobody has named one, in the order that ``verdi`` would.

    It is the one of ``AIIDA_PATH``, or ``.sis`` in the current folder, or the home folder; ``.sis`` where none of them
    has a profile. Another installation's configuration is read, but nothing is made in it.

    :param to_make: whether the isolated profile will be made there, if it is not there yet.
    :returns: the folder that holds (or will hold) ``.aiida``.
    """
    for path in filter(None, os.environ.get('AIIDA_PATH', '').split(os.pathsep)):
        given = Path(path).expanduser()
        folder = given.parent if given.name == '.aiida' else given
        if _profiles(folder)[0] if not to_make else PROFILE_NAME in _profiles(folder)[1]:
            return folder
    if to_make or _profiles(DEFAULT_FOLDER)[0] or not _profiles(Path.home())[0]:
        return DEFAULT_FOLDER
    return Path.home()


def _profiles(folder: Path) -> tuple[str | None, tuple[str, ...]]:
    """Give the default profile of a configuration and the names of all, without an import of AiiDA."""
    try:
        config = json.loads((folder / '.aiida' / 'config.json').read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None, ()
    names = tuple(config.get('profiles', ()))
    default = config.get('default_profile')
    return (default if default in names else None), names


def point_to(folder: Path) -> Path:
    """Make ``folder`` the place of AiiDA's configuration, before AiiDA is imported.

    :param folder: the folder that holds (or will hold) ``.aiida``.
    :returns: its absolute path.
    """
    folder = folder.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f'The profile cannot be put into {folder} ({error.strerror}): name another folder with --profile-dir.'
        ) from error
    os.environ['AIIDA_PATH'] = str(folder)
    # The daemon is started through `verdi`, which stands beside this Python even if no environment is activated.
    beside_python = str(Path(sys.executable).parent)
    if beside_python not in os.environ.get('PATH', '').split(os.pathsep):
        os.environ['PATH'] = os.pathsep.join((beside_python, os.environ.get('PATH', os.defpath)))
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Creating AiiDA configuration folder')
        from aiida.manage.configuration import reset_config
        from aiida.manage.configuration.settings import AiiDAConfigDir

        if AiiDAConfigDir.get() != folder / '.aiida':  # AiiDA was imported before, for another folder
            reset_config()
        AiiDAConfigDir.set()
    return folder


def point_to_nothing() -> None:
    """Give AiiDA an empty place for its configuration, where it is needed without any profile, unless it has one."""
    if 'aiida' not in sys.modules:
        folder = Path(tempfile.mkdtemp(prefix='aiida-sis-'))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        point_to(folder)


def ensure_profile(folder: Path) -> bool:
    """Make and load the isolated profile, or load it if it is there.

    :param folder: the folder of the profile.
    :returns: whether it is new.
    """
    point_to(folder)
    from aiida.manage import get_manager
    from aiida.manage.configuration import create_profile, get_config, load_profile
    from aiida.plugins import BrokerFactory
    from aiida.storage.sqlite_dos.backend import SqliteDosStorage

    config = get_config(create=True)
    new = PROFILE_NAME not in config.profile_names
    if new:
        create_profile(
            config,
            name=PROFILE_NAME,
            email='aiida@localhost',
            storage_backend='core.sqlite_dos',
            storage_config={},
            broker_backend='core.zeromq',
            broker_config=BrokerFactory('core.zeromq').get_default_config(),
        )
        config.set_default_profile(PROFILE_NAME, overwrite=True)
    set_options(config, PROFILE_NAME)
    config.store()
    load_profile(PROFILE_NAME, allow_switch=True)
    storage = get_manager().get_profile_storage()
    if isinstance(storage, SqliteDosStorage):
        use_write_ahead_log(storage.filepath_database)
    return new


def set_options(config: Config, profile: str) -> None:
    """Set AiiDA's options for a local machine, and unset what was set by earlier versions.

    :param config: AiiDA's configuration; changed.
    :param profile: name of the profile.
    """
    for name, value in _PROFILE_OPTIONS.items():
        config.set_option(name, value, scope=profile)
    for name, value in _FORMER_OPTIONS.items():
        if config.get_option(name, scope=profile) == value:
            config.unset_option(name, scope=profile)


def ensure_computer(mpirun: str) -> orm.Computer:
    """Register this machine as the computer ``localhost`` with no waits between the steps of a job.

    :param mpirun: the MPI launcher.
    """
    from aiida import orm
    from aiida.common.exceptions import NotExistent
    from aiida.manage.configuration import get_config

    try:
        computer: orm.Computer | None = orm.load_computer(COMPUTER_LABEL)
    except NotExistent:
        computer = None
    if computer is not None and not computer.is_configured:
        # It came with somebody's archive and is another machine: it keeps its jobs, under another label.
        computer.label = f'{COMPUTER_LABEL}-{computer.pk}'
        computer = None
    if computer is None:
        computer = orm.Computer(
            label=COMPUTER_LABEL,
            hostname='localhost',
            description='This machine, set up by aiida-sis.',
            transport_type='core.local',
            scheduler_type='core.direct',
            workdir=str(Path(get_config().dirpath) / 'scratch' / PROFILE_NAME),
        ).store()
    computer.set_minimum_job_poll_interval(_JOB_POLL_INTERVAL)
    computer.set_default_mpiprocs_per_machine(1)
    computer.set_mpirun_command([mpirun, '-np', '{tot_num_mpiprocs}'])
    # Paths and environment of the codes are all given, so no command needs the seconds of a login shell.
    computer.configure(safe_interval=0.0, use_login_shell=False)
    return computer


def ensure_codes(found: Iterable[FoundCode], computer: orm.Computer) -> dict[str, orm.InstalledCode]:
    """Register the codes, replacing one whose executable or environment has changed since.

    A stored code is part of the provenance of what it ran and is not changed: it is put aside under another label.

    :param found: the codes that are there.
    :param computer: the computer that they are on.
    :returns: the AiiDA codes by label.
    """
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    codes: dict[str, orm.InstalledCode] = {}
    for item in found:
        spec = item.spec
        text = prepend_text(environment_of(spec))
        try:
            code: orm.Code | None = orm.load_code(f'{spec.label}@{computer.label}')
        except NotExistent:
            code = None
        if code is not None and not _is_same(code, str(item.path), text):
            code.label = f'{spec.label}-{code.pk}'
            code.is_hidden = True
            code = None
        if not isinstance(code, orm.InstalledCode):
            code = orm.InstalledCode(
                label=spec.label,
                description=f'{spec.title} {item.version}'.strip(),
                computer=computer,
                filepath_executable=str(item.path),
                default_calc_job_plugin=spec.plugin,
                prepend_text=text,
            ).store()
        codes[spec.label] = code
    return codes


def _is_same(code: orm.Code, path: str, text: str) -> bool:
    """Return whether a stored code runs this executable in this environment."""
    from aiida import orm

    return isinstance(code, orm.InstalledCode) and (str(code.filepath_executable), code.prepend_text) == (path, text)


def open_profile(folder: Path, name: str | None) -> None:
    """Load the profile to read from: the named one of the user's own installation, else the default one of a folder.

    :param folder: the folder that holds ``.aiida``, by default that of :func:`find_folder`.
    :param name: a profile's name, or ``None``.
    """
    if name is None:
        if not (folder / '.aiida').is_dir():
            others = ', AIIDA_PATH names none and your own AiiDA has none' if folder == DEFAULT_FOLDER else ''
            raise click.UsageError(
                f'There is no profile in {folder}{others}: `aiida-sis setup` makes one; or name the folder of yours '
                'with --profile-dir, or a profile of your own AiiDA with -p.'
            )
        default = _profiles(folder)[0]
        point_to(folder)
    else:
        default = None
    from aiida.common import exceptions
    from aiida.manage import get_manager
    from aiida.manage.configuration import load_profile

    try:
        load_profile(name or default or PROFILE_NAME, allow_switch=True)
    except exceptions.ProfileConfigurationError as error:
        if name is None:
            raise click.UsageError(
                f'The AiiDA in {folder} has no profile of aiida-sis: `aiida-sis setup --profile-dir {folder}` makes it.'
            ) from error
        raise click.UsageError(f'{error}: `verdi profile list` shows your profiles.') from error
    try:
        get_manager().get_profile_storage()
    except (
        exceptions.StorageMigrationError,
        exceptions.CorruptStorage,
        exceptions.UnreachableStorage,
        exceptions.IncompatibleStorageSchema,
    ) as error:
        reason = ' '.join(str(error).split())
        raise click.ClickException(f'The database of the profile cannot be opened: {reason}') from error


def load_node(identifier: str) -> orm.Node:
    """Load any node.

    :param identifier: PK, UUID or the beginning of a UUID.
    """
    from aiida import orm
    from aiida.common.exceptions import MultipleObjectsError, NotExistent

    if not identifier.strip() or '%' in identifier:
        raise click.BadParameter(f"'{identifier}' is no PK and no UUID; {_lists_runs()}")
    try:
        node: orm.Node = orm.load_node(int(identifier)) if identifier.isdecimal() else orm.load_node(uuid=identifier)
    except MultipleObjectsError as error:
        raise click.BadParameter(
            f'several nodes have a UUID that begins with {identifier}: give more of it.'
        ) from error
    except (NotExistent, ValueError, OverflowError) as error:
        raise click.BadParameter(f'there is no node {identifier} in this profile; {_lists_runs()}') from error
    return node


def load_run(identifier: str) -> orm.WorkChainNode:
    """Load the node of a SIS run.

    :param identifier: PK or UUID.
    """
    from aiida import orm

    node = load_node(identifier)
    if isinstance(node, orm.WorkChainNode):
        return node
    whole = node
    while isinstance(whole, orm.ProcessNode) and whole.caller is not None:
        whole = whole.caller
    if isinstance(whole, orm.WorkChainNode):
        raise click.BadParameter(f'node {node.pk} is a {node.process_label}, a part of run {whole.pk}: give that PK.')
    raise click.BadParameter(f'node {node.pk} is a {type(node).__name__}, not a run; {_lists_runs()}')


def _lists_runs() -> str:
    return f'`{again("query runs")}` lists the runs.'
