"""Frames of an MD that are labelled by single points, and what their labels say: the ladder and the verification."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_deepmd.arrays import FloatArray
from aiida_sis.calculations.dataset import frames_of
from aiida_sis.calculations.trajectory_data import make_trajectory, take_frames, units_of, values_of
from aiida_sis.core.indicator import TIME_TOLERANCE_PS
from aiida_sis.core.series import evenly
from aiida_sis.core.single_points import (
    drift_of,
    force_errors,
    judge_rungs,
    largest_forces,
    latest_right,
    match,
    rung_frames,
    rung_times,
)


@calcfunction
def select_rungs(
    results: orm.Dict, settings: orm.Dict, snapshots: orm.TrajectoryData, trajectory: orm.TrajectoryData | None = None
) -> orm.TrajectoryData:
    """Take the rungs of the ladder from all stored frames of a failed MD.

    :param results: of the MD, with its catastrophe.
    :param settings: ``first_rung_fs``, see :class:`aiida_sis.core.settings.verification.LadderSettings`.
    :param snapshots: its close frames before t_cp, with times in ps.
    :param trajectory: its frames further apart.
    :returns: the rungs in the order of time, with step ids from 0.
    """
    frames = snapshots if trajectory is None else _union(trajectory, snapshots)
    times, t_cp = values_of(frames, 'times'), results['catastrophe']['time_ps']
    chosen = rung_frames(times, rung_times(t_cp, settings['first_rung_fs'], float(times[0])))
    return take_frames(frames, chosen, renumber=True)


def _union(*parts: orm.TrajectoryData) -> orm.TrajectoryData:
    """All frames of an MD, each step once, in order."""
    steps = np.concatenate([part.get_stepids() for part in parts])
    order = np.unique(steps, return_index=True)[1]
    names = set.intersection(*({*part.get_arraynames()} for part in parts))
    arrays = {name: np.concatenate([part.get_array(name) for part in parts])[order] for name in names}
    return make_trajectory(parts[0].symbols, arrays, units_of(parts[0]), parts[0].pbc)


@calcfunction
def measure_t_next(
    frames: orm.TrajectoryData, results: orm.Dict, settings: orm.Dict, labels: orm.TrajectoryData | None = None
) -> orm.Dict:
    """Find the latest rung whose force error is still that of a good potential.

    :param frames: the rungs, see :func:`select_rungs`; with the forces that drove the MD.
    :param results: of the MD, with its catastrophe.
    :param settings: ``force_rmse_max`` and ``max_force``, in eV/Å.
    :param labels: the rungs that could be labelled; None where none could.
    :returns: ``rungs``, the fields of :class:`aiida_sis.core.single_points.Rung` for each; ``t_next_ps`` and
        ``snapshot_index``, its time and its number among the rungs, None where none is right; ``n_learnt``, the rungs
        that are data; and the settings.
    """
    times, t_cp = values_of(frames, 'times'), results['catastrophe']['time_ps']
    errors: dict[int, float] = {}
    forces: dict[int, float] = {}
    if labels is not None:
        teacher = frames_of(labels)
        numbers = match(values_of(frames, 'positions'), teacher.coords)
        found = force_errors(values_of(frames, 'forces')[numbers], teacher.forces)
        errors = dict(zip(numbers.tolist(), found.tolist(), strict=True))
        forces = dict(zip(numbers.tolist(), largest_forces(teacher.forces).tolist(), strict=True))
    limits = settings['force_rmse_max'], settings['max_force']
    rungs = judge_rungs(times, t_cp, errors, forces, *limits)
    index = latest_right(rungs)
    return orm.Dict(
        {
            'rungs': [rung.model_dump() for rung in rungs],
            't_cp_ps': t_cp,
            't_next_ps': None if index is None else rungs[index].time_ps,
            'snapshot_index': index,
            'n_learnt': sum(rung.state in ('right', 'wrong') for rung in rungs),
            'force_rmse_max': limits[0],
            'max_force': limits[1],
        }
    )


@calcfunction
def select_verification_frames(trajectory: orm.TrajectoryData, settings: orm.Dict) -> orm.TrajectoryData:
    """Take frames that stand for a whole stable MD.

    :param trajectory: the MD, with times in ps.
    :param settings: ``n_frames`` and ``start_ps``, the end of the grace time.
    :returns: the frames, evenly spread, with step ids from 0; all frames where the MD ended within its grace time.
    """
    times = values_of(trajectory, 'times')
    late = np.flatnonzero(times > settings['start_ps'] + TIME_TOLERANCE_PS)
    late = late if late.size else np.arange(len(times))
    return take_frames(trajectory, late[evenly(late.size, settings['n_frames'])], renumber=True)


@calcfunction
def judge_stable_md(settings: orm.Dict, **parts: Any) -> dict[str, orm.Data]:
    """Say how wrong a potential is along its own stable MD.

    :param settings: ``force_rmse_max`` in eV/Å.
    :param parts: for each replica ``<replica>_frames``, what was offered; ``<replica>_series``, the energies of its MD;
        and ``<replica>_labels``, what could be labelled, left out where nothing could.
    :returns: ``results`` with the force error over all frames and the worst one (eV/Å), the energy error (eV/atom) and
        its drift (eV/atom a ps), the counts of frames, ``verified``, and the same for each replica; ``errors``, the
        arrays ``replica``, ``time_ps``, ``force_rmse`` and ``teacher_force`` (eV/Å, the latter the RMS of the frame)
        and ``energy_error`` (eV/atom), each (n_frames,), empty where nothing was labelled.
        Fewer than half of the frames labelled is not verified, however small their error.
    """
    rows: dict[str, dict[str, Any]] = {}
    tables: list[dict[str, FloatArray]] = []
    for replica in sorted(key.removesuffix('_frames') for key in parts if key.endswith('_frames')):
        frames, labels = parts[f'{replica}_frames'], parts.get(f'{replica}_labels')
        rows[replica] = {'n_offered': frames.numsteps, 'n_frames': 0}
        if labels is not None:
            table = _errors(frames, labels, parts[f'{replica}_series'])
            rows[replica] |= _facts(table)
            tables.append({'replica': np.full(len(table['time_ps']), int(replica[1:])), **table})
    table = {name: np.concatenate([part[name] for part in tables]) for name in tables[0]} if tables else {}
    facts = _facts(table) if tables else {'n_frames': 0}
    n_offered = sum(row['n_offered'] for row in rows.values())
    error = facts.get('force_rmse_ev_per_angstrom')
    enough = 2 * facts['n_frames'] >= n_offered
    verified = bool(error is not None and enough and error <= settings['force_rmse_max'])
    if tables:
        worst = int(table['force_rmse'].argmax())
        facts |= {'worst_replica': int(table['replica'][worst]), 'worst_time_ps': float(table['time_ps'][worst])}
    facts |= {'verified': verified, 'n_offered': n_offered, 'force_rmse_max': settings['force_rmse_max']}
    return {'results': orm.Dict(facts | {'replicas': rows}), 'errors': orm.ArrayData(table)}


def _errors(frames: orm.TrajectoryData, labels: orm.TrajectoryData, series: orm.ArrayData) -> dict[str, FloatArray]:
    """The columns of `errors`, but for the replica."""
    teacher = frames_of(labels)
    numbers = match(values_of(frames, 'positions'), teacher.coords)
    times, known = values_of(frames, 'times')[numbers], series.get_array('time_ps')
    rows = np.abs(known[None] - times[:, None]).argmin(axis=1)
    there = np.abs(known[rows] - times) < TIME_TOLERANCE_PS
    energies = np.where(there, series.get_array('potential_energy')[rows], np.nan)
    return {
        'time_ps': times,
        'force_rmse': force_errors(values_of(frames, 'forces')[numbers], teacher.forces),
        'energy_error': (energies - teacher.energies) / teacher.coords.shape[1],
        'teacher_force': np.sqrt((teacher.forces**2).mean(axis=(1, 2))),
    }


def _facts(table: dict[str, FloatArray]) -> dict[str, Any]:
    """What the errors of some frames come to."""
    energies = table['energy_error']
    known = np.isfinite(energies)
    return {
        'n_frames': len(energies),
        'force_rmse_ev_per_angstrom': float(np.sqrt((table['force_rmse'] ** 2).mean())),
        'largest_force_rmse_ev_per_angstrom': float(table['force_rmse'].max()),
        'teacher_force_ev_per_angstrom': float(np.sqrt((table['teacher_force'] ** 2).mean())),
        'energy_rmse_ev_per_atom': float(np.sqrt((energies[known] ** 2).mean())) if known.any() else None,
        'energy_drift_ev_per_atom_per_ps': drift_of(table['time_ps'][known], energies[known]),
    }
