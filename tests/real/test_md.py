"""The real `lmp` through the engine: a dynamics is continued exactly, in any cell, and a failure is a result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from scipy.spatial.transform import Rotation

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.calculations.md import LammpsMdCalculation
from aiida_sis.calculations.trajectories import select_snapshot
from aiida_sis.core.indicator import kinetic_temperature

pytestmark = pytest.mark.real
PARAMETERS: dict[str, Any] = {
    'temperature_k': 300,
    'window_k': [0, 1000],
    'length_ps': 0.03,
    'timestep_fs': 1.0,
    'thermo_interval_fs': 1.0,
    'ring_interval_fs': 1.0,
    'trajectory_interval_ps': 0.01,
    'thermostat': {'style': 'none'},
}


def atoms_of(dataset: DatasetData, rotation: Any, cell: Any) -> orm.StructureData:
    """The first frame, turned."""
    frame = dataset.to_dpdata()
    node = orm.StructureData(cell=(np.asarray(cell) @ rotation.T).tolist(), pbc=(True, True, True))
    for kind, position in zip(frame['atom_types'], frame['coords'][0] @ rotation.T, strict=True):
        node.append_atom(position=position.tolist(), symbols=frame['atom_names'][kind])
    return node


def velocities_of(values: Any) -> orm.ArrayData:
    """A node of velocities."""
    node = orm.ArrayData()
    node.set_array('velocities', values)
    return node


def test_dynamics(
    example_run: orm.WorkChainNode,
    real_codes: dict[str, orm.InstalledCode],
    deepmd_datasets: dict[str, DatasetData],
) -> None:
    """Five properties of the MD on the example's first potential, smooth, with every symmetry and bound to fail."""
    potential = example_run.outputs.potentials['g0']
    dataset = deepmd_datasets['aimd_0']
    cubic, skew = np.diag([9.0, 9.0, 9.0]), np.array([[9.0, 0, 0], [1.5, 9.0, 0], [-2.0, 1.0, 9.0]])
    turned = Rotation.from_euler('xyz', [20, 30, 40], degrees=True).as_matrix()
    speeds = np.random.default_rng(1).normal(0.0, 3.0, (dataset.base.attributes.get('n_atoms'), 3))

    def run(
        structure: orm.StructureData,
        velocities: orm.ArrayData | None = None,
        model: PotentialData = potential,
        committee: dict[str, PotentialData] | None = None,
        **changes: Any,
    ) -> orm.CalcJobNode:
        inputs: dict[str, Any] = {} if velocities is None else {'velocities': velocities}
        if committee is not None:
            inputs['committee'] = committee
        _, node = run_get_node(
            LammpsMdCalculation,
            code=real_codes['lmp'],
            structure=structure,
            potential=model,
            seed=orm.Int(3),
            parameters=orm.Dict(PARAMETERS | changes),
            **inputs,
        )
        assert node.is_finished_ok, node.exit_message
        assert 'model.pb' not in node.base.repository.list_object_names()
        return node

    # A snapshot of a dynamics without a thermostat leads to where the dynamics itself led.
    start = atoms_of(dataset, np.eye(3), cubic)
    whole = run(start, velocities_of(speeds)).outputs.trajectory
    selected = select_snapshot(whole, orm.Int(1))
    rest = run(selected['structure'], selected['velocities'], length_ps=0.02).outputs.trajectory
    assert np.allclose(rest.get_positions()[-1], whole.get_positions()[-1], rtol=0, atol=1e-9)

    # A turned and skewed cell gives the same dynamics, turned.
    plain = run(atoms_of(dataset, np.eye(3), skew), velocities_of(speeds)).outputs.trajectory
    other = run(atoms_of(dataset, turned, skew), velocities_of(speeds @ turned.T)).outputs.trajectory
    for name in ('positions', 'velocities', 'forces', 'cells'):
        assert np.allclose(other.get_array(name), plain.get_array(name) @ turned.T, rtol=0, atol=1e-8), name

    # The deviation of two models is half of what their forces differ by, and the second has no part in the dynamics.
    other = example_run.outputs.potential
    levels = {'interval_fs': 5.0, 'low_ev_per_angstrom': 0.0, 'high_ev_per_angstrom': 100.0, 'max_candidates': 2}
    both = run(start, velocities_of(speeds), committee={'other': other}, deviation=levels)
    alone = run(start, velocities_of(speeds), model=other).outputs.trajectory
    difference = 0.5 * np.linalg.norm(whole.get_array('forces')[0] - alone.get_array('forces')[0], axis=1)
    deviation = both.outputs.deviation
    assert deviation.get_array('step').tolist() == list(range(0, 31, 5))
    assert deviation.get_array('max_force_deviation')[0] == pytest.approx(difference.max(), rel=1e-5)
    assert deviation.get_array('mean_force_deviation')[0] == pytest.approx(difference.mean(), rel=1e-5)
    assert np.allclose(both.outputs.trajectory.get_positions(), whole.get_positions(), rtol=0, atol=1e-9)
    assert both.outputs.candidates.get_stepids().tolist() == [0, 30]
    assert np.allclose(both.outputs.candidates.get_positions()[1], whole.get_positions()[-1], rtol=0, atol=1e-7)
    assert both.outputs.results['deviation']['n_candidate'] == 7
    assert both.outputs.results['steps_per_second'] > 0

    # Fixed atoms do not move, and the thermostat holds the temperature of the one that does: of its three degrees of
    # freedom none may be lost. With more of them the potential would fall into its holes, and heat.
    fixed = list(range(9))
    bath = {'style': 'csvr', 'time_constant_fs': 5.0}
    changes = {'thermostat': bath, 'window_k': [0, 1e5], 'length_ps': 6.0, 'timestep_fs': 0.5, 'ring_interval_fs': 50.0}
    frozen = run(start, fixed_atoms=fixed, **changes).outputs
    path = frozen.trajectory.get_positions()
    assert (path[:, fixed] == path[0, fixed]).all()
    assert np.allclose(path[0, fixed], [start.sites[number].position for number in fixed], rtol=0, atol=1e-9)
    assert (np.abs(path[-1, 9] - path[0, 9]) > 0.01).any()
    series = frozen.series
    temperature = series.get_array('temperature')
    assert temperature[0] == pytest.approx(600.0, rel=1e-6)
    last = kinetic_temperature(frozen.trajectory.symbols, frozen.trajectory.get_velocities()[-1], fixed)
    # LAMMPS has older constants than CODATA 2018: 1.2e-6 apart.
    assert temperature[-1] == pytest.approx(last, rel=1e-5)
    assert temperature[series.get_array('time_ps') > 1.0].mean() == pytest.approx(300.0, rel=0.2)

    # From a minimised structure, with a thermostat, until it fails, which is a result.
    node = run(start, length_ps=5.0, thermostat={'style': 'csvr'}, ring_interval_fs=5.0)
    results = node.outputs.results.get_dict()
    if results['stable']:
        assert results['n_steps_run'] == 5000
    else:
        assert results['steps_past_t_cp'] == 0
        assert results['t_next']['time_ps'] <= results['catastrophe']['time_ps']
        assert node.outputs.series.get_array('temperature')[-1] == pytest.approx(
            results['catastrophe']['temperature_k']
        )
