"""Output of LAMMPS: snapshots with positions, velocities and forces."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aiida_deepmd.arrays import FloatArray, IntArray

_MAX_STEP = 2**53
_VECTORS = ('xu', 'yu', 'zu', 'vx', 'vy', 'vz', 'fx', 'fy', 'fz')


@dataclass(frozen=True)
class DumpFrame:
    """One snapshot in the frame of LAMMPS, atoms in the order of their ids.

    :param step: Step.
    :param types: Atom types, counted from 1, shape ``(n,)``.
    :param cell: Cell vectors as rows, shape ``(3, 3)``, in Å.
    :param positions: Unwrapped positions, shape ``(n, 3)``, in Å.
    :param velocities: Shape ``(n, 3)``, in Å/ps.
    :param forces: Shape ``(n, 3)``, in eV/Å.
    """

    step: int
    types: IntArray
    cell: FloatArray
    positions: FloatArray
    velocities: FloatArray
    forces: FloatArray

    @property
    def finite(self) -> bool:
        """Whether every value is a number."""
        return all(bool(np.isfinite(part).all()) for part in (self.positions, self.velocities, self.forces, self.cell))


def parse_dump(text: str) -> list[DumpFrame]:
    """Read the snapshots of a file; one that was cut off is left out.

    :param text: Content of the file.
    :return: Snapshots in the order of the file.
    """
    frames = []
    for block in text.split('ITEM: TIMESTEP\n')[1:]:
        frame = _parse_block(block.splitlines(), complete=block.endswith('\n'))
        if frame is not None:
            frames.append(frame)
    return frames


def parse_dump_at(lines: Iterable[str], steps: Collection[int]) -> list[DumpFrame]:
    """Read some snapshots of a file that is too long to be read as a whole.

    :param lines: Lines of the file, with their ends.
    :param steps: Steps of the snapshots that are wanted; missing ones are skipped.
    :return: Snapshots in the order of the file.
    """
    wanted = set(steps)
    frames = []
    for block in _blocks(lines):
        if block[0].strip().isdigit() and int(block[0]) in wanted:
            frame = _parse_block([line.rstrip('\n') for line in block], complete=block[-1].endswith('\n'))
            if frame is not None:
                frames.append(frame)
    return frames


def merge_frames(frames: Iterable[DumpFrame], n_atoms: int) -> list[DumpFrame]:
    """Put snapshots of several files in order, and drop those that cannot be used.

    :param frames: Snapshots in any order.
    :param n_atoms: Number of atoms that a whole snapshot has.
    :return: Whole and finite snapshots, one per step, ascending.
    """
    unique = {frame.step: frame for frame in frames if frame.finite and len(frame.types) == n_atoms}
    return [unique[step] for step in sorted(unique)]


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Cut a file into snapshots.

    :param lines: Lines of the file.
    :return: The lines of each snapshot after ``ITEM: TIMESTEP``.
    """
    block: list[str] = []
    for line in lines:
        if line.startswith('ITEM: TIMESTEP'):
            if block:
                yield block
            block = []
        else:
            block.append(line)
    if block:
        yield block


def _parse_block(lines: Sequence[str], complete: bool) -> DumpFrame | None:
    """Read one snapshot.

    :param lines: Lines after ``ITEM: TIMESTEP``.
    :param complete: Whether the last line ended properly.
    :return: The snapshot, or nothing if it was cut off, lacks a column, or does not have each atom once.
    """
    try:
        step, n_atoms = int(lines[0]), int(lines[2])
        cell = _cell(lines[3].split(), np.array([line.split() for line in lines[4:7]], dtype=np.float64))
        names = lines[7].split()[2:]
        rows = [line.split() for line in lines[8 : 8 + n_atoms]]
        if not 0 <= step < _MAX_STEP or len(rows) < n_atoms or (len(lines) == 8 + n_atoms and not complete):
            return None
        table: FloatArray = np.array(rows, dtype=np.float64).reshape(n_atoms, len(names))
        ids = np.arange(1, n_atoms + 1)
    except (IndexError, ValueError):
        return None
    # A row that is doubled, or lost, would give its place to another atom.
    if not {'id', 'type', *_VECTORS} <= set(names) or not np.array_equal(np.sort(table[:, names.index('id')]), ids):
        return None
    table = table[np.argsort(table[:, names.index('id')], kind='stable')]
    columns = table[:, [names.index(name) for name in _VECTORS]]
    types = table[:, names.index('type')].astype(np.int64)
    return DumpFrame(step, types, cell, columns[:, :3], columns[:, 3:6], columns[:, 6:])


def _cell(header: Sequence[str], bounds: FloatArray) -> FloatArray:
    """Rebuild the cell from the bounding box that LAMMPS writes.

    :param header: Words of the line ``ITEM: BOX BOUNDS``.
    :param bounds: Shape ``(3, 2)``, or ``(3, 3)`` with the tilt factors in the last column.
    :return: Cell vectors as rows, shape ``(3, 3)``.
    """
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    xy = xz = yz = 0.0
    if 'xy' in header:
        xy, xz, yz = (float(value) for value in bounds[:, 2])
        low[0] -= min(0.0, xy, xz, xy + xz)
        high[0] -= max(0.0, xy, xz, xy + xz)
        low[1] -= min(0.0, yz)
        high[1] -= max(0.0, yz)
    length = high - low
    return np.array([[length[0], 0.0, 0.0], [xy, length[1], 0.0], [xz, yz, length[2]]])
