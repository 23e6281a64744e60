"""Radial distribution functions, on structures where they are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry.rdf import get_rdf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aiida_sis.core.analysis.rdf import rdf_difference, rdfs


def test_ideal_gas_has_no_structure() -> None:
    """Points thrown at random: g(r) is one for like and unlike pairs, however few the atoms, in a skewed cell too."""
    rng = np.random.default_rng(0)
    cell = np.array([[12.0, 0.0, 0.0], [4.0, 13.0, 0.0], [-3.0, 2.0, 12.5]])
    frames = [(rng.random((12, 3)) @ cell, cell) for _ in range(6000)]
    found = rdfs(frames, ['Na'] * 8 + ['Cl'] * 4, 5.0, 10)
    for pair in found.pairs:
        shells = np.diff(np.linspace(0, 5.0, 11) ** 3)
        assert np.average(found.g[pair], weights=shells) == pytest.approx(1.0, abs=0.02), pair
        assert np.abs(found.g[pair][4:] - 1.0).max() < 0.1, pair


def test_rock_salt_has_its_neighbours_where_they_are() -> None:
    """Unlike ions at a/2, like ions at a/√2; six and twelve of them."""
    atoms = bulk('NaCl', 'rocksalt', a=5.64, cubic=True) * (3, 3, 3)
    found = rdfs([(atoms.positions, atoms.cell.array)], atoms.get_chemical_symbols(), 4.5, 90)
    for pair, distance, number in ((('Na', 'Cl'), 5.64 / 2, 6), (('Na', 'Na'), 5.64 / np.sqrt(2), 12)):
        assert found.r[found.of(*pair).argmax()] == pytest.approx(distance, abs=0.05)
        assert found.coordination_number(*pair, distance + 0.1) == pytest.approx(number)


def test_equal_to_that_of_ase() -> None:
    """ASE's own function on a disordered, skewed cell, up to its density of like pairs."""
    rng = np.random.default_rng(3)
    cell = np.array([[11.0, 0.0, 0.0], [3.0, 11.5, 0.0], [1.0, -2.0, 12.0]])
    symbols = ['Li'] * 40 + ['O'] * 60
    positions = rng.random((100, 3)) @ cell
    found = rdfs([(positions, cell)], symbols, 5.0, 25)
    atoms = Atoms(symbols, positions, cell=cell, pbc=True)
    for (first, second), like in ((('Li', 'O'), 1.0), (('Li', 'Li'), 39 / 40), (('O', 'O'), 59 / 60)):
        numbers = (Atoms(first).numbers[0], Atoms(second).numbers[0])
        g, r = get_rdf(atoms, 5.0, 25, elements=numbers)
        assert found.r == pytest.approx(r)
        assert found.of(first, second) * like == pytest.approx(g, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    shift=arrays(float, 3, elements=st.floats(-50, 50)),
    images=arrays(np.int64, (20, 3), elements=st.integers(-3, 3)),
    seed=st.integers(0, 1000),
)
def test_where_the_origin_is_does_not_matter(shift: np.ndarray, images: np.ndarray, seed: int) -> None:
    """Translation, wrapping and the order of the atoms leave every count as it is."""
    rng = np.random.default_rng(seed)
    cell = np.array([[9.0, 0.0, 0.0], [2.0, 9.5, 0.0], [1.0, 2.0, 10.0]])
    kinds = np.array(['Li'] * 8 + ['O(DOL)'] * 12)
    positions = rng.random((20, 3)) @ cell
    order = rng.permutation(20)
    first = rdfs([(positions, cell)], list(kinds), 4.0, 8)
    moved = positions + shift + images @ cell
    second = rdfs([(moved[order], cell)], list(kinds[order]), 4.0, 8)
    for pair in first.pairs:
        # A distance on the edge of a bin may fall to either side of it.
        assert np.abs(np.cumsum(first.neighbours[pair] - second.neighbours[pair])).max() <= 1.0


def test_only_the_pairs_that_are_asked_for() -> None:
    """In the order they were asked for, with the same values."""
    rng = np.random.default_rng(1)
    frames = [(10.0 * rng.random((30, 3)), 10.0 * np.eye(3)) for _ in range(5)]
    kinds = ['Li'] * 10 + ['O'] * 10 + ['F'] * 10
    every, some = rdfs(frames, kinds, 4.0, 20), rdfs(iter(frames), kinds, 4.0, 20, pairs=[('O', 'Li')])
    assert some.pairs == (('O', 'Li'),)
    assert np.array_equal(some.of('Li', 'O'), every.of('O', 'Li'))
    assert some.coordination_number('Li', 'O', 3.0) == every.coordination_number('Li', 'O', 3.0)
    with pytest.raises(ValueError, match='no pair F, O'):
        some.of('F', 'O')


def test_first_shell_of_a_known_curve() -> None:
    """A peak at 2.0 Å and a minimum at 2.8 Å are found, with noise on them."""
    rng = np.random.default_rng(0)
    atoms = np.array([[0.0, 0.0, 0.0]])
    frames = []
    for _ in range(400):
        shell = rng.normal(size=(4, 3))
        shell *= (2.0 + 0.1 * rng.normal(size=(4, 1))) / np.linalg.norm(shell, axis=1, keepdims=True)
        far = rng.normal(size=(20, 3))
        far *= (3.6 + 0.3 * np.abs(rng.normal(size=(20, 1)))) / np.linalg.norm(far, axis=1, keepdims=True)
        frames.append((np.concatenate([atoms, shell, far]), 12.0 * np.eye(3)))
    found = rdfs(frames, ['Li'] + ['O'] * 24, 5.0, 100)
    peak, minimum = found.first_shell('Li', 'O')
    assert peak == pytest.approx(2.0, abs=0.1)
    assert 2.3 < minimum < 3.6
    assert found.coordination_number('Li', 'O', minimum) == pytest.approx(4.0, abs=0.01)


def test_difference_of_a_function_with_itself_is_zero() -> None:
    """And grows with the distance."""
    g = np.array([0.0, 2.0, 1.0, 1.0])
    assert rdf_difference(g, g) == 0.0
    assert rdf_difference(1.1 * g, g) == pytest.approx(0.1)


def test_what_cannot_be_computed_is_refused() -> None:
    """A missing kind, no frame, and a distance beyond half of the cell, in a skewed one too."""
    frame = (np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), 8.0 * np.eye(3))
    with pytest.raises(ValueError, match='no Cl'):
        rdfs([frame], ['Na', 'Na'], 3.0, 5, pairs=[('Na', 'Cl')])
    with pytest.raises(ValueError, match=r'half of the cell \(4.000 Å\)'):
        rdfs([frame], ['Na', 'Na'], 5.0, 5)
    skewed = np.array([[8.0, 0.0, 0.0], [8.0, 8.0, 0.0], [0.0, 0.0, 8.0]])
    with pytest.raises(ValueError, match=r'2.828 Å'):
        rdfs([(frame[0], skewed)], ['Na', 'Na'], 3.0, 5)
    with pytest.raises(ValueError, match='no frame'):
        rdfs([], ['Na', 'Na'], 3.0, 5)
    with pytest.raises(ValueError, match='not a finite number'):
        rdfs([(np.full((2, 3), np.nan), frame[1])], ['Na', 'Na'], 3.0, 5)
