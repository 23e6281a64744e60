"""The calcfunctions of a label: they keep the graph whole between the user's method, CP2K's files and the dataset."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

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
def collect_frames(cuts: orm.Dict, **folders: orm.FolderData) -> orm.TrajectoryData:
    """Gather the frames that may be learnt from AIMD runs that went wrong, so that nothing computed is lost.

    Frames whose SCF did not converge stay out.

    :param cuts: for each AIMD its last good step; AIMD runs that aren't named give no frame.
    :param folders: what each CP2K job left, under `<aimd>_job_<number>`.
    :returns: trajectory with `positions` Å (n_frames, n_atoms, 3), `cells` Å (n_frames, 3, 3), `energies` hartree
        (n_frames,), `forces` hartree/bohr (n_frames, n_atoms, 3), in the order of the runs; the step ids go on
        counting, they are not CP2K's.
    """
    limits = cuts.get_dict()
    parts = [
        frames.take((frames.steps <= limits[name]) & frames.converged)
        for name, frames in frames_by_aimd(folders).items()
        if name in limits
    ]
    return to_trajectory(cp2k.concatenate(parts), np.arange(sum(len(part.steps) for part in parts)))


def to_trajectory(frames: cp2k.AimdFrames, stepids: NDArray[np.int64]) -> orm.TrajectoryData:
    """Put frames into a node, in the units of aiida-cp2k: Å, hartree, hartree/bohr.

    :param frames: the frames.
    :param stepids: (n_frames,) their step ids.
    """
    trajectory = orm.TrajectoryData()
    trajectory.set_trajectory(
        symbols=list(frames.symbols),
        positions=frames.positions,
        cells=frames.cells,
        stepids=stepids,
        pbc=[True, True, True],
    )
    trajectory.set_array('energies', frames.energies)
    trajectory.set_array('forces', frames.forces)
    return trajectory


@calcfunction
def summarise_label(facts: orm.Dict, report: orm.Dict | None = None, **folders: orm.FolderData) -> dict[str, orm.Data]:
    """Write down what a label cost and gave.

    :param facts: route, reason, verdicts of the AIMD runs, optimisation.
    :param report: what the dataset kept and refused, None where there is no dataset.
    :param folders: what each CP2K job left, under `<run>_job_<number>`; the optimisation is among them.
    :returns: `results`, and `temperatures` with the arrays `time_fs`, `temperature` (K) and `aimd` (which run, from 1),
        each (n_frames,).
    """
    results = facts.get_dict()
    results |= count_frames(report) | costs(folders) | {'n_single_points': 0}
    outputs: dict[str, orm.Data] = {'results': orm.Dict(results)}
    series = series_by_aimd({key: folder for key, folder in folders.items() if key.startswith('aimd_')})
    if series:
        temperatures = orm.ArrayData()
        temperatures.set_array('time_fs', np.concatenate([one.times_fs for one in series.values()]))
        temperatures.set_array('temperature', np.concatenate([one.temperatures for one in series.values()]))
        runs = [np.full(len(one.steps), int(name.split('_')[1])) for name, one in series.items()]
        temperatures.set_array('aimd', np.concatenate(runs))
        outputs['temperatures'] = temperatures
    return outputs


def count_frames(report: orm.Dict | None) -> dict[str, int]:
    """Say how many frames were kept and refused.

    :param report: of the dataset, None where there is none.
    """
    kept, refused = (0, 0) if report is None else (report['n_kept'], report['n_offered'] - report['n_good'])
    return {'kept_frames': kept, 'refused_frames': refused}


def costs(folders: Mapping[str, orm.FolderData]) -> dict[str, float]:
    """Say what CP2K was asked to do for a label, whether it was kept or not.

    :param folders: what each CP2K job left.
    :returns: `n_evaluations`, energies and forces computed; `wall_seconds`, CP2K's own clock from start to end, or
        the sum of its steps where it was killed.
    """
    evaluations, seconds = 0, 0.0
    for folder in folders.values():
        output = read_text(folder, cp2k.OUTPUT_FILE)
        evaluations += cp2k.count_evaluations(output)
        took = cp2k.wall_seconds(output)
        if took is None:
            took = float(np.nansum(cp2k.read_ener(read_text(folder, cp2k.ENERGY_FILE)).seconds))
        seconds += took
    return {'n_evaluations': evaluations, 'wall_seconds': round(seconds, 3)}


def read_text(folder: orm.FolderData, name: str) -> str:
    """Read a file that CP2K may have left, empty where it did not.

    :param folder: retrieved files.
    :param name: name of the file.
    """
    if name not in folder.base.repository.list_object_names():
        return ''
    return folder.base.repository.get_object_content(name, mode='r')


def _by_aimd(folders: Mapping[str, orm.FolderData]) -> dict[str, list[orm.FolderData]]:
    """Sort the folders of the jobs under the names of their AIMD, the jobs of a restarted AIMD in their order."""
    runs: dict[str, list[orm.FolderData]] = {}
    for key in sorted(folders):
        runs.setdefault(key.partition('_job_')[0], []).append(folders[key])
    return runs


def frames_by_aimd(folders: Mapping[str, orm.FolderData]) -> dict[str, cp2k.AimdFrames]:
    """Read the frames of each AIMD.

    :param folders: what each CP2K job left, under `<aimd>_job_<number>`.
    """
    names = (cp2k.POSITION_FILE, cp2k.FORCE_FILE, cp2k.CELL_FILE, cp2k.OUTPUT_FILE)
    return {
        run: cp2k.join_frames([cp2k.read_frames(*(read_text(job, name) for name in names)) for job in jobs])
        for run, jobs in _by_aimd(folders).items()
    }


def series_by_aimd(folders: Mapping[str, orm.FolderData]) -> dict[str, cp2k.EnergySeries]:
    """Read the energies and temperatures of each AIMD.

    :param folders: what each CP2K job left, under `<aimd>_job_<number>`.
    """
    return {
        run: cp2k.join_series([cp2k.read_ener(read_text(job, cp2k.ENERGY_FILE)) for job in jobs])
        for run, jobs in _by_aimd(folders).items()
    }
