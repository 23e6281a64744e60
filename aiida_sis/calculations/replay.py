"""The calcfunctions of a replay: frames that exist already, labelled by single points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_sis.calculations.label import count_frames, frames_of, join_frames, make_series, sum_costs, to_trajectory
from aiida_sis.calculations.retrieved import read_text
from aiida_sis.calculations.trajectory_data import structure_at, take_frames, values_of
from aiida_sis.core.cp2k import output as cp2k
from aiida_sis.core.cp2k.input import replay_input

#: Cells that differ by less than this (Å) are one cell.
SAME_CELL = 1.0e-8


@calcfunction
def prepare_replay(frames: orm.TrajectoryData) -> dict[str, orm.Data]:
    """Make what CP2K starts a replay from.

    :param frames: the frames to label.
    :returns: `structure`, the first frame; `trajectory`, the frames with step ids from 0, which aiida-cp2k needs,
        unless they have those already.
    """
    outputs: dict[str, orm.Data] = {'structure': structure_at(frames, 0)}
    if not np.array_equal(frames.get_stepids(), np.arange(frames.numsteps)):
        outputs['trajectory'] = take_frames(frames, slice(None), renumber=True)
    return outputs


@calcfunction
def make_replay_input(
    level_of_theory: orm.Dict,
    frames: orm.TrajectoryData,
    first_frame: orm.Int,
    manner: orm.Dict,
    max_seconds: orm.Int | None = None,
) -> orm.Dict:
    """Lay the single points over the level of theory.

    :param level_of_theory: CP2K input tree of the user.
    :param frames: the frames to label.
    :param first_frame: number of the first one to compute, from 0.
    :param manner: `careful` and `eval_keyword` of :func:`aiida_sis.core.cp2k.input.replay_input`.
    :param max_seconds: time of the job in s; CP2K ends in good order when a tenth of it is left.
    :returns: CP2K input tree.
    """
    cells = values_of(frames, 'cells')
    tree = replay_input(
        level_of_theory.get_dict(),
        n_frames=frames.numsteps,
        first_frame=first_frame.value,
        variable_cell=bool(np.abs(cells - cells[0]).max() > SAME_CELL),
        careful=manner['careful'],
        eval_keyword=manner['eval_keyword'],
        walltime_s=None if max_seconds is None else 0.9 * max_seconds.value,
    )
    return orm.Dict(tree)


@calcfunction
def read_replay(frames: orm.TrajectoryData, **folders: orm.FolderData) -> dict[str, orm.Data]:
    """Read what the jobs of one run of CP2K computed: this is the one place that opens its files.

    A frame that the output does not mention counts as not computed: it is where a job that was killed is taken up.

    :param frames: the frames that were to be labelled.
    :param folders: what each CP2K job left, in the order of their names; at least one.
    :returns: `series`, see :func:`aiida_sis.calculations.label.make_series`, with `frame_steps`, the numbers of the
        computed frames in `frames`, ascending, and `seconds`, of every step; `trajectory`, those frames in CP2K's
        units, their numbers as step ids, each as the last job has it, unless there is none.
    """
    jobs = [folders[key] for key in sorted(folders)]
    outputs = [read_text(job, cp2k.OUTPUT_FILE) for job in jobs]
    parts = [cp2k.read_ener(read_text(job, cp2k.ENERGY_FILE)) for job in jobs]
    read = [frames_of(job, output) for job, output in zip(jobs, outputs, strict=True)]
    read = [part.take(part.known) for part in read]
    computed = cp2k.concatenate([part for part in read if len(part.steps)] or read[:1])
    rows, numbers = _last_of_each(cp2k.match_frames(computed, values_of(frames, 'positions')))
    labelled = computed.take(rows)
    seconds = np.concatenate([part.seconds for part in parts])
    arrays = {'frame_steps': numbers, 'converged': labelled.converged, 'seconds': seconds}
    made: dict[str, orm.Data] = {'series': make_series(arrays, outputs, parts)}
    return made | ({'trajectory': to_trajectory(labelled, numbers)} if len(numbers) else {})


def _last_of_each(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the last entry of each number above −1, and give the numbers, ascending."""
    last = {int(number): row for row, number in enumerate(numbers) if number >= 0}
    order = sorted(last)
    return np.array([last[number] for number in order], dtype=np.int64), np.array(order, dtype=np.int64)


def merge_scf(series: Iterable[orm.ArrayData]) -> dict[int, bool]:
    """Say for each frame that was computed whether its SCF converged.

    :param series: of each run, see :func:`read_replay`; where two computed a frame, the later one holds.
    :returns: by the number of the frame, ascending.
    """
    found: dict[int, bool] = {}
    for part in series:
        found |= dict(zip(part.get_array('frame_steps').tolist(), part.get_array('converged').tolist(), strict=True))
    return dict(sorted(found.items()))


@calcfunction
def collect_replay(**runs: Any) -> orm.TrajectoryData:
    """Gather the frames that CP2K labelled in several runs, without those whose SCF did not converge.

    :param runs: of each its trajectory and its series, under `<name>_trajectory` and `<name>_series`.
    :returns: trajectory with `positions` Å (n, n_atoms, 3), `cells` Å (n, 3, 3), `energies` hartree (n,), `forces`
        hartree/bohr (n, n_atoms, 3); the step ids are the numbers of the frames that were to be labelled, from 0.
    """
    names = sorted(key.removesuffix('_trajectory') for key in runs if key.endswith('_trajectory'))
    whole = join_frames(
        [(runs[f'{name}_trajectory'], np.arange(runs[f'{name}_trajectory'].numsteps)) for name in names]
    )
    series = [runs[f'{name}_series'] for name in names]
    converged = np.concatenate([part.get_array('converged') for part in series])
    rows, numbers = _last_of_each(np.concatenate([part.get_array('frame_steps') for part in series]))
    good = converged[rows]
    return join_frames([(whole, rows[good])], numbers[good])


@calcfunction
def summarise_replay(facts: orm.Dict, report: orm.Dict | None = None, **series: orm.ArrayData) -> orm.Dict:
    """Write down what a replay cost and gave.

    :param facts: what became of the frames.
    :param report: what the dataset kept and refused, None where there is no dataset.
    :param series: of each run, see :func:`read_replay`.
    """
    seconds = np.concatenate([np.empty(0), *(part.get_array('seconds') for part in series.values())])
    cost = sum_costs(part.base.attributes.all for part in series.values())
    results: dict[str, Any] = {
        'route': 'replay',
        **facts.get_dict(),
        **count_frames(report),
        **cost,
        'n_single_points': cost['n_evaluations'],
        'aimd_fs': 0.0,
        'max_temperature_k': None,
        'heating': None,
        'possible_exotherm': False,
        'seconds_per_step': float(np.median(seconds)) if seconds.size else None,
    }
    return orm.Dict(results)
