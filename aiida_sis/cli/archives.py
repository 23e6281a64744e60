"""An archive as the profile to read from: opened where it lies, read-only, without a profile and without an import."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from pathlib import Path

import click

from aiida_sis.command_lines import ARCHIVE_OPTION
from aiida_sis.setup.profile import point_to

__all__ = ('SUFFIX', 'is_archive', 'open_archive')

#: What the name of an archive ends with.
SUFFIX = '.aiida'


def is_archive(identifier: str) -> bool:
    """Tell whether what was typed in place of a PK is the name of an archive.

    :param identifier: what was typed.
    """
    return identifier.lower().endswith(SUFFIX)


def open_archive(path: Path) -> None:
    """Load an archive as AiiDA's read-only storage, in place of a profile.

    AiiDA keeps its configuration in a temporary folder meanwhile, so nothing is left behind, and an archive of an older
    AiiDA is migrated there.

    :param path: the archive.
    :raises click.BadParameter: in one sentence, if it is no archive or can't be read.
    """
    if not path.is_file():
        raise click.BadParameter(f'there is no file {path}: give an archive, as `aiida-sis export` writes it.')
    folder = Path(tempfile.mkdtemp(prefix='aiida-sis-'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if 'aiida' not in sys.modules:  # else it has its folder
        point_to(folder)
    from aiida.common.exceptions import IncompatibleStorageSchema
    from aiida.manage import get_manager
    from aiida.storage.sqlite_zip.backend import SqliteZipBackend

    from aiida_sis.share.importing import migrated, readable

    def load(file: Path) -> None:
        profile = SqliteZipBackend.create_profile(file, {ARCHIVE_OPTION: str(path)})
        get_manager().load_profile(profile, allow_switch=True)
        get_manager().get_profile_storage()

    try:
        with readable(path):
            try:
                load(path.resolve())
            except IncompatibleStorageSchema:
                load(migrated(path, folder / path.name))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
