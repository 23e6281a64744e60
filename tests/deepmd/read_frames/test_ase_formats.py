"""Labelled frames of the formats that ASE reads, as ASE writes them and as MACE does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.db import connect
from ase.io import write

from aiida_deepmd.read_frames import Hints, ReadError, read_systems


def molecule(formula: str = 'LiFO', seed: int = 0, **results: float) -> Atoms:
    """A labelled frame with random coordinates."""
    rng = np.random.default_rng(seed)
    atoms = Atoms(formula, rng.random((len(Atoms(formula)), 3)) * 9, cell=[9, 10, 11], pbc=True)
    labels = {'energy': -10.0 - seed, 'forces': rng.normal(size=(len(atoms), 3)), **results}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def test_extxyz(tmp_path: Path) -> None:
    frames = [molecule(seed=number) for number in range(4)]
    write(tmp_path / 'a.xyz', frames, format='extxyz')
    (system,) = read_systems(tmp_path / 'a.xyz')
    assert (system.name, system.symbols) == ('', ['Li', 'F', 'O'])
    np.testing.assert_allclose(system.frames.energies, [-10, -11, -12, -13])
    np.testing.assert_allclose(system.frames.forces[2], frames[2].get_forces(), atol=1e-7)
    np.testing.assert_allclose(system.frames.coords[2], frames[2].positions, atol=1e-7)
    assert system.frames.cells.shape == (4, 3, 3)


def test_compositions_become_systems(tmp_path: Path) -> None:
    other = molecule('OLiF')
    write(tmp_path / 'a.traj', [molecule(), molecule('H2'), molecule(seed=1), other])
    systems = read_systems(tmp_path / 'a.traj')
    assert [(system.name, len(system.frames)) for system in systems] == [('FLiO', 3), ('H2', 1)]
    assert systems[0].symbols == ['F', 'Li', 'O']
    assert 'sorted by element' in systems[0].notes[0]
    np.testing.assert_array_equal(systems[0].frames.forces[2], other.calc.results['forces'][[2, 1, 0]])
    np.testing.assert_array_equal(systems[0].frames.coords[0], molecule().positions[[1, 0, 2]])


def test_forces_are_those_without_constraints(tmp_path: Path) -> None:
    """ASE would print zeros for a fixed atom, although the true force is in the file."""
    atoms = molecule()
    expected = atoms.calc.results['forces'].copy()
    atoms.set_constraint(FixAtoms([0]))
    write(tmp_path / 'a.traj', [atoms])
    np.testing.assert_allclose(read_systems(tmp_path / 'a.traj')[0].frames.forces[0], expected)


def test_free_energy_where_every_frame_has_it(tmp_path: Path) -> None:
    write(tmp_path / 'a.traj', [molecule(free_energy=-20.0), molecule(seed=1, free_energy=-21.0)])
    assert read_systems(tmp_path / 'a.traj')[0].frames.energies.tolist() == [-20.0, -21.0]
    write(tmp_path / 'b.traj', [molecule(free_energy=-20.0), molecule(seed=1)])
    assert read_systems(tmp_path / 'b.traj')[0].frames.energies.tolist() == [-10.0, -11.0]


def test_other_names_of_energy_and_forces(tmp_path: Path) -> None:
    """The keys of MACE, and what the refusal says about them."""
    frames = []
    for number in range(4):
        atoms = molecule(seed=number)
        atoms.info['REF_energy'] = atoms.calc.results['energy']
        atoms.arrays['REF_forces'] = atoms.calc.results['forces']
        atoms.info['config_type'] = 'Default'
        atoms.calc = None
        frames.append(atoms)
    write(tmp_path / 'mace.xyz', frames, format='extxyz')
    with pytest.raises(ReadError, match=r'Also found, and not read: REF_energy, REF_forces .*--energy-key'):
        read_systems(tmp_path / 'mace.xyz')
    (system,) = read_systems(tmp_path / 'mace.xyz', hints=Hints('REF_energy', 'REF_forces'))
    assert system.frames.energies.tolist() == [-10, -11, -12, -13]
    np.testing.assert_allclose(system.frames.forces[3], molecule(seed=3).calc.results['forces'], atol=1e-7)
    assert system.notes == ()
    with pytest.raises(ReadError, match=r'4 with no energy or no forces.*REF_energy'):
        read_systems(tmp_path / 'mace.xyz', hints=Hints('energy_ref', 'REF_forces'))
    with pytest.raises(ReadError, match='is read as vasp/outcar, whose energies and forces have fixed names'):
        read_systems(tmp_path / 'mace.xyz', 'vasp/outcar', Hints('REF_energy'))
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms, energy=0.5, forces=np.ones((3, 3)), stress=np.zeros(6))
    write(tmp_path / 'both.xyz', frames, format='extxyz')
    (system,) = read_systems(tmp_path / 'both.xyz')
    assert system.frames.energies.tolist() == [0.5] * 4
    assert system.notes[0].startswith('Also found, and not read: REF_energy, REF_forces (read are energy and forces;')
    assert 'Stress is not read' in system.notes[1]


def test_whatever_could_be_a_label_is_listed_where_none_is(tmp_path: Path) -> None:
    atoms = molecule()
    atoms.calc = None
    atoms.info.update(dft_E=-3.0, step=7, name='x')
    atoms.arrays.update(F=np.ones((3, 3)), charge=np.ones(3))
    write(tmp_path / 'a.xyz', [atoms, atoms], format='extxyz')
    with pytest.raises(ReadError, match=r'Also found, and not read: dft_E, step, F \(read are energy and forces'):
        read_systems(tmp_path / 'a.xyz')
    assert read_systems(tmp_path / 'a.xyz', hints=Hints('dft_E', 'F'))[0].frames.energies.tolist() == [-3, -3]


def test_a_database_of_ase(tmp_path: Path) -> None:
    with connect(tmp_path / 'a.db') as database:
        for number in range(3):
            database.write(molecule(seed=number), dft_energy=-50.0 - number, data={'f': np.full((3, 3), 0.25)})
    assert read_systems(tmp_path / 'a.db')[0].frames.energies.tolist() == [-10, -11, -12]
    (system,) = read_systems(tmp_path / 'a.db', hints=Hints('dft_energy', 'f'))
    assert system.frames.energies.tolist() == [-50, -51, -52]
    assert (system.frames.forces == 0.25).all()


def test_isolated_atoms_and_single_bad_frames(tmp_path: Path) -> None:
    lone = Atoms('H')
    lone.calc = SinglePointCalculator(lone, energy=-13.6, forces=np.zeros((1, 3)))
    unlabelled = molecule(seed=8)
    del unlabelled.calc.results['forces']
    slab = molecule(seed=9)
    slab.pbc = [True, True, False]
    write(tmp_path / 'iso.xyz', [lone, molecule(), unlabelled, molecule(seed=1), slab], format='extxyz')
    atom, good = read_systems(tmp_path / 'iso.xyz')
    assert (atom.name, dict(atom.flaws), atom.usable().tolist()) == ('H', {'no_cell': (0,)}, [])
    assert (good.name, dict(good.flaws)) == ('FLiO', {'incomplete': (1,), 'no_cell': (3,)})
    assert good.usable().tolist() == [0, 2]
    np.testing.assert_allclose(good.frames.energies[[0, 2]], [-10, -11])


@pytest.mark.parametrize('columns', ['id type x y z fx fy fz', 'id type element x y z fx fy fz'])
@pytest.mark.parametrize('fmt', [None, 'lammps-dump-text', 'lammps/dump'])
def test_a_lammps_dump_holds_no_energies(tmp_path: Path, columns: str, fmt: str | None) -> None:
    element = '{} ' if 'element' in columns else ''
    rows = [f'{i + 1} {i % 2 + 1} {element.format("NaCl"[2 * (i % 2) :][:2])}{i} 0 {i} 0 0 1\n' for i in range(4)]
    head = 'ITEM: TIMESTEP\n{}\nITEM: NUMBER OF ATOMS\n4\nITEM: BOX BOUNDS pp pp pp\n' + '0 9\n' * 3
    text = ''.join(f'{head.format(step)}ITEM: ATOMS {columns}\n{"".join(rows)}' for step in range(3))
    (tmp_path / 'run.lammpstrj').write_text(text)
    with pytest.raises(ReadError, match='is a LAMMPS dump, which holds no energies'):
        read_systems(tmp_path / 'run.lammpstrj', fmt)


def test_left_handed_cells_are_read_as_they_are(tmp_path: Path) -> None:
    atoms = molecule()
    atoms.set_cell(np.diag([9.0, 10.0, 11.0])[[1, 0, 2]])
    write(tmp_path / 'a.xyz', [atoms, molecule(seed=1)], format='extxyz')
    (system,) = read_systems(tmp_path / 'a.xyz')
    assert not system.flaws
    assert np.linalg.det(system.frames.cells[0]) < 0


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    good, bad = molecule(), molecule(seed=1)
    del good.calc.results['forces'], bad.calc.results['forces']
    write(tmp_path / 'unlabelled.traj', [good, bad])
    loose = Atoms('H', cell=[9, 9, 9], pbc=[True, True, False])
    loose.calc = SinglePointCalculator(loose, energy=0.0, forces=[[0.0, 0.0, 0.0]])
    write(tmp_path / 'loose.traj', loose)
    (tmp_path / 'names.xyz').write_text('1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nOw 0 0 0\n')
    (tmp_path / 'empty.xyz').write_text('')
    for path, fmt, words in (
        ('unlabelled.traj', None, '2 with no energy or no forces'),
        ('loose.traj', None, '1 with no cell in all three directions'),
        ('names.xyz', None, 'ASE can.t read .*names.xyz.*Ow.* is no element: write elements into the file'),
        ('empty.xyz', None, 'empty.xyz. is empty'),
        ('unlabelled.traj', 'nonesuch', "format 'nonesuch' is known neither"),
    ):
        with pytest.raises(ReadError, match=words):
            read_systems(tmp_path / path, fmt)


def test_a_half_frame_at_the_end(tmp_path: Path) -> None:
    write(tmp_path / 'a.xyz', [molecule(seed=number) for number in range(3)], format='extxyz')
    text = (tmp_path / 'a.xyz').read_text()
    (tmp_path / 'a.xyz').write_text(text[:-50])
    (system,) = read_systems(tmp_path / 'a.xyz')
    assert system.frames.energies.tolist() == [-10, -11]
    assert system.notes[0].startswith("Frame 2 can't be read, so the file was read up to it only")


@pytest.mark.parametrize('fmt', ['mace/xyz', 'quip/gap/xyz'])
def test_every_frame_of_a_file_that_dpdata_knows_too(tmp_path: Path, fmt: str) -> None:
    """dpdata gives the first frame of these formats without a word on the others."""
    write(tmp_path / 'a.xyz', [molecule(seed=number) for number in range(3)], format='extxyz')
    assert len(read_systems(tmp_path / 'a.xyz', fmt)[0].frames) == 3
