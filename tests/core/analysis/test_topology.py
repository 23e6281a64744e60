"""Molecules of structures whose molecules are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from aiida_sis.core.analysis.rules import BondRules, hill, pair_name
from aiida_sis.core.analysis.topology import find_molecules, topology_of
from aiida_sis.structures.molecules import dioxolane, lifsi


def ion_pair_in_dol() -> Atoms:
    """Put LiFSI and two DOL into a cell, the Li at two oxygens of its FSI."""
    first, second, third = lifsi(), dioxolane(), dioxolane()
    second.translate([7.0, 0.0, 0.0])
    third.translate([0.0, 7.0, 0.0])
    return Atoms(first + second + third, cell=[14.0, 14.0, 14.0], pbc=True)


def test_molecules_of_the_electrolyte() -> None:
    """DOL, FSI and Li are told apart, and so are their oxygens, however near the Li is."""
    topology = find_molecules(ion_pair_in_dol())
    assert topology.counts == {'FSI': 1, 'Li': 1, 'DOL': 2}
    assert sorted(one.label for one in topology.molecules) == ['DOL 1', 'DOL 2', 'FSI 1', 'Li 1']
    kinds = set(topology.kinds)
    assert {'O(DOL)', 'O(FSI)', 'Li', 'N(FSI)', 'S(FSI)', 'F(FSI)', 'C(DOL)', 'H(DOL)'} == kinds
    assert topology.kinds.count('O(FSI)') == 4
    assert topology.kinds.count('O(DOL)') == 4
    assert [topology.molecules[k].name for k in topology.molecule_of[10:]] == ['DOL'] * 22


@pytest.mark.parametrize('shift', [0.0, 3.0, 6.9, 100.0])
def test_a_molecule_across_the_edge_of_the_cell_is_one(shift: float) -> None:
    """Wrapped or not, in whichever order the atoms stand."""
    atoms = ion_pair_in_dol()
    atoms.translate([shift, 0.4 * shift, -shift])
    atoms.wrap()
    order = np.random.default_rng(1).permutation(len(atoms))
    topology = find_molecules(atoms[order])
    assert topology.counts == {'FSI': 1, 'Li': 1, 'DOL': 2}
    assert sorted(topology.kinds) == sorted(find_molecules(ion_pair_in_dol()).kinds)


def test_an_opened_ring_is_no_dol() -> None:
    """The formula alone would call it one."""
    atoms = dioxolane()
    atoms.set_cell([20.0, 20.0, 20.0])
    whole = find_molecules(atoms)
    symbols = atoms.get_chemical_symbols()
    ether = next(row for row, (i, j) in enumerate(whole.bonds) if {symbols[i], symbols[j]} == {'C', 'O'})
    opened = topology_of(symbols, np.delete(whole.bonds, ether, axis=0))
    assert whole.counts == {'DOL': 1}
    assert opened.counts == {'C3H6O2': 1}


def test_metals_have_no_bonds() -> None:
    """A slab is atoms, and salts are ions."""
    assert find_molecules(bulk('Li', cubic=True) * (3, 3, 3)).counts == {'Li': 54}
    assert find_molecules(bulk('NaCl', 'rocksalt', a=5.64, cubic=True)).counts == {'Na': 4, 'Cl': 4}


def test_bonds_of_other_elements_come_from_their_radii() -> None:
    """Molecules of ASE's that no table here knows."""
    for name, formula, n_bonds in (('CH3SH', 'CH4S', 5), ('H2O2', 'H2O2', 3), ('SiH4', 'H4Si', 4), ('PH3', 'H3P', 3)):
        atoms = molecule(name)
        atoms.set_cell([12.0, 12.0, 12.0])
        topology = find_molecules(atoms)
        assert topology.counts == {formula: 1}
        assert len(topology.bonds) == n_bonds


def test_names() -> None:
    """Bonds and formulas as chemists write them."""
    assert pair_name('F', 'S') == 'S–F'
    assert pair_name('S', 'N') == 'N–S'
    assert pair_name('F', 'Li') == 'Li–F'
    assert pair_name('H', 'O') == 'O–H'
    assert hill(['O', 'H', 'C', 'H', 'O']) == 'CH2O2'
    assert hill(['O', 'S', 'F', 'N']) == 'FNOS'


def test_rules_that_make_no_sense_are_refused() -> None:
    """In one sentence."""
    with pytest.raises(ValueError, match='form ≤ 1 ≤ break'):
        BondRules(form=1.1)
    with pytest.raises(ValueError, match="'SF' is no pair"):
        BondRules(covalent={'SF': 2.0})
    with pytest.raises(ValueError, match='no volume'):
        find_molecules(Atoms('CO', [[0, 0, 0], [1.1, 0, 0]]))
