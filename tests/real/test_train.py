"""The real `dp` through the engine: train, continue from the potential, go on after an interruption, compress."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_deepmd.calculations.import_potential import import_potential
from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain

pytestmark = pytest.mark.real


def test_three_trainings(
    real_codes: dict[str, orm.InstalledCode], deepmd_datasets: dict[str, DatasetData], deepmd_parameters: dict[str, Any]
) -> None:
    """Each training starts where the one before it ended, whichever way it is told.

    With these frequencies DeePMD-kit alone would save no step at all, so that there would be nothing to freeze.
    """
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['training'].update(numb_steps=200, disp_freq=150, save_freq=100)
    inputs = {'code': real_codes['dp'], 'seed': orm.Int(1), 'datasets': deepmd_datasets}
    first, node = run_get_node(DeepmdTrainCalculation, parameters=orm.Dict(parameters), **inputs)
    assert node.is_finished_ok, node.exit_message
    assert first['results']['force_rmse_ev_per_angstrom'] < first['results']['test_force_rms_ev_per_angstrom']
    assert sorted(first['results']['per_element']) == ['F', 'Li', 'N', 'O', 'S']
    checkpoints = [name for name in first['remote_folder'].listdir() if name.endswith('.index') and '-' in name]
    assert sorted(checkpoints) == ['model.ckpt-150.index', 'model.ckpt-200.index']

    parameters['training']['numb_steps'] = 300
    longer, node = run_get_node(
        DeepmdTrainCalculation, parameters=orm.Dict(parameters), restart_folder=first['remote_folder'], **inputs
    )
    assert node.is_finished_ok, node.exit_message
    assert longer['learning_curve'].get_array('step').tolist() == [0, 150, 200, 300]
    assert '--restart' in node.base.repository.get_object_content('_aiidasubmit.sh')

    parameters['learning_rate']['start_lr'] = 1e-4
    parameters['training']['numb_steps'] = 100
    child, node = run_get_node(
        DeepmdTrainCalculation,
        parameters=orm.Dict(parameters),
        parent=longer['potential'],
        settings=orm.Dict({'compress': True, 'weights': {'aimd_0': 0.3, 'aimd_1': 0.7}}),
        **inputs,
    )
    assert node.is_finished_ok, node.exit_message
    assert child['potential'].compressed
    start = child['learning_curve'].get_array('rmse_f_trn')[0]
    assert start < 0.9 * first['learning_curve'].get_array('rmse_f_trn')[0], 'the weights of the parent are lost'


def test_a_budget(
    real_codes: dict[str, orm.InstalledCode], deepmd_datasets: dict[str, DatasetData], deepmd_parameters: dict[str, Any]
) -> None:
    """The job measures a step and plans what fits; its last step is shown and frozen, and a restart keeps the plan."""
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['learning_rate'] = {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5, 'warmup_steps': 50}
    inputs = {
        'code': real_codes['dp'],
        'seed': orm.Int(1),
        'datasets': deepmd_datasets,
        'parameters': orm.Dict(parameters),
        'settings': orm.Dict({'budget': {'core_minutes': 0.1}}),
    }
    outputs, node = run_get_node(DeepmdTrainCalculation, **inputs)
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    steps, per_step = results['planned_steps'], results['probe_seconds_per_step']
    assert steps == results['n_steps']
    assert steps == pytest.approx(max(100, 6.0 / per_step - 100), rel=0.1)
    assert outputs['learning_curve'].get_array('step')[-1] == steps
    assert outputs['learning_curve'].get_array('lr')[-1] == pytest.approx(1e-5, rel=0.1)
    checkpoints = [name for name in outputs['remote_folder'].listdir() if name.startswith('model.ckpt-')]
    assert f'model.ckpt-{steps}.index' in checkpoints
    again, node = run_get_node(DeepmdTrainCalculation, restart_folder=outputs['remote_folder'], **inputs)
    assert node.is_finished_ok, node.exit_message
    assert again['results']['planned_steps'] == steps
    assert 'probe_seconds_per_step' not in again['results'].get_dict()


def test_a_rate_that_is_too_high(example_run: orm.WorkChainNode, real_codes: dict[str, orm.InstalledCode]) -> None:
    """A NaN ends with its own exit code and with what was seen until then; half the rate gives a potential.

    These networks stay finite at any rate that is itself finite in single precision, however bad they become. So the
    rate is one that overflows there and whose half does not, and the loss is too small to move the weights by that.
    """
    train = example_run.inputs.train.train
    parameters = train.parameters.get_dict()
    parameters['learning_rate'] = {'type': 'cosine', 'start_lr': 5e38, 'stop_lr': 1e-5, 'warmup_steps': 1}
    parameters['loss'].update({f'{end}_pref_{of}': 1e-300 for end in ('start', 'limit') for of in 'ef'})
    parameters['training'].update(numb_steps=20, disp_freq=10)
    inputs = {
        'code': real_codes['dp'],
        'seed': orm.Int(1),
        'datasets': dict(example_run.outputs.datasets),
        'parameters': orm.Dict(parameters),
        'parent': example_run.outputs.potential,
    }
    outputs, node = run_get_node(DeepmdBaseWorkChain, train=inputs)
    assert node.is_finished_ok, node.exit_message
    first, second = sorted(node.called, key=lambda job: job.pk)
    assert first.exit_status == DeepmdTrainCalculation.exit_codes.ERROR_LOSS_NOT_FINITE.status
    assert first.outputs.learning_curve.get_array('step').tolist() == [0]
    assert first.outputs.results['train_force_rmse_ev_per_angstrom'] < 1.0
    assert second.inputs.parameters['learning_rate']['start_lr'] == 2.5e38
    assert second.inputs.parent.uuid == example_run.outputs.potential.uuid
    assert outputs['potential'].uuid == second.outputs.potential.uuid
    results = outputs['results']
    assert results['force_rmse_ev_per_angstrom'] < 0.5 * results['test_force_rms_ev_per_angstrom']


def fix(dataset: DatasetData, sites: list[int], force: float) -> DatasetData:
    """The same frames with atoms held in place, and a number in place of the forces that nobody knows."""
    frames, weights = dataset.get_frames(), np.ones(dataset.n_atoms)
    frames.forces[:, sites], weights[sites] = force, 0.0
    types, split = dataset.get_array('atom_types'), dataset.get_array('split')
    return DatasetData(**vars(frames), atom_types=types, type_map=dataset.type_map, split=split, atom_weights=weights)


def test_a_masked_training_does_not_see_the_forces_of_fixed_atoms(
    real_codes: dict[str, orm.InstalledCode],
    dp_that_only_trains: orm.InstalledCode,
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
) -> None:
    """Zero or 1000 eV/Å on the fixed atoms: the same learning curve to the last digit, the same potential.

    Unmasked, the zeros are learnt, and the curve is another one.
    """
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['training'].update(numb_steps=200, disp_freq=50)
    parameters['learning_rate'].update(start_lr=1e-2, stop_lr=1e-4)
    runs = {}
    for force, masked in ((0.0, True), (1000.0, True), (0.0, False)):
        datasets = {**deepmd_datasets, 'aimd_0': fix(deepmd_datasets['aimd_0'], [0, 3, 7], force)}
        runs[force, masked], node = run_get_node(
            DeepmdTrainCalculation,
            code=real_codes['dp'] if masked else dp_that_only_trains,
            seed=orm.Int(1),
            datasets=datasets,
            parameters=orm.Dict(parameters),
            settings=orm.Dict({'mask_fixed_atoms': masked}),
        )
        assert node.is_finished_ok or not masked, node.exit_message
    zero, huge, unmasked = runs.values()
    for name in zero['learning_curve'].get_arraynames():
        expected = zero['learning_curve'].get_array(name)
        np.testing.assert_array_equal(huge['learning_curve'].get_array(name), expected)
    assert huge['results']['per_dataset'] == zero['results']['per_dataset']
    assert zero['results']['n_masked_atoms'] == {'aimd_0': 3}
    other = unmasked['learning_curve'].get_array('rmse_f_trn')
    assert np.abs(other - zero['learning_curve'].get_array('rmse_f_trn')).max() > 1e-3
    assert zero['learning_curve'].get_array('rmse_f_trn')[-1] > 0.1, 'the free atoms have errors that count'


def shift(dataset: DatasetData, energy: float) -> DatasetData:
    """The same frames with another zero of energy, as another level of theory has it."""
    frames = dataset.get_frames()
    frames.energies[:] += energy
    types, split = dataset.get_array('atom_types'), dataset.get_array('split')
    return DatasetData(**vars(frames), atom_types=types, type_map=dataset.type_map, split=split)


def test_attention(
    real_codes: dict[str, orm.InstalledCode],
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
    tmp_path: Path,
) -> None:
    """DPA-1: trained, imported as somebody else's model, fine-tuned to another zero of energy, continued without.

    So short a training knows the energies, but hardly the forces (exit code 411), and its potential is attached all the
    same; the forces must not change on the way through the import.
    """
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['training'].update(numb_steps=200, disp_freq=100)
    parameters['model']['descriptor'] = {
        'type': 'se_atten',
        'rcut': 6.0,
        'rcut_smth': 0.5,
        'sel': 30,
        'neuron': [10, 20, 40],
        'axis_neuron': 4,
        'attn': 16,
        'attn_layer': 1,
    }
    inputs = {'code': real_codes['dp'], 'seed': orm.Int(1)}
    first, node = run_get_node(
        DeepmdTrainCalculation, datasets=deepmd_datasets, parameters=orm.Dict(parameters), **inputs
    )
    assert node.is_finished_ok or node.exit_status == DeepmdTrainCalculation.exit_codes.ERROR_DIVERGED.status
    learnt = first['learning_curve'].get_array('rmse_e_trn')
    assert learnt[-1] < 0.2 * learnt[0]
    (tmp_path / 'public.pb').write_bytes(first['potential'].base.repository.get_object_content('model.pb', 'rb'))
    pretrained = import_potential(tmp_path / 'public.pb')
    facts = ('type_map', 'descriptor', 'rcut', 'sel', 'compressed')
    assert [getattr(pretrained, name) for name in facts] == [getattr(first['potential'], name) for name in facts]

    parameters['training'].update(numb_steps=1, disp_freq=1)
    parameters['learning_rate'].update(start_lr=1e-9, stop_lr=1e-10)  # so that only the start is seen
    inputs.update(parent=pretrained, parameters=orm.Dict(parameters))
    inputs['datasets'] = {'other': shift(deepmd_datasets['aimd_1'], 50.0)}
    before = first['results']['per_dataset']['aimd_1']
    for start, low, high in (('finetune', 0.0, 0.5), ('continue', 4.0, 6.0)):
        outputs, node = run_get_node(DeepmdTrainCalculation, settings=orm.Dict({'start': start}), **inputs)
        assert 'results' in outputs, node.exit_message
        after = outputs['results']['per_dataset']['other']
        assert after['force_rmse_ev_per_angstrom'] == pytest.approx(before['force_rmse_ev_per_angstrom'], rel=1e-5)
        assert low < after['energy_rmse_ev_per_atom'] < high, '50 eV on 10 atoms'
