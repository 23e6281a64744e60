"""An archive as a file: whether it is one at all, before AiiDA has a profile to import it into."""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ('check_archive_file',)


def check_archive_file(path: Path) -> None:
    """Read a file to its end and see whether it is an archive of AiiDA.

    :param path: the file.
    :raises ValueError: in one sentence, if it is none, or damaged.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f'{path} is no AiiDA archive: it is not even a zip file. Copy it again, whole.')
    try:
        with zipfile.ZipFile(path) as archive:
            if 'metadata.json' not in archive.namelist():
                raise ValueError(f'{path} is no AiiDA archive: give a file that `aiida-sis export` wrote.')
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f'{path} is damaged ({error}): copy it again, whole.') from error
    if damaged:
        raise ValueError(f'{path} is damaged (in its part {damaged}): copy it again, whole.')
