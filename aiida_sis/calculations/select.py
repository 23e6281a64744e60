"""From a snapshot of a dynamics to the start of the next calculation, inside the provenance graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def select_snapshot(snapshots: orm.TrajectoryData, index: orm.Int) -> dict[str, Any]:
    """Take one frame with its velocities, so that the next calculation continues where this frame was.

    :param snapshots: Trajectory with velocities, shape ``(n_frames, n_atoms, 3)``, in Å/ps.
    :param index: Number of the frame; a negative one counts from the end.
    :return: ``structure``, and ``velocities`` with one array of that name, shape ``(n_atoms, 3)``, in Å/ps.
    :raises ValueError: If there is no such frame, or it has no velocities.
    """
    position = index.value
    if not -snapshots.numsteps <= position < snapshots.numsteps:
        raise ValueError(f'`index` is {position}, but `snapshots` has {snapshots.numsteps} frames.')
    velocities, cells = snapshots.get_velocities(), snapshots.get_cells()
    if velocities is None or cells is None:
        raise ValueError('`snapshots` has no velocities or no cells; a dynamics cannot be continued from it.')
    structure = orm.StructureData(cell=cells[position].tolist(), pbc=snapshots.pbc or (True, True, True))
    for symbol, place in zip(snapshots.symbols, snapshots.get_positions()[position].tolist(), strict=True):
        structure.append_atom(position=place, symbols=symbol)
    array = orm.ArrayData()
    array.set_array('velocities', velocities[position])
    array.base.attributes.set('units', 'angstrom/ps')
    return {'structure': structure, 'velocities': array}


@calcfunction
def join_series(**parts: orm.ArrayData) -> orm.ArrayData:
    """Join the series of a dynamics that took several jobs.

    :param parts: Series with `step` and others of its shape ``(n_samples,)``, in the alphabetical order of their names;
        where two overlap, the later one holds.
    :return: One series.
    """
    ordered = [parts[name] for name in sorted(parts)]
    starts = [int(part.get_array('step')[0]) for part in ordered[1:]]
    keeps = [part.get_array('step') < start for part, start in zip(ordered, starts, strict=False)]
    keeps.append(np.ones(ordered[-1].get_shape('step'), dtype=bool))
    joined = orm.ArrayData()
    for name in ordered[-1].get_arraynames():
        values = [part.get_array(name)[keep] for part, keep in zip(ordered, keeps, strict=True)]
        joined.set_array(name, np.concatenate(values))
    return joined


@calcfunction
def join_trajectories(**parts: orm.TrajectoryData) -> orm.TrajectoryData:
    """Join the trajectories of a dynamics that took several jobs.

    :param parts: Trajectories with step ids, in the alphabetical order of their names; where two overlap, the later one
        holds.
    :return: One trajectory with the arrays of the parts.
    """
    ordered = [parts[name] for name in sorted(parts)]
    starts = [int(part.get_stepids()[0]) for part in ordered[1:]]
    keeps = [part.get_stepids() < start for part, start in zip(ordered, starts, strict=False)]
    keeps.append(np.ones(ordered[-1].numsteps, dtype=bool))
    stacks = {
        name: np.concatenate([part.get_array(name)[keep] for part, keep in zip(ordered, keeps, strict=True)])
        for name in ordered[-1].get_arraynames()
    }
    joined = orm.TrajectoryData()
    joined.set_trajectory(
        symbols=ordered[-1].symbols,
        positions=stacks.pop('positions'),
        stepids=stacks.pop('steps'),
        cells=stacks.pop('cells'),
        times=stacks.pop('times'),
        velocities=stacks.pop('velocities'),
        pbc=(True, True, True),
    )
    for name, values in stacks.items():
        joined.set_array(name, values)
    return joined
