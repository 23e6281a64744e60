"""The early sign with the real `lmp`: a dynamics ends where a pair comes nearer than its limit, and not otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_deepmd.data.dataset import DatasetData
from aiida_sis.calculations.md import LammpsMdCalculation
from aiida_sis.core.distances import shortest_distances

pytestmark = pytest.mark.real
PARAMETERS: dict[str, Any] = {
    'temperature_k': 300,
    'window_k': [0, 5000],
    'length_ps': 0.04,
    'timestep_fs': 1.0,
    'thermo_interval_fs': 2.0,
    'ring_interval_fs': 1.0,
    'trajectory_interval_ps': 0.001,
    'thermostat': {'style': 'none'},
    't_next': {'rule': 'offset', 'offset_fs': 5.0},
}


def test_two_atoms_that_come_too_near(
    example_run: orm.WorkChainNode,
    real_codes: dict[str, orm.InstalledCode],
    deepmd_datasets: dict[str, DatasetData],
) -> None:
    """A dynamics without a limit says when one with a limit must end; fixed pairs and pairs near at first end none."""
    frame = deepmd_datasets['aimd_0'].to_dpdata()
    cell = 9.0 * np.eye(3)
    structure = orm.StructureData(cell=cell.tolist(), pbc=(True, True, True))
    for kind, position in zip(frame['atom_types'], frame['coords'][0], strict=True):
        structure.append_atom(position=position.tolist(), symbols=frame['atom_names'][kind])
    symbols = [site.kind_name for site in structure.sites]
    velocities = orm.ArrayData({'velocities': np.random.default_rng(1).normal(0.0, 5.0, (len(symbols), 3))})

    def run(**changes: Any) -> Any:
        _, node = run_get_node(
            LammpsMdCalculation,
            code=real_codes['lmp'],
            structure=structure,
            potential=example_run.outputs.potentials['g0'],
            velocities=velocities,
            seed=orm.Int(3),
            parameters=orm.Dict(PARAMETERS | changes),
        )
        assert node.is_finished_ok, node.exit_message
        return node.outputs

    free = run()
    assert free.results['stable']
    path = free.trajectory.get_positions()
    nearest = np.array([shortest_distances([(positions, cell)], symbols, 4.5)['O-S'] for positions in path])
    # A limit that no looked at step before the second quarter undercuts, and that some later one does.
    looked_at = nearest[::2]
    low = int(np.argmin(looked_at))
    assert low > 0, 'the bond of this dynamics must shorten after its start'
    limit = float(0.5 * (looked_at[low] + looked_at[:low].min()))
    step = 2 * int(np.flatnonzero(looked_at < limit)[0])

    # F-S is nearer than its limit from the start on: it ends nothing, and is named in a warning.
    stopped = run(least_distances={'O-S': limit, 'F-S': 4.0})
    results = stopped.results.get_dict()
    point = results['catastrophe']
    assert (point['bound'], point['pair']) == ('distance', 'O-S')
    assert point['time_ps'] == pytest.approx(step * 1e-3)
    assert point['distance_angstrom'] == pytest.approx(nearest[step], abs=1e-6)
    assert results['steps_past_t_cp'] == 0
    assert results['t_next']['time_ps'] == pytest.approx(max(0, step - 5) * 1e-3)
    assert any('F-S was nearer' in warning for warning in results['warnings'])
    # The watch changes nothing of the dynamics before.
    assert np.allclose(stopped.trajectory.get_positions()[-1], path[step], rtol=0, atol=1e-9)

    # Two fixed atoms end nothing, though they are near.
    fixed = [number for number, symbol in enumerate(symbols) if symbol in ('S', 'O')]
    results = run(least_distances={'O-S': 3.9}, fixed_atoms=fixed).results
    assert results['stable']
    assert not any('was nearer' in warning for warning in results['warnings'])
