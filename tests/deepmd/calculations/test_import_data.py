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

from aiida_deepmd.calculations.import_data import dataset_from_file, import_datasets
from aiida_deepmd.units import HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV, KCAL_PER_MOL_TO_EV


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


@pytest.mark.parametrize(
    ('energy_unit', 'force_unit', 'cause'),
    [
        (HARTREE_TO_EV, 1.0, 'energies in hartree would do it'),
        (1.0, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, 'forces in hartree/bohr would do it'),
        (HARTREE_TO_EV, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, 'energies in hartree and forces in hartree/bohr would'),
        (8.0, 1.0, 'energies for each atom would do it'),
        (KCAL_PER_MOL_TO_EV, 1.0, 'energies in kcal/mol would do it'),
        (1.0, KCAL_PER_MOL_TO_EV, 'forces in kcal/mol/Å would do it'),
    ],
)
def test_the_warning_names_the_units(
    aiida_profile: Any, trajectory: Path, tmp_path: Path, energy_unit: float, force_unit: float, cause: str
) -> None:
    def convert(atoms: Atoms, number: int, energy: float, forces: np.ndarray) -> float:
        forces /= force_unit
        return energy / energy_unit

    (one,) = import_datasets(
        change(trajectory, tmp_path / 'units.extxyz', convert), settings={'max_force': 1e9, 'max_energy_per_atom': None}
    )
    assert cause in one.report['warnings'][0]


def test_gradients_are_no_forces(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    def turn(atoms: Atoms, number: int, energy: float, forces: np.ndarray) -> None:
        forces *= -1.0

    with pytest.raises(ValueError, match='accelerated against their forces, so these are gradients'):
        import_datasets(change(trajectory, tmp_path / 'gradients.extxyz', turn))


def test_energies_that_are_none(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    for value in (1e-300, -3.5):  # the first is read back as zero after eight digits

        def flat(atoms: Atoms, number: int, energy: float, forces: np.ndarray, value: float = value) -> float:
            return value

        with pytest.raises(ValueError, match=r'all 20 energies in the file are .* no energies to learn from'):
            import_datasets(change(trajectory, tmp_path / 'flat.extxyz', flat))


def test_a_direction_that_is_held(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    """CP2K's COMPONENTS_TO_FIX Z: one component of the force is zero, which the other two hide."""

    def hold(atoms: Atoms, number: int, energy: float, forces: np.ndarray) -> None:
        forces[3, 2] = forces[5, :2] = forces[6] = 0.0
        if number == 9:
            forces[0] = np.nan  # a bad frame must not hide it

    path = change(trajectory, tmp_path / 'held.extxyz', hold)
    with pytest.raises(ValueError, match=r'3 of 8 atoms in the file have a component .*sites \[3 z, 5 xy, 6\]'):
        import_datasets(path)
    (one,) = import_datasets(path, settings={'fixed_atoms': 'mask'})
    assert one.dataset is not None
    assert one.dataset.fixed_atoms == [3, 5, 6]


def test_a_flat_molecule_is_no_constraint(aiida_profile: Any, tmp_path: Path) -> None:
    rng, frames = np.random.default_rng(0), []
    for _ in range(4):
        atoms = Atoms('OH2', [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], cell=[8, 8, 8], pbc=True)
        atoms.positions[:, :2] += rng.normal(0, 0.03, (3, 2))
        forces = np.zeros((3, 3))
        forces[:, :2] = rng.normal(size=(3, 2))
        atoms.calc = SinglePointCalculator(atoms, energy=-14.0 - rng.random(), forces=forces)
        frames.append(atoms)
    write(tmp_path / 'flat.traj', frames)
    (one,) = import_datasets(tmp_path / 'flat.traj')
    assert (one.report['n_kept'], one.report['fixed_atoms']) == (4, [])


def test_keys_and_elements_are_inputs_of_the_provenance(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    frames = read(trajectory, index=':')
    for atoms in frames:
        atoms.info['REF_energy'] = atoms.get_potential_energy() - 1.0
        atoms.arrays['REF_forces'] = atoms.get_forces() * 2
        atoms.calc = None
    write(tmp_path / 'ref.xyz', frames, format='extxyz')
    (one,) = import_datasets(
        tmp_path / 'ref.xyz', energy_key='REF_energy', forces_key='REF_forces', elements={'D': 'H'}
    )
    assert one.dataset is not None
    source = one.dataset.creator.inputs.source.get_dict()
    assert (source['energy_key'], source['forces_key'], source['elements']) == ('REF_energy', 'REF_forces', {'D': 'H'})
    inputs = one.dataset.creator.inputs
    again = dataset_from_file(inputs.source, inputs.type_map, inputs.seed, inputs.settings)['dataset']
    assert again.sha256 == one.dataset.sha256
    np.testing.assert_allclose(again.get_frames().forces[2], 2 * read(trajectory, index=2).get_forces(), atol=1e-7)


def test_isolated_atoms_are_left_out_of_a_file(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    lone = Atoms('Li')
    lone.calc = SinglePointCalculator(lone, energy=-200.0, forces=np.zeros((1, 3)))
    write(tmp_path / 'iso.xyz', [lone, *read(trajectory, index=':')], format='extxyz')
    atom, metal = import_datasets(tmp_path / 'iso.xyz')
    assert (atom.dataset, atom.report['found_frames'], atom.report['n_usable']) == (None, {'no_cell': [0]}, 0)
    assert metal.dataset is not None
    assert (metal.dataset.n_frames, metal.dataset.type_map) == (20, ['Cu'])
    assert (metal.report['n_usable'], metal.report['timestep_fs']) == (20, pytest.approx(2.0, rel=1e-3))


def test_weights_of_the_file_are_kept(aiida_profile: Any, trajectory: Path, tmp_path: Path) -> None:
    def fix(atoms: Atoms, number: int, energy: float, forces: np.ndarray) -> None:
        forces[2] = 0.0

    (one,) = import_datasets(change(trajectory, tmp_path / 'f.extxyz', fix), settings={'fixed_atoms': 'mask'})
    assert one.dataset is not None
    one.dataset.write_npy(tmp_path / 'out', atom_pref=True)
    (again,) = import_datasets(tmp_path / 'out')
    assert again.dataset is not None
    assert again.dataset.fixed_atoms == [2]


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
    with pytest.raises(ValueError, match='the SHA-256 of its files has changed'):
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
        'b/c/type.raw', 'b/c/type_map.raw',
        *(f'b/c/set.000/{name}.npy' for name in ('box', 'coord', 'energy', 'force')),
    }  # fmt: skip


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'type_map': ['Cu', 'Cu']}, 'names Cu more than once'),
        ({'type_map': ['Cu Li']}, "'Cu Li', no element"),
        ({'energy_key': 'REF_energy'}, 'no frame that can be trained on .20 with no energy'),
        ({'type_map': ['Li']}, r"elements \['Cu'\] are not in the type_map"),
        ({'settings': {'fixed': 'mask'}}, "'fixed' of the import settings is unknown: did you mean 'fixed_atoms'"),
        (
            {'settings': {'fixed_atoms': 'no'}},
            "'no' of 'fixed_atoms' in the import settings is not valid: give 'refuse', 'mask' or 'train'",
        ),
        (
            {'settings': {'split': 'random'}},
            "'random' of 'split' in the import settings is not valid: give 'shuffled' or 'blocks'",
        ),
        ({'settings': {'stride': 0}}, "0 of 'stride' in the import settings is not valid: it must be at least 1"),
        ({'settings': {'max_force': '50'}}, "'50' of 'max_force' in the import settings is not valid: give a number"),
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
