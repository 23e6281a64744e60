"""``aiida-sis setup``: make the isolated profile with its computer, codes and daemon, or bring it up to date."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_sis.cli.options import SETUP_DIR
from aiida_sis.setup.codes import CODES, FoundCode, find_code, find_mpirun, problem_of_ps
from aiida_sis.setup.daemon import ensure_daemon
from aiida_sis.setup.profile import ensure_codes, ensure_computer, ensure_profile, open_profile

if TYPE_CHECKING:
    from aiida import orm

__all__ = ('prepare', 'setup')


def prepare(folder: Path, start_daemon: bool = True) -> dict[str, orm.InstalledCode]:
    """Do the whole setup and return the codes by label.

    :param folder: the folder of the isolated profile.
    :param start_daemon: also start the daemon.
    """
    if (problem := problem_of_ps()) is not None:
        raise click.ClickException(problem)
    found: list[FoundCode] = []
    for spec in CODES:
        item = find_code(spec)
        if item is None:
            raise click.ClickException(f'{spec.title} is missing: no {spec.executables[0]} found. {spec.advice}')
        if item.problem is not None:
            raise click.ClickException(f'{spec.title} at {item.path}: {item.problem}')
        found.append(item)
        click.echo(f'  {spec.label:<8} {item.version:<28} {item.path}')
    new = ensure_profile(folder)
    click.echo(f'  profile  {"made" if new else "found":<28} {folder}')
    cp2k = next(item.path for item in found if item.spec.label == 'cp2k')
    codes = ensure_codes(found, ensure_computer(find_mpirun(cp2k)))
    if start_daemon:
        click.echo(f'  daemon   {ensure_daemon()}')
    return codes


@click.command()
@SETUP_DIR
@click.option('--no-daemon', is_flag=True, help='Do not start the daemon.')
@click.option('--daemon-only', is_flag=True, help='Only ask the daemon of a profile, and start it where nobody works.')
def setup(profile_dir: Path, no_daemon: bool, daemon_only: bool) -> None:
    """Make or refresh the isolated profile.

    The profile has a computer for this machine, the three codes and a daemon; what is there already is kept,
    except a code that has changed. A daemon that was killed is started again; --daemon-only does that alone, so that
    cron can look after a run of weeks.

    Example: aiida-sis setup --profile-dir ~/sis
    """
    if daemon_only:
        if no_daemon:
            raise click.UsageError('--daemon-only starts the daemon and --no-daemon does not: give one of the two.')
        open_profile(profile_dir, None)
        click.echo(f'  daemon   {ensure_daemon()}')
        return
    prepare(profile_dir, start_daemon=not no_daemon)
    click.echo(f'Use it with verdi by: export AIIDA_PATH={shlex.quote(str(profile_dir.resolve()))}')
