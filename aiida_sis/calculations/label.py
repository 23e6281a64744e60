"""The calcfunctions of a label: they keep the graph whole between the user's method, CP2K's files and the dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_sis.calculations.retrieved import read_text
from aiida_sis.calculations.trajectory_data import CP2K_UNITS, make_trajectory
from aiida_sis.core.cp2k import output as cp2k
from aiida_sis.core.cp2k.input import aimd_input, optimisation_input
from aiida_sis.core.settings.label import read_label_settings

#: CP2K draws its random numbers from a 32-bit seed above zero.
_SEED_RANGE = 2**31 - 1


@calcfunction
def make_aimd_input(
    level_of_theory: orm.Dict,
    parameters: orm.Dict,
    seed: orm.Int,
    velocities: orm.ArrayData | None = None,
    max_seconds: orm.Int | None = None,
) -> orm.Dict:
    """Lay the AIMD of a label over the level of theory.

    :param level_of_theory: CP2K input tree of the user.
    :param parameters: parameters of the label.
    :param seed: seed of the initial velocities and of the thermostat.
    :param velocities: array `velocities` (n_atoms, 3) in Å/ps; CP2K draws them at the temperature where there are none.
    :param max_seconds: time of the job in s; CP2K ends in good order when a tenth of it is left.
    :returns: CP2K input tree of the AIMD.
    """
    settings = read_label_settings(parameters.get_dict())
    limits = [settings.walltime_s, None if max_seconds is None else 0.9 * max_seconds.value]
    tree = aimd_input(
        level_of_theory.get_dict(),
        n_steps=settings.n_steps,
        timestep_fs=settings.timestep_fs,
        temperature_k=settings.temperature_k,
        time_constant_fs=settings.thermostat_time_constant_fs,
        seed=1 + (seed.value - 1) % (_SEED_RANGE - 1),
        velocities=None if velocities is None else velocities.get_array('velocities'),
        walltime_s=min((limit for limit in limits if limit is not None), default=None),
        fixed_atoms=settings.fixed_atoms,
    )
    return orm.Dict(tree)


@calcfunction
def make_optimisation_input(level_of_theory: orm.Dict, parameters: orm.Dict) -> orm.Dict:
    """Lay the geometry optimisation of a label over the level of theory.

    :param level_of_theory: CP2K input tree of the user.
    :param parameters: parameters of the label.
    :returns: CP2K input tree of the optimisation.
    """
    settings = read_label_settings(parameters.get_dict())
    limits = settings.optimisation
    return orm.Dict(
        optimisation_input(
            level_of_theory.get_dict(),
            max_steps=limits.max_steps,
            max_force=limits.max_force,
            fixed_atoms=settings.fixed_atoms,
        )
    )


@calcfunction
def read_aimd(trajectory: orm.TrajectoryData | None = None, **folders: orm.FolderData) -> dict[str, orm.Data]:
    """Read what the jobs of one AIMD left: this is the one place that opens CP2K's files.

    :param trajectory: what aiida-cp2k read of it. It is taken as it is where it has every frame, and not copied.
    :param folders: what each CP2K job left, in the order of their names.
    :returns: `series`, see :func:`make_series`; `trajectory`, all frames in CP2K's units and with its step ids, unless
        the one that was given has them or there is none.
    """
    jobs = [folders[key] for key in sorted(folders)]
    outputs = [read_text(job, cp2k.OUTPUT_FILE) for job in jobs]
    parts = [cp2k.read_ener(read_text(job, cp2k.ENERGY_FILE)) for job in jobs]
    series = cp2k.join_series(parts)
    made: dict[str, orm.Data] = {}
    if trajectory is not None and _is_whole(trajectory, len(series.steps)):
        evaluations = [np.concatenate(part) for part in zip(*map(cp2k.read_evaluations, outputs), strict=True)]
        frame_steps = trajectory.get_stepids()
        converged, known = cp2k.find_scf(trajectory.get_array('energies'), *evaluations)
    else:
        frames = cp2k.join_frames([frames_of(job, output) for job, output in zip(jobs, outputs, strict=True)])
        frame_steps, converged, known = frames.steps, frames.converged, frames.known
        if len(frames.steps):
            made['trajectory'] = to_trajectory(frames, frames.steps)
    arrays = {field.name: getattr(series, field.name) for field in fields(series)}
    arrays |= {'frame_steps': frame_steps, 'converged': converged, 'known': known}
    return {'series': make_series(arrays, outputs, parts), **made}


def frames_of(job: orm.FolderData, output: str) -> cp2k.AimdFrames:
    """Read the frames of one job.

    :param job: what it left.
    :param output: CP2K's main output.
    """
    positions, forces, cells = (read_text(job, name) for name in (cp2k.POSITION_FILE, cp2k.FORCE_FILE, cp2k.CELL_FILE))
    return cp2k.read_frames(positions, forces, cells, output)


def make_series(
    arrays: Mapping[str, NDArray[Any]], outputs: Sequence[str], parts: Sequence[cp2k.EnergySeries]
) -> orm.ArrayData:
    """Put what CP2K says beside the frames into a node, with what it was asked to do, whether that is kept or not.

    :param arrays: for each step of an AIMD the fields of :class:`aiida_sis.core.cp2k.output.EnergySeries`; for each
        frame its number and `converged`, whether its SCF is known to have converged; of an AIMD also `known`, whether
        the output tells of it.
    :param outputs: CP2K's main output of each job.
    :param parts: the series of each job.
    :returns: the arrays; the attributes `n_evaluations`, energies and forces computed, and `wall_seconds`, CP2K's own
        clock from start to end, or the sum of its steps where it was killed.
    """
    node = orm.ArrayData(dict(arrays))
    node.base.attributes.set_many(_costs(outputs, parts))
    return node


def _costs(outputs: Sequence[str], parts: Sequence[cp2k.EnergySeries]) -> dict[str, float]:
    """What CP2K was asked to do, see :func:`make_series`."""
    seconds = 0.0
    for output, part in zip(outputs, parts, strict=True):
        took = cp2k.wall_seconds(output)
        seconds += float(np.nansum(part.seconds)) if took is None else took
    return {'n_evaluations': sum(map(cp2k.count_evaluations, outputs)), 'wall_seconds': seconds}


def _is_whole(trajectory: orm.TrajectoryData, n_frames: int) -> bool:
    """Whether a trajectory holds every array for each of the frames."""
    names = trajectory.get_arraynames()
    return all(
        name in names and trajectory.get_shape(name)[0] == n_frames
        for name in ('positions', 'cells', 'energies', 'forces')
    )


def energies_of(series: orm.ArrayData) -> cp2k.EnergySeries:
    """Give the energies and temperatures of an AIMD.

    :param series: see :func:`make_series`.
    """
    return cp2k.EnergySeries(*(series.get_array(field.name) for field in fields(cp2k.EnergySeries)))


def good_frames(series: orm.ArrayData, last_step: int) -> NDArray[np.bool_]:
    """Say which frames of an AIMD may be learnt from.

    :param series: see :func:`make_series`.
    :param last_step: CP2K's number of the last step that is good.
    :returns: for each frame whether it is not later and its SCF converged, (n_frames,).
    """
    good: NDArray[np.bool_] = series.get_array('converged') & (series.get_array('frame_steps') <= last_step)
    return good


@calcfunction
def collect_frames(cuts: orm.Dict, **aimds: Any) -> orm.TrajectoryData:
    """Gather the frames that may be learnt from AIMD runs that went wrong, so that nothing computed is lost.

    Frames whose SCF did not converge stay out.

    :param cuts: for each AIMD its last good step.
    :param aimds: of each its trajectory and its series, under `<name>_trajectory` and `<name>_series`.
    :returns: trajectory with `positions` Å (n_frames, n_atoms, 3), `cells` Å (n_frames, 3, 3), `energies` hartree
        (n_frames,), `forces` hartree/bohr (n_frames, n_atoms, 3), in the order of the runs; the step ids go on
        counting, they are not CP2K's.
    """
    return join_frames(
        [
            (aimds[f'{name}_trajectory'], good_frames(aimds[f'{name}_series'], step))
            for name, step in sorted(cuts.items())
        ]
    )


def join_frames(
    parts: Sequence[tuple[orm.TrajectoryData, NDArray[Any]]], stepids: NDArray[np.int64] | None = None
) -> orm.TrajectoryData:
    """Put frames of CP2K's trajectories one after the other.

    :param parts: each trajectory, and which of its frames are taken.
    :param stepids: (n_frames,) the step ids of all; they count from 0 if nothing is said.
    :returns: the node, not stored.
    """
    arrays = {
        name: np.concatenate([trajectory.get_array(name)[frames] for trajectory, frames in parts])
        for name in ('positions', 'cells', 'energies', 'forces')
    }
    arrays['steps'] = np.arange(len(arrays['energies'])) if stepids is None else stepids
    return make_trajectory(parts[0][0].symbols, arrays, CP2K_UNITS)


def to_trajectory(frames: cp2k.AimdFrames, stepids: NDArray[np.int64]) -> orm.TrajectoryData:
    """Put frames into a node, in the units of aiida-cp2k: Å, hartree, hartree/bohr.

    :param frames: the frames.
    :param stepids: (n_frames,) their step ids.
    """
    arrays = {name: getattr(frames, name) for name in ('positions', 'cells', 'energies', 'forces')}
    return make_trajectory(frames.symbols, {**arrays, 'steps': stepids}, CP2K_UNITS)


@calcfunction
def summarise_label(facts: orm.Dict, report: orm.Dict | None = None, **parts: orm.Data) -> dict[str, orm.Data]:
    """Write down what a label cost and gave.

    :param facts: route, reason, verdicts of the AIMD runs, optimisation.
    :param report: what the dataset kept and refused, None where there is no dataset.
    :param parts: the series of each AIMD under its name, and what each job of the optimisation left.
    :returns: `results`, and `temperatures` with the arrays `time_fs`, `temperature` (K) and `aimd` (which run, from 1),
        each (n_frames,).
    """
    aimds = {int(key[-1]): node for key, node in sorted(parts.items()) if isinstance(node, orm.ArrayData)}
    folders = [node for node in parts.values() if isinstance(node, orm.FolderData)]
    outputs = [read_text(folder, cp2k.OUTPUT_FILE) for folder in folders]
    steps = [cp2k.read_ener(read_text(folder, cp2k.ENERGY_FILE)) for folder in folders]
    spent = [_costs(outputs, steps), *(series.base.attributes.all for series in aimds.values())]
    results = facts.get_dict() | count_frames(report) | sum_costs(spent) | {'n_single_points': 0}
    made: dict[str, orm.Data] = {'results': orm.Dict(results)}
    if aimds:
        temperatures = orm.ArrayData()
        for name, column in (('time_fs', 'times_fs'), ('temperature', 'temperatures')):
            temperatures.set_array(name, np.concatenate([series.get_array(column) for series in aimds.values()]))
        runs = [np.full(series.get_shape('steps'), number) for number, series in aimds.items()]
        temperatures.set_array('aimd', np.concatenate(runs))
        made['temperatures'] = temperatures
    return made


def count_frames(report: orm.Dict | None) -> dict[str, int]:
    """Say how many frames were kept and refused.

    :param report: of the dataset, None where there is none.
    """
    kept, refused = (0, 0) if report is None else (report['n_kept'], report['n_offered'] - report['n_good'])
    return {'kept_frames': kept, 'refused_frames': refused}


def sum_costs(spent: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Add up what CP2K was asked to do for a label.

    :param spent: `n_evaluations` and `wall_seconds` of its parts.
    :returns: both, of all parts.
    """
    parts = list(spent)
    evaluations, seconds = (sum(part[name] for part in parts) for name in ('n_evaluations', 'wall_seconds'))
    return {'n_evaluations': evaluations, 'wall_seconds': round(float(seconds), 3)}
