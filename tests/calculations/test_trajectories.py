"""Frames of a dynamics on their way to the next calculation."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sis.calculations.trajectories import select_replay_frames


def snapshots(n_frames: int = 10) -> orm.TrajectoryData:
    """A bond that is stretched, a frame every 10 fs, with the forces of the MD."""
    positions = np.zeros((n_frames, 2, 3))
    positions[:, 1, 0] = 1.5 + 0.1 * np.arange(n_frames)
    node = orm.TrajectoryData()
    node.set_trajectory(
        symbols=['Li', 'F'],
        positions=positions,
        stepids=100 + 10 * np.arange(n_frames),
        cells=np.tile(np.eye(3) * 9.0, (n_frames, 1, 1)),
        times=0.01 * np.arange(n_frames),
        velocities=np.ones((n_frames, 2, 3)),
        pbc=(True, True, True),
    )
    node.set_array('forces', np.arange(n_frames)[:, None, None] * np.ones((1, 2, 3)))
    return node


def times(node: orm.TrajectoryData, **settings) -> list[float]:
    """Choose frames and say which."""
    return (select_replay_frames(node, orm.Dict(settings)).get_times() * 1000).round(6).tolist()


def test_the_window_has_its_ends(aiida_profile):
    """t_next and t_cp are inside, and every array of the frames comes along with new step ids."""
    chosen = select_replay_frames(snapshots(), orm.Dict({'n_frames': 9, 'start_ps': 0.03, 'stop_ps': 0.07}))
    assert chosen.is_stored
    assert (chosen.get_times() * 1000).round(6).tolist() == [30, 40, 50, 60, 70]
    assert chosen.get_stepids().tolist() == [0, 1, 2, 3, 4]
    assert chosen.get_array('forces')[:, 0, 0].tolist() == [3, 4, 5, 6, 7]
    assert chosen.get_array('velocities').shape == (5, 2, 3)
    assert chosen.get_positions()[0, 1, 0] == pytest.approx(1.8)


@pytest.mark.parametrize('choice', ['even', 'farthest_point', 'entropy'])
def test_choice(aiida_profile, choice):
    """A few frames of the window; a stretched bond has its ends among them."""
    chosen = times(snapshots(), n_frames=3, start_ps=0.02, stop_ps=None, choice=choice)
    assert len(chosen) == 3
    assert min(chosen) >= 20
    if choice != 'entropy':
        assert {20, 90} <= set(chosen)


def test_an_empty_window_gives_the_frame_before(aiida_profile):
    """A catastrophe between two snapshots leaves the one before it."""
    assert times(snapshots(), n_frames=3, start_ps=0.041, stop_ps=0.049) == [40]


def test_frames_that_are_no_numbers_are_left_out(aiida_profile):
    """An MD that blew up has nothing to label at its end."""
    node = snapshots()
    positions = node.get_positions().copy()
    positions[7:] = np.nan
    node.set_array('positions', positions)
    assert times(node, n_frames=20, start_ps=0.05, stop_ps=0.09) == [50, 60]


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({}, "'n_frames' of the replay settings is missing"),
        ({'n_frames': 0}, "0 of 'n_frames'"),
        ({'n_frames': 2, 'choice': 'stride'}, "'stride' of 'choice'"),
        ({'n_frames': 2, 'start_ps': 2.0, 'stop_ps': 1.0}, 'swap them'),
        ({'n_frames': 2, 'stop_ps': -1.0}, 'no frame up to'),
        ({'n_frames': 2, 'frames': 3}, "'frames' of the replay settings is unknown: did you mean 'n_frames'"),
    ],
)
def test_bad_settings(aiida_profile, settings, words):
    """One sentence."""
    with pytest.raises(ValueError, match=words):
        select_replay_frames(snapshots(), orm.Dict(settings))
