"""Which frames are chosen, and that nothing but their differences decides."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_deepmd.frames import Frames, FramesError
from aiida_sis.core import frame_selection as choice

METHODS = ('every', 'even', 'farthest_point', 'entropy')


def frames_of(coords: np.ndarray, length: float = 12.0) -> Frames:
    """Frames without labels in a cubic cell."""
    n_frames = len(coords)
    return Frames(
        coords, np.tile(np.eye(3) * length, (n_frames, 1, 1)), np.zeros(n_frames), np.zeros_like(coords, dtype=float)
    )


def path(lengths: np.ndarray) -> Frames:
    """A bond of two atoms with one length for each frame."""
    coords = np.zeros((len(lengths), 2, 3))
    coords[:, 1, 0] = lengths
    return frames_of(coords)


def cloud(n_frames: int, seed: int) -> Frames:
    """Five atoms somewhere."""
    return frames_of(np.random.default_rng(seed).uniform(0, 8, (n_frames, 5, 3)))


@settings(max_examples=30, deadline=None)
@given(method=st.sampled_from(METHODS), n_frames=st.integers(1, 40), n=st.integers(1, 45), seed=st.integers(0, 10**6))
def test_distinct_ascending_and_repeatable(method, n_frames, n, seed):
    """As many frames as asked for, each once, in the order of time, and the same ones again."""
    frames = cloud(n_frames, seed)
    chosen = choice.choose_frames(frames, list('ABABA'), method, n, seed)
    assert len(chosen) == min(n, n_frames)
    assert (np.diff(chosen) > 0).all()
    assert chosen.min() >= 0
    assert chosen.max() < n_frames
    assert chosen.tolist() == choice.choose_frames(frames, list('ABABA'), method, n, seed).tolist()


@settings(max_examples=30, deadline=None)
@given(n_frames=st.integers(1, 60), n=st.integers(1, 60))
def test_stride_is_constant(n_frames, n):
    """The spacing is the same everywhere, the first frame is in, and no more than n are."""
    chosen = choice.choose_frames(cloud(n_frames, 0), list('ABABA'), 'stride', n, 0)
    assert chosen[0] == 0
    assert len(chosen) <= n
    assert len(np.unique(np.diff(chosen))) <= 1
    assert n_frames - chosen[-1] <= max(np.diff(chosen), default=n_frames)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.floats(0.01, 0.2), min_size=3, max_size=25), n=st.integers(2, 5), seed=st.integers(0, 1000))
def test_farthest_point_has_both_ends_of_a_path(steps, n, seed):
    """Along one bond that is stretched, the shortest and the longest are always chosen, whatever the order in time."""
    lengths = 1.2 + np.cumsum(steps) / np.sum(steps) * 3.0
    order = np.random.default_rng(seed).permutation(len(lengths))
    chosen = choice.choose_frames(path(lengths[order]), ['Li', 'F'], 'farthest_point', n, seed)
    assert {0, len(lengths) - 1} <= set(order[chosen].tolist())


@settings(max_examples=20, deadline=None)
@given(method=st.sampled_from(choice.BY_DESCRIPTOR), copies=st.integers(1, 5), seed=st.integers(0, 1000))
def test_near_duplicates_come_last(method, copies, seed):
    """Of each group of frames that are nearly the same, one is chosen before any second."""
    rng = np.random.default_rng(seed)
    distinct = rng.uniform(0, 8, (8, 5, 3))
    group = rng.permutation(np.repeat(np.arange(8), copies))
    coords = distinct[group] + rng.normal(0, 1e-7, (len(group), 5, 3))
    chosen = choice.choose_frames(frames_of(coords), list('ABABA'), method, 8, seed)
    assert sorted(group[chosen]) == list(range(8))


def test_entropy_is_the_greedy_maximum_of_the_determinant():
    """Each point is the one that raises log det of the covariance most, found here by trying all of them."""
    points = np.random.default_rng(1).normal(size=(40, 6))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    covariance = np.exp(-distance / np.median(distance[distance > 0]))
    chosen = choice.most_informative(points, 8).tolist()
    for number in range(1, 8):
        before, rest = chosen[:number], sorted(set(range(40)) - set(chosen[:number]))
        gains = [np.linalg.slogdet(covariance[np.ix_([*before, i], [*before, i])])[1] for i in rest]
        assert chosen[number] == rest[int(np.argmax(gains))]


def test_farthest_points_by_trying_all():
    """Each point is the one whose nearest chosen one is farthest away."""
    points = np.random.default_rng(2).normal(size=(40, 6))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    chosen = choice.farthest_points(points, 8).tolist()
    for number in range(1, 8):
        assert chosen[number] == int(np.argmax(distance[:, chosen[:number]].min(axis=1)))


def test_the_descriptor_sees_distances_only():
    """It is blind to a translation across the boundary, a rotation of the axes and an exchange of like atoms."""
    symbols = ['Li', 'F', 'Li', 'O', 'F']
    coords = np.random.default_rng(3).uniform(0, 9, (5, 3))
    same = [
        coords,
        (coords + np.array([5.0, 7.0, 1.0])) % 9.0,
        coords[:, [2, 0, 1]],
        coords[[2, 4, 0, 3, 1]],
    ]
    described = choice.describe(np.array(same), np.tile(np.eye(3) * 9.0, (4, 1, 1)), symbols)
    np.testing.assert_allclose(described, described[:1].repeat(4, axis=0), atol=1e-12)
    moved = coords.copy()
    moved[0] += 0.1
    both = choice.describe(np.array([coords, moved]), np.tile(np.eye(3) * 9.0, (2, 1, 1)), symbols)
    assert np.abs(both[0] - both[1]).max() > 1e-3


@pytest.mark.parametrize('cell', [np.eye(3) * 9.0, np.array([[10.0, 0, 0], [4.0, 9.0, 0], [-3.0, 4.0, 9.0]])])
def test_the_descriptor_against_ase(cell):
    """Its values are the inverse distances that ASE finds, in a skewed cell too."""
    coords = np.random.default_rng(4).uniform(-5, 15, (12, 3))
    described = choice.describe(coords[None], cell[None], ['Na'] * 12)[0]
    cutoff = min(choice.CUTOFF, 0.5 / np.linalg.norm(np.linalg.inv(cell), axis=0).max())
    first, second, distance = neighbor_list('ijd', Atoms('Na12', coords, cell=cell, pbc=True), cutoff)
    expected = np.sort(1 / distance[first < second] - 1 / cutoff)[::-1]
    np.testing.assert_allclose(described[described > 0], expected)


def test_frames_that_do_not_differ():
    """Identical frames leave nothing to choose by, and are chosen from all the same."""
    frames = path(np.full(6, 1.5))
    for method in METHODS:
        assert len(choice.choose_frames(frames, ['Li', 'F'], method, 3, 1)) == 3


@pytest.mark.parametrize(('method', 'n', 'words'), [('random', 3, 'random'), ('every', 0, 'at least 1')])
def test_bad_requests(method, n, words):
    """One sentence."""
    with pytest.raises(FramesError, match=words):
        choice.choose_frames(cloud(5, 0), list('ABABA'), method, n, 0)
