"""Reading the files that a job left."""

from __future__ import annotations

from aiida import orm


def read_text(folder: orm.FolderData, name: str) -> str:
    """Read a file that a job may have left, empty where it did not; what is no text in it is marked as such.

    :param folder: retrieved files.
    :param name: name of the file.
    """
    if name not in folder.base.repository.list_object_names():
        return ''
    return folder.base.repository.get_object_content(name, mode='rb').decode('utf-8', errors='replace')
