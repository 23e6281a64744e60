"""The cells that the builders make, the paper's own among them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from aiida_sis.structures.build import BUILDERS, PAPER_CELLS, build, check
from aiida_sis.structures.lithium import bottom_layers
from aiida_sis.structures.molecules import dioxolane, lifsi


def distances(atoms: Atoms) -> np.ndarray:
    """All distances, the nearest images counted, without the diagonal."""
    matrix = atoms.get_all_distances(mic=True)
    np.fill_diagonal(matrix, np.inf)
    return matrix


@pytest.mark.parametrize(
    ('kind', 'name', 'composition', 'cell'),
    [
        ('interface', '1M', {'Li': 55, 'N': 1, 'S': 2, 'O': 30, 'F': 2, 'C': 39, 'H': 78}, (10.47, 10.47, 26.725)),
        ('interface', '10M', {'Li': 64, 'N': 10, 'S': 20, 'O': 46, 'F': 20, 'C': 9, 'H': 18}, (10.47, 10.47, 26.725)),
        ('electrolyte', '1M', {'Li': 1, 'N': 1, 'S': 2, 'O': 46, 'F': 2, 'C': 63, 'H': 126}, (15, 15, 15)),
        ('bulk', 'disordered', {'Li': 91}, (11, 11, 11)),
        ('slab', '100', {'Li': 54}, (10.47, 10.47, 26.725)),
    ],
)
def test_paper_cells(kind: str, name: str, composition: dict[str, int], cell: tuple[float, ...]) -> None:
    """The compositions and cells of the published data (see its table), and nothing too near."""
    built = build(kind, PAPER_CELLS[kind][name], 1)
    assert Counter(built.atoms.get_chemical_symbols()) == composition
    np.testing.assert_allclose(built.atoms.cell.lengths(), cell, atol=1e-9)
    assert built.atoms.pbc.all()
    assert built.report['n_atoms'] == sum(composition.values())
    if kind in ('interface', 'electrolyte'):
        assert built.report['shortest_between_molecules_angstrom'] >= 2.0
    else:
        assert built.report['shortest_distance_angstrom'] >= 2.0


@pytest.mark.parametrize(('concentration', 'numbers'), [(1, (1, 13)), (10, (10, 3))])
def test_paper_numbers_follow_from_concentration(concentration: float, numbers: tuple[int, int]) -> None:
    """Asked by concentration alone, the default interface holds what the paper's holds."""
    report = build('interface', {'concentration_molar': concentration}, 1).report
    assert (report['n_lifsi'], report['n_dol']) == numbers
    assert report['molarity_mol_l'] == pytest.approx(concentration, rel=0.03)


def test_interface_gaps() -> None:
    """The electrolyte keeps its distance from both faces, the lower one of the image too."""
    built = build('interface', {'n_lifsi': 1, 'n_dol': 13, 'gap_angstrom': 2.5}, 2)
    slab, rest = np.arange(54), np.arange(54, 207)
    assert set(np.array(built.atoms.get_chemical_symbols())[slab]) == {'Li'}
    assert distances(built.atoms)[np.ix_(slab, rest)].min() >= 2.3
    z = built.atoms.positions[:, 2]
    assert z[rest].min() - z[slab].max() >= 2.3
    assert z[slab].min() + 26.725 - z[rest].max() >= 2.3
    assert z.min() >= 0
    assert z.max() < 26.725


def test_interface_fixed_layers() -> None:
    """The lowest layers of the slab are numbered, not the Li+ of the salt."""
    built = build('interface', {'n_lifsi': 2, 'n_dol': 3, 'fixed_layers': 2, 'repeat': 3}, 1)
    assert built.report['fixed_atoms'] == list(range(18))
    levels = sorted(set(np.round(built.atoms.positions[:18, 2], 3)))
    assert len(levels) == 2
    assert built.atoms.positions[18:, 2].min() > levels[1] + 1.0


def test_interface_other_sizes() -> None:
    """The cell fits another slab, and a given length along z sets the room."""
    built = build('interface', {'concentration_molar': 4, 'repeat': 4, 'layers': 4, 'cell_z_angstrom': 20.0}, 3)
    np.testing.assert_allclose(built.atoms.cell.lengths(), (13.96, 13.96, 20.0))
    assert built.report['n_slab'] == 64
    assert built.report['molarity_mol_l'] == pytest.approx(4, rel=0.15)
    assert built.report['density_g_cm3'] == pytest.approx(1.45, rel=0.05)


@pytest.mark.parametrize('concentration', [1, 4])
def test_electrolyte(concentration: float) -> None:
    """Whole molecules at about the concentration asked for."""
    built = build('electrolyte', {'concentration_molar': concentration, 'cell_angstrom': 12.0}, 1)
    n_lifsi, n_dol = built.report['n_lifsi'], built.report['n_dol']
    assert len(built.atoms) == 10 * n_lifsi + 11 * n_dol
    assert abs(n_lifsi - concentration * 12.0**3 * 6.02214e-4) <= 0.5
    assert built.report['shortest_between_molecules_angstrom'] >= 2.0
    assert built.report['density_g_cm3'] == pytest.approx(built.report['cell_density_g_cm3'])


def test_bulk_and_slab() -> None:
    """Bcc nearest neighbours in the bulk; (100) layers at half the lattice parameter in the slab."""
    bulk = build('bulk', {'repeat': 3}, 1)
    near = distances(bulk.atoms)
    assert len(bulk.atoms) == 54
    assert ((near > 3.03) & (near < 3.05)).sum(axis=1).tolist() == [8] * 54
    slab = build('slab', {'repeat': 2, 'layers': 5, 'vacuum_angstrom': 12.0, 'fixed_layers': 1}, 1)
    assert len(slab.atoms) == 20
    np.testing.assert_allclose(np.unique(np.round(np.diff(sorted(slab.atoms.positions[:, 2])), 6)), [0, 1.755])
    np.testing.assert_allclose(slab.atoms.cell.lengths(), (7.02, 7.02, 4 * 1.755 + 12))
    assert slab.report['fixed_atoms'] == [0, 1, 2, 3]


def test_bottom_layers_of_a_moving_slab() -> None:
    """Displaced atoms are still counted to their layer."""
    slab = build('slab', {'repeat': 3, 'layers': 4}, 1).atoms
    slab.rattle(0.05, seed=1)
    assert bottom_layers(slab, 2) == list(range(18))
    assert bottom_layers(slab, 0) == []
    assert bottom_layers(slab, 4) == list(range(36))
    with pytest.raises(ValueError, match='5 layers are to be fixed, but lithium has 4'):
        bottom_layers(slab, 5)


def test_rattle() -> None:
    """A seeded displacement of the size asked for."""
    plain = build('bulk', {}, 1).atoms.positions
    first, again, other = (build('bulk', {'rattle_angstrom': 0.1}, seed).atoms.positions for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert np.std(first - plain) == pytest.approx(0.1, rel=0.2)


def test_salt() -> None:
    """Rock salt: six unlike neighbours, and the density that is asked for."""
    built = build('salt', {}, 1)
    symbols = np.array(built.atoms.get_chemical_symbols())
    near = distances(built.atoms) < 2.9
    assert len(symbols) == 64
    assert near.sum(axis=1).tolist() == [6] * 64
    assert not near[np.ix_(symbols == 'Na', symbols == 'Na')].any()
    assert built.report['cell_density_g_cm3'] == pytest.approx(2.165, abs=0.005)
    assert build('salt', {'density_g_cm3': 1.5}, 1).report['cell_density_g_cm3'] == pytest.approx(1.5)


@pytest.mark.parametrize('n_lithium', [4, 6, 8])
@pytest.mark.parametrize('seed', range(5))
def test_cluster(n_lithium: int, seed: int) -> None:
    """The ion pair touches the metal and nothing is nearer than asked; the metal holds together; closed shell."""
    built = build('cluster', {'n_lithium': n_lithium}, seed)
    atoms, near = built.atoms, distances(built.atoms)
    contact = near[:n_lithium, n_lithium:].min(axis=0)
    assert contact[:9].min() >= 2.2 - 1e-6
    assert contact[9] >= 2.7 - 1e-6  # Li+
    assert contact.min() < 2.71
    metal = near[:n_lithium, :n_lithium]
    assert metal.min() > 3.0
    assert (metal.min(axis=0) < 3.6).all()
    assert built.report['n_electrons'] % 2 == 0
    assert 'H' not in atoms.get_chemical_symbols()
    np.testing.assert_allclose(atoms[n_lithium:].get_all_distances(), lifsi().get_all_distances(), atol=1e-9)


def test_cluster_odd_if_asked() -> None:
    """An odd number of electrons is given to one who asks for it by name."""
    built = build('cluster', {'n_lithium': 5, 'allow_odd': True}, 1)
    assert built.report['n_electrons'] % 2 == 1


def test_molecules() -> None:
    """Whole, neutral formulas and the bond lengths of the real molecules."""
    assert lifsi().get_chemical_formula() == 'F2LiNO4S2'
    molecule = dioxolane()
    assert molecule.get_chemical_formula() == 'C3H6O2'
    symbols, near = np.array(molecule.get_chemical_symbols()), distances(molecule)
    ring = near[np.ix_(symbols != 'H', symbols != 'H')]
    assert ((ring > 1.38) & (ring < 1.56)).sum() == 10
    assert (near[symbols == 'H'].min(axis=1) < 1.12).all()


SOLUTION = {'n_lifsi': 1, 'n_dol': 13}


@pytest.mark.parametrize(
    ('kind', 'values', 'words'),
    [
        ('bulk', {'repat': 3}, "The key 'repat' of the lithium_bulk parameters is unknown: did you mean 'repeat'"),
        ('bulk', {'repeat': -1}, "The value -1 of 'repeat' in the lithium_bulk parameters is not valid"),
        ('bulk', {'repeat': 2.5}, "The value 2.5 of 'repeat'"),
        ('bulk', {'n_atoms': 91}, "needs both 'n_atoms' and 'cell_angstrom'"),
        ('bulk', {'rattle_angstrom': float('nan')}, "of 'rattle_angstrom'"),
        ('slab', {'layers': 4, 'fixed_layers': 5}, '5 layers are to be fixed, but the slab has 4'),
        ('slab', {'vacuum_angstrom': 0}, "of 'vacuum_angstrom'"),
        ('electrolyte', {}, "Give 'concentration_molar', or both 'n_lifsi' and 'n_dol'"),
        ('electrolyte', {'n_lifsi': 1}, "need both 'n_lifsi' and 'n_dol'"),
        ('electrolyte', {'n_lifsi': 0, 'n_dol': 0}, 'at least one molecule'),
        ('electrolyte', {'concentration_molar': 1, **SOLUTION}, 'already fix concentration and density'),
        ('electrolyte', {'concentration_molar': 0.1}, 'holds 0.20 formula units'),
        ('electrolyte', {'concentration_molar': -1}, "The value -1 of 'concentration_molar'"),
        ('electrolyte', {'concentration_molar': 1, 'density_g_cm3': 3}, 'as a liquid they take'),
        ('electrolyte', {'n_lifsi': 1, 'n_dol': 60}, 'as a liquid they take'),
        ('interface', {'concentration_molar': 1, 'cell_z_angstrom': 12}, 'The cell is too small for the slab'),
        ('interface', {**SOLUTION, 'gap_angstrom': 1.0}, "of 'gap_angstrom'"),
        ('interface', {**SOLUTION, 'spacing_angstrom': 18, 'cell_z_angstrom': 30}, 'leave one out'),
        ('interface', {**SOLUTION, 'fixed_layers': 7}, '7 layers are to be fixed, but the slab has 6'),
        ('salt', {'density_g_cm3': 1.5, 'lattice_parameter_angstrom': 5.6}, 'leave one out'),
        ('salt', {'density_g_cm3': 0}, "of 'density_g_cm3'"),
        ('cluster', {'n_lithium': 5}, "odd number of electrons.*take an even number, or set 'allow_odd'"),
        ('cluster', {'n_lithium': 12}, "of 'n_lithium'"),
        ('cluster', {'distance_angstrom': 1.5}, "of 'distance_angstrom'"),
    ],
)
def test_refused(kind: str, values: dict[str, Any], words: str) -> None:
    """Bad parameters are refused in one sentence before anything is built, by `check` and by `build` alike."""
    with pytest.raises(ValueError, match=words) as caught:
        check(kind, values, 1)
    with pytest.raises(ValueError, match=words):
        build(kind, values, 1)
    assert '\n' not in str(caught.value)


def test_refused_in_building() -> None:
    """What only the geometry tells."""
    with pytest.raises(ValueError, match=r'The cell of 6 Å is too small.*Make it'):
        build('cluster', {'cell_angstrom': 6.0}, 1)
    with pytest.raises(ValueError, match='would touch its own image'):
        build('interface', {'n_lifsi': 1, 'n_dol': 0, 'repeat': 1, 'spacing_angstrom': 60.0}, 1)
    with pytest.raises(ValueError, match='The seed is -1: give 0 or above'):
        build('bulk', {}, -1)


def test_cells_of_the_paper() -> None:
    """Each is of a builder that there is."""
    assert set(PAPER_CELLS) <= set(BUILDERS)
