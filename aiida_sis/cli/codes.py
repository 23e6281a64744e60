"""The three codes of a run that is submitted from the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sis.cli.cmd_setup import prepare
from aiida_sis.command_lines import PROFILE_NAME

if TYPE_CHECKING:
    from aiida import orm

__all__ = ('code_options', 'load_codes')

_KEYS = {'cp2k': 'labels', 'dp': 'training', 'lmp': 'MD'}


def code_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``--cp2k``, ``--dp`` and ``--lmp``.

    :param command: the function of the command.
    """
    for key, what in reversed(_KEYS.items()):
        default = '  [default: the one of `aiida-sis setup`]' if key == 'cp2k' else ''
        command = click.option(f'--{key}', metavar='CODE', help=f'Code for the {what}.{default}')(command)
    return command


def load_codes(names: Mapping[str, str | None], folder: Path, start_daemon: bool) -> dict[str, orm.AbstractCode]:
    """Load the codes that were named; the others are those that the setup makes in the isolated profile, which is open.

    :param names: labels by key, or nothing.
    :param folder: the folder of the profile.
    :param start_daemon: also start the daemon, where the setup is done.
    :returns: the codes by key.
    """
    from aiida import orm
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.manage import get_manager

    profile = get_manager().get_profile()
    missing = [key for key, name in names.items() if name is None]
    if missing and profile is not None and profile.name != PROFILE_NAME:
        raise click.UsageError(
            f"In the profile '{profile.name}' name the codes: --{missing[0]} is missing; see `verdi code list`."
        )
    codes: dict[str, orm.AbstractCode] = dict(prepare(folder, start_daemon)) if missing else {}
    for key, name in names.items():
        if name is not None:
            try:
                codes[key] = orm.load_code(name)
            except NotExistent as error:
                raise click.BadParameter(f'there is no code {name}; see `verdi code list`.') from error
            except MultipleObjectsError as error:
                raise click.BadParameter(f'several codes are called {name}: give it as {name}@COMPUTER.') from error
    return codes
