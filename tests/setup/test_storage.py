"""The write-ahead log is used on local disks and nowhere else."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from aiida_sis.setup import storage

MOUNTS = ['/dev/vda / ext4 rw 0 0', 'server:/home /home nfs4 rw 0 0', '/dev/vdb /home/my\\040disk xfs rw 0 0', 'short']


@pytest.mark.parametrize(
    ('path', 'kind'),
    [('/tmp/x', 'ext4'), ('/home/ada/.sis', 'nfs4'), ('/home/my disk/.sis', 'xfs'), ('/homework', 'ext4')],
)
def test_file_system(path: str, kind: str) -> None:
    """The deepest mount point above the path decides."""
    assert storage.file_system_of(Path(path), MOUNTS) == kind


def test_log_on_local_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file remembers the mode; on a network file system it is left alone."""
    database = tmp_path / 'database.sqlite'
    sqlite3.connect(database).execute('CREATE TABLE t (x)').connection.close()
    monkeypatch.setattr(storage, 'file_system_of', lambda path, mounts: 'nfs4')
    assert storage.use_write_ahead_log(database) is False
    assert sqlite3.connect(database).execute('PRAGMA journal_mode').fetchone() == ('delete',)
    monkeypatch.setattr(storage, 'file_system_of', lambda path, mounts: 'ext4')
    assert storage.use_write_ahead_log(database) is True
    assert sqlite3.connect(database).execute('PRAGMA journal_mode').fetchone() == ('wal',)
