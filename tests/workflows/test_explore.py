"""An MD with a committee that took several jobs is judged as one."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sis.calculations.deviation import judge_joined_deviation
from aiida_sis.calculations.trajectories import join_series, join_trajectories


def deviation(steps: list[int], values: list[float]) -> orm.ArrayData:
    """Deviations of one job."""
    node = orm.ArrayData()
    node.set_array('step', np.array(steps))
    node.set_array('max_force_deviation', np.array(values))
    return node


def frames(steps: list[int]) -> orm.TrajectoryData:
    """Candidates of one job; the forces tell their steps."""
    node = orm.TrajectoryData()
    values = np.array(steps, dtype=float)[:, None, None] * np.ones((len(steps), 2, 3))
    node.set_trajectory(
        symbols=['Li', 'F'],
        positions=values,
        stepids=np.array(steps),
        cells=np.tile(np.eye(3) * 9, (len(steps), 1, 1)),
        times=np.array(steps) * 1e-3,
        velocities=values,
    )
    node.set_array('forces', values)
    return node


@pytest.mark.usefixtures('aiida_profile')
def test_two_jobs_count_as_one() -> None:
    """The frame where they meet counts once, and the candidates are thinned over both."""
    parameters = {'temperature_k': 300, 'window_k': [0, 1000], 'length_ps': 1, 'timestep_fs': 1.0}
    levels = {'low_ev_per_angstrom': 0.1, 'high_ev_per_angstrom': 0.5, 'interval_fs': 10, 'max_candidates': 3}
    first, second = deviation([0, 10, 20], [0.05, 0.2, 0.3]), deviation([20, 30, 40], [0.3, 0.4, 0.9])
    outputs = judge_joined_deviation(
        orm.Dict({'stable': True, 'deviation': {'n_accurate': 0}}),
        orm.Dict(parameters | {'deviation': levels}),
        join_series(part_000=first, part_001=second),
        join_trajectories(part_000=frames([10, 20]), part_001=frames([20, 30])),
    )
    counts = {'n_accurate': 1, 'n_candidate': 3, 'n_failed': 1, 'max': 0.9}
    assert outputs['results'].get_dict() == {'stable': True, 'deviation': counts}
    assert outputs['candidates'].get_stepids().tolist() == [10, 20, 30]
    fewer = judge_joined_deviation(
        orm.Dict({}),
        orm.Dict(parameters | {'deviation': levels | {'max_candidates': 1}}),
        first,
        frames([10, 20, 30]),
    )
    assert fewer['candidates'].get_array('forces')[:, 0, 0].tolist() == [20.0]
