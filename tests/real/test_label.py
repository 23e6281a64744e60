"""Labels made by the real CP2K."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import engine, orm
from ase.build import bulk
from ase.io import read

from aiida_deepmd.units import AMU_A2_PS2_TO_EV, BOLTZMANN_EV, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV
from aiida_sis.core.cp2k.output import read_ener
from aiida_sis.core.cp2k.verdict import cp2k_degrees_of_freedom
from aiida_sis.structures.demo import lif_dimer
from aiida_sis.workflows.label import LabelWorkChain
from tests.real.teachers import FILES, SALT, gfn1_xtb, inputs_of, ion_pair

pytestmark = pytest.mark.real

TYPE_MAP = ['N', 'S', 'O', 'F', 'Li', 'C', 'H']
CHARGES_CELL = 9.0
PBE = {
    'FORCE_EVAL': {
        'DFT': {
            'BASIS_SET_FILE_NAME': 'BASIS_MOLOPT',
            'POTENTIAL_FILE_NAME': 'POTENTIAL',
            'MGRID': {'CUTOFF': 200},
            # the first SCF, from atoms, takes more than 40 steps: CP2K from 2024.1 on aborts without an outer loop
            'SCF': {
                'EPS_SCF': 1e-5,
                'MAX_SCF': 40,
                'OT': {'MINIMIZER': 'DIIS'},
                'OUTER_SCF': {'MAX_SCF': 5, 'EPS_SCF': 1e-5},
            },
            'XC': {'XC_FUNCTIONAL': {'_': 'PBE'}},
        },
        'SUBSYS': {
            'KIND': [
                {'_': 'Li', 'BASIS_SET': 'DZVP-MOLOPT-SR-GTH-q3', 'POTENTIAL': 'GTH-PBE-q3'},
                {'_': 'F', 'BASIS_SET': 'DZVP-MOLOPT-SR-GTH-q7', 'POTENTIAL': 'GTH-PBE-q7'},
            ]
        },
    }
}


@pytest.fixture
def cp2k(real_codes):
    """The installed CP2K on one core."""
    return real_codes['cp2k']


@pytest.fixture(name='ion_pair')
def give_ion_pair() -> orm.StructureData:
    """One LiFSI ion pair, optimised, in a cell of 9 Å."""
    return ion_pair()


def label(cp2k, structure, level_of_theory=None, velocities=None, type_map=TYPE_MAP, **parameters):
    """Run a label, by GFN1-xTB if nothing else is given, and give its outputs and node."""
    inputs = inputs_of(cp2k, level_of_theory or gfn1_xtb(), type_map, **parameters)
    inputs['structure'] = structure
    if velocities is not None:
        inputs['velocities'] = orm.ArrayData({'velocities': velocities})
    return engine.run_get_node(LabelWorkChain, **inputs)


def calls(node: orm.ProcessNode, kind: type) -> list[orm.ProcessNode]:
    """Every process of a kind below a node."""
    return [child for child in node.called_descendants if isinstance(child, kind)]


def test_direct(cp2k, ion_pair):
    """An optimised ion pair runs normally: one job, no merged copy, all frames of it."""
    outputs, node = label(cp2k, ion_pair, length_fs=20.0)
    assert node.is_finished_ok, node.exit_message
    assert len(calls(node, orm.CalcJobNode)) == 1
    assert len(calls(node, orm.CalcFunctionNode)) == 4
    results = outputs['results'].get_dict()
    assert results['route'] == 'direct'
    assert results['n_evaluations'] == 21
    assert results['wall_seconds'] > 20 * results['seconds_per_step'] * 0.5
    assert results['aimd_fs'] == 20.0
    assert results['kept_frames'] == 21
    trajectory = outputs['trajectory']
    assert trajectory.get_stepids().tolist() == list(range(21))
    for name in ('positions', 'cells', 'energies', 'forces'):
        assert trajectory.get_shape(name)[0] == 21
    dataset = outputs['dataset']
    assert dataset.n_frames == 21
    np.testing.assert_allclose(dataset.get_array('energies'), trajectory.get_array('energies') * HARTREE_TO_EV)
    np.testing.assert_allclose(
        dataset.get_array('forces'), trajectory.get_array('forces') * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
    )
    assert outputs['temperatures'].get_array('temperature')[0] == pytest.approx(300.0, abs=0.1)


def test_velocities_reach_cp2k(cp2k, ion_pair):
    """The temperature of the first frame is that of the velocities given, so units and order are right."""
    velocities = np.random.default_rng(3).normal(size=(10, 3)) * 3.0
    masses = ion_pair.get_ase().get_masses()
    kinetic = 0.5 * AMU_A2_PS2_TO_EV * (masses[:, None] * velocities**2).sum()
    outputs, node = label(cp2k, ion_pair, velocities=velocities, length_fs=3.0)
    assert node.is_finished_ok, node.exit_message
    expected = 2 * kinetic / (27 * BOLTZMANN_EV)
    assert outputs['temperatures'].get_array('temperature')[0] == pytest.approx(expected, rel=1e-3)


def test_hot_snapshot_is_optimised(cp2k, ion_pair):
    """Lithium pressed onto an oxygen heats at once; the optimised snapshot does not, and both runs are counted."""
    atoms = ion_pair.get_ase()
    atoms.positions[9] = atoms.positions[3] + [0.9, 0.0, 0.0]
    outputs, node = label(
        cp2k, orm.StructureData(ase=atoms), length_fs=15.0, optimisation={'max_steps': 40, 'max_force': 0.05}
    )
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert results['route'] == 'fallback'
    assert [run['verdict'] for run in results['aimds']] == ['hot', 'normal']
    assert results['aimd_fs'] == 30.0
    assert results['possible_exotherm'] is False
    # the pressed frame itself has forces that no potential should learn
    assert results['kept_frames'] + results['refused_frames'] == results['aimds'][0]['n_good_frames'] + 16
    assert outputs['dataset'].n_frames == results['kept_frames']
    assert 'optimised_structure' in outputs
    assert set(outputs['temperatures'].get_array('aimd')) == {1, 2}


def test_abort_of_the_first_step(cp2k):
    """A geometry that xTB can't charge aborts before its first frame; the optimisation goes on where the AIMD can't."""
    atoms = read(FILES / 'charges.xyz')
    atoms.set_cell([CHARGES_CELL] * 3)
    atoms.set_pbc(True)
    outputs, node = label(
        cp2k, orm.StructureData(ase=atoms), length_fs=5.0, timestep_fs=0.5, optimisation={'max_steps': 15}
    )
    results = outputs['results'].get_dict()
    assert results['route'] == 'fallback'
    assert results['aimds'][0]['verdict'] == 'failed'
    assert 'atomic charges of xTB' in results['reason']
    assert len(calls(node, orm.CalcJobNode)) == 3
    assert results['optimisation']['reason'] == 'The maximum number of optimization steps reached.'
    # CP2K 2023.1 checks the charges of the first guess: it stops at this sound geometry too, and the label says so
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_AIMD_FAILED.status
    assert 'Good frames kept: 0' in node.exit_message


def test_optimised_first(cp2k, ion_pair):
    """A start structure that was built is optimised before its AIMD; stopping at max_steps is no error."""
    atoms = ion_pair.get_ase()
    atoms.rattle(0.05, seed=2)
    outputs, node = label(
        cp2k,
        orm.StructureData(ase=atoms),
        length_fs=5.0,
        optimise_first=True,
        optimisation={'max_steps': 2, 'max_force': 0.001},
    )
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert results['route'] == 'optimised_first'
    assert results['optimisation']['converged'] is False
    assert len(results['aimds']) == 1
    assert len(calls(node, orm.CalcJobNode)) == 2


def test_slow(cp2k, ion_pair):
    """CP2K stops at the budget by itself; what it had computed is kept, and the second run is accepted as it is."""
    outputs, node = label(cp2k, ion_pair, length_fs=5.0, max_seconds_per_step=1e-4, optimisation={'max_steps': 2})
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert [run['verdict'] for run in results['aimds']] == ['slow', 'slow']
    assert results['route'] == 'fallback'
    assert results['kept_frames'] == 12


def test_classical_salt(cp2k):
    """CP2K's classical engine is a teacher like any other."""
    salt = bulk('NaCl', 'rocksalt', a=5.64, cubic=True).repeat(2)
    outputs, node = label(cp2k, orm.StructureData(ase=salt), SALT, type_map=['Na', 'Cl'], length_fs=10.0)
    assert node.is_finished_ok, node.exit_message
    assert outputs['results']['kept_frames'] == 11
    assert np.abs(outputs['dataset'].get_array('forces')[-1]).max() > 0.01


def test_hot_aimd_is_stopped(cp2k, monkeypatch: pytest.MonkeyPatch):
    """CP2K is told to stop while it runs: no step is paid for whose frame would be thrown away, and nothing is lost."""
    salt = bulk('NaCl', 'rocksalt', a=5.64, cubic=True) * (2, 2, 2)
    n_steps = 200_000
    monkeypatch.setattr('aiida_sis.workflows.label.INTERVAL_S', 1)  # CP2K itself looks every 20 s
    outputs, node = label(
        cp2k,
        orm.StructureData(ase=salt),
        SALT,
        type_map=['Na', 'Cl'],
        length_fs=float(n_steps),
        hot_sigmas=0.01,
        optimise_first=True,
        optimisation={'max_steps': 1},
    )
    (aimd,) = outputs['results']['aimds']
    assert aimd['verdict'] == 'hot'
    assert 0 < aimd['aimd_fs'] < n_steps
    job = max(calls(node, orm.CalcJobNode), key=lambda job: job.ctime)
    assert job.is_finished_ok
    assert any('no later frame would be learnt' in log.message for log in orm.Log.collection.get_logs_for(job))
    steps = read_ener(job.outputs.retrieved.get_object_content('aiida-1.ener')).steps
    assert steps.tolist() == list(range(len(steps)))
    assert job.outputs.output_trajectory.numsteps == len(steps) == aimd['n_frames']


def test_fixed_atoms(cp2k):
    """They stay where they are, CP2K prints no force on them, and the dataset gives them no weight."""
    salt = bulk('NaCl', 'rocksalt', a=5.64, cubic=True).repeat(2)
    salt.rattle(0.02, seed=1)
    fixed = list(range(8))
    outputs, node = label(
        cp2k,
        orm.StructureData(ase=salt),
        SALT,
        type_map=['Na', 'Cl'],
        length_fs=10.0,
        fixed_atoms=fixed,
        optimise_first=True,
        optimisation={'max_steps': 3},
    )
    assert node.is_finished_ok, node.exit_message
    trajectory = outputs['trajectory']
    moved = np.abs(trajectory.get_positions() - salt.positions).max(axis=(0, 2))
    assert moved[fixed].max() < 1e-8
    assert moved[8:].min() > 1e-4
    assert not trajectory.get_array('forces')[:, fixed].any()
    assert outputs['dataset'].fixed_atoms == fixed
    # CP2K's count of degrees of freedom, from the temperature it prints and the velocities it drew
    last = max(calls(node, orm.CalcJobNode), key=lambda job: job.ctime).outputs.retrieved
    series = read_ener(last.base.repository.get_object_content('aiida-1.ener'))
    n_dof = 2 * series.kinetic[-1] * HARTREE_TO_EV / (BOLTZMANN_EV * series.temperatures[-1])
    assert n_dof == pytest.approx(cp2k_degrees_of_freedom(64, 8), rel=1e-4)


def test_pbe(cp2k):
    """A density functional needs a KIND for each element, and has one here."""
    outputs, node = label(
        cp2k, lif_dimer(), PBE, type_map=['Li', 'F'], length_fs=2.0, temperature_k=100.0, optimisation={'max_steps': 1}
    )
    assert node.is_finished_ok, node.exit_message
    assert outputs['results']['route'] == 'direct'
    assert outputs['dataset'].n_frames == 3
    assert outputs['results']['aimds'][0]['n_unconverged'] == outputs['results']['aimds'][0]['n_unknown'] == 0
