"""Frames from files that other programs write, through dpdata and ASE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write

from aiida_sis.core.read_frames import ReadError, digests, guess_format, read_systems


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
    write(tmp_path / 'a.traj', [molecule(), molecule('H2'), molecule(seed=1), molecule('OLiF')])
    systems = read_systems(tmp_path / 'a.traj')
    assert [system.name for system in systems] == ['FLiO', 'H2', 'FLiO-2']
    assert [len(system.frames) for system in systems] == [2, 1, 1]


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


def test_deepmd_folders_at_any_depth(tmp_path: Path) -> None:
    import dpdata

    write(tmp_path / 'a.xyz', [molecule(seed=number) for number in range(3)], format='extxyz')
    (system,) = read_systems(tmp_path / 'a.xyz')
    names = ['O', 'Li', 'F']
    data = {
        'atom_names': names,
        'atom_numbs': [1, 1, 1],
        'atom_types': np.array([names.index(s) for s in system.symbols]),
        'orig': np.zeros(3),
        **vars(system.frames),
    }
    for folder in ('x/one', 'x/two/deep'):
        dpdata.LabeledSystem(data=data).to('deepmd/npy', str(tmp_path / folder), prec=np.float64)
    systems = read_systems(tmp_path / 'x')
    assert [one.name for one in systems] == ['one', 'two/deep']
    assert systems[0].symbols == ['Li', 'F', 'O']
    np.testing.assert_allclose(systems[1].frames.coords, system.frames.coords)
    assert read_systems(tmp_path / 'x/one')[0].name == ''
    assert len(digests(tmp_path / 'x/one')) == 6


@pytest.mark.parametrize(
    ('name', 'fmt'), [('OUTCAR', 'vasp/outcar'), ('OUTCAR.1', 'vasp/outcar'), ('b.extxyz', 'extxyz')]
)
def test_format_by_name(tmp_path: Path, name: str, fmt: str) -> None:
    write(tmp_path / name, molecule(), format='extxyz')
    assert guess_format(tmp_path / name) == fmt


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    good, bad = molecule(), molecule(seed=1)
    del bad.calc.results['forces']
    write(tmp_path / 'unlabelled.traj', [good, bad])
    loose = Atoms('H', cell=[9, 9, 9], pbc=[True, True, False])
    loose.calc = SinglePointCalculator(loose, energy=0.0, forces=[[0.0, 0.0, 0.0]])
    write(tmp_path / 'loose.traj', loose)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'OUTCAR').write_text('no')
    (tmp_path / 'what').write_text('no')
    for path, fmt, words in (
        ('unlabelled.traj', None, 'frame 1 .* no forces'),
        ('loose.traj', None, 'frame 0 .* no cell'),
        ('nowhere', None, 'does not exist'),
        ('empty', None, 'no type.raw'),
        ('OUTCAR', None, 'dpdata can.t read .*OUTCAR'),
        ('unlabelled.traj', 'nonesuch', "format 'nonesuch' is known neither"),
        ('what', None, '--format'),
    ):
        with pytest.raises(ReadError, match=words):
            read_systems(tmp_path / path, fmt)
