"""DeePMD-kit's own data, as dpdata writes them and as people leave them."""

from __future__ import annotations

from pathlib import Path

import dpdata
import numpy as np
import pytest

from aiida_deepmd.read_frames import Hints, ReadError, guess_format, read_systems


def labelled(symbols: str, n_frames: int = 5, seed: int = 0) -> dpdata.LabeledSystem:
    """Frames with random numbers; symbols separated by spaces."""
    rng = np.random.default_rng(seed)
    words = symbols.split()
    names = list(dict.fromkeys(words))
    shape = (n_frames, len(words), 3)
    data = {
        'atom_names': names,
        'atom_numbs': [words.count(name) for name in names],
        'atom_types': np.array([names.index(word) for word in words]),
        'orig': np.zeros(3),
        'coords': rng.random(shape) * 9,
        'cells': np.tile(np.diag([9.0, 10.0, 11.0]), (n_frames, 1, 1)),
        'energies': -10.0 - rng.random(n_frames),
        'forces': rng.normal(size=shape),
    }
    return dpdata.LabeledSystem(data=data)


def npy(path: Path, symbols: str = 'Na Cl Na Cl', n_frames: int = 5, seed: int = 0) -> Path:
    """A folder of deepmd/npy."""
    labelled(symbols, n_frames, seed).to('deepmd/npy', str(path), prec=np.float64)
    return path


@pytest.mark.parametrize('fmt', [None, 'deepmd/npy', 'deepmd/npy/mixed'])
def test_mixed_types_become_one_system_for_each_composition(tmp_path: Path, fmt: str | None) -> None:
    first, second = labelled('Na Na Na Na Cl Cl Cl Cl'), labelled('Na Na Na Na Na Cl Cl Cl', seed=1)
    dpdata.MultiSystems(first, second, type_map=['Na', 'Cl']).to_deepmd_npy_mixed(
        str(tmp_path / 'mixed'), prec=np.float64
    )
    assert set((tmp_path / 'mixed/8/type.raw').read_text().split()) == {'0'}
    one, other = sorted(read_systems(tmp_path / 'mixed', fmt), key=lambda system: system.name)
    assert (one.name, other.name) == ('8 Cl3Na5', '8 Cl4Na4')
    assert (one.symbols, other.symbols) == (['Na'] * 5 + ['Cl'] * 3, ['Na'] * 4 + ['Cl'] * 4)
    for system, expected in ((other, first), (one, second)):
        np.testing.assert_allclose(system.frames.coords, expected['coords'])
        np.testing.assert_allclose(system.frames.forces, expected['forces'])
        np.testing.assert_allclose(system.frames.energies, expected['energies'])
        assert not system.flaws


def test_mixed_types_with_atoms_that_fill_up(tmp_path: Path) -> None:
    systems = [labelled('Na Cl Na'), labelled('Na Cl', seed=1), labelled('K Cl Cl', seed=2)]
    mixed = dpdata.MultiSystems(*systems, type_map=['Na', 'K', 'Cl'])
    mixed.to_deepmd_npy_mixed(str(tmp_path / 'm'), prec=np.float64, atom_numb_pad=4)
    assert (np.load(tmp_path / 'm/4/set.000/real_atom_types.npy') == -1).any()
    found = {system.name: system for system in read_systems(tmp_path / 'm')}
    assert {name: sorted(system.symbols) for name, system in found.items()} == {
        '4 ClNa2': ['Cl', 'Na', 'Na'],
        '4 ClNa': ['Cl', 'Na'],
        '4 Cl2K': ['Cl', 'Cl', 'K'],
    }
    assert found['4 ClNa'].frames.forces.shape == (5, 2, 3)


def test_an_alloy_whose_sites_are_drawn_anew_is_one_system(tmp_path: Path) -> None:
    folder = npy(tmp_path / 'alloy', 'Na Na Na Na')
    (folder / 'type_map.raw').write_text('Na\nK\n')
    real = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
    np.save(folder / 'set.000/real_atom_types.npy', real)
    (system,) = read_systems(folder)
    assert system.symbols == ['K', 'K', 'Na', 'Na']
    forces = np.load(folder / 'set.000/force.npy').reshape(5, 4, 3)
    np.testing.assert_array_equal(system.frames.forces[1], forces[1][[1, 3, 0, 2]])
    assert 'sorted by element' in system.notes[-1]


def test_types_without_names_need_the_type_map(tmp_path: Path) -> None:
    folder = npy(tmp_path / 'a')
    (folder / 'type_map.raw').write_text('Na, Cl')
    assert read_systems(folder)[0].symbols == ['Na', 'Cl', 'Na', 'Cl']
    (folder / 'type_map.raw').write_text('')
    with pytest.raises(ReadError, match=r'no type_map.raw that says'):
        read_systems(folder)
    (folder / 'type_map.raw').unlink()
    with pytest.raises(ReadError, match=r'no type_map.raw .* types \[0, 1\] .* --type-map Na,Cl'):
        read_systems(folder)
    (system,) = read_systems(folder, hints=Hints(type_map=('Na', 'Cl', 'O')))
    assert system.symbols == ['Na', 'Cl', 'Na', 'Cl']
    with pytest.raises(ReadError, match=r'types \[0, 1\], but names for 1'):
        read_systems(folder, hints=Hints(type_map=('Na',)))
    (system,) = read_systems(folder, hints=Hints(elements=(('Type_0', 'Na'), ('Type_1', 'Na'))))
    assert system.symbols == ['Na'] * 4
    with pytest.raises(ReadError, match='atoms called Type_1, which are no elements'):
        read_systems(folder, hints=Hints(elements=(('Type_0', 'Na'),)))


def test_names_of_types(tmp_path: Path) -> None:
    folder = npy(tmp_path / 'a', 'Na Cl O H H C')
    (folder / 'type_map.raw').write_text('Na_bulk Na_surf O-w H1 Hw\n')
    (folder / 'type.raw').write_text('0 1 2 3 3 4')
    with pytest.raises(ReadError, match=r'atoms called Hw, .* --elements Hw=Na'):
        read_systems(folder)
    (system,) = read_systems(folder, hints=Hints(elements=(('Hw', 'H'),)))
    assert system.symbols == ['Na', 'Na', 'O', 'H', 'H', 'H']
    assert system.notes == ('Atoms called Na_bulk as Na, Na_surf as Na, O-w as O, H1 as H, Hw as H.',)
    with pytest.raises(ReadError, match=r'--elements Hw=Water names no element'):
        read_systems(folder, hints=Hints(elements=(('Hw', 'Water'),)))


def test_what_energies_may_depend_on_beside_the_positions(tmp_path: Path) -> None:
    folder = npy(tmp_path / 'a')
    np.save(folder / 'set.000/fparam.npy', np.full((5, 1), 0.1))
    np.save(folder / 'set.000/virial.npy', np.zeros((5, 9)))
    np.save(folder / 'set.000/dipole.npy', np.zeros((5, 3)))
    (system,) = read_systems(folder)
    assert system.notes == (
        'dipole.npy is not read.', 'virial.npy is not read.', 'fparam is not read: it is the same in all frames.'
    )  # fmt: skip
    assert 'fparam.npy' in [file.name for file in system.files]
    np.save(folder / 'set.000/fparam.npy', np.arange(5.0).reshape(5, 1))
    with pytest.raises(ReadError, match=r'fparam in .* changes from frame to frame'):
        read_systems(folder)
    np.save(folder / 'set.000/fparam.npy', np.tile([300.0, 1.0], (5, 1)))  # a temperature and a pressure
    read_systems(folder)
    (folder / 'set.000/fparam.npy').unlink()
    npy(tmp_path / 'b')
    for name, value in (('a', 0.1), ('b', 0.2)):
        np.save(tmp_path / name / 'set.000/aparam.npy', np.full((5, 4), value))
    with pytest.raises(ReadError, match=r'aparam in .* changes'):
        read_systems(tmp_path)


def test_weights_of_atoms(tmp_path: Path) -> None:
    folder = npy(tmp_path / 'a')
    np.save(folder / 'set.000/atom_pref.npy', np.tile([1.0, 0.0, 1.0, 1.0], (5, 1)))
    (system,) = read_systems(folder)
    assert system.weights is not None
    assert system.weights.tolist() == [1, 0, 1, 1]
    np.save(folder / 'set.000/atom_pref.npy', np.tile([1.0, 0.5, 1.0, 1.0], (5, 1)))
    (system,) = read_systems(folder)
    assert system.weights is None
    assert 'atom_pref is not read' in system.notes[0]


def test_groups_of_hdf5(tmp_path: Path) -> None:
    systems = dpdata.MultiSystems(labelled('Na Cl'), labelled('Na Cl Na', seed=1))
    systems.to_deepmd_hdf5(str(tmp_path / 'all.hdf5'))
    assert guess_format(tmp_path / 'all.hdf5') == 'deepmd/hdf5'
    found = {system.name: system for system in read_systems(tmp_path / 'all.hdf5')}
    assert sorted(found) == ['Na1Cl1', 'Na2Cl1']
    np.testing.assert_allclose(found['Na1Cl1'].frames.forces, labelled('Na Cl')['forces'], atol=1e-6)
    assert found['Na2Cl1'].files == (tmp_path / 'all.hdf5',)
    labelled('Na Cl').to_deepmd_hdf5(str(tmp_path / 'one.h5'))
    (one,) = read_systems(tmp_path / 'one.h5')
    assert (one.name, one.symbols) == ('', ['Na', 'Cl'])
    (tmp_path / 'no.h5').write_text('no')
    with pytest.raises(ReadError, match=r'no.h5. can.t be read as HDF5'):
        read_systems(tmp_path / 'no.h5')
    import h5py

    with h5py.File(tmp_path / 'other.h5', 'w') as file:
        file['x'] = [1.0]
    with pytest.raises(ReadError, match=r'no group with type.raw'):
        read_systems(tmp_path / 'other.h5')


def test_text_files_are_found_by_themselves(tmp_path: Path) -> None:
    system = labelled('Na Cl Na')
    system.to_deepmd_raw(str(tmp_path / 'raw'))
    (read,) = read_systems(tmp_path)
    assert (read.name, read.symbols) == ('raw', ['Na', 'Cl', 'Na'])
    np.testing.assert_allclose(read.frames.forces, system['forces'], atol=1e-6)
    np.testing.assert_allclose(read.frames.energies, system['energies'], atol=1e-6)
    labelled('Na Cl Na', 1).to_deepmd_raw(str(tmp_path / 'single'))
    assert len(read_systems(tmp_path / 'single')[0].frames) == 1


def test_sets_that_end_early_and_folders_without_labels(tmp_path: Path) -> None:
    folder = npy(tmp_path / 'a')
    forces = np.load(folder / 'set.000/force.npy')
    np.save(folder / 'set.000/force.npy', forces[:3])
    (folder / 'set.001').mkdir()
    for name in ('coord', 'box', 'energy', 'force'):
        (folder / f'set.001/{name}.npy').write_bytes((npy(tmp_path / 'x', seed=1) / f'set.000/{name}.npy').read_bytes())
    (system,) = read_systems(folder)
    assert dict(system.flaws) == {'incomplete': (3, 4)}
    np.testing.assert_array_equal(system.frames.forces[5], labelled('Na Cl Na Cl', seed=1)['forces'][0])
    lonely = npy(tmp_path / 'y/lonely')
    (lonely / 'set.000/energy.npy').unlink()
    with pytest.raises(ReadError, match=r'no frame that can be trained on .5 with no energy or no forces.'):
        read_systems(tmp_path / 'y')
    npy(tmp_path / 'y/good')
    loose = npy(tmp_path / 'y/loose')
    (loose / 'nopbc').touch()
    assert [len(system.usable()) for system in read_systems(tmp_path / 'y')] == [5, 0, 0]


def test_a_number_that_is_none_is_not_a_missing_one(tmp_path: Path) -> None:
    folder = npy(tmp_path / 'a', n_frames=3)
    np.save(folder / 'set.000/energy.npy', [-1.0, np.nan, -2.0])
    assert not read_systems(folder)[0].flaws
    single = npy(tmp_path / 'b', n_frames=1)
    np.save(single / 'set.000/energy.npy', -3.0)  # as a reduction of numpy leaves it
    assert read_systems(single)[0].frames.energies.tolist() == [-3.0]


def test_arrays_that_do_not_fit(tmp_path: Path) -> None:
    folder = npy(tmp_path / 'a')
    (folder / 'type.raw').write_text('0 1 0')
    with pytest.raises(ReadError, match=r'coord in .* has the shape \(5, 12\), which does not fit 3 atoms'):
        read_systems(folder)
    (folder / 'type.raw').write_text('0 1 0 9')
    with pytest.raises(ReadError, match=r'types \[0, 1, 9\], but names for 2'):
        read_systems(folder)
    (folder / 'type.raw').write_text('0 1 0 1')
    np.save(folder / 'set.000/energy.npy', np.arange(7.0))
    with pytest.raises(ReadError, match=r'energy in .* has 7 frames, but coord has 5'):
        read_systems(folder)
    (folder / 'set.000/coord.npy').write_bytes(b'no')
    with pytest.raises(ReadError, match=r'can.t be read as data of DeePMD-kit'):
        read_systems(folder)
