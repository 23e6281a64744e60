"""Command lines that reach the profile or archive that is open: in another one the same PK is another node."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

#: Name of the isolated profile that ``aiida-sis setup`` makes.
PROFILE_NAME = 'sis'
#: Option of a profile that stands for an archive: the file that the user named.
ARCHIVE_OPTION = 'sis_archive'


_default_folder = Path('.sis')


def remember_default(folder: Path) -> None:
    """Keep the folder that a command finds by itself: what is typed next need not name it.

    :param folder: the folder, as :func:`aiida_sis.setup.profile.find_folder` gives it.
    """
    global _default_folder
    _default_folder = folder.resolve()


def again(command: str) -> str:
    """Give the command line that reads from the profile that is open, wherever it is.

    :param command: a command of ``aiida-sis`` with its arguments.
    """
    archive = _archive()
    if archive is not None:
        return f'aiida-sis {command} --archive {shlex.quote(archive)}'
    folder, name = _place()
    if folder is None:
        return f'aiida-sis {command} -p {shlex.quote(name)}'
    return f'aiida-sis {command}' + (
        '' if folder == _default_folder.resolve() else f' --profile-dir {shlex.quote(str(folder))}'
    )


def verdi(command: str) -> str:
    """Give the command line of ``verdi`` for the profile that is open.

    :param command: a command of ``verdi`` with its arguments.
    """
    folder, name = _place()
    return (
        f'verdi -p {shlex.quote(name)} {command}'
        if folder is None
        else f'AIIDA_PATH={shlex.quote(str(folder))} verdi {command}'
    )


def _archive() -> str | None:
    """The archive that is read from, if it is one."""
    from aiida.manage import get_manager

    profile = get_manager().get_profile()
    return None if profile is None else profile.dictionary.get('options', {}).get(ARCHIVE_OPTION)


def _place() -> tuple[Path | None, str]:
    """The folder of the isolated profile, if that is open, and the name of the profile."""
    from aiida.manage import get_manager

    profile = get_manager().get_profile()
    name = profile.name if profile is not None else PROFILE_NAME
    path = os.environ.get('AIIDA_PATH', '')
    return (Path(path).resolve() if name == PROFILE_NAME and path and os.pathsep not in path else None), name
