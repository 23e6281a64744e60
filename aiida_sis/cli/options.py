"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from aiida_sis.command_lines import remember_default
from aiida_sis.setup.profile import find_folder

__all__ = (
    'ARCHIVE', 'NO_WAIT', 'PROFILE', 'PROFILE_DIR', 'RUN', 'SEED', 'SETUP_DIR', 'TYPES', 'in_words_of_types', 'symbols',
    'writing',
)  # fmt: skip


_Command = TypeVar('_Command', bound=Callable[..., Any] | click.Command)


def _profile_dir(to_make: bool) -> Callable[[_Command], _Command]:
    def choose(_: click.Context, __: click.Parameter, folder: Path | None) -> Path:
        remember_default(find_folder())
        return find_folder(to_make) if folder is None else folder.expanduser()

    return click.option(
        '--profile-dir',
        type=click.Path(file_okay=False, path_type=Path),
        callback=choose,
        help='Folder of the AiiDA profile.  [default: AIIDA_PATH, if that has '
        + ('one of aiida-sis, else .sis]' if to_make else 'one, else .sis, else your own AiiDA]'),
    )


#: For what reads a profile, and for what makes the isolated one if it is not there.
PROFILE_DIR = _profile_dir(to_make=False)
SETUP_DIR = _profile_dir(to_make=True)
PROFILE = click.option(
    '-p',
    '--profile',
    metavar='NAME',
    help='Read a profile of your own AiiDA installation instead of the isolated one.',
)

ARCHIVE = click.option(
    '-a',
    '--archive',
    metavar='FILE.aiida',
    type=click.Path(path_type=Path),
    help='Read an archive where it lies instead, without a profile and without an import.',
)


SEED = click.option(
    '--seed', type=click.IntRange(min=0), default=1, show_default=True, help='Every random choice follows from it.'
)
NO_WAIT = click.option('--no-wait', is_flag=True, help='Submit the run and return.')


def symbols(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    """Take elements separated by commas or spaces.

    :param value: what was typed.
    """
    return value.replace(',', ' ').split() if value else None


TYPES = click.option(
    '--type-map',
    metavar='Na,Cl,…',
    callback=symbols,
    help='Elements of the atom types 1, 2, … of a LAMMPS dump, or of the types 0, 1, … of a deepmd/npy folder, where '
    'they are not named.',
)


def in_words_of_types(sentence: str) -> str:
    """Name the option in place of the argument that it sets.

    :param sentence: what was refused.
    """
    return sentence.replace('`type_map`', '--type-map')


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one sentence why a file cannot be written.

    :param path: the file.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.BadParameter(
            f'{path} cannot be written ({reason}): name another file.', param_hint='--output'
        ) from error


def _complete_run(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the newest runs of the profile, so that nobody has to remember a PK.

    :param context: the command line so far.
    :param incomplete: what has been typed of the PK.
    :returns: the PKs of the last 50 runs, with their state; none where the profile cannot be read.
    """
    from aiida_sis.setup.profile import open_profile

    if incomplete and not incomplete.isdecimal():  # an archive
        return [CompletionItem(incomplete, type='file')]
    folder = Path(context.params.get('profile_dir') or find_folder())
    try:
        open_profile(folder, context.params.get('profile'))
    except click.ClickException:
        return []
    from aiida import orm

    from aiida_sis.run.graph import SUBMITTED

    query = orm.QueryBuilder(limit=50)
    query.append(
        orm.WorkChainNode,
        filters={'process_type': {'in': list(SUBMITTED)}},
        project=['id', 'attributes.process_label', 'attributes.process_state'],
        tag='run',
    )
    query.order_by({'run': {'id': 'desc'}})
    return [
        CompletionItem(str(pk), help=f'{label}, {state}')
        for pk, label, state in query.all()
        if str(pk).startswith(incomplete)
    ]


RUN = click.argument('pk', metavar='PK', type=str, shell_complete=_complete_run)
