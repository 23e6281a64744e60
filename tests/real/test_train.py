"""The real `dp` through the engine: train, continue from the potential, go on after an interruption, compress."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_sis.calculations.train import DeepmdTrainCalculation
from aiida_sis.data.dataset import DatasetData

pytestmark = pytest.mark.real


def test_three_trainings(
    real_codes: dict[str, orm.InstalledCode], deepmd_datasets: dict[str, DatasetData], deepmd_parameters: dict[str, Any]
) -> None:
    """Each training starts where the one before it ended, whichever way it is told."""
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['training'].update(numb_steps=200, disp_freq=100, save_freq=100)
    inputs = {'code': real_codes['dp'], 'seed': orm.Int(1), 'datasets': deepmd_datasets}
    first, node = run_get_node(DeepmdTrainCalculation, parameters=orm.Dict(parameters), **inputs)
    assert node.is_finished_ok, node.exit_message
    assert first['results']['force_rmse_ev_per_angstrom'] < first['results']['test_force_rms_ev_per_angstrom']
    assert sorted(first['results']['per_element']) == ['F', 'Li', 'N', 'O', 'S']

    parameters['training']['numb_steps'] = 300
    longer, node = run_get_node(
        DeepmdTrainCalculation, parameters=orm.Dict(parameters), restart_folder=first['remote_folder'], **inputs
    )
    assert node.is_finished_ok, node.exit_message
    assert longer['learning_curve'].get_array('step')[-1] == 300
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
