"""The calcfunctions of a replay: frames that exist already, labelled by single points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_sis.calculations.label import costs, count_frames, read_text, to_trajectory
from aiida_sis.calculations.trajectories import take_frames
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
    outputs: dict[str, orm.Data] = {'structure': frames.get_step_structure(0)}
    if not np.array_equal(frames.get_stepids(), np.arange(frames.numsteps)):
        outputs['trajectory'] = take_frames(frames, np.arange(frames.numsteps))
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
    cells = frames.get_array('cells')
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
def collect_replay(frames: orm.TrajectoryData, **folders: orm.FolderData) -> orm.TrajectoryData:
    """Gather the frames that CP2K labelled, without those whose SCF did not converge.

    :param frames: the frames that were to be labelled.
    :param folders: what each CP2K job left.
    :returns: trajectory with `positions` Å (n, n_atoms, 3), `cells` Å (n, 3, 3), `energies` hartree (n,), `forces`
        hartree/bohr (n, n_atoms, 3); the step ids are the numbers of the frames in `frames`, from 0.
    """
    labelled, numbers = labelled_frames(frames, folders)
    return to_trajectory(labelled.take(labelled.converged), numbers[labelled.converged])


@calcfunction
def summarise_replay(facts: orm.Dict, report: orm.Dict | None = None, **folders: orm.FolderData) -> orm.Dict:
    """Write down what a replay cost and gave.

    :param facts: what became of the frames.
    :param report: what the dataset kept and refused, None where there is no dataset.
    :param folders: what each CP2K job left.
    """
    series = [cp2k.read_ener(read_text(folder, cp2k.ENERGY_FILE)) for folder in folders.values()]
    seconds = np.concatenate([one.seconds for one in series]) if series else np.empty(0)
    cost = costs(folders)
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


def labelled_frames(
    frames: orm.TrajectoryData, folders: Mapping[str, orm.FolderData]
) -> tuple[cp2k.AimdFrames, NDArray[np.int64]]:
    """Read what the jobs of a replay computed, each frame once, as the last job has it.

    A frame that the output does not mention counts as not computed: it is where a job that was killed is taken up.

    :param frames: the frames that were to be labelled.
    :param folders: what each CP2K job left, in the order of their names; at least one.
    :returns: the computed frames and their numbers in `frames`, ascending.
    """
    names = (cp2k.POSITION_FILE, cp2k.FORCE_FILE, cp2k.CELL_FILE, cp2k.OUTPUT_FILE)
    parts = [cp2k.read_frames(*(read_text(folders[key], name) for name in names)) for key in sorted(folders)]
    parts = [part.take(part.known) for part in parts]
    computed = cp2k.concatenate([part for part in parts if len(part.steps)] or parts[:1])
    numbers = cp2k.match_frames(computed, frames.get_positions())
    last = {int(number): row for row, number in enumerate(numbers) if number >= 0}
    order = sorted(last)
    return computed.take(np.array([last[number] for number in order], dtype=np.int64)), np.array(order, dtype=np.int64)
