"""Datasets from files of other programs: provenance, refusals, fixed atoms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase import units as ase_units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

from aiida_sis.calculations.import_data import dataset_from_file, import_datasets
from aiida_sis.core.units import HARTREE_TO_EV


@pytest.fixture(scope='module')
def trajectory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty steps of 2 fs of copper with an effective-medium potential, as an extended XYZ file."""
    atoms = bulk('Cu', cubic=True) * (2, 1, 1)
    atoms.calc = EMT()
    MaxwellBoltzmannDistribution(atoms, temperature_K=900, rng=np.random.default_rng(0))
    path = tmp_path_factory.mktemp('copper') / 'copper.extxyz'
    md = VelocityVerlet(atoms, 2.0 * ase_units.fs)
    for _ in range(20):
        atoms.get_forces()
        write(path, atoms, append=True)
        md.run(1)
    return path


def change(trajectory: Path, target: Path, change: Any) -> Path:
    """Another file whose frames went through a function (frame, number, forces)."""
    frames: list[Atoms] = read(trajectory, index=':')
    for number, atoms in enumerate(frames):
        energy, forces = atoms.get_potential_energy(), atoms.get_forces().copy()
        energy = change(atoms, number, energy, forces) or energy
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    write(target, frames)
    return target


def test_import_keeps_the_frames_and_where_they_came_from(aiida_profile: Any, trajectory: Path) -> None:
    (one,) = import_datasets(trajectory, type_map=['Li', 'Cu'], seed=3, settings={'label': 'metal'})
    dataset = one.dataset
    assert dataset is not None
    assert (dataset.n_frames, dataset.n_atoms, dataset.n_train) == (20, 8, 12)
    assert (dataset.type_map, dataset.elements, dataset.label) == (['Li', 'Cu'], ['Cu'], 'metal copper.extxyz')
    assert dataset.fixed_atoms == []
    np.testing.assert_allclose(dataset.get_frames().forces[5], read(trajectory, index=5).get_forces(), atol=1e-7)
    creator = dataset.creator
    assert creator.process_label == 'dataset_from_file'
    source = creator.inputs.source.get_dict()
    assert source['path'] == str(trajectory)
    assert len(source['sha256']['copper.extxyz']) == 64
    assert creator.inputs.seed.value == 3
    assert one.report['timestep_fs'] == pytest.approx(2.0, rel=1e-3)
    assert one.report['work_ratio'] == pytest.approx(1.0, abs=0.01)
    assert (one.report['n_kept'], one.report['warnings']) == (20, [])


def test_unphysical_frames_are_refused_by_name(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    def spoil(atoms: Atoms, number: int, energy: float, forces: np.ndarray) -> float:
        if number == 4:
            atoms.positions[1] = atoms.positions[0] + [0.5, 0, 0]
        return energy + (800.0 if number < 2 else 0.0)

    (one,) = import_datasets(change(trajectory, tmp_path / 'bad.extxyz', spoil))
    assert one.report['found_frames'] == {'close_contact': [4], 'energy_limit': [0, 1], 'jump': [4, 5]}
    assert one.report['kept_frames'] == [2, 3, *range(6, 20)]
    assert one.dataset is not None
    assert one.dataset.n_frames == 16


def test_zero_forces_need_a_word(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    def fix(atoms: Atoms, number: int, energy: float, forces: np.ndarray) -> None:
        forces[[1, 6]] = 0.0

    path = change(trajectory, tmp_path / 'fixed.extxyz', fix)
    before = orm.QueryBuilder().append(orm.Node).count()
    with pytest.raises(ValueError, match=r'2 of 8 atoms .*sites \[1, 6\].*mask.*train'):
        import_datasets(path)
    assert orm.QueryBuilder().append(orm.Node).count() == before
    for choice, fixed in (('mask', [1, 6]), ('train', [])):
        (one,) = import_datasets(path, settings={'fixed_atoms': choice})
        assert one.dataset is not None
        assert one.dataset.fixed_atoms == fixed
        assert one.report['fixed_atoms'] == [1, 6]


def test_no_forces_at_all(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    def nothing(atoms: Atoms, number: int, energy: float, forces: np.ndarray) -> None:
        forces[:] = 0.0

    path = change(trajectory, tmp_path / 'zero.extxyz', nothing)
    with pytest.raises(ValueError, match='all forces in the file are zero'):
        import_datasets(path, settings={'fixed_atoms': 'mask'})


def test_wrong_units_are_warned_of(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    def hartree(atoms: Atoms, number: int, energy: float, forces: np.ndarray) -> float:
        return energy / HARTREE_TO_EV

    (one,) = import_datasets(change(trajectory, tmp_path / 'hartree.extxyz', hartree))
    assert 'units' in one.report['warnings'][0]
    assert '0.0367 times' in one.report['warnings'][0]


def test_frames_that_do_not_follow_each_other(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    frames = read(trajectory, index='::7')
    write(tmp_path / 'sparse.extxyz', frames)
    (one,) = import_datasets(tmp_path / 'sparse.extxyz')
    assert one.report['timestep_fs'] is None
    assert 'do not follow' in one.report['warnings'][0]
    assert one.report['n_kept'] == 3
    with pytest.raises(ValueError, match=r'timestep_fs 0.1, .* look like jumps'):
        import_datasets(tmp_path / 'sparse.extxyz', settings={'timestep_fs': 0.1})


def test_nothing_left(aiida_profile: Any, trajectory: Path) -> None:
    (one,) = import_datasets(trajectory, settings={'min_distance': 5.0})
    assert one.dataset is None
    assert one.report['n_kept'] == 0


def test_a_changed_file_is_not_the_source(aiida_profile: Any, trajectory: Path) -> None:
    source = orm.Dict({'path': str(trajectory), 'format': None, 'system': '', 'sha256': {'copper.extxyz': '0' * 64}})
    with pytest.raises(ValueError, match='SHA-256 has changed'):
        dataset_from_file(source, orm.List(['Cu']), orm.Int(0), orm.Dict({}))


def test_every_system_of_a_folder(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    (one,) = import_datasets(trajectory, type_map=['Cu', 'Li'])
    assert one.dataset is not None
    for name in ('a', 'b/c'):
        one.dataset.write_npy(tmp_path / name)
    found = import_datasets(tmp_path, settings={'split': 'blocks'})
    assert [system.name for system in found] == ['a', 'b/c']
    for system in found:
        assert system.dataset is not None
        np.testing.assert_array_equal(system.dataset.get_frames().energies, one.dataset.get_frames().energies)
        assert system.dataset.type_map == ['Cu']
        assert system.dataset.get_split('test').tolist() == [16, 17, 18, 19]
    assert set(found[1].dataset.creator.inputs.source['sha256']) == {
        'type.raw', 'type_map.raw', *(f'set.000/{name}.npy' for name in ('box', 'coord', 'energy', 'force')),
    }  # fmt: skip


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'type_map': ['Li']}, r"elements \['Cu'\] are not in the type_map"),
        ({'settings': {'fixed': 'mask'}}, r"unknown keys \['fixed'\]"),
        ({'settings': {'fixed_atoms': 'no'}}, "fixed_atoms` is 'no'"),
        ({'settings': {'split': 'random'}}, "split` is 'random'"),
        ({'settings': {'fractions': [0.5, 0.1, 0.1]}}, 'sum to 1'),
        ({'fmt': 'nonesuch'}, 'nonesuch'),
    ],
)
def test_bad_input_is_refused_before_anything_is_stored(
    aiida_profile: Any, trajectory: Path, arguments: dict[str, Any], words: str
) -> None:
    before = orm.QueryBuilder().append(orm.Node).count()
    with pytest.raises(ValueError, match=words):
        import_datasets(trajectory, **arguments)
    assert orm.QueryBuilder().append(orm.Node).count() == before
