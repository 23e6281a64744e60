"""DeePMD-kit's PyTorch backend through the engine, in an environment of its own: `make test-pytorch`."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_deepmd.calculations.import_potential import import_potential
from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.calculations.md import LammpsMdCalculation

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find_spec('torch') is None, reason='PyTorch is not installed: `make test-pytorch`'),
]
THREADS = 'export OMP_NUM_THREADS=1 DP_INTRA_OP_PARALLELISM_THREADS=1 DP_INTER_OP_PARALLELISM_THREADS=1'
ATTENTION = {
    'type': 'dpa1',
    'rcut': 6.0,
    'rcut_smth': 0.5,
    'sel': 30,
    'neuron': [8, 16],
    'axis_neuron': 4,
    'attn': 8,
    'attn_layer': 0,
    'tebd_input_mode': 'strip',
}


@pytest.fixture
def dp(aiida_code_installed: Any) -> orm.InstalledCode:
    executable = shutil.which('dp')
    assert executable is not None, 'dp is not on the PATH'
    return aiida_code_installed(
        label='dp-pt', default_calc_job_plugin='deepmd.train', filepath_executable=executable, prepend_text=THREADS
    )


@pytest.fixture
def lmp(aiida_code_installed: Any) -> orm.InstalledCode:
    """The `lmp` of the wheel, which crashes with a PyTorch made for CUDA unless the CUDA runtime is loaded first."""
    executable = shutil.which('lmp')
    assert executable is not None, 'lmp is not on the PATH'
    import torch

    site = Path(torch.__file__).parents[1]
    runtimes = sorted(site.glob('nvidia/*/lib/libcudart.so.*'))
    preload = f'export LD_PRELOAD={runtimes[0]}' if runtimes else ''
    return aiida_code_installed(
        label='lmp-pt',
        default_calc_job_plugin='sis.lammps.md',
        filepath_executable=executable,
        prepend_text=f'{THREADS}\n{preload}',
    )


def train(
    dp: orm.InstalledCode, datasets: dict[str, DatasetData], parameters: dict[str, Any], **settings: Any
) -> dict[str, Any]:
    """Train and give the outputs; so short a training may know nothing of forces, which has its own exit code."""
    inputs = {key: settings.pop(key) for key in ('parent', 'restart_folder') if key in settings}
    outputs, node = run_get_node(
        DeepmdTrainCalculation,
        code=dp,
        seed=orm.Int(1),
        datasets=datasets,
        parameters=orm.Dict(parameters),
        settings=orm.Dict({'backend': 'pytorch', **settings}),
        **inputs,
    )
    diverged = DeepmdTrainCalculation.exit_codes.ERROR_DIVERGED.status
    assert node.exit_status in (0, diverged), node.exit_message
    return dict(outputs)


def test_two_generations_and_an_md(
    dp: orm.InstalledCode,
    lmp: orm.InstalledCode,
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
    tmp_path: Path,
) -> None:
    """The second starts where the first ended, and LAMMPS says of a held-out frame what `dp test` says."""
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['training'].update(numb_steps=150, disp_freq=50, save_freq=100)
    first = train(dp, deepmd_datasets, parameters, compress=True, weights={'aimd_0': 0.3, 'aimd_1': 0.7})
    potential = first['potential']
    assert (potential.deepmd_backend, potential.compressed, potential.sel) == ('pytorch', True, [4, 6, 12, 6, 4])
    assert sorted(potential.base.repository.list_object_names()) == ['checkpoint.pt', 'model.pth']
    results = first['results'].get_dict()
    assert results['deepmd_version'].startswith('3.')
    assert (results['n_steps'], results['checkpoint_step']) == (150, 150)
    assert results['wall_seconds'] > 0
    assert sorted(results['per_element']) == ['F', 'Li', 'N', 'O', 'S']
    log = first['retrieved'].base.repository.get_object_content('train.out')
    assert '3.000e-01' in log
    assert '7.000e-01' in log

    parameters['learning_rate']['start_lr'] = 1e-5
    parameters['training'].update(numb_steps=2, disp_freq=1)
    second = train(dp, deepmd_datasets, parameters, parent=potential)
    curves = [outputs['learning_curve'].get_array('rmse_e_trn') for outputs in (first, second)]
    assert curves[1][0] < 0.3 * curves[0][0], 'the weights of the parent are lost'

    (tmp_path / 'model.pth').write_bytes(potential.base.repository.get_object_content('model.pth', 'rb'))
    imported = import_potential(tmp_path / 'model.pth')
    facts = ('type_map', 'descriptor', 'rcut', 'sel', 'compressed', 'deepmd_backend')
    assert [getattr(imported, name) for name in facts] == [getattr(potential, name) for name in facts]

    dataset, number = deepmd_datasets['aimd_0'], int(first['predictions'].get_array('aimd_0__frames')[0])
    frames = dataset.get_frames()
    atoms = Atoms(dataset.symbols, frames.coords[number], cell=frames.cells[number], pbc=True)
    outputs, node = run_get_node(
        LammpsMdCalculation,
        code=lmp,
        structure=orm.StructureData(ase=atoms),
        potential=potential,
        seed=orm.Int(1),
        parameters=orm.Dict(
            {
                'temperature_k': 300.0,
                'window_k': [0.0, 5000.0],
                'length_ps': 0.01,
                'timestep_fs': 0.5,
                'thermo_interval_fs': 1.0,
                'ring_interval_fs': 1.0,
                'minimise': {'enabled': False},
            }
        ),
    )
    assert 'series' in outputs, node.exit_message
    predicted = first['predictions']
    energy, forces = predicted.get_array('aimd_0__energies')[0], predicted.get_array('aimd_0__forces')[0]
    assert outputs['series'].get_array('potential_energy')[0] == pytest.approx(energy, abs=1e-5)
    assert outputs['series'].get_array('max_force')[0] == pytest.approx(np.abs(forces).max(), abs=1e-4)


def shift(dataset: DatasetData, energy: float) -> DatasetData:
    """The same frames with another zero of energy."""
    frames = dataset.get_frames()
    frames.energies[:] += energy
    types, split = dataset.get_array('atom_types'), dataset.get_array('split')
    return DatasetData(**vars(frames), atom_types=types, type_map=dataset.type_map, split=split)


def pretrain(folder: Path, datasets: dict[str, DatasetData], parameters: dict[str, Any]) -> Path:
    """A checkpoint of two tasks with one descriptor, as a public model is one."""
    folder.mkdir()
    for key, dataset in datasets.items():
        dataset.write_npy(folder / key, 'train', atom_pref=False)
    model = parameters['model']
    branch = {'type_map': 'types', 'descriptor': 'descriptor', 'fitting_net': {'neuron': [16, 16]}}
    data = {key: {'training_data': {'systems': [key], 'batch_size': 2}} for key in datasets}
    script = {
        'model': {
            'shared_dict': {'types': model['type_map'], 'descriptor': model['descriptor']},
            'model_dict': dict.fromkeys(datasets, branch),
        },
        'learning_rate': {'type': 'exp', 'start_lr': 1e-3, 'stop_lr': 1e-5, 'decay_steps': 10},
        'loss_dict': dict.fromkeys(datasets, parameters['loss']),
        'training': {'model_prob': dict.fromkeys(datasets, 0.5), 'data_dict': data, 'numb_steps': 20, 'seed': 1},
    }
    (folder / 'input.json').write_text(json.dumps(script))
    command = ['dp', '--pt', 'train', 'input.json', '--skip-neighbor-stat']
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / 'model.ckpt.pt'


def test_a_branch_is_fine_tuned(
    dp: orm.InstalledCode,
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
    tmp_path: Path,
) -> None:
    """By its name; with RANDOM only the descriptor is kept."""
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['model'].update(descriptor=ATTENTION, fitting_net={'neuron': [16, 16]})
    tasks = {'ours': deepmd_datasets['aimd_0'], 'shifted': shift(deepmd_datasets['aimd_1'], 50.0)}
    pretrained = import_potential(pretrain(tmp_path / 'pretrained', tasks, parameters))
    assert list(pretrained.branches) == ['ours', 'shifted']
    assert (pretrained.descriptor, pretrained.rcut, pretrained.sel, pretrained.runs) == ('dpa1', 6.0, [30], False)

    parameters['training'].update(numb_steps=1, disp_freq=1)
    parameters['learning_rate'].update(start_lr=1e-9, stop_lr=1e-10)  # so that only the start is seen
    settings = {'parent': pretrained, 'start': 'finetune'}
    for branch in ('ours', 'RANDOM'):
        outputs = train(dp, deepmd_datasets, parameters, **settings, model_branch=branch)
        assert isinstance(outputs['potential'], PotentialData)
        assert outputs['results']['energy_rmse_ev_per_atom'] < 0.5


@pytest.mark.parametrize('optimizer', [{'type': 'LKF'}, {'type': 'HybridMuon'}])
def test_optimizers(
    dp: orm.InstalledCode,
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
    optimizer: dict[str, Any],
) -> None:
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['model']['descriptor']['neuron'], parameters['model']['fitting_net']['neuron'] = [4, 8], [16, 16]
    parameters['optimizer'] = optimizer
    parameters['training'].update(numb_steps=20, disp_freq=10)
    curve = train(dp, deepmd_datasets, parameters)['learning_curve']
    assert curve.get_array('rmse_e_trn')[-1] < curve.get_array('rmse_e_trn')[0]


def test_forces_of_fixed_atoms_are_not_seen(
    dp: orm.InstalledCode, deepmd_datasets: dict[str, DatasetData], deepmd_parameters: dict[str, Any]
) -> None:
    """Zero or 1000 eV/Å on the fixed atoms: the same learning curve to the last digit."""
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['training'].update(numb_steps=10, disp_freq=5)
    curves = []
    for force in (0.0, 1000.0):
        frames, sites = deepmd_datasets['aimd_0'].get_frames(), [0, 3, 7]
        weights = np.ones(frames.coords.shape[1])
        frames.forces[:, sites], weights[sites] = force, 0.0
        types, split = (deepmd_datasets['aimd_0'].get_array(name) for name in ('atom_types', 'split'))
        type_map = deepmd_datasets['aimd_0'].type_map
        fixed = DatasetData(**vars(frames), atom_types=types, type_map=type_map, split=split, atom_weights=weights)
        curves.append(train(dp, {**deepmd_datasets, 'aimd_0': fixed}, parameters)['learning_curve'])
    for name in curves[0].get_arraynames():
        np.testing.assert_array_equal(curves[1].get_array(name), curves[0].get_array(name))
