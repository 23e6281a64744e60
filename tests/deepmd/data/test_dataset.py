"""Labelled frames as a node: what goes in comes out, in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm

from aiida_deepmd.data.dataset import DatasetData

ARRAYS: dict[str, Any] = {
    'coords': np.random.default_rng(0).normal(size=(5, 2, 3)),
    'cells': np.tile(np.eye(3) * 9, (5, 1, 1)),
    'energies': -1085.123456789012 + np.arange(5.0),
    'forces': np.random.default_rng(1).normal(size=(5, 2, 3)),
    'atom_types': [1, 0],
    'type_map': ['F', 'Li', 'H'],
    'split': [0, 2, 0, 1, 0],
}


def test_facts(aiida_profile: Any) -> None:
    node = DatasetData(**ARRAYS, label='two atoms')
    assert (node.n_frames, node.n_atoms, node.n_train, node.n_validation, node.n_test) == (5, 2, 3, 1, 1)
    assert node.symbols == ['Li', 'F']
    assert node.elements == ['F', 'Li']
    assert node.type_map == ['F', 'Li', 'H']
    assert node.label == node.base.attributes.get('label') == 'two atoms'
    assert node.base.attributes.get('units')['forces'] == 'eV/Å'


def test_round_trip_through_the_database(aiida_profile: Any) -> None:
    stored = DatasetData(**ARRAYS).store()
    node = orm.load_node(stored.pk)
    assert isinstance(node, DatasetData)
    for name in ('coords', 'cells', 'energies', 'forces', 'atom_types', 'split'):
        np.testing.assert_array_equal(node.get_array(name), ARRAYS[name])
    assert node.sha256 == DatasetData(**ARRAYS).sha256


def test_split(aiida_profile: Any) -> None:
    node = DatasetData(**ARRAYS)
    assert node.get_split('train').tolist() == [0, 2, 4]
    assert node.get_split('validation').tolist() == [3]
    assert node.get_split('test').tolist() == [1]
    assert node.get_split().tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match='unknown'):
        node.get_split('held out')


def test_digest_depends_on_content_only(aiida_profile: Any) -> None:
    reference = DatasetData(**ARRAYS).sha256
    assert DatasetData(**ARRAYS, label='x').sha256 == reference
    other = ({'energies': ARRAYS['energies'] + 1e-9}, {'split': [0, 2, 0, 1, 1]}, {'type_map': ['F', 'Li', 'O']})
    for changed in other:
        assert DatasetData(**{**ARRAYS, **changed}).sha256 != reference


def test_digest_of_free_atoms_is_that_of_earlier_versions(aiida_profile: Any) -> None:
    """Datasets stored before there were weights keep their digest."""
    arrays = {**ARRAYS, 'coords': np.zeros((5, 2, 3)), 'forces': np.ones((5, 2, 3))}
    digest = 'e29d430c60dd4d6d0c9a5261a6906008f182a76c0df8a2fd8d856b6733e2675d'
    assert DatasetData(**arrays).sha256 == digest
    assert DatasetData(**arrays, atom_weights=[1, 1]).sha256 == digest
    assert DatasetData(**arrays, atom_weights=[0, 1]).sha256 != digest


def test_fixed_atoms(aiida_profile: Any, tmp_path: Path) -> None:
    stored = DatasetData(**ARRAYS, atom_weights=[1.0, 0.0]).store()
    node = orm.load_node(stored.pk)
    assert (node.fixed_atoms, node.atom_weights.tolist()) == ([1], [1.0, 0.0])
    free = DatasetData(**ARRAYS, atom_weights=[1, 1])
    assert (free.fixed_atoms, free.atom_weights.tolist()) == ([], [1.0, 1.0])
    assert 'atom_weights' not in free.get_arraynames()
    assert DatasetData(**ARRAYS).atom_weights.tolist() == [1.0, 1.0]
    for number, (dataset, row) in enumerate([(node, [1, 0]), (free, [1, 1])]):
        folder = dataset.write_npy(tmp_path / f'{number}', 'train', atom_pref=True)
        assert np.load(folder / 'set.000/atom_pref.npy').tolist() == [row] * 3
    assert not (node.write_npy(tmp_path / 'without') / 'set.000/atom_pref.npy').exists()


def test_dpdata_keeps_the_type_map(aiida_profile: Any) -> None:
    system = DatasetData(**ARRAYS).to_dpdata('train')
    assert system['atom_names'] == ['F', 'Li', 'H']
    assert list(system['atom_numbs']) == [1, 1, 0]
    np.testing.assert_array_equal(system['coords'], ARRAYS['coords'][[0, 2, 4]])


def test_deepmd_files_are_in_double_precision(aiida_profile: Any, tmp_path: Path) -> None:
    """In single precision an energy of -1085 eV would lose its last 0.1 meV."""
    folder = DatasetData(**ARRAYS).write_npy(tmp_path / 'train', 'train')
    assert [path.name for path in folder.glob('set.*')] == ['set.000']
    assert (folder / 'type_map.raw').read_text().split() == ['F', 'Li', 'H']
    assert (folder / 'type.raw').read_text().split() == ['1', '0']
    energies = np.load(folder / 'set.000/energy.npy')
    assert energies.dtype == np.float64
    np.testing.assert_array_equal(energies.ravel(), ARRAYS['energies'][[0, 2, 4]])
    assert np.load(folder / 'set.000/force.npy').shape == (3, 6)


#: Cells of negative determinant: two vectors exchanged, one reversed, a triclinic one, and one of slight skew.
LEFT_HANDED = {
    'exchanged': np.eye(3)[[1, 0, 2]] * 9,
    'reversed': np.diag([9.0, 9.0, -9.0]),
    'all reversed': np.diag([-9.0, -8.0, -7.0]),
    'triclinic': np.array([[0.5, 9.0, 1.0], [8.0, -0.3, 0.0], [-2.0, 1.0, 7.0]]),
}


@pytest.mark.parametrize('cell', LEFT_HANDED.values(), ids=LEFT_HANDED)
def test_cells_are_right_handed(aiida_profile: Any, tmp_path: Path, cell: Any) -> None:
    """In a left-handed one DeePMD-kit's forces have the wrong sign. Lattice, positions, forces and energies stay."""
    assert np.linalg.det(cell) < 0
    cells = np.array(ARRAYS['cells'])
    cells[[1, 2]] = cell  # a file may change its mind half-way
    node = DatasetData(**{**ARRAYS, 'cells': cells})
    folder = node.write_npy(tmp_path / 'written')
    stored, written = node.get_array('cells'), np.load(folder / 'set.000/box.npy').reshape(-1, 3, 3)
    for turned in (stored, node.get_frames().cells, written, node.to_dpdata()['cells']):
        assert (np.linalg.det(turned) > 0).all()
        np.testing.assert_array_equal(turned[[0, 3, 4]], ARRAYS['cells'][[0, 3, 4]])
        np.testing.assert_array_equal(turned[1], cell[[1, 0, 2]])
    for name, file in (('coords', 'coord'), ('forces', 'force')):
        np.testing.assert_array_equal(np.load(folder / f'set.000/{file}.npy'), ARRAYS[name].reshape(5, -1))
    assert node.sha256 == DatasetData(**{**ARRAYS, 'cells': stored}).sha256, 'the same content'


def test_left_handed_cells_of_an_earlier_version_are_turned_when_read(aiida_profile: Any, tmp_path: Path) -> None:
    """Datasets that were stored before are not touched, but nobody gets their cells as they are."""
    node = DatasetData(**ARRAYS)
    node.set_array('cells', np.tile(LEFT_HANDED['triclinic'], (5, 1, 1)))
    node = orm.load_node(node.store().pk)
    assert (np.linalg.det(node.get_array('cells')) < 0).all()
    written = np.load(node.write_npy(tmp_path / 'written', 'train') / 'set.000/box.npy').reshape(-1, 3, 3)
    assert (np.linalg.det(written) > 0).all()
    np.testing.assert_array_equal(written[0], LEFT_HANDED['triclinic'][[1, 0, 2]])


def test_empty_subset_is_not_written(aiida_profile: Any, tmp_path: Path) -> None:
    node = DatasetData(**{**ARRAYS, 'split': [0] * 5}, label='no test')
    with pytest.raises(ValueError, match="'no test' has no frame in its test subset"):
        node.write_npy(tmp_path, 'test')


@pytest.mark.parametrize(
    ('changed', 'word'),
    [
        ({'forces': np.zeros((5, 3, 3))}, 'forces'),
        ({'energies': np.zeros(4)}, 'energies has 4 frames'),
        ({'cells': np.tile(np.diag([9.0, 9.0, 0.0]), (5, 1, 1))}, 'frame 0 has no volume'),
        ({'atom_types': [0]}, 'atom_types'),
        ({'atom_types': [0, 3]}, 'type_map'),
        ({'type_map': ['F', 'F', 'Li']}, 'type_map'),
        ({'split': [0, 1, 2, 3, 0]}, 'split'),
        ({'split': [0, 1]}, 'split'),
        ({'atom_weights': [1]}, 'atom_weights'),
        ({'atom_weights': [1, 0.5]}, 'atom_weights'),
        ({'atom_weights': [0, 0]}, 'all 2 atoms'),
    ],
)
def test_arrays_that_do_not_fit_are_named(aiida_profile: Any, changed: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        DatasetData(**{**ARRAYS, **changed})


def test_left_handed_frames_come_in_from_a_file(aiida_profile_clean: Any, tmp_path: Path) -> None:
    """ASE, CP2K and VASP take left-handed cells without a word."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    from aiida_deepmd.calculations.import_data import import_datasets

    rng, images = np.random.default_rng(4), []
    for number in range(5):
        atoms = Atoms('LiF', [[0, 0, 0], [1.6, 0.1 * number, 0]], cell=LEFT_HANDED['triclinic'], pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=-10.0 + 0.01 * number, forces=rng.normal(size=(2, 3)))
        images.append(atoms)
    write(tmp_path / 'left.extxyz', images)
    (found,) = import_datasets(tmp_path / 'left.extxyz')
    assert found.dataset is not None
    kept = found.dataset.get_frames()
    np.testing.assert_allclose(kept.cells[0], LEFT_HANDED['triclinic'][[1, 0, 2]], atol=1e-7)
    for number, index in enumerate(found.report['kept_frames']):
        np.testing.assert_allclose(kept.forces[number], images[index].get_forces(), atol=1e-7)
        np.testing.assert_allclose(kept.coords[number], images[index].positions, atol=1e-7)
