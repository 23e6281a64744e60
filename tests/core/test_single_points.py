"""What single points say of the frames of an MD."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_rungs_double_their_distance() -> None:
    """10, 20, 40, 80 fs before t_cp, and the first frame at the end."""
    assert rung_times(0.1, 10.0) == pytest.approx([0.0, 0.02, 0.06, 0.08, 0.09])


def test_a_catastrophe_at_the_start_has_one_rung() -> None:
    """Nothing lies before the first frame."""
    assert rung_times(0.005, 10.0) == [0.0]


def test_rungs_are_stored_frames() -> None:
    """The latest up to each time; close frames at the end, picoseconds before; each once."""
    times = np.array([0.0, 1.0, 2.0, 2.9, 2.91, 2.92, 2.99])
    assert rung_frames(times, [0.0, 0.5, 1.36, 2.68, 2.92, 2.98]) == [0, 1, 2, 5]


def test_force_errors_of_each_frame() -> None:
    """The root mean square over the components: one component of six off by 0.6 is 0.6/√6."""
    teacher = np.zeros((2, 2, 3))
    forces = teacher.copy()
    forces[1, 0, 2] = 0.6
    assert force_errors(forces, teacher) == pytest.approx([0.0, 0.6 / np.sqrt(6)])


def test_largest_force_is_that_on_an_atom() -> None:
    """3, 4 and 0 on one atom are 5 eV/Å, not 4."""
    forces = np.zeros((1, 2, 3))
    forces[0, 1] = (3.0, -4.0, 0.0)
    assert largest_forces(forces) == pytest.approx([5.0])


def test_match_finds_what_is_left_of_the_frames() -> None:
    """Frames that CP2K could not treat are missing; those there keep their order."""
    positions = np.arange(5.0)[:, None, None] * np.ones((1, 2, 3))
    assert match(positions, positions[[1, 4]] + 1e-5).tolist() == [1, 4]
    with pytest.raises(ValueError, match='not among the frames of the MD'):
        match(positions, positions[[1]] + 0.5)


def test_drift() -> None:
    """The slope of the errors; one frame has none."""
    assert drift_of(np.array([0.0, 1.0, 2.0]), np.array([0.1, 0.3, 0.5])) == pytest.approx(0.2)
    assert drift_of(np.array([1.0]), np.array([0.1])) is None


RUNGS = {
    'times_ps': np.array([0.0, 0.5, 0.75, 0.875, 0.9375]),
    't_cp_ps': 1.0,
    'errors': {0: 0.02, 1: 0.4, 2: 0.29, 3: 2.0},
    'forces': {0: 1.0, 1: 2.0, 2: 3.0, 3: 40.0},
    'max_force': 10.0,
}


def test_the_latest_right_rung_is_t_next() -> None:
    """A wrong one before it does not matter; what is beyond the forces of the data is not learnt."""
    rungs = judge_rungs(**RUNGS, force_rmse_max=0.3)
    assert [rung.state for rung in rungs] == ['right', 'wrong', 'right', 'unphysical', 'failed']
    assert rungs[2].before_t_cp_fs == pytest.approx(250.0)
    assert latest_right(rungs) == 2
    assert rungs[4].force_rmse_ev_per_angstrom is None


def test_no_rung_is_right() -> None:
    """Then t_next is nowhere."""
    assert latest_right(judge_rungs(**RUNGS, force_rmse_max=0.01)) is None
