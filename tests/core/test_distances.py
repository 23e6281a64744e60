"""The shortest distance of each pair of elements, and the pair that came too near."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sis.core.distances import Contact, find_contact, shortest_distances

CELL = np.diag([10.0, 10.0, 10.0])
SYMBOLS = ['Na', 'Na', 'Cl']


def frame(na: float, cl: float) -> np.ndarray:
    """Two Na and a Cl on a line; the second Na may be near through the edge of the cell."""
    return np.array([[0.0, 0.0, 0.0], [na, 0.0, 0.0], [cl, 0.0, 0.0]])


def test_shortest_over_all_frames_and_through_the_edge() -> None:
    frames = [(frame(4.0, 2.5), CELL), (frame(6.5, 3.0), CELL), (frame(4.5, 2.2), CELL)]
    found = shortest_distances(frames, SYMBOLS, 6.0)
    assert found == {'Cl-Na': pytest.approx(1.5), 'Na-Na': pytest.approx(3.5)}


def test_a_search_that_shrinks_finds_what_a_whole_one_finds() -> None:
    rng = np.random.default_rng(3)
    symbols = ['Li'] * 3 + ['F'] * 4 + ['S']
    frames = [(rng.uniform(0, 10, (8, 3)), CELL) for _ in range(20)]
    whole: dict[str, float] = {}
    for one in frames:
        for pair, distance in shortest_distances([one], symbols, 4.9).items():
            whole[pair] = min(whole.get(pair, np.inf), distance)
    assert shortest_distances(frames, symbols, 4.9) == pytest.approx(whole)
    assert 'S-S' not in whole


def test_a_pair_beyond_the_cutoff_has_no_distance() -> None:
    assert shortest_distances([(frame(4.0, 2.5), CELL)], SYMBOLS, 3.0) == {'Cl-Na': pytest.approx(1.5)}


def test_no_frame_has_no_distance() -> None:
    assert shortest_distances([], SYMBOLS, 3.0) == {}


def test_the_contact_is_the_pair_furthest_below_its_limit() -> None:
    limits = {'Na-Na': 4.0, 'Cl-Na': 2.0}
    assert find_contact(frame(3.6, 1.0), CELL, SYMBOLS, limits) == Contact('Cl-Na', pytest.approx(1.0))
    assert find_contact(frame(4.2, 2.1), CELL, SYMBOLS, {'Na-Na': 4.0, 'Cl-Na': 1.9}) is None
    assert find_contact(frame(3.6, 1.0), CELL, SYMBOLS, {'Na-Na': 4.0}) == Contact('Na-Na', pytest.approx(3.6))


def test_two_fixed_atoms_are_no_contact() -> None:
    limits = {'Na-Na': 4.0}
    assert find_contact(frame(3.6, 1.0), CELL, SYMBOLS, limits, fixed_atoms=[0, 1]) is None
    assert find_contact(frame(3.6, 1.0), CELL, SYMBOLS, limits, fixed_atoms=[0]) is not None
