"""The calcfunctions of a hybrid run: from the end of an AIMD to its MD, and all pieces as one trajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_sis.calculations.retrieved import read_text
from aiida_sis.calculations.trajectory_data import MD_UNITS, make_trajectory, structure_at, values_of
from aiida_sis.core.cp2k.restart import read_restart
from aiida_sis.core.loop.hybrid import Piece, make_hybrid_summary, place_pieces

RESTART_FILE = 'aiida-1.restart'
#: Å; the trajectory has ten digits after the point, the restart file sixteen, and frames differ by more than that.
_SAME_PLACE = 1e-6


@calcfunction
def end_of_aimd(trajectory: orm.TrajectoryData, retrieved: orm.FolderData) -> dict[str, orm.Data]:
    """Take the last good frame of an AIMD, with its velocities where CP2K's restart file is of that very frame.

    :param trajectory: the good frames, positions (n_frames, n_atoms, 3) in Å.
    :param retrieved: what the last CP2K job left.
    :returns: `structure`, and `velocities` (n_atoms, 3) in Å/ps if they are known.
    """
    if trajectory.get_cells() is None:
        raise ValueError('`trajectory` has no cells; a dynamics cannot be continued from it.')
    positions = values_of(trajectory, 'positions')[-1]
    outputs: dict[str, orm.Data] = {'structure': structure_at(trajectory, -1)}
    state = read_restart(read_text(retrieved, RESTART_FILE))
    if (
        state is not None
        and state.positions.shape == positions.shape
        and np.abs(state.positions - positions).max() < _SAME_PLACE
    ):
        velocities = orm.ArrayData({'velocities': state.velocities})
        velocities.base.attributes.set('units', 'angstrom/ps')
        outputs['velocities'] = velocities
    return outputs


@calcfunction
def join_pieces(parameters: orm.Dict, **pieces: orm.TrajectoryData) -> orm.TrajectoryData:
    """Lay AIMD and MD one behind the other.

    :param parameters: `interval_fs`, `timestep_fs` of the AIMD, and `pieces`: for each its `name`, `kind` (aimd or md),
        `cycle` and `duration_ps`; of an AIMD only as many frames count from its end, since a first try that went wrong
        may come before.
    :param pieces: the trajectories under those names.
    :returns: positions (n_frames, n_atoms, 3) in Å, cells (n_frames, 3, 3) in Å, times (n_frames,) in ps along the one
        trajectory, `forces` in eV/Å, and for each frame `cycle` and `is_aimd` (1 or 0).
    """
    given = parameters.get_dict()
    nodes = [pieces[entry['name']] for entry in given['pieces']]
    firsts, parts = [], []
    for entry, node in zip(given['pieces'], nodes, strict=True):
        if entry['kind'] == 'aimd':
            n_frames = min(node.numsteps, round(entry['duration_ps'] * 1e3 / given['timestep_fs']) + 1)
            steps = node.get_stepids()[node.numsteps - n_frames :]
            times = (steps - steps[0]) * given['timestep_fs'] * 1e-3
            firsts.append(node.numsteps - n_frames)
        else:
            times = values_of(node, 'times')
            firsts.append(0)
        parts.append(Piece(np.asarray(times, dtype=np.float64), float(entry['duration_ps'])))
    placed = place_pieces(parts, given['interval_fs'] * 1e-3)
    stacks: dict[str, list[NDArray[Any]]] = {name: [] for name in ('positions', 'cells', 'forces', 'cycle', 'is_aimd')}
    for entry, node, first, (kept, _) in zip(given['pieces'], nodes, firsts, placed, strict=True):
        for name in ('positions', 'cells', 'forces'):
            stacks[name].append(values_of(node, name)[first + kept])
        stacks['cycle'].append(np.full(len(kept), entry['cycle']))
        stacks['is_aimd'].append(np.full(len(kept), int(entry['kind'] == 'aimd')))
    arrays = {name: np.concatenate(values) for name, values in stacks.items()}
    arrays['times'] = np.concatenate([times for _, times in placed])
    return make_trajectory([symbol.rstrip('0123456789') for symbol in nodes[0].symbols], arrays, MD_UNITS)


@calcfunction
def summarise_hybrid(outcome: orm.Str, parameters: orm.Dict, continued: orm.List, **results: orm.Dict) -> orm.Dict:
    """Summarise a hybrid run from the results of its parts.

    :param outcome: how the run ended.
    :param parameters: the settings of the run.
    :param continued: for every MD, whether it started with the velocities of the AIMD.
    :param results: the results, under the link labels of the workchains that gave them.
    :returns: the summary, see :func:`aiida_sis.core.loop.hybrid.make_hybrid_summary`.
    """
    values = {key: node.get_dict() for key, node in results.items()}
    return orm.Dict(make_hybrid_summary(outcome.value, parameters.get_dict(), values, continued.get_list()))
