"""From a snapshot of a dynamics to the start of the next calculation, inside the provenance graph."""

from __future__ import annotations

from typing import Any

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
