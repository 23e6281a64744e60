"""Archives with the whole lineage of a run: their size before they are written, and what may be left out.

AiiDA's own rules choose the nodes: the children of a run with all they made, and everything that any of them was made
from, back to the beginning. Two kinds of ballast can be left out, and neither leaves a hole in the provenance:

- *Trajectories.* The nodes and links stay, with their attributes (symbols, shapes), but without the arrays; the
  folders that CP2K left stay without the positions, velocities, forces and restarts of the AIMD. What a label taught
  is in the ``DatasetData``, which is never touched.
- *Remote folders.* A ``RemoteData`` is a path on the machine that computed. Those that nothing was made from are left
  out with their links; one that a job went on from stays.
"""

from __future__ import annotations

import fnmatch
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.orm.entities import EntityTypes
from aiida.repository import Repository
from aiida.tools.archive import create_archive
from aiida.tools.archive.implementations.sqlite_zip.main import ArchiveFormatSqlZip
from aiida.tools.archive.implementations.sqlite_zip.writer import ArchiveWriterSqlZip
from aiida.tools.graph.graph_traversers import get_nodes_export

from aiida_sis.run import graph

__all__ = ('LEFT_OUT', 'ExportPlan', 'plan_export', 'write_export')

#: The extra of a node that says which of its files the archive does not hold.
LEFT_OUT = 'sis_left_out'

#: What CP2K writes at every step of an AIMD, and its restarts; its energies and its output are kept.
_RAW_TRAJECTORY = ('*-pos-*', '*-vel-*', '*-frc-*', '*.dcd', '*.cell', '*.restart*')

_TRAJECTORY_TYPE = 'data.core.array.trajectory.TrajectoryData.'
_FOLDER_TYPE = 'data.core.folder.FolderData.'

#: How much of a file, and of all files together, is compressed to estimate the size of the archive.
_SAMPLE_BYTES = 2 * 1024**2
_SAMPLE_TOTAL = 32 * 1024**2
#: Bytes that a node with its links takes in the compressed database of an archive (measured on real runs).
_BYTES_PER_NODE = 500
_LEVEL = 6


@dataclass(frozen=True)
class ExportPlan:
    """What an archive will hold.

    :param start: the node that was asked for.
    :param n_nodes: nodes in the archive.
    :param n_links: links in the archive.
    :param n_files: files in the archive, each content counted once.
    :param n_bytes: their size.
    :param archive_bytes: estimated size of the archive.
    :param left_out_bytes: size of the files that are left out.
    :param n_stripped: nodes that lose files.
    :param dropped: PKs of the remote folders that are left out.
    :param without_trajectories: whether trajectories are left out.
    :param unsealed: PKs of processes that have not ended.
    """

    start: orm.Node
    n_nodes: int
    n_links: int
    n_files: int
    n_bytes: int
    archive_bytes: int
    left_out_bytes: int
    n_stripped: int
    dropped: frozenset[int] = field(repr=False)
    without_trajectories: bool
    unsealed: tuple[int, ...]


def plan_export(node: orm.Node, without_trajectories: bool = False, without_remote: bool = False) -> ExportPlan:
    """Find what belongs to a node and estimate the size of its archive, before anything is written.

    :param node: a run, or any other node.
    :param without_trajectories: leave out the arrays of trajectories.
    :param without_remote: leave out remote folders that nothing was made from.
    :returns: the plan.
    """
    found = get_nodes_export([int(node.pk or 0)], get_links=True)
    nodes: set[int] = found['nodes']
    links = found['links'] or set()
    dropped = _unused_remotes(nodes, links) if without_remote else frozenset()
    kept: set[str] = set()
    removed: set[str] = set()
    n_stripped = 0
    for node_type, content in graph.table(orm.Node, graph.pks(nodes - dropped), ('node_type', 'repository_metadata')):
        left, gone = _strip(node_type, content) if without_trajectories else (content, [])
        n_stripped += bool(gone)
        kept |= _keys(left)
        removed |= _keys(content)
    sizes, compressed = _measure(kept)
    unsealed = {**graph.pks(nodes), 'attributes': {'!has_key': 'sealed'}}
    return ExportPlan(
        start=node,
        n_nodes=len(nodes) - len(dropped),
        n_links=sum(link.target_id not in dropped for link in links),
        n_files=len(kept),
        n_bytes=sizes,
        archive_bytes=compressed + _BYTES_PER_NODE * (len(nodes) - len(dropped)),
        left_out_bytes=_measure(removed - kept, sample=False)[0],
        n_stripped=n_stripped,
        dropped=dropped,
        without_trajectories=without_trajectories,
        unsealed=tuple(sorted(pk for (pk,) in graph.table(orm.ProcessNode, unsealed, ('id',)))),
    )


def write_export(plan: ExportPlan, path: Path, overwrite: bool = False) -> Path:
    """Write the archive.

    :param plan: what :func:`plan_export` gave.
    :param path: the archive.
    :param overwrite: replace a file that is there.
    :returns: its path.
    :raises FileExistsError: if there is a file, and it shall not be overwritten.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(f'{path} exists')
    written: Path = create_archive(
        [plan.start],
        filename=path,
        archive_format=_TrimmedFormat(plan.dropped, plan.without_trajectories),
        overwrite=overwrite,
        compression=_LEVEL,
    )
    return written


class _TrimmedFormat(ArchiveFormatSqlZip):
    """AiiDA's archive format, written without what is left out; the result is an ordinary archive."""

    def __init__(self, dropped: frozenset[int], without_trajectories: bool) -> None:
        super().__init__()
        self._choice = (dropped, without_trajectories)

    def open(self, path: str | Path, mode: Any = 'r', *, compression: int = _LEVEL, **kwargs: Any) -> Any:
        """Open an archive; see the base class."""
        if mode == 'r':
            return super().open(path, mode, **kwargs)
        return _TrimmingWriter(path, self, self._choice, mode=mode, compression=compression, **kwargs)


class _TrimmingWriter(ArchiveWriterSqlZip):
    """Changes the rows on their way into the archive. Nodes come before links and files."""

    def __init__(self, path: Any, fmt: Any, choice: tuple[frozenset[int], bool], **kwargs: Any) -> None:
        super().__init__(path, fmt, **kwargs)
        self._dropped, self._without_trajectories = choice
        self._kept: set[str] = set()

    def bulk_insert(self, entity_type: EntityTypes, rows: list[dict[str, Any]], allow_defaults: bool = False) -> None:
        """Leave out dropped nodes and their links, and the entries of stripped files."""
        if entity_type == EntityTypes.NODE:
            rows = [self._trimmed(row) for row in rows if row['id'] not in self._dropped]
        elif entity_type == EntityTypes.LINK:
            rows = [row for row in rows if row['output_id'] not in self._dropped]
        elif entity_type in (EntityTypes.LOG, EntityTypes.COMMENT):
            rows = [row for row in rows if row['dbnode_id'] not in self._dropped]
        super().bulk_insert(entity_type, rows, allow_defaults)

    def put_object(self, stream: Any, *, buffer_size: int | None = None, key: str | None = None) -> str:
        """Write a file only if a node still has it."""
        if key is not None and key not in self._kept:
            return key
        return super().put_object(stream, buffer_size=buffer_size, key=key)

    def _trimmed(self, row: dict[str, Any]) -> dict[str, Any]:
        if self._without_trajectories:
            left, gone = _strip(row['node_type'], row['repository_metadata'])
            if gone:
                row = {**row, 'repository_metadata': left, 'extras': {**(row['extras'] or {}), LEFT_OUT: gone}}
        self._kept |= _keys(row['repository_metadata'])
        return row


def _strip(node_type: str, content: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
    """Take the files of a trajectory out of what a node holds.

    :param node_type: type of the node.
    :param content: its repository metadata.
    :returns: what is left, and the names of the files that are gone.
    """
    content = dict(content or {})
    if node_type not in (_TRAJECTORY_TYPE, _FOLDER_TYPE):
        return content, []
    patterns = ('*',) if node_type == _TRAJECTORY_TYPE else _RAW_TRAJECTORY
    objects: dict[str, Any] = content.get('o', {})
    gone = sorted(name for name in objects if any(fnmatch.fnmatch(name, pattern) for pattern in patterns))
    left = {name: value for name, value in objects.items() if name not in gone}
    return ({**content, 'o': left} if left else {}) if gone else content, gone


def _keys(content: Mapping[str, Any] | None) -> set[str]:
    return {key for key in Repository.flatten(dict(content or {})).values() if key is not None}


def _unused_remotes(nodes: set[int], links: set[Any]) -> frozenset[int]:
    """The remote folders that are no input of anything."""
    inputs = (LinkType.INPUT_CALC.value, LinkType.INPUT_WORK.value)
    used = {link.source_id for link in links if link.link_type in inputs}
    return frozenset(pk for (pk,) in graph.table(orm.RemoteData, graph.pks(nodes), ('id',)) if pk not in used)


def _measure(keys: set[str], sample: bool = True) -> tuple[int, int]:
    """Measure files and estimate their compressed size from the beginnings of them.

    :param keys: their keys in the repository.
    :param sample: whether to compress anything.
    :returns: size, and estimated size in an archive, in bytes.
    """
    total, compressed, seen, shrunk = 0, 0.0, 0, 0
    for _, stream in get_manager().get_profile_storage().get_repository().iter_object_streams(sorted(keys)):
        head = stream.read(_SAMPLE_BYTES) if sample and seen < _SAMPLE_TOTAL else b''
        size = _size(stream, len(head))
        total += size
        if head:
            small = len(zlib.compress(head, _LEVEL))
            seen, shrunk = seen + len(head), shrunk + small
            compressed += size * small / len(head)
        elif seen:
            compressed += size * shrunk / seen
    return total, int(compressed)


def _size(stream: Any, read: int) -> int:
    """The size of a stream; a packed one can't seek its end and is read to it."""
    try:
        return int(stream.seek(0, os.SEEK_END))
    except (NotImplementedError, OSError, ValueError):
        while chunk := stream.read(1024**2):
            read += len(chunk)
        return read
