"""From a snapshot of a dynamics to the start of the next calculation, inside the provenance graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_deepmd import frames as fr
from aiida_deepmd.arrays import BoolArray
from aiida_sis.calculations.trajectory_data import make_trajectory, structure_at, take_frames, units_of, values_of
from aiida_sis.core.frame_selection import choose_frames
from aiida_sis.core.indicator import (
    TIME_TOLERANCE_PS,
    TemperatureSeries,
    choose_t_next,
    degrees_of_freedom,
)
from aiida_sis.core.loop.record import Catastrophe, NextStart
from aiida_sis.core.series import latest_at
from aiida_sis.core.settings.frames import read_replay_frame_settings
from aiida_sis.core.settings.md import read_md_settings


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
    if not {'velocities', 'cells'} <= set(snapshots.get_arraynames()):
        raise ValueError('`snapshots` has no velocities or no cells; a dynamics cannot be continued from it.')
    velocities = orm.ArrayData({'velocities': values_of(snapshots, 'velocities')[position]})
    velocities.base.attributes.set('units', 'angstrom/ps')
    return {'structure': structure_at(snapshots, position), 'velocities': velocities}


@calcfunction
def select_replay_frames(snapshots: orm.TrajectoryData, settings: orm.Dict) -> orm.TrajectoryData:
    """Take the frames of a dynamics that are worth a single point, between t_next and the catastrophe for example.

    Frames that are not finite are left out: there is nothing to label in them. Where the window holds none, the last
    one before it is taken.

    :param snapshots: Trajectory with cells and times in ps; every array with one entry a frame is kept.
    :param settings: Keys of :class:`aiida_sis.core.settings.frames.ReplayFrameSettings`; the ends of the window are
        included.
    :return: The frames in the order of time, with step ids from 0, which aiida-cp2k needs.
    :raises ValueError: For a setting that can't be meant, or if no frame is in or before the window.
    """
    wanted = read_replay_frame_settings(settings.get_dict())
    names = snapshots.get_arraynames()
    timed = 'times' in names
    if 'cells' not in names or (not timed and (wanted.start_ps is not None or wanted.stop_ps is not None)):
        raise ValueError('`snapshots` has no cells, or no times to find the window by.')
    positions, cells = values_of(snapshots, 'positions'), values_of(snapshots, 'cells')
    times = values_of(snapshots, 'times') if timed else np.arange(len(positions), dtype=float)
    start = -np.inf if wanted.start_ps is None else wanted.start_ps - TIME_TOLERANCE_PS
    stop = np.inf if wanted.stop_ps is None else wanted.stop_ps + TIME_TOLERANCE_PS
    before = np.flatnonzero((times <= stop) & np.isfinite(positions).all(axis=(1, 2)))
    if before.size == 0:
        raise ValueError(f'`snapshots` has no frame up to `stop_ps` ({stop:g} ps): its first is at {times[0]:g} ps.')
    inside = before[times[before] >= start] if times[before[-1]] >= start else before[-1:]
    frames = fr.Frames(positions[inside], cells[inside], times[inside], np.zeros_like(positions[inside]))
    picked = choose_frames(frames, list(snapshots.symbols), wanted.choice, wanted.n_frames, wanted.seed)
    return take_frames(snapshots, inside[picked], renumber=True)


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
    return orm.ArrayData(_stacked(ordered, keeps))


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
    settings = read_md_settings(parameters.get_dict())
    values = results.get_dict()
    n_dof = degrees_of_freedom(len(trajectory.symbols), len(settings.fixed_atoms))
    watched = TemperatureSeries(*(series.get_array(name) for name in ('time_ps', 'temperature', 'potential_energy')))
    catastrophe = Catastrophe(**values['catastrophe'])
    wanted = choose_t_next(watched, catastrophe, settings.temperature_k, n_dof, settings.t_next)
    ordered = [parts[name] for name in sorted(parts)]
    frames = _join(ordered)
    index = latest_at(values_of(frames, 'times'), wanted)
    if index is None:
        earlier = latest_at(values_of(trajectory, 'times'), wanted)
        frames = frames if earlier is None else _join([take_frames(trajectory, [earlier]), frames])
        index = 0
    first = min(index, frames.numsteps - ordered[-1].numsteps)
    t_next = NextStart(
        time_ps=float(values_of(frames, 'times')[index]),
        requested_time_ps=wanted,
        snapshot_index=index - first,
        rule=settings.t_next.rule,
    )
    return {
        'results': orm.Dict(values | {'t_next': t_next.model_dump()}),
        'snapshots': take_frames(frames, slice(first, None)),
    }


def _join(ordered: Sequence[orm.TrajectoryData]) -> orm.TrajectoryData:
    """Put trajectories one after the other; where two overlap, the later one holds."""
    starts = [int(part.get_stepids()[0]) for part in ordered[1:]]
    keeps = [part.get_stepids() < start for part, start in zip(ordered, starts, strict=False)]
    keeps.append(np.ones(ordered[-1].numsteps, dtype=bool))
    return make_trajectory(ordered[-1].symbols, _stacked(ordered, keeps), units_of(ordered[-1]))


def _stacked(parts: Sequence[orm.ArrayData], keeps: Sequence[BoolArray]) -> dict[str, NDArray[Any]]:
    """The entries of each array that are kept, one part after the other."""
    return {
        name: np.concatenate([part.get_array(name)[keep] for part, keep in zip(parts, keeps, strict=True)])
        for name in parts[-1].get_arraynames()
    }
