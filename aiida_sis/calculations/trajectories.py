"""From a snapshot of a dynamics to the start of the next calculation, inside the provenance graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_deepmd import frames as fr
from aiida_sis.core import frame_selection as choice
from aiida_sis.core.indicator import (
    TIME_TOLERANCE_PS,
    Catastrophe,
    TemperatureSeries,
    choose_t_next,
    degrees_of_freedom,
)
from aiida_sis.core.lammps.dump import latest_at
from aiida_sis.core.settings.md import MdSettings


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
def select_replay_frames(snapshots: orm.TrajectoryData, settings: orm.Dict) -> orm.TrajectoryData:
    """Take the frames of a dynamics that are worth a single point, between t_next and the catastrophe for example.

    Frames that are not finite are left out: there is nothing to label in them. Where the window holds none, the last
    one before it is taken.

    :param snapshots: Trajectory with cells and times in ps; every array with one entry a frame is kept.
    :param settings: ``n_frames`` (most frames to take), ``start_ps`` and ``stop_ps`` (the window, ends included; None
        or left out for no limit), ``choice`` (``even``, ``farthest_point`` or ``entropy``), ``seed`` (default 0).
    :return: The frames in the order of time, with step ids from 0, which aiida-cp2k needs.
    :raises ValueError: For a setting that can't be meant, or if no frame is in or before the window.
    """
    wanted = {'start_ps': None, 'stop_ps': None, 'choice': choice.EVEN, 'seed': 0, **settings.get_dict()}
    problem = _check_replay(wanted)
    if problem:
        raise ValueError(problem)
    positions, cells, times = snapshots.get_positions(), snapshots.get_cells(), snapshots.get_times()
    if cells is None or (times is None and (wanted['start_ps'] is not None or wanted['stop_ps'] is not None)):
        raise ValueError('`snapshots` has no cells, or no times to find the window by.')
    times = np.arange(len(positions), dtype=float) if times is None else times
    start = -np.inf if wanted['start_ps'] is None else wanted['start_ps'] - TIME_TOLERANCE_PS
    stop = np.inf if wanted['stop_ps'] is None else wanted['stop_ps'] + TIME_TOLERANCE_PS
    before = np.flatnonzero((times <= stop) & np.isfinite(positions).all(axis=(1, 2)))
    if before.size == 0:
        raise ValueError(f'`snapshots` has no frame up to `stop_ps` ({stop:g} ps): its first is at {times[0]:g} ps.')
    inside = before[times[before] >= start] if times[before[-1]] >= start else before[-1:]
    frames = fr.Frames(positions[inside], cells[inside], times[inside], np.zeros_like(positions[inside]))
    picked = choice.choose_frames(
        frames, list(snapshots.symbols), wanted['choice'], wanted['n_frames'], int(wanted['seed'])
    )
    return take_frames(snapshots, inside[picked])


def _check_replay(settings: dict[str, Any]) -> str | None:
    """Find what is wrong with the settings of a replay, in one sentence."""
    known = ('n_frames', 'start_ps', 'stop_ps', 'choice', 'seed')
    unknown = sorted(set(settings) - set(known))
    if unknown:
        return f'`settings` has unknown keys {unknown}; known are {", ".join(known)}.'
    number = settings.get('n_frames')
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        return f'`n_frames` is {number!r}, but it must be a whole number above 0.'
    if settings['choice'] not in choice.REPLAY_CHOICES:
        return f'`choice` is {settings["choice"]!r}, but it must be one of {", ".join(choice.REPLAY_CHOICES)}.'
    start, stop = settings['start_ps'], settings['stop_ps']
    if start is not None and stop is not None and start > stop:
        return f'`start_ps` is {start:g}, after `stop_ps` {stop:g}: swap them.'
    return None


def take_frames(trajectory: orm.TrajectoryData, numbers: NDArray[np.int64]) -> orm.TrajectoryData:
    """Copy some frames of a trajectory into a new one, with step ids from 0.

    :param trajectory: Any trajectory with cells.
    :param numbers: Numbers of the frames, shape ``(n,)``.
    :return: The new trajectory, not stored; every array with one entry a frame is in it.
    """
    arrays = {name: trajectory.get_array(name) for name in trajectory.get_arraynames() if name != 'steps'}
    arrays = {name: values[numbers] for name, values in arrays.items() if len(values) == trajectory.numsteps}
    taken = orm.TrajectoryData()
    taken.set_trajectory(
        symbols=trajectory.symbols,
        positions=arrays.pop('positions'),
        stepids=np.arange(len(numbers)),
        cells=arrays.pop('cells'),
        times=arrays.pop('times', None),
        velocities=arrays.pop('velocities', None),
        pbc=trajectory.pbc or (True, True, True),
    )
    for name, values in arrays.items():
        taken.set_array(name, values)
    return taken


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
    return _join([parts[name] for name in sorted(parts)])


@calcfunction
def choose_joined_snapshot(
    results: orm.Dict, parameters: orm.Dict, series: orm.ArrayData, trajectory: orm.TrajectoryData, **parts: Any
) -> dict[str, orm.Data]:
    """Choose t_next of a dynamics that took several jobs as if they had been one.

    The last job alone reaches back to its own start only, however near that is to the catastrophe.

    :param results: Results of the last job, which met the catastrophe.
    :param parameters: Parameters of the dynamics.
    :param series: Series of all jobs, with `time_ps`, `temperature` and `potential_energy`.
    :param trajectory: Trajectory of all jobs, for a ring that does not reach back far enough.
    :param parts: The latest snapshots of each job, in the alphabetical order of their names.
    :return: `results` with `t_next` chosen anew, and `snapshots` from there on.
    """
    settings = MdSettings.from_dict(parameters.get_dict())
    values = results.get_dict()
    n_dof = degrees_of_freedom(len(trajectory.symbols), len(settings.fixed_atoms))
    watched = TemperatureSeries(*(series.get_array(name) for name in ('time_ps', 'temperature', 'potential_energy')))
    catastrophe = Catastrophe(**values['catastrophe'])
    wanted = choose_t_next(watched, catastrophe, settings.temperature_k, n_dof, settings.t_next)
    ordered = [parts[name] for name in sorted(parts)]
    frames = _join(ordered)
    index = latest_at(frames.get_array('times'), wanted)
    if index is None:
        earlier = latest_at(trajectory.get_array('times'), wanted)
        frames = frames if earlier is None else _join([_part(trajectory, slice(earlier, earlier + 1)), frames])
        index = 0
    first = min(index, frames.numsteps - ordered[-1].numsteps)
    t_next = {
        'time_ps': float(frames.get_array('times')[index]),
        'requested_time_ps': wanted,
        'snapshot_index': index - first,
        'rule': settings.t_next.name,
    }
    return {'results': orm.Dict(values | {'t_next': t_next}), 'snapshots': _part(frames, slice(first, None))}


def _join(ordered: Sequence[orm.TrajectoryData]) -> orm.TrajectoryData:
    """Put trajectories one after the other; where two overlap, the later one holds."""
    starts = [int(part.get_stepids()[0]) for part in ordered[1:]]
    keeps = [part.get_stepids() < start for part, start in zip(ordered, starts, strict=False)]
    keeps.append(np.ones(ordered[-1].numsteps, dtype=bool))
    stacks = {
        name: np.concatenate([part.get_array(name)[keep] for part, keep in zip(ordered, keeps, strict=True)])
        for name in ordered[-1].get_arraynames()
    }
    return _trajectory(ordered[-1].symbols, stacks)


def _part(trajectory: orm.TrajectoryData, frames: slice) -> orm.TrajectoryData:
    """Copy some frames with their step ids."""
    stacks = {name: trajectory.get_array(name)[frames] for name in trajectory.get_arraynames()}
    return _trajectory(trajectory.symbols, stacks)


def _trajectory(symbols: list[str], stacks: dict[str, NDArray[Any]]) -> orm.TrajectoryData:
    """Build a node of the arrays of an MD."""
    node = orm.TrajectoryData()
    node.set_trajectory(
        symbols=symbols,
        positions=stacks.pop('positions'),
        stepids=stacks.pop('steps'),
        cells=stacks.pop('cells'),
        times=stacks.pop('times'),
        velocities=stacks.pop('velocities'),
        pbc=(True, True, True),
    )
    for name, values in stacks.items():
        node.set_array(name, values)
    return node
