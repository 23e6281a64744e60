"""The structures that the viewer shows: starts, t_next, what the potential broke, the end, and reactions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase import Atoms

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_deepmd.frames.geometry import nearest_image
from aiida_sis.core.analysis.topology import find_molecules
from aiida_sis.run.inputs import formula_of
from aiida_sis.run.trajectories import Details

__all__ = ('make_scenes', 'whole_molecules')

_MOST_CATASTROPHES = 4
_MOST_REACTIONS = 4
Scene = dict[str, Any]


def make_scenes(details: Details) -> list[Scene]:
    """Return the structures as plain data: title, note, elements, positions and cell in Å, bonds.

    :param details: of a run.
    """
    return [_scene(title, note, atoms) for title, note, atoms in _structures(details)]


def whole_molecules(atoms: Atoms, bonds: IntArray) -> FloatArray:
    """Put the atoms of each molecule side by side, its centre in the cell, where the cell cuts it.

    :param atoms: the structure, with its cell.
    :param bonds: bonded pairs, (n_bonds, 2).
    :returns: positions (n_atoms, 3), Å.
    """
    positions, cell = atoms.positions.copy(), atoms.cell.array
    partners: dict[int, list[int]] = {}
    for first, second in bonds.tolist():
        partners.setdefault(first, []).append(second)
        partners.setdefault(second, []).append(first)
    seen: set[int] = set()
    for start in range(len(atoms)):
        if start in seen:
            continue
        seen.add(start)
        members, queue = [start], deque([start])
        while queue:
            here = queue.popleft()
            for there in partners.get(here, ()):
                if there not in seen:
                    seen.add(there)
                    step = nearest_image(atoms.positions[there] - atoms.positions[here], cell)
                    positions[there] = positions[here] + step
                    members.append(there)
                    queue.append(there)
        centre = positions[members].mean(axis=0) @ np.linalg.inv(cell)
        positions[members] -= np.floor(centre + 1e-9) @ cell
    return np.asarray(positions)


def _structures(details: Details) -> Iterator[tuple[str, str, Atoms]]:
    for name, atoms in details.starts.items():
        yield f'Start: {name}', 'the structure the run began from', atoms
    for point in details.catastrophes[-_MOST_CATASTROPHES:]:
        md = point.md
        place = f'generation {md.generation}, replica {md.replica}'
        start = f'{place}: the snapshot at {md.t_next_ps:.3g} ps, from which the next AIMD starts'
        yield f't_next, {place}', start, point.start
        if md.t_next_ps is not None and point.last_ps > md.t_next_ps:
            last = f'{place}: the last snapshot, at {point.last_ps:.3g} ps; t_cp is {md.t_cp_ps:.3g} ps'
            yield f'Near t_cp, {place}', last, point.last
    for motion in details.motions:
        yield f'Last frame, {motion.title}', f'the MD at {motion.times_fs[-1] / 1000:.4g} ps', motion.frames[-1]
    events = [(seen, event) for seen in details.observations for event in seen.history.events]
    for seen, event in events[:_MOST_REACTIONS]:
        index = int(np.searchsorted(seen.motion.times_fs, event.time_fs))
        note = f'{event.molecule}, at {event.time_fs:.4g} fs of {seen.motion.title}'
        yield f'{event.pair} {event.change}, {event.molecule}', note, seen.motion.frames[index]


def _scene(title: str, note: str, atoms: Atoms) -> Scene:
    periodic = abs(float(atoms.cell.volume)) > 1e-6
    bonds = find_molecules(atoms).bonds if periodic else np.empty((0, 2), dtype=np.int64)
    positions = whole_molecules(atoms, bonds) if periodic else atoms.positions
    return {
        'title': title,
        'note': f'{formula_of(atoms)}, {note}',
        'elements': list(atoms.get_chemical_symbols()),
        'positions': np.round(positions, 3).tolist(),
        'cell': np.round(atoms.cell.array, 3).tolist() if periodic else None,
        'bonds': [[int(i), int(j)] for i, j in bonds if np.linalg.norm(positions[i] - positions[j]) < 3.0],
    }
