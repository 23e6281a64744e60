"""The calcfunctions of a replay: frames that exist already, labelled by single points."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_sis.calculations.label import count_frames, sum_costs
from aiida_sis.calculations.trajectory_data import structure_at, take_frames, values_of
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
def summarise_replay(facts: orm.Dict, report: orm.Dict | None = None, **series: orm.ArrayData) -> orm.Dict:
    """Write down what a replay cost and gave.

    :param facts: what became of the frames.
    :param report: what the dataset kept and refused, None where there is no dataset.
    :param series: of each run, see :func:`aiida_sis.calculations.label.read_jobs`.
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
