"""What no start structure may have: atoms on top of each other, masses that nothing uses, names without a place."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule

from aiida_deepmd.frames.plausibility import MIN_DISTANCE
from aiida_sis.core.start_structure import LEAST_OPTIMISED, check_distances, check_masses, check_names

CUBE = np.eye(3) * 8.0


def pair(first: str, second: str, distance: float, least: float = LEAST_OPTIMISED) -> str | None:
    """What is said of two atoms, through the face of the cell."""
    return check_distances([first, second], np.array([[0.0, 0, 0], [8.0 - distance, 0, 0]]), CUBE, least)


def test_atoms_on_top_of_each_other_are_named() -> None:
    """Across the face of a cell too, with the remedy."""
    problem = pair('Na', 'Cl', 0.01)
    assert problem is not None
    assert 'atom 0 (Na) and atom 1 (Cl) are 0.01 Å apart' in problem
    assert 'move or remove' in problem
    assert pair('O', 'O', 0.0) is not None


@pytest.mark.parametrize(
    ('first', 'second', 'distance'),
    [
        ('H', 'H', 0.741),
        ('N', 'N', 1.098),
        ('C', 'O', 1.128),
        ('H', 'F', 0.917),
        ('Cs', 'F', 2.345),
        ('Li', 'H', 1.595),
    ],
)
def test_the_shortest_bonds_pass(first: str, second: str, distance: float) -> None:
    """Also where nothing is optimised, and pressed by a tenth."""
    assert pair(first, second, 0.9 * distance, MIN_DISTANCE) is None


def test_what_a_packing_leaves_passes_where_it_is_optimised() -> None:
    """Packmol's usual 2 Å is less than an AIMD of two large ions can start from."""
    assert pair('K', 'K', 2.0) is None
    assert pair('Cs', 'Cl', 2.0) is None
    assert pair('K', 'K', 2.0, MIN_DISTANCE) is not None


def test_own_images_and_wrong_units() -> None:
    """A cell in nm, and one so thin that no neighbour search would end."""
    salt = bulk('NaCl', 'rocksalt', a=0.564)
    for cell in (salt.cell.array, np.diag([1e-4, 5.0, 5.0])):
        problem = check_distances(['Na', 'Cl'], salt.positions, cell)
        assert problem is not None
        assert 'in Å' in problem
    problem = check_distances(['Li'], np.zeros((1, 3)), np.diag([0.7, 5.0, 5.0]))
    assert problem is not None
    assert 'its own image' in problem


def test_left_handed_and_skewed_cells_are_seen_alike() -> None:
    """The nearest image lies beyond a corner."""
    cell = np.array([[8.0, 0, 0], [7.5, 8.0, 0], [-7.0, 7.0, 8.0]])
    position = np.array([[0.1, 0.1, 0.1], cell.sum(axis=0)])
    for turned in (cell, cell[[1, 0, 2]]):
        assert check_distances(['O', 'O'], position, turned) is not None
    water = molecule('H2O')
    assert check_distances(water.get_chemical_symbols(), water.positions, cell[[1, 0, 2]], MIN_DISTANCE) is None


def test_isotopes_are_refused_with_what_helps() -> None:
    """Neither AIMD nor MD would use the mass."""
    for symbol, mass in (('H', 2.014), ('Li', 6.015), ('Li', 7.016), ('C', 13.003), ('H', 3.0), ('H', float('nan'))):
        problem = check_masses(['F', symbol], [18.998, mass])
        assert problem is not None, (symbol, mass)
        assert f'{symbol} has the mass {mass:g} u' in problem
        assert 'leave the mass out' in problem


@pytest.mark.parametrize(
    ('name', 'possible'),
    [
        ('Li-slab', 'Li_slab'),
        ('water 300K', 'water_300K'),
        ('a.b', 'a_b'),
        ('électrolyte', 'electrolyte'),
        ('_x', 'x'),
        ('x_', 'x'),
        ('a__b', 'a_b'),
        ('x' * 300, 'x' * 64),
        ('', 'system_1'),
        ('__class__', 'class'),
        ('水', 'system_1'),
        ('x\n', 'x'),
        ('Li/DOL', 'Li_DOL'),
    ],
)
def test_names_that_have_no_place_in_the_graph(name: str, possible: str) -> None:
    """Each with a name that is possible, which is."""
    problem = check_names(['fine', name], 'system')
    assert problem is not None
    assert f"'{possible}'" in problem
    assert len(problem) < 300
    assert check_names([possible], 'system') is None


@pytest.mark.parametrize('name', ['Li_slab', '1M', 'class', 'items', 'structure', 'systems', 'label_g0_0', 'x' * 64])
def test_names_that_are_possible(name: str) -> None:
    """Words of Python and of our own ports are no trouble below a namespace."""
    assert check_names([name], 'system') is None
