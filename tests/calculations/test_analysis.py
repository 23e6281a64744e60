"""The analysis as a calcfunction: the numbers of the plain functions, in nodes that say what they are."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory
from ase import Atoms

from aiida_sis.calculations.analysis import analyse_trajectory, compare_rdfs, trajectory_of
from aiida_sis.core.analysis.rdf import rdfs
from aiida_sis.structures.molecules import dioxolane, lifsi

CELL = 13.0 * np.eye(3)


def electrolyte() -> Atoms:
    """LiFSI and one DOL."""
    second = dioxolane()
    second.translate([6.5, 0.0, 0.0])
    return Atoms(lifsi() + second, cell=CELL, pbc=True)


def trajectory(n_frames: int = 110, seed: int = 0, times: bool = True) -> orm.TrajectoryData:
    """Let it vibrate; an F leaves at frame 40, with frames 2 fs apart."""
    atoms = electrolyte()
    path = atoms.positions + 0.02 * np.random.default_rng(seed).normal(size=(n_frames, len(atoms), 3))
    path[40:, atoms.get_chemical_symbols().index('F')] += 6.5
    node = orm.TrajectoryData()
    node.set_trajectory(
        symbols=atoms.get_chemical_symbols(),
        positions=path,
        cells=np.tile(CELL, (n_frames, 1, 1)),
        stepids=np.arange(n_frames),
        times=0.002 * np.arange(n_frames) if times else None,
        pbc=(True, True, True),
    )
    return node


@pytest.mark.usefixtures('aiida_profile')
def test_whole_analysis_in_the_graph() -> None:
    """Events with times, arrays with their names, and the inputs that led to them."""
    node = trajectory().store()
    structure = orm.StructureData(ase=electrolyte()).store()
    parameters = orm.Dict({'r_max': 6.0, 'density_axis': 2, 'density_reference': 'Li'})
    outputs, process = analyse_trajectory.run_get_node(node, parameters, structure)
    assert process.is_finished_ok
    assert set(outputs) == {'results', 'rdf', 'census', 'displacement', 'density'}
    assert process.inputs.structure.uuid == structure.uuid
    results = outputs['results'].get_dict()
    (event,) = results['bond_events']
    assert (event['time_fs'], event['pair'], event['change'], event['molecule']) == (80.0, 'S–F', 'broken', 'FSI 1')
    assert results['first_broken'] == {'FSI 1': {'S–F': 80.0}}
    assert results['molecules'] == {
        'start': {'Li': 1, 'FSI': 1, 'DOL': 1},
        'end': {'Li': 1, 'DOL': 1, 'N(SO2)2F': 1, 'F': 1},
    }
    assert results['coordination'][0]['centre'] == 'Li'
    assert results['settings']['r_max'] == 6.0
    rdf = outputs['rdf']
    pairs = [tuple(pair) for pair in rdf.base.attributes.get('pairs')]
    alone = rdfs(trajectory_of(node).read(), _kinds(), 6.0, 120)
    row = pairs.index(alone.key('Li', 'O(FSI)'))
    assert rdf.get_array('g')[row] == pytest.approx(alone.of('Li', 'O(FSI)'))
    assert rdf.get_array('coordination')[row] == pytest.approx(alone.coordination(*pairs[row]))
    census = outputs['census']
    column = census.base.attributes.get('molecule_names').index('FSI')
    assert census.get_array('molecules')[:, column].tolist() == [1] * 40 + [0] * 70
    assert outputs['displacement'].get_array('msd').shape == (len(results['kinds']), 110)
    assert outputs['density'].get_array('density').shape[0] == len(results['kinds'])


def _kinds() -> tuple[str, ...]:
    from aiida_sis.core.analysis.topology import find_molecules

    return find_molecules(electrolyte()).kinds


@pytest.mark.usefixtures('aiida_profile')
def test_an_aimd_needs_the_time_of_its_steps() -> None:
    """CP2K's trajectory has steps and no times."""
    node = trajectory(times=False)
    with pytest.raises(ValueError, match='give timestep_fs'):
        analyse_trajectory(node, orm.Dict({}))
    outputs = analyse_trajectory(node, orm.Dict({'timestep_fs': 0.5}))
    assert outputs['results']['time_fs'] == [0.0, 54.5]
    assert outputs['results']['bond_events'][0]['time_fs'] == 20.0


@pytest.mark.usefixtures('aiida_profile')
def test_wrong_inputs_are_refused() -> None:
    """A misspelt parameter, and a structure of other atoms."""
    with pytest.raises(ValueError, match="did you mean 'persistence_fs'"):
        analyse_trajectory(trajectory(3), orm.Dict({'persistence': 3.0}))
    with pytest.raises(ValueError, match='has other atoms'):
        analyse_trajectory(trajectory(3), orm.Dict({}), orm.StructureData(ase=Atoms('Li', cell=CELL, pbc=True)))


@pytest.mark.usefixtures('aiida_profile')
def test_spoilt_and_repeated_frames_are_left_out() -> None:
    """The end of an exploded MD, and the frame that a restart wrote twice."""
    node = trajectory(6)
    positions, times = node.get_positions().copy(), node.get_array('times').copy()
    positions[5] = np.nan
    times[3] = times[2]
    node.set_array('positions', positions)
    node.set_array('times', times)
    assert trajectory_of(node).times_fs == pytest.approx([0.0, 2.0, 4.0, 8.0])


@pytest.mark.usefixtures('aiida_profile')
def test_two_analyses_compared() -> None:
    """The same one differs by nothing, another by something, one on other distances cannot be compared."""
    first, second = (analyse_trajectory(trajectory(60, seed), orm.Dict({'r_max': 6.0})) for seed in (0, 1))
    assert set(compare_rdfs(first['rdf'], first['rdf'])['difference'].values()) == {0.0}
    difference = compare_rdfs(first['rdf'], second['rdf'])['difference']
    assert 0.0 < difference['Li-O(FSI)'] < 1.0
    other = analyse_trajectory(trajectory(3), orm.Dict({'r_max': 5.0}))
    with pytest.raises(ValueError, match='same r_max'):
        compare_rdfs(first['rdf'], other['rdf'])


def test_entry_points() -> None:
    """AiiDA finds them."""
    assert CalculationFactory('sis.analyse_trajectory') is analyse_trajectory
    assert CalculationFactory('sis.compare_rdfs') is compare_rdfs
