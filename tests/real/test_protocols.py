"""The protocols for the paper's systems, read by the real codes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.folders import Folder
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase import Atoms
from ase.build import bulk

from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.files.input import suggest_sel
from aiida_deepmd.units import HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
from aiida_sis.calculations.md import LammpsMdCalculation
from aiida_sis.core.cp2k import input as cp2k
from aiida_sis.core.cp2k.output import read_evaluations
from aiida_sis.core.overlay import merge
from aiida_sis.core.settings.label import read_label_settings
from aiida_sis.core.settings.sis import read_settings
from aiida_sis.structures.demo import lif_dimer, lifsi_ion_pair
from aiida_sis.workflows.protocols import load_protocol

pytestmark = pytest.mark.real

SYSTEMS = ('lithium', 'electrolyte', 'interface')


def level_of_theory(protocol: str, system: str) -> dict[str, Any]:
    """Give the level of theory that a run takes for one system."""
    values = load_protocol(protocol)
    return merge(values['cp2k'], read_settings(values['sis']).system(system).cp2k)


def write_job(code: orm.InstalledCode, tree: dict[str, Any], atoms: Atoms, folder: Path) -> Path:
    """Let aiida-cp2k write the files of a job into a folder."""
    builder = code.get_builder()
    builder.structure = orm.StructureData(ase=atoms)
    builder.parameters = orm.Dict(tree)
    builder.metadata.options.resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
    folder.mkdir(exist_ok=True)
    instantiate_process(get_manager().get_runner(), builder).prepare_for_submission(Folder(folder))
    return folder


def call(code: orm.InstalledCode, folder: Path, *arguments: str) -> str:
    """Run CP2K on one core and give what it prints."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    command = [str(code.filepath_executable), *arguments, 'aiida.inp']
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize('system', SYSTEMS)
@pytest.mark.parametrize('protocol', ['fast', 'moderate', 'paper'])
def test_cp2k_reads_every_input(
    protocol: str,
    system: str,
    real_codes: dict[str, orm.InstalledCode],
    tmp_path: Path,
) -> None:
    """AIMD and optimisation: no keyword that this CP2K doesn't know, no value that it can't read."""
    label = read_label_settings(load_protocol(protocol)['label'])
    theory = level_of_theory(protocol, system)
    header = subprocess.run([str(real_codes['cp2k'].filepath_executable), '--version'], capture_output=True, text=True)
    version = header.stdout.split()[2]
    inputs = {
        'aimd': cp2k.aimd_input(
            theory,
            n_steps=label.n_steps,
            timestep_fs=label.timestep_fs,
            temperature_k=label.temperature_k,
            time_constant_fs=label.thermostat_time_constant_fs,
            seed=1,
        ),
        'optimisation': cp2k.optimisation_input(
            theory, max_steps=label.optimisation.max_steps, max_force=label.optimisation.max_force
        ),
        'replay': cp2k.replay_input(theory, n_frames=2, careful=True, eval_keyword=cp2k.knows_eval(version)),
    }
    atoms = bulk('Li', cubic=True)
    for name, tree in inputs.items():
        printed = call(real_codes['cp2k'], write_job(real_codes['cp2k'], tree, atoms, tmp_path), '--check')
        assert 'SUCCESS' in printed, f'{name}: {printed[-2000:]}'


def test_check_finds_a_wrong_keyword(real_codes: dict[str, orm.InstalledCode], tmp_path: Path) -> None:
    """The check above can fail."""
    tree = merge(level_of_theory('paper', 'interface'), {'FORCE_EVAL': {'DFT': {'SCF': {'ADDED_MOSS': 3}}}})
    printed = call(real_codes['cp2k'], write_job(real_codes['cp2k'], tree, bulk('Li'), tmp_path), '--check')
    assert 'SUCCESS' not in printed
    assert 'ADDED_MOSS' in printed


@pytest.mark.parametrize(
    ('protocol', 'system', 'atoms'),
    [
        ('moderate', 'interface', bulk('Li', 'bcc', a=3.51, cubic=True) * (2, 2, 1)),
        ('moderate', 'electrolyte', None),
        ('fast', 'lithium', bulk('Li', 'bcc', a=3.51, cubic=True) * (2, 2, 2)),
        ('fast', 'electrolyte', None),
    ],
)
def test_scf_of_every_level_of_theory(
    protocol: str,
    system: str,
    atoms: Atoms | None,
    real_codes: dict[str, orm.InstalledCode],
    tmp_path: Path,
) -> None:
    """What the syntax check can't see: OT, smearing and UKS as the protocol combines them converge on a few atoms.

    The lithium has lost an atom, so that its electrons are odd in number. The grid is coarser than the protocol's.
    PBE with UKS takes minutes: `studies/dry_run.py`.
    """
    small = lif_dimer().get_ase() if atoms is None else atoms.copy()
    if system == 'lithium':
        del small[0]
    tree = merge(level_of_theory(protocol, system), {'GLOBAL': {'RUN_TYPE': 'ENERGY'}})
    if 'MGRID' in tree['FORCE_EVAL']['DFT']:
        tree['FORCE_EVAL']['DFT']['MGRID']['CUTOFF'] = 120
    printed = call(real_codes['cp2k'], write_job(real_codes['cp2k'], tree, small, tmp_path), '-i')
    assert re.search(r'SCF run converged in +\d+ steps', printed), printed[-3000:]
    energy = read_evaluations(printed)[0][-1]
    expected = {'moderate': -7.49, 'fast': -0.40}[protocol]
    if system != 'electrolyte':
        assert energy / len(small) == pytest.approx(expected, rel=0.05), 'hartree an atom of lithium'


def forces_of(code: orm.InstalledCode, tree: dict[str, Any], atoms: Atoms, folder: Path) -> np.ndarray:
    """Run a single point and give its forces, (n_atoms, 3) in eV/Å."""
    own = {'GLOBAL': {'RUN_TYPE': 'ENERGY_FORCE'}, 'FORCE_EVAL': {'PRINT': {'FORCES': {'_': 'ON'}}}}
    printed = call(code, write_job(code, merge(tree, own), atoms, folder), '-i')
    # 2023.1 prints atom, kind, element and the force; 2025.1 `FORCES|`, atom, the force and its length
    number = r'(-?\d+\.\d+(?:E[+-]\d+)?)'
    old = re.findall(rf'^ +\d+ +\d+ +[FLi]+ +{number} +{number} +{number}$', printed, re.M)
    rows = old or re.findall(rf'^ FORCES\| +\d+ +{number} +{number} +{number} +{number}$', printed, re.M)
    assert len(rows) == len(atoms), printed[-2000:]
    return np.array([row[:3] for row in rows], dtype=float) * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM


def kinds_of(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Give basis and pseudopotential of the two elements of the dimer."""
    return [kind for kind in tree['FORCE_EVAL']['SUBSYS']['KIND'] if kind['_'] in ('F', 'Li')]


def test_grid_is_fine_enough_for_fluorine(real_codes: dict[str, orm.InstalledCode], tmp_path: Path) -> None:
    """The hard core of F needs 1200 Ry, or a smoothed density for the functional: the labels are forces.

    Without the protocol's `XC_GRID` the largest difference to 800 Ry without smoothing is several tenths of eV/Å. The
    two protocols have one functional and one basis, so one fine grid serves both, and they begin with its orbitals.
    """
    trees = {protocol: level_of_theory(protocol, 'electrolyte') for protocol in ('moderate', 'reactive')}
    fine = merge(trees['moderate'], {'FORCE_EVAL': {'DFT': {'MGRID': {'CUTOFF': 800, 'REL_CUTOFF': 80}}}})
    del fine['FORCE_EVAL']['DFT']['XC']['XC_GRID']
    dimer = lif_dimer().get_ase()
    expected = forces_of(real_codes['cp2k'], fine, dimer, tmp_path / 'fine')
    (orbitals,) = (tmp_path / 'fine').glob('*.wfn')
    begin = {'FORCE_EVAL': {'DFT': {'WFN_RESTART_FILE_NAME': str(orbitals), 'SCF': {'SCF_GUESS': 'RESTART'}}}}
    for protocol, tree in trees.items():
        assert tree['FORCE_EVAL']['DFT']['XC'] == trees['moderate']['FORCE_EVAL']['DFT']['XC']
        assert kinds_of(tree) == kinds_of(trees['moderate'])
        forces = forces_of(real_codes['cp2k'], merge(tree, begin), dimer, tmp_path / protocol)
        assert np.abs(forces - expected).max() < 0.1, protocol


@pytest.mark.parametrize('protocol', ['fast', 'moderate'])
def test_network_trains_and_runs(
    protocol: str, real_codes: dict[str, orm.InstalledCode], deepmd_datasets: dict[str, DatasetData]
) -> None:
    """The first steps of the training and of the MD as the protocol has them; `paper` has the network of `moderate`."""
    values = load_protocol(protocol)
    parameters, pair = values['dp'], lifsi_ion_pair()
    type_map = deepmd_datasets['aimd_0'].type_map
    descriptor = parameters['model']['descriptor']
    parameters['model']['type_map'] = type_map
    descriptor['sel'] = suggest_sel([pair.get_ase()], type_map, descriptor['rcut'])
    parameters['training'] |= {'numb_steps': 20, 'disp_freq': 10, 'save_freq': 10}
    outputs, node = run_get_node(
        DeepmdTrainCalculation,
        code=real_codes['dp'],
        parameters=orm.Dict(parameters),
        datasets=deepmd_datasets,
        seed=orm.Int(1),
        settings=orm.Dict(values['train']['settings']),
    )
    assert node.exit_status in (0, 411), f'{node.exit_message}: 411 is what a network that has learnt nothing yet gives'
    assert outputs['potential'].compressed is values['train']['settings']['compress']
    wanted = {'temperature_k': 300.0, 'window_k': [0.0, 1e6], 'length_ps': 0.01}
    found, node = run_get_node(
        LammpsMdCalculation,
        code=real_codes['lmp'],
        structure=pair,
        potential=outputs['potential'],
        parameters=orm.Dict(values['md'] | wanted | {'trajectory_interval_ps': 0.005, 'thermo_interval_fs': 1.0}),
        seed=orm.Int(1),
    )
    assert found['results']['n_steps_run'] == round(10.0 / values['md']['timestep_fs']), node.exit_message
