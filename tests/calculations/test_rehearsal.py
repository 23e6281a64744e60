"""A potential that is its own teacher is right, and one that is off by a known amount is off by that."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase.build import bulk

from aiida_deepmd.units import HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
from aiida_sis.calculations.rehearsal import compare_forces, compare_structure, merge_results


def trajectory(n_frames: int, seed: int = 0, scale: float = 0.1) -> orm.TrajectoryData:
    """Give frames of rock salt with random displacements and forces of 1 eV/Å."""
    rng = np.random.default_rng(seed)
    atoms = bulk('NaCl', 'rocksalt', a=5.64, cubic=True) * (2, 2, 2)
    node = orm.TrajectoryData()
    node.set_trajectory(
        symbols=atoms.get_chemical_symbols(),
        positions=atoms.positions + scale * rng.normal(size=(n_frames, len(atoms), 3)),
        cells=np.tile(np.asarray(atoms.cell), (n_frames, 1, 1)),
        times=0.5 * np.arange(n_frames),
        stepids=np.arange(n_frames),
        pbc=(True, True, True),
    )
    node.set_array('forces', np.ones((n_frames, len(atoms), 3)))
    return node


def labels_of(node: orm.TrajectoryData, keep: list[int], error: float) -> orm.TrajectoryData:
    """Give what a teacher would say of some frames, in its own units, `error` eV/Å beside the potential."""
    labels = orm.TrajectoryData()
    labels.set_trajectory(
        symbols=node.symbols,
        positions=node.get_positions()[keep],
        cells=node.get_cells()[keep],
        stepids=np.arange(len(keep)),
        pbc=(True, True, True),
    )
    labels.set_array('energies', np.zeros(len(keep)))
    labels.set_array('forces', (node.get_array('forces')[keep] + error) / HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM)
    return labels


@pytest.mark.usefixtures('aiida_profile')
def test_error_along_the_dynamics_is_that_of_the_matching_frames() -> None:
    """Frames that could not be labelled are left out, and the others keep their times."""
    md = trajectory(6)
    compared = compare_forces(md, labels_of(md, [0, 2, 5], 0.25))
    assert compared['results']['force_rmse_ev_per_angstrom'] == pytest.approx(0.25)
    assert compared['results']['n_frames'] == 3
    assert compared['errors'].get_array('time_ps') == pytest.approx([0.0, 1.0, 2.5])


@pytest.mark.usefixtures('aiida_profile')
def test_labels_of_another_dynamics_are_refused() -> None:
    """An error of mismatched frames would mean nothing."""
    with pytest.raises(ValueError, match='not among the frames'):
        compare_forces(trajectory(3), labels_of(trajectory(3, seed=1), [0, 1], 0.0))


@pytest.mark.usefixtures('aiida_profile')
def test_structure_differs_from_a_hotter_one_and_not_from_itself() -> None:
    """Every pair of elements gets a number."""
    settings = orm.Dict({'r_max': 5.6, 'n_bins': 28, 'skip_ps': 0.0, 'n_frames': 20, 'reference_skip': 0.0})
    md = trajectory(20)
    same = compare_structure(settings, md, r0=md)['results']['rdf_difference']
    other = compare_structure(settings, trajectory(20, seed=1, scale=0.4), r0=md)['results']['rdf_difference']
    assert set(same) == {'Cl_Cl', 'Cl_Na', 'Na_Na'}
    assert all(value == pytest.approx(0.0) for value in same.values())
    assert all(value > 0.1 for value in other.values())


def test_results_in_one_node(aiida_profile) -> None:
    """The error over all frames weighs them alike, and stands beside that of the loop's own verification."""
    forces = {
        'r0': orm.Dict({'n_frames': 300, 'force_rmse_ev_per_angstrom': 0.1}),
        'r1': orm.Dict({'n_frames': 100, 'force_rmse_ev_per_angstrom': 0.2}),
    }
    structure = orm.Dict({'rdf_difference': {'Cl_Na': 0.02}})
    few = {'n_frames': 24, 'force_rmse_ev_per_angstrom': 0.15}
    results = merge_results(structure, orm.Dict({'verification': {**few, 'verified': True}}), **forces).get_dict()
    assert results['force_rmse_ev_per_angstrom'] == pytest.approx(0.0175**0.5)
    assert results['verification'] == few
    assert results['rdf_difference'] == {'Cl_Na': 0.02}
    assert set(results['forces']) == {'r0', 'r1'}
    assert merge_results(structure, orm.Dict({'verification': None}), **forces)['verification'] is None
