"""From an AIMD trajectory to a dataset, through the calcfunction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm

from aiida_deepmd import units
from aiida_sis.calculations.dataset import dataset_from_trajectory

TYPE_MAP = ['Li', 'F']
#: A cubic cell whose first two vectors changed places, Å.
LEFT_HANDED = np.array([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])


def trajectory(n_frames: int = 12, symbols: tuple[str, ...] = ('F', 'Li', 'F'), **arrays: Any) -> orm.TrajectoryData:
    """A trajectory as aiida-cp2k writes it: Å, hartree, hartree/bohr."""
    rng = np.random.default_rng(0)
    node = orm.TrajectoryData()
    node.set_trajectory(
        symbols=list(symbols),
        positions=np.arange(len(symbols))[None, :, None] * 2.0 + rng.normal(0, 0.1, (n_frames, len(symbols), 3)),
        cells=np.tile(np.eye(3) * 9.0, (n_frames, 1, 1)),
        pbc=[True] * 3,
    )
    defaults = {'energies': -50 + rng.normal(0, 1e-3, n_frames), 'forces': rng.normal(0, 0.01, (n_frames, 3, 3))}
    for name, array in {**defaults, **arrays}.items():
        if array is not None:
            node.set_array(name, array)
    return node


def call(node: orm.TrajectoryData, type_map: list[str] | None = None, **settings: Any) -> dict[str, Any]:
    """Run the calcfunction."""
    outputs: dict[str, Any] = dataset_from_trajectory(
        node, orm.List(type_map or TYPE_MAP), orm.Int(1), orm.Dict(settings)
    )
    return outputs


def test_units_types_and_split(aiida_profile: Any) -> None:
    node = trajectory()
    outputs = call(node, label='first')
    dataset = outputs['dataset']
    assert dataset.is_stored
    assert dataset.symbols == ['F', 'Li', 'F']
    assert dataset.get_array('atom_types').tolist() == [1, 0, 1]
    assert dataset.label == 'first'
    np.testing.assert_allclose(dataset.get_array('energies'), node.get_array('energies') * units.HARTREE_TO_EV)
    np.testing.assert_allclose(
        dataset.get_array('forces'), node.get_array('forces') * units.HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
    )
    assert (dataset.n_train, dataset.n_validation, dataset.n_test) == (8, 2, 2)
    report = outputs['report'].get_dict()
    assert (report['n_offered'], report['n_kept'], report['refused_frames']) == (12, 12, {})


def test_provenance(aiida_profile: Any) -> None:
    dataset = call(trajectory())['dataset']
    assert set(dataset.creator.inputs) == {'trajectory', 'type_map', 'seed', 'settings'}


def test_refused_frames_are_on_record(aiida_profile: Any) -> None:
    node = trajectory()
    positions, forces, energies = (node.get_array(name).copy() for name in ('positions', 'forces', 'energies'))
    positions[4] = positions[3]
    forces[7, 0, 0] = 2.0  # hartree/bohr: 103 eV/Å
    energies[9] = np.nan
    node.set_array('positions', positions)
    node.set_array('forces', forces)
    node.set_array('energies', energies)
    outputs = call(node, unconverged_frames=[0])
    report = outputs['report'].get_dict()
    assert report['refused_frames'] == {'unconverged': [0], 'non_finite': [9], 'duplicate': [4], 'force_limit': [7]}
    assert (report['n_offered'], report['n_kept'], outputs['dataset'].n_frames) == (12, 8, 8)


def test_missing_last_force_of_a_killed_aimd(aiida_profile: Any) -> None:
    outputs = call(trajectory(forces=np.zeros((10, 3, 3))))
    assert outputs['report']['refused_frames'] == {'incomplete': [10, 11]}
    assert outputs['dataset'].n_frames == 10


def test_stride_and_max_frames(aiida_profile: Any) -> None:
    report = call(trajectory(), stride=2, max_frames=4)['report']
    assert report['kept_frames'] == [0, 4, 6, 10]
    assert report['n_good'] == 12


@pytest.mark.parametrize('choice', ['farthest_point', 'entropy'])
def test_choice_by_worth(aiida_profile: Any, choice: str) -> None:
    """A frame that hardly differs from its neighbour is left out first."""
    node = trajectory()
    positions = node.get_array('positions').copy()
    positions[[3, 5, 8]] = positions[[2, 4, 7]] + 1e-4
    node.set_array('positions', positions)
    outputs = call(node, choice=choice, max_frames=9)
    kept = outputs['report']['kept_frames']
    assert len(kept) == outputs['dataset'].n_frames == 9
    assert all(len({a, b} & set(kept)) == 1 for a, b in ((2, 3), (4, 5), (7, 8)))
    assert outputs['report']['settings']['choice'] == choice


def test_choice_by_stride(aiida_profile: Any) -> None:
    assert call(trajectory(), choice='stride', max_frames=5)['report']['kept_frames'] == [0, 3, 6, 9]


def test_fixed_atoms_have_no_weight(aiida_profile: Any) -> None:
    dataset = call(trajectory(), fixed_atoms=[2, 0])['dataset']
    assert dataset.fixed_atoms == [0, 2]
    assert call(trajectory())['dataset'].fixed_atoms == []


def test_no_frame_left_gives_the_report_alone(aiida_profile: Any) -> None:
    outputs = call(trajectory(energies=np.full(12, np.nan)))
    assert 'dataset' not in outputs
    assert outputs['report']['n_kept'] == 0
    assert outputs['report']['n_non_finite'] == 12


@pytest.mark.parametrize(
    ('arguments', 'settings', 'word'),
    [
        ({}, {'strides': 2}, 'strides'),
        ({'forces': None}, {}, 'FORCES'),
        ({}, {'choice': 'best'}, "give 'every', 'stride', 'farthest_point' or 'entropy'"),
        ({}, {'choice': 'entropy'}, 'give max_frames'),
        ({}, {'fixed_atoms': [0, 3]}, 'not among the sites 0 to 2'),
        ({}, {'fixed_atoms': [0, 1, 2]}, 'no atom would be left'),
        ({'symbols': ('F', 'Na', 'F')}, {}, 'Na'),
        ({'forces': np.zeros((12, 2, 3))}, {}, 'forces has shape'),
    ],
)
def test_bad_inputs_are_named(
    aiida_profile: Any, arguments: dict[str, Any], settings: dict[str, Any], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        call(trajectory(**arguments), **settings)


def test_left_handed_frames_come_in_from_an_aimd(aiida_profile: Any) -> None:
    node = orm.TrajectoryData()
    positions = np.tile([[0.0, 0.0, 0.0], [1.6, 0.0, 0.0]], (5, 1, 1))
    positions[:, 1, 1] = 0.1 * np.arange(5)
    cells = np.tile(LEFT_HANDED, (5, 1, 1))
    node.set_trajectory(['Li', 'F'], positions, stepids=np.arange(5), cells=cells, pbc=(True, True, True))
    node.set_array('energies', np.linspace(-30.0, -29.999, 5))
    node.set_array('forces', np.full((5, 2, 3), 0.01))
    dataset = call(node)['dataset']
    assert dataset.n_frames == 5
    assert (np.linalg.det(dataset.get_array('cells')) > 0).all()
    np.testing.assert_array_equal(dataset.get_array('coords'), positions)
