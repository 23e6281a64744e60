"""Radial distribution functions, on structures where they are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_sis.core.rdf import partial_rdf, rdf_difference


def test_ideal_gas_has_no_structure() -> None:
    """Points thrown at random: g(r) is one, up to the noise of the count of pairs."""
    rng = np.random.default_rng(0)
    coords = 12.0 * rng.random((40, 100, 3))
    cells = np.tile(12.0 * np.eye(3), (40, 1, 1))
    symbols = ['Na'] * 50 + ['Cl'] * 50
    for pair in (('Cl', 'Na'), ('Na', 'Na')):
        r, g = partial_rdf(coords, cells, symbols, pair, 6.0, 12)
        far = r > 2.0
        assert g[far].mean() == pytest.approx(1.0, abs=0.03)


def test_rock_salt_has_its_neighbours_where_they_are() -> None:
    """Unlike ions at a/2, like ions at a/√2."""
    atoms = bulk('NaCl', 'rocksalt', a=5.64, cubic=True) * (3, 3, 3)
    coords, cells = atoms.positions[None], np.asarray(atoms.cell)[None]
    for pair, distance in ((('Cl', 'Na'), 5.64 / 2), (('Na', 'Na'), 5.64 / np.sqrt(2))):
        r, g = partial_rdf(coords, cells, atoms.get_chemical_symbols(), pair, 4.5, 90)
        assert r[g.argmax()] == pytest.approx(distance, abs=0.05)


def test_difference_of_a_function_with_itself_is_zero() -> None:
    """And grows with the distance."""
    g = np.array([0.0, 2.0, 1.0, 1.0])
    assert rdf_difference(g, g) == 0.0
    assert rdf_difference(1.1 * g, g) == pytest.approx(0.1)


def test_what_cannot_be_computed_is_refused() -> None:
    """A missing element, and a distance beyond half of the cell."""
    coords, cells = np.zeros((1, 1, 3)), 8.0 * np.eye(3)[None]
    with pytest.raises(ValueError, match='no Cl'):
        partial_rdf(coords, cells, ['Na'], ('Na', 'Cl'), 3.0, 5)
    with pytest.raises(ValueError, match='half of the cell'):
        partial_rdf(coords, cells, ['Na'], ('Na', 'Na'), 5.0, 5)
