"""What a file says beside positions and elements is used, said or refused: nothing is lost without a word."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bcc100, bulk, molecule
from ase.constraints import FixAtoms, FixBondLength, FixCartesian
from ase.io import write

from aiida_sis.structures.file import atoms_from_file, fixed_atoms_of

CIF = """data_x
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""
POSCAR = """salt
1.0
6 0 0
0 6 0
0 0 6
Na Cl
1 1
Selective dynamics
Direct
0 0 0 {}
0.5 0.5 0.5 {}
"""


def dump(columns: str, rows: list[str], steps: tuple[int, ...] = (0,)) -> str:
    """Text of a LAMMPS dump."""
    frame = f'\nITEM: NUMBER OF ATOMS\n{len(rows)}\nITEM: BOX BOUNDS pp pp pp\n0 6\n0 6\n0 7\nITEM: ATOMS {columns}\n'
    return ''.join(f'ITEM: TIMESTEP\n{step}{frame}' + '\n'.join(rows) + '\n' for step in steps)


def test_a_dump_with_types_asks_for_the_elements(tmp_path: Path) -> None:
    """What our own MD writes, atoms out of their order."""
    path = tmp_path / 'trajectory.lammpstrj'
    path.write_text(dump('id type xu yu zu vx vy vz fx fy fz', ['2 2 3 3 3 ' + '0 ' * 6, '1 1 0 0 0 ' + '0 ' * 6]))
    with pytest.raises(ValueError, match=r'has 2 atom types and no elements.*`type_map` Na,Cl'):
        atoms_from_file(path)
    atoms = atoms_from_file(path, type_map=['Na', 'Cl'])
    assert atoms.get_chemical_symbols() == ['Na', 'Cl']
    np.testing.assert_allclose(atoms.positions, [[0, 0, 0], [3, 3, 3]])
    assert atoms_from_file(path, type_map=['Cl', 'Cl']).get_chemical_symbols() == ['Cl', 'Cl']


@pytest.mark.parametrize(
    ('columns', 'rows', 'type_map', 'words'),
    [
        ('id type x y z', ['1 1 0 0 0', '2 3 3 3 3'], ['Na', 'Cl'], 'has atom type 3, but `type_map` Na,Cl names 2'),
        ('id type x y z', ['1 1 0 0 0', '2 0 3 3 3'], ['Na', 'Cl'], 'has atom type'),
        ('id type x y z', ['1 1 0 0 0', '2 2 3 3 3'], ['Na', 'Q'], "'Q' in `type_map` is no element"),
        ('id type xs ys zs', ['1 1 0 0 0', '2 2 .5 .5 .5'], None, '2 atom types and no elements'),
        ('id x y z', ['1 0 0 0', '2 3 3 3'], None, 'neither elements nor types'),
        ('id x y z', ['1 0 0 0', '2 3 3 3'], ['Na'], 'neither elements nor types'),
        ('id element x y z', ['1 Na 0 0 0', '2 Cl 3 3 3'], ['Na', 'Cl'], 'leave `type_map` out'),
        ('id type mass x y z', ['1 1 22.99 0 0 0', '2 2 35.45 3 3 3'], ['Na', 'Cl'], 'leave `type_map` out'),
        ('id type mass x y z', ['1 1 2.014 0 0 0', '2 2 15.999 3 3 3'], None, 'no element has .*H, 1.008'),
    ],
)
def test_dumps_that_are_refused(
    columns: str, rows: list[str], type_map: list[str] | None, words: str, tmp_path: Path
) -> None:
    """In one sentence each."""
    (tmp_path / 'x.dump').write_text(dump(columns, rows))
    with pytest.raises(ValueError, match=words):
        atoms_from_file(tmp_path / 'x.dump', type_map=type_map)


@pytest.mark.parametrize(
    ('columns', 'rows'),
    [
        ('id type element x y z', ['1 1 Na 0 0 0', '2 2 Cl 3 3 3']),
        ('id type mass xs ys zs', ['1 1 22.99 0 0 0', '2 2 35.45 .5 .5 .5']),
        ('id type mass xs ys zs', ['1 1 23 0 0 0', '2 2 35.5 .5 .5 .5']),
    ],
)
def test_dumps_that_say_what_they_hold(columns: str, rows: list[str], tmp_path: Path) -> None:
    """By elements or masses."""
    (tmp_path / 'x.dump').write_text(dump(columns, rows))
    assert atoms_from_file(tmp_path / 'x.dump').get_chemical_symbols() == ['Na', 'Cl']


def test_a_compressed_dump(tmp_path: Path) -> None:
    """Its columns are seen as those of any other."""
    for name, columns in (('x.lammpstrj.gz', 'id element x y z'), ('y.lammpstrj.gz', 'id type x y z')):
        with gzip.open(tmp_path / name, 'wt') as handle:
            handle.write(dump(columns, ['1 1 0 0 0', '2 2 3 3 3']))
    with pytest.raises(ValueError, match='2 atom types and no elements'):
        atoms_from_file(tmp_path / 'y.lammpstrj.gz')
    assert atoms_from_file(tmp_path / 'y.lammpstrj.gz', type_map=['Na', 'Cl']).get_chemical_symbols() == ['Na', 'Cl']
    with pytest.raises(ValueError, match='leave `type_map` out'):
        atoms_from_file(tmp_path / 'x.lammpstrj.gz', type_map=['Na', 'Cl'])


def test_a_file_without_a_structure(tmp_path: Path) -> None:
    """It is not the number of the frame that is wrong."""
    (tmp_path / 'x.cif').write_text('data_x\n')
    with pytest.raises(ValueError, match='holds no structure'):
        atoms_from_file(tmp_path / 'x.cif')


def test_an_empty_file(tmp_path: Path) -> None:
    """ASE's readers raise whatever they please."""
    (tmp_path / 'POSCAR').write_text('')
    with pytest.raises(ValueError, match='could not be read'):
        atoms_from_file(tmp_path / 'POSCAR')


def test_a_type_map_for_a_file_that_needs_none(tmp_path: Path) -> None:
    """It would have no effect."""
    write(tmp_path / 'salt.extxyz', bulk('NaCl', 'rocksalt', a=5.64))
    with pytest.raises(ValueError, match=r'leave `type_map` out'):
        atoms_from_file(tmp_path / 'salt.extxyz', type_map=['Cl', 'Na'])


@pytest.mark.parametrize(
    ('sites', 'words'),
    [
        ('Li1 Li 0 0 0 0.5\nNa1 Na 0 0 0 0.5\nCl1 Cl .5 .5 .5 1', r'site 0: Li 0.5 / Na 0.5'),
        ('Li1 Li 0 0 0 1.0\nLi2 Li .5 .5 .5 0.5', r'site 1: Li 0.5'),
        ('Na1 Na 0 0 0 ?\nCl1 Cl .5 .5 .5 0.5', r'site 1: Cl 0.5'),
        ('Na1 Na 0 0 0 0.9\nCl1 Cl .5 .5 .5 1', r'site 0: Na 0.9'),
    ],
)
def test_partial_occupancies_are_named(sites: str, words: str, tmp_path: Path) -> None:
    """A mixed site, a half one, a vacancy now and then."""
    (tmp_path / 'x.cif').write_text(CIF + sites + '\n')
    with pytest.raises(ValueError, match=words):
        atoms_from_file(tmp_path / 'x.cif')


def test_whole_occupancies_pass(tmp_path: Path) -> None:
    """Written out, or rounded, or not said, or not there; a PDB file of a program that writes none."""
    unsaid = ('Na1 Na 0 0 0 ?\nCl1 Cl .5 .5 .5 1', 'Na1 Na 0 0 0 .\nCl1 Cl .5 .5 .5 .')
    for sites in (*unsaid, 'Na1 Na 0 0 0 1.0\nCl1 Cl .5 .5 .5 1', 'Na1 Na 0 0 0 0.999\nCl1 Cl .5 .5 .5 1.0(1)'):
        (tmp_path / 'x.cif').write_text(CIF + sites + '\n')
        assert atoms_from_file(tmp_path / 'x.cif').get_chemical_symbols() == ['Na', 'Cl']
    salt = bulk('NaCl', 'rocksalt', a=5.64, cubic=True)
    write(tmp_path / 'salt.pdb', salt)
    text = (tmp_path / 'salt.pdb').read_text()
    assert len(atoms_from_file(tmp_path / 'salt.pdb')) == 8
    (tmp_path / 'none.pdb').write_text(text.replace('  1.00', '  0.00'))
    assert len(atoms_from_file(tmp_path / 'none.pdb')) == 8
    (tmp_path / 'half.pdb').write_text(text.replace('  1.00', '  0.50', 1))
    with pytest.raises(ValueError, match=r'site 0: Na 0.5'):
        atoms_from_file(tmp_path / 'half.pdb')


def test_selective_dynamics_become_fixed_atoms(tmp_path: Path) -> None:
    """Held in all directions or in none; what lies between is refused, since nothing here does it."""
    path = tmp_path / 'POSCAR'
    path.write_text(POSCAR.format('F F F', 'T T T'))
    atoms = atoms_from_file(path)
    assert fixed_atoms_of(atoms) == [0]
    path.write_text(POSCAR.format('T T T', 'T T T'))
    assert fixed_atoms_of(atoms_from_file(path)) == []
    path.write_text(POSCAR.format('F F F', 'T T F'))
    with pytest.raises(ValueError, match=r'holds atom 1 \(Cl\) in some directions only.*all three, or in none'):
        atoms_from_file(path)


def test_other_constraints(tmp_path: Path) -> None:
    """A move mask of extxyz, whole constraints of a trajectory of ASE, and bonds of fixed length."""

    def through(name: str, *constraints: Any) -> Atoms:
        salt = bulk('NaCl', 'rocksalt', a=5.64, cubic=True)
        salt.set_constraint(list(constraints))
        write(tmp_path / name, salt)
        return atoms_from_file(tmp_path / name)

    assert fixed_atoms_of(through('x.extxyz', FixAtoms([3, 1]))) == [1, 3]
    assert fixed_atoms_of(through('x.traj', FixAtoms([2]), FixCartesian([5], mask=(True, True, True)))) == [2, 5]
    with pytest.raises(ValueError, match=r'in some directions only'):
        through('y.traj', FixCartesian([5], mask=(True, False, True)))
    with pytest.raises(ValueError, match=r'the constraint FixBondLength'):
        through('z.traj', FixBondLength(0, 1))


def test_masses_and_atoms_on_top_of_each_other(tmp_path: Path) -> None:
    """Refused where they are read."""
    salt = bulk('NaCl', 'rocksalt', a=5.64, cubic=True)
    salt.positions[1] = salt.positions[0] + 0.01
    write(tmp_path / 'near.extxyz', salt)
    with pytest.raises(ValueError, match=r'atom 0 \(Na\) and atom 1 \(Cl\) are 0.0173 Å apart'):
        atoms_from_file(tmp_path / 'near.extxyz')
    heavy = Atoms('HF', [[0, 0, 0], [0.92, 0, 0]], cell=np.eye(3) * 8, pbc=True, masses=[2.014, 18.998])
    write(tmp_path / 'heavy.extxyz', heavy, columns=['symbols', 'positions', 'masses'])
    with pytest.raises(ValueError, match=r'H has the mass 2.014 u'):
        atoms_from_file(tmp_path / 'heavy.extxyz')


@pytest.mark.parametrize('name', ['H2O', 'C6H6', 'isobutane'])
def test_molecule_gets_a_box_in_which_it_may_turn(name: str, tmp_path: Path) -> None:
    """Whatever its orientation, atoms of two images are at least the gap apart; one ångström more at most."""
    atoms = molecule(name)
    write(tmp_path / 'a.xyz', atoms, format='xyz')
    boxed = atoms_from_file(tmp_path / 'a.xyz', gap=8.0)
    size = atoms.get_all_distances().max()
    edges = boxed.cell.lengths()
    assert boxed.pbc.all()
    assert size + 8.0 <= edges[0] == edges[1] == edges[2] < size + 9.0
    assert boxed.get_all_distances() == pytest.approx(atoms.get_all_distances(), abs=1e-6)
    assert f'a cube of {edges[0]:g} Å' in boxed.info['box']


def test_slab_gets_vacuum_where_it_has_no_vector(tmp_path: Path) -> None:
    """The other two vectors stay, and so do the atoms that are held."""
    slab = bcc100('Li', (2, 2, 4), a=3.44)
    slab.info.clear()
    slab.set_constraint(FixAtoms([12]))
    write(tmp_path / 'slab.extxyz', slab)
    boxed = atoms_from_file(tmp_path / 'slab.extxyz', gap=8.0)
    assert boxed.cell.lengths() == pytest.approx([6.88, 6.88, 1.5 * 3.44 + 8.0])
    assert fixed_atoms_of(boxed) == [12]
    with pytest.raises(ValueError, match='has no cell'):
        atoms_from_file(tmp_path / 'slab.extxyz')


def test_cell_that_is_not_marked_as_periodic(tmp_path: Path) -> None:
    """A molecule in a box of somebody's program keeps that box."""
    write(tmp_path / 'a.extxyz', molecule('H2O', vacuum=4.0))
    boxed = atoms_from_file(tmp_path / 'a.extxyz', gap=8.0)
    assert boxed.pbc.all()
    assert boxed.cell.lengths() == pytest.approx(molecule('H2O', vacuum=4.0).cell.lengths())
    assert boxed.info['box'] == 'its cell, taken as periodic in all three directions'
    with pytest.raises(ValueError, match='not periodic'):
        atoms_from_file(tmp_path / 'a.extxyz')
