"""An archive of somebody else in this profile."""

from __future__ import annotations

import logging
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiida import orm
from aiida.common.exceptions import CorruptStorage, IncompatibleStorageSchema, StorageMigrationError
from aiida.tools.archive import import_archive
from aiida.tools.archive.implementations.sqlite_zip.main import ArchiveFormatSqlZip

from aiida_sis.run.graph import RUNS
from aiida_sis.run.rows import NodeRef
from aiida_sis.share.archive_file import check_archive_file

__all__ = ('ImportedArchive', 'import_run', 'migrated', 'quiet_archives', 'readable')


@dataclass(frozen=True)
class ImportedArchive:
    """What came in.

    :param n_nodes: nodes of the archive.
    :param n_new: those that were not there before.
    :param runs: the runs in it, oldest first, with the PK that they have here.
    """

    n_nodes: int
    n_new: int
    runs: tuple[NodeRef, ...]


def import_run(path: Path) -> ImportedArchive:
    """Import an archive into the loaded profile; one of an older AiiDA is migrated on the way.

    Nodes that are there already, by their UUIDs, are left as they are.

    :param path: the archive.
    :returns: what came in.
    :raises ValueError: in one sentence, if it is no archive or can't be read.
    """
    before = orm.QueryBuilder().append(orm.Node).count()
    with tempfile.TemporaryDirectory() as folder, quiet_archives(), readable(path):
        try:
            import_archive(path, create_group=False)
        except IncompatibleStorageSchema:
            path = migrated(path, Path(folder) / 'migrated.aiida')
            import_archive(path, create_group=False)
        with ArchiveFormatSqlZip().open(path, 'r') as reader:
            n_nodes = reader.querybuilder().append(orm.Node).count()
            of_runs = {'process_type': {'in': list(RUNS)}}
            uuids = reader.querybuilder().append(orm.WorkChainNode, filters=of_runs, project='uuid').all(flat=True)
    builder = orm.QueryBuilder().append(orm.WorkChainNode, filters={'uuid': {'in': uuids}}, project=['id', 'uuid'])
    builder.order_by({orm.WorkChainNode: 'ctime'})
    runs = tuple(NodeRef(pk, uuid) for pk, uuid in builder.all()) if uuids else ()
    return ImportedArchive(n_nodes, orm.QueryBuilder().append(orm.Node).count() - before, runs)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one sentence why an archive can't be read.

    :param path: the archive.
    :raises ValueError: if it is none, or what is done with it finds it damaged or of another version.
    """
    check_archive_file(path)
    try:
        yield
    except (CorruptStorage, IncompatibleStorageSchema, StorageMigrationError) as error:
        raise ValueError(f'{path} is no AiiDA archive that this version can read: {error}') from error
    except zipfile.BadZipFile as error:
        raise ValueError(f'{path} is damaged ({error}): copy it again, whole.') from error


def migrated(path: Path, target: Path) -> Path:
    """Bring an archive of an older AiiDA to the format of this one.

    :param path: the archive, which stays as it is.
    :param target: the file to write.
    :returns: that file.
    """
    form = ArchiveFormatSqlZip()
    form.migrate(path, target, form.latest_version, compression=0)
    return target


@contextmanager
def quiet_archives() -> Iterator[None]:
    """Keep AiiDA's many reports of an export or import to itself; warnings are still shown."""
    logger = logging.getLogger('aiida.export')
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
