"""The calcfunctions of a label: they keep the graph whole between the user's method, CP2K's files and the dataset."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_deepmd.arrays import IntArray
from aiida_sis.calculations.retrieved import read_text
from aiida_sis.calculations.trajectory_data import CP2K_UNITS, make_trajectory, values_of
from aiida_sis.core.cp2k import output as cp2k_output
from aiida_sis.core.cp2k.input import CONTINUED_FROM, aimd_input, continuation_input, optimisation_input
from aiida_sis.core.cp2k.restart import read_step
from aiida_sis.core.settings.label import read_label_settings

#: What a labelled frame consists of.
_LABELLED = ('positions', 'cells', 'energies', 'forces')
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
def continue_aimd(
    aimd: orm.Dict, retrieved: orm.FolderData, wave_function: orm.Str | None = None
) -> dict[str, orm.Data]:
    """Let an AIMD go on from what a job left that was cut short.

    :param aimd: CP2K input tree that the AIMD began with.
    :param retrieved: what the job left.
    :param wave_function: path of its wave function in the next job.
    :returns: `parameters`, the CP2K input tree of the next job, and `restart`, the file that it starts from; nothing
        where :func:`find_restart` finds none.
    """
    found = find_restart(retrieved)
    if found is None:
        return {}
    name, step = found
    path = None if wave_function is None else wave_function.value
    content = io.BytesIO(retrieved.base.repository.get_object_content(name, mode='rb'))
    return {
        'parameters': orm.Dict(continuation_input(aimd.get_dict(), step=step, wave_function=path)),
        'restart': orm.SinglefileData(content, filename=CONTINUED_FROM),
    }


def find_restart(retrieved: orm.FolderData) -> tuple[str, int] | None:
    """Find the newest restart file of an AIMD up to whose step every frame is there.

    :param retrieved: what a job left.
    :returns: its name and the step of the AIMD at which it was written, None where there is none.
    """
    frames = frames_of(retrieved)
    energies = cp2k_output.read_ener(read_text(retrieved, cp2k_output.ENERGY_FILE))
    last = int(np.intersect1d(frames.steps, energies.steps).max(initial=-1))
    for name in (cp2k_output.RESTART_FILE, cp2k_output.EARLIER_RESTART_FILE):
        step = read_step(read_text(retrieved, name))
        if step is not None and step <= last:
            return name, step
    return None


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
def read_jobs(
    trajectory: orm.TrajectoryData | None = None, frames: orm.TrajectoryData | None = None, **folders: orm.FolderData
) -> dict[str, orm.Data]:
    """Read what the jobs of an AIMD or of a replay left, once.

    :param trajectory: what aiida-cp2k read of an AIMD; where it has every frame it is not read again and not copied.
    :param frames: the frames that were to be labelled, of a replay.
    :param folders: what each CP2K job left, in the order of their names; at least one.
    :returns: `series`: for each step the fields of :class:`aiida_sis.core.cp2k.output.EnergySeries`, for each frame its
        number `frame_steps` (CP2K's, or that in `frames`), `converged`, whether its SCF is known to have converged, and
        `known`, whether the output tells of it; attributes `n_evaluations` and `wall_seconds`, see :func:`costs`.
        `trajectory`: the frames in CP2K's units with those step ids, unless the given one has them or there is none.
    """
    jobs = [folders[key] for key in sorted(folders)]
    outputs = [read_text(job, cp2k_output.OUTPUT_FILE) for job in jobs]
    parts = [cp2k_output.read_ener(read_text(job, cp2k_output.ENERGY_FILE)) for job in jobs]
    series = cp2k_output.join_series(parts)
    made: dict[str, orm.Data] = {}
    if trajectory is not None and _is_whole(trajectory, series.steps):
        evaluations = [np.concatenate(part) for part in zip(*map(cp2k_output.read_evaluations, outputs), strict=True)]
        steps = trajectory.get_stepids()
        converged, known = cp2k_output.find_scf(trajectory.get_array('energies'), *evaluations)
    else:
        read = [frames_of(job) for job in jobs]
        joined = (
            cp2k_output.join_frames(read)
            if frames is None
            else cp2k_output.join_replay(read, values_of(frames, 'positions'))
        )
        steps, converged, known = joined.steps, joined.converged, joined.known
        if len(steps):
            arrays = {name: getattr(joined, name) for name in (*_LABELLED, 'steps')}
            made['trajectory'] = make_trajectory(joined.symbols, arrays, CP2K_UNITS)
    made['series'] = orm.ArrayData(
        {**vars(series), 'frame_steps': steps, 'converged': converged, 'known': known},
    )
    made['series'].base.attributes.set_many(costs(outputs, parts))
    return made


def frames_of(job: orm.FolderData) -> cp2k_output.AimdFrames:
    """Read the frames that a job left.

    :param job: its files.
    """
    names = (cp2k_output.POSITION_FILE, cp2k_output.FORCE_FILE, cp2k_output.CELL_FILE, cp2k_output.OUTPUT_FILE)
    return cp2k_output.read_frames(*(read_text(job, name) for name in names))


def _is_whole(trajectory: orm.TrajectoryData, steps: IntArray) -> bool:
    """Whether a trajectory holds every array for each of the steps."""
    names = trajectory.get_arraynames()
    whole = all(name in names and trajectory.get_shape(name)[0] == len(steps) for name in _LABELLED)
    return whole and np.array_equal(trajectory.get_stepids(), steps)


def energies_of(series: orm.ArrayData) -> cp2k_output.EnergySeries:
    """Give the energies and temperatures of an AIMD.

    :param series: see :func:`read_jobs`.
    """
    return cp2k_output.EnergySeries(*(series.get_array(field.name) for field in fields(cp2k_output.EnergySeries)))


@calcfunction
def collect_frames(numbers: orm.Dict, **trajectories: orm.TrajectoryData) -> orm.TrajectoryData:
    """Gather the frames that may be learnt from runs that went wrong, so that nothing computed is lost.

    :param numbers: for each run the frames to take, counted from 0.
    :param trajectories: of each run, see :func:`read_jobs`.
    :returns: trajectory with `positions` Å (n_frames, n_atoms, 3), `cells` Å (n_frames, 3, 3), `energies` hartree
        (n_frames,), `forces` hartree/bohr (n_frames, n_atoms, 3), in the order of the runs. The step ids are those of
        the runs, or count from 0 where those do not rise: a second AIMD begins anew.
    """
    parts = [(trajectories[name], rows) for name, rows in sorted(numbers.items())]
    arrays = {
        name: np.concatenate([node.get_array(name)[rows] for node, rows in parts]) for name in (*_LABELLED, 'steps')
    }
    if (np.diff(arrays['steps']) <= 0).any():
        arrays['steps'] = np.arange(len(arrays['steps']))
    return make_trajectory(parts[0][0].symbols, arrays, CP2K_UNITS)


@calcfunction
def summarise_label(facts: orm.Dict, report: orm.Dict | None = None, **parts: orm.Data) -> dict[str, orm.Data]:
    """Write down what a label cost and gave.

    :param facts: route, reason, verdicts of the AIMD runs, optimisation.
    :param report: what the dataset kept and refused, None where there is no dataset.
    :param parts: the series of each AIMD under its name, and what each job of the optimisation left.
    :returns: `results`, and `temperatures` with the arrays `time_fs`, `temperature` (K) and `aimd` (which run, from 1),
        each (n_frames,).
    """
    aimds = {int(key.split('_')[1]): node for key, node in sorted(parts.items()) if isinstance(node, orm.ArrayData)}
    folders = [node for node in parts.values() if isinstance(node, orm.FolderData)]
    outputs = [read_text(folder, cp2k_output.OUTPUT_FILE) for folder in folders]
    steps = [cp2k_output.read_ener(read_text(folder, cp2k_output.ENERGY_FILE)) for folder in folders]
    spent = [*(series.base.attributes.all for series in aimds.values()), costs(outputs, steps)]
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


def costs(outputs: Sequence[str], parts: Sequence[cp2k_output.EnergySeries]) -> dict[str, float]:
    """Say what CP2K was asked to do, whether it is kept or not.

    :param outputs: CP2K's main output of each job.
    :param parts: the series of each job.
    :returns: `n_evaluations`, energies and forces computed; `wall_seconds`, CP2K's own clock from start to end, or the
        sum of its steps where it was killed.
    """
    seconds = 0.0
    for output, part in zip(outputs, parts, strict=True):
        took = cp2k_output.wall_seconds(output)
        seconds += float(np.nansum(part.seconds)) if took is None else took
    return {'n_evaluations': sum(map(cp2k_output.count_evaluations, outputs)), 'wall_seconds': seconds}


def sum_costs(spent: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Add up what CP2K was asked to do for a label.

    :param spent: `n_evaluations` and `wall_seconds` of its parts.
    :returns: both, of all parts.
    """
    parts = list(spent)
    evaluations, seconds = (sum(part[name] for part in parts) for name in ('n_evaluations', 'wall_seconds'))
    return {'n_evaluations': evaluations, 'wall_seconds': round(float(seconds), 3)}
