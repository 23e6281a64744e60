"""Files whose types are numbers: their elements are asked for, and never invented."""

from __future__ import annotations

from pathlib import Path

import dpdata
import numpy as np
import pytest
from ase import Atoms

from aiida_deepmd.read_frames import ReadError
from aiida_deepmd.read_frames.deepmd import open_folder
from aiida_sis.core.analysis.trajectory import open_trajectory

CELL = np.diag([6.0, 6.0, 7.0])
POSITIONS = np.array([[0.0, 0, 0], [3.0, 3, 3]])


def dump(path: Path, columns: str, rows: list[str], steps: tuple[int, ...]) -> Path:
    """Write a LAMMPS dump."""
    frame = f'\nITEM: NUMBER OF ATOMS\n{len(rows)}\nITEM: BOX BOUNDS pp pp pp\n0 6\n0 6\n0 7\nITEM: ATOMS {columns}\n'
    path.write_text(''.join(f'ITEM: TIMESTEP\n{step}{frame}' + '\n'.join(rows) + '\n' for step in steps))
    return path


def system(symbols: str, n_frames: int) -> dpdata.LabeledSystem:
    """Frames of one composition."""
    types = sorted(set(Atoms(symbols).get_chemical_symbols()))
    names = Atoms(symbols).get_chemical_symbols()
    rng = np.random.default_rng(len(symbols))
    return dpdata.LabeledSystem(
        data={
            'atom_names': types,
            'atom_numbs': [names.count(name) for name in types],
            'atom_types': np.array([types.index(name) for name in names]),
            'orig': np.zeros(3),
            'cells': np.tile(CELL, (n_frames, 1, 1)),
            'coords': rng.uniform(0, 6, (n_frames, len(names), 3)),
            'energies': np.zeros(n_frames),
            'forces': np.zeros((n_frames, len(names), 3)),
        }
    )


def test_a_dump_of_our_own_md(tmp_path: Path) -> None:
    """Types with the option, refused without; the steps say how the frames lie in time."""
    rows = ['2 2 3 3 3 0 0 0 0 0 0', '1 1 0 0 0 0 0 0 0 0 0']
    path = dump(tmp_path / 'trajectory.lammpstrj', 'id type xu yu zu vx vy vz fx fy fz', rows, (0, 1000, 2000, 2213))
    with pytest.raises(ReadError, match=r'2 atom types and no elements'):
        open_trajectory(path, 1000.0)
    with pytest.raises(ReadError, match=r'time between the frames'):
        open_trajectory(path, None, ['Na', 'Cl'])
    trajectory = open_trajectory(path, 1000.0, ['Na', 'Cl'])
    assert trajectory.symbols == ('Na', 'Cl')
    assert trajectory.times_fs == pytest.approx([0, 1000, 2000, 2213])
    np.testing.assert_allclose(trajectory.first()[0], POSITIONS)


def test_a_dump_of_two_runs(tmp_path: Path) -> None:
    """Its second run begins at step 0 again."""
    path = dump(tmp_path / 'x.dump', 'id element x y z', ['1 Na 0 0 0', '2 Cl 3 3 3'], (0, 10, 20, 0, 10))
    with pytest.raises(ReadError, match=r'goes back from step 20 to 0'):
        open_trajectory(path, 1.0)


def test_types_without_names(tmp_path: Path) -> None:
    """`type_map.raw` is optional in DeePMD-kit, and its names need be no elements."""
    system('NaCl', 3).to('deepmd/npy', str(tmp_path / 'd'))
    named = tmp_path / 'd' / 'type_map.raw'
    assert named.read_text().split() == ['Cl', 'Na']
    assert open_trajectory(tmp_path / 'd', 1.0).symbols == ('Na', 'Cl')
    with pytest.raises(ReadError, match=r'names its elements itself'):
        open_trajectory(tmp_path / 'd', 1.0, ['Na', 'Cl'])
    named.write_text('Cl_bulk\nNa1\n')
    with pytest.raises(ReadError, match=r'names its types Cl_bulk, Na1: give the element of each of its types 0 to 1'):
        open_trajectory(tmp_path / 'd', 1.0)
    named.unlink()
    with pytest.raises(ReadError, match=r'has no type_map.raw: give the element of each of its types 0 to 1'):
        open_trajectory(tmp_path / 'd', 1.0)
    assert open_trajectory(tmp_path / 'd', 1.0, ['F', 'Li']).symbols == ('Li', 'F')
    with pytest.raises(ReadError, match=r'has type 1, counted from 0, but `type_map` F names 1'):
        open_trajectory(tmp_path / 'd', 1.0, ['F'])


def test_mixed_types(tmp_path: Path) -> None:
    """Where every frame has the same atoms they are a trajectory; where not, what takes them apart is named."""
    dpdata.MultiSystems(system('NaNaCl', 4)).to('deepmd/npy/mixed', str(tmp_path / 'one'))
    (folder,) = [path.parent for path in (tmp_path / 'one').rglob('type.raw')]
    assert set((folder / 'type.raw').read_text().split()) == {'0'}
    assert sorted(open_trajectory(folder, 1.0).symbols) == ['Cl', 'Na', 'Na']
    dpdata.MultiSystems(system('NaCl', 3), system('KCl', 2)).to('deepmd/npy/mixed', str(tmp_path / 'two'))
    with pytest.raises(ReadError, match=r'different atoms .*real_atom_types.npy.*deepmd/npy/mixed'):
        open_trajectory(tmp_path / 'two', 1.0)
    # The remedy that it names.
    apart = dpdata.MultiSystems().load_systems_from_file(str(tmp_path / 'two'), fmt='deepmd/npy/mixed')
    apart.to('deepmd/npy', str(tmp_path / 'apart'))
    found = {open_trajectory(path.parent, 1.0).symbols for path in (tmp_path / 'apart').rglob('type.raw')}
    assert {frozenset(symbols) for symbols in found} == {frozenset(('Na', 'Cl')), frozenset(('K', 'Cl'))}


def test_arrays_text_and_no_cell(tmp_path: Path) -> None:
    """Arrays are mapped and not loaded, text files are read too, and a folder without cells is refused."""
    system('NaCl', 3).to('deepmd/npy', str(tmp_path / 'arrays'))
    system('NaCl', 3).to('deepmd/raw', str(tmp_path / 'text'))
    assert isinstance(open_folder(tmp_path / 'arrays', mapped=True).sets[0]['coord'], np.memmap)
    arrays, text = (open_trajectory(tmp_path / name, 1.0) for name in ('arrays', 'text'))
    assert len(arrays) == len(text) == 3
    np.testing.assert_allclose(text.first()[0], arrays.first()[0], atol=1e-6)
    (tmp_path / 'arrays' / 'set.000' / 'box.npy').unlink()
    with pytest.raises(ReadError, match=r'no box.npy in each set'):
        open_trajectory(tmp_path / 'arrays', 1.0)


def test_atoms_without_an_element(tmp_path: Path) -> None:
    """An extxyz file with types only, which ASE reads as X."""
    header = 'Lattice="5 0 0 0 5 0 0 0 5" Properties=type:I:1:pos:R:3 pbc="T T T"'
    (tmp_path / 'x.xyz').write_text(f'2\n{header}\n1 0 0 0\n2 2 2 2\n')
    with pytest.raises(ReadError, match='atoms without an element'):
        open_trajectory(tmp_path / 'x.xyz', 1.0)
