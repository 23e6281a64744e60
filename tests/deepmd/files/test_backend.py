"""What follows the backend: the checks of the training input, and the reading of what PyTorch writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiida_deepmd.files import input as deepmd
from aiida_deepmd.files import output
from aiida_deepmd.files.backend import PYTORCH, TENSORFLOW, cutoff_of, neighbours_of

DPA1 = {'type': 'dpa1', 'rcut': 6.0, 'rcut_smth': 0.5, 'sel': 30, 'neuron': [10, 20], 'axis_neuron': 4, 'attn_layer': 1}
DPA2 = {
    'type': 'dpa2',
    'repinit': {'rcut': 6.0, 'rcut_smth': 0.5, 'nsel': 40},
    'repformer': {'rcut': 4.0, 'rcut_smth': 3.5, 'nsel': 20},
}
DPA3 = {
    'type': 'dpa3',
    'repflow': {
        'e_rcut': 6.0,
        'e_rcut_smth': 5.3,
        'e_sel': 40,
        'a_rcut': 4.0,
        'a_rcut_smth': 3.5,
        'a_sel': 20,
    },
}


@pytest.mark.parametrize('descriptor', [DPA1, DPA2, DPA3])
def test_descriptors_of_pytorch(deepmd_parameters: dict[str, Any], descriptor: dict[str, Any]) -> None:
    deepmd_parameters['model']['descriptor'] = descriptor
    assert deepmd.check_parameters(deepmd_parameters, PYTORCH) is None
    message = deepmd.check_parameters(deepmd_parameters, TENSORFLOW) or ''
    assert (message == '') == (descriptor is DPA1)
    if descriptor is not DPA1:
        assert 'TensorFlow backend does not have' in message
        assert message.endswith("or set `settings.backend` to 'pytorch'.")


def test_cutoff_and_neighbours_of_descriptors_made_of_parts() -> None:
    found = [(cutoff_of(descriptor), neighbours_of(descriptor)) for descriptor in (DPA1, DPA2, DPA3)]
    assert found == [(6.0, [30]), (6.0, [40]), (6.0, [40])]


def test_neighbours_of_parts_are_fixed_too(deepmd_parameters: dict[str, Any]) -> None:
    deepmd_parameters['model']['descriptor'] = {**DPA3, 'repflow': {**DPA3['repflow'], 'a_sel': 'auto'}}
    assert "descriptor.repflow.a_sel` is 'auto'; give fixed" in (
        deepmd.check_parameters(deepmd_parameters, PYTORCH) or ''
    )


@pytest.mark.parametrize('kind', ['AdamW', 'LKF', 'AdaMuon', 'HybridMuon'])
def test_optimizers_of_pytorch(deepmd_parameters: dict[str, Any], kind: str) -> None:
    deepmd_parameters['optimizer'] = {'type': kind}
    deepmd_parameters['training']['gradient_max_norm'] = 5.0
    assert deepmd.check_parameters(deepmd_parameters, PYTORCH) is None
    assert 'TensorFlow backend does not have' in (deepmd.check_parameters(deepmd_parameters) or '')


@pytest.mark.parametrize(
    ('path', 'value', 'words'),
    [
        (('model', 'descriptor', 'type'), 'se_a_tpe_v2', "`settings.backend` to 'tensorflow'"),
        (('model', 'descriptor', 'type'), 'dpa4', 'PyTorch backend does not have'),
        (('training', 'enable_ema'), True, 'enable_ema` is true'),
        (('training', 'save_dir'), 'elsewhere', 'the calculation sets it'),
        (('training', 'mixed_precision'), {'compute_prec': 'float16'}, 'PyTorch backend, which trains here'),
        (('training', 'training_data', 'batch_size'), 'mixed:4', 'with TensorFlow'),
    ],
)
def test_what_pytorch_does_not_train_here(
    deepmd_parameters: dict[str, Any], path: tuple[str, ...], value: Any, words: str
) -> None:
    block = deepmd_parameters
    for key in path[:-1]:
        block = block[key]
    block[path[-1]] = value
    assert words in (deepmd.check_parameters(deepmd_parameters, PYTORCH) or '')


def test_compression_of_attention(deepmd_parameters: dict[str, Any]) -> None:
    """PyTorch leaves the attention layers as they are, and tabulates the rest."""
    deepmd_parameters['model']['descriptor'] = {**DPA1, 'tebd_input_mode': 'strip'}
    assert deepmd.check_compressible(deepmd_parameters, PYTORCH) is None
    assert 'attn_layer' in (deepmd.check_compressible(deepmd_parameters) or '')
    deepmd_parameters['model']['descriptor'] = DPA1
    assert 'tebd_input_mode' in (deepmd.check_compressible(deepmd_parameters, PYTORCH) or '')
    deepmd_parameters['model']['descriptor'] = DPA3
    assert "'dpa3', which is not compressed" in (deepmd.check_compressible(deepmd_parameters, PYTORCH) or '')


def test_a_filter_of_all_forces_masks_none() -> None:
    assert "'LKF', which learns all forces alike" in (deepmd.check_maskable({'type': 'ener'}, {'type': 'LKF'}) or '')
    assert deepmd.check_maskable({'type': 'ener'}, {'type': 'Adam'}) is None


@pytest.mark.parametrize(
    ('how', 'name', 'expected'),
    [
        ('continue', 'checkpoint.pt', ('--init-model', 'parent.pt')),
        ('finetune', 'checkpoint.pt', ('--finetune', 'parent.pt')),
        ('continue', 'model.pth', ('--init-frz-model', 'parent.pth')),
        ('finetune', 'model.pth', None),
    ],
)
def test_starts(how: str, name: str, expected: tuple[str, str] | None) -> None:
    assert PYTORCH.start(how, name) == expected


def test_a_training_log(deepmd_files: Path) -> None:
    log = output.parse_train_log((deepmd_files / 'pytorch' / 'train.out').read_text())
    assert (log.finished, log.version, log.n_steps, log.checkpoint_step) == (True, '3.2.0', 500, 500)
    assert (log.wall_seconds, log.seconds_per_step, log.warnings) == (pytest.approx(40.95), 0.0768, [])


def test_trainings_that_did_not_finish(deepmd_files: Path) -> None:
    killed = output.parse_train_log((deepmd_files / 'pytorch' / 'killed.out').read_text())
    assert (killed.finished, killed.n_steps, killed.checkpoint_step, killed.wall_seconds) == (False, 1000, 1000, None)
    assert output.parse_train_log((deepmd_files / 'pytorch' / 'not_finite.out').read_text()).nan_step == 50


def test_a_learning_curve_and_a_test(deepmd_files: Path) -> None:
    curve = output.parse_learning_curve((deepmd_files / 'pytorch' / 'lcurve.out').read_text())
    assert curve.columns['step'].tolist() == [1, *range(50, 501, 50)]
    assert (curve.last('rmse_f_val'), curve.last('rmse_e_trn')) == (0.770, 8.47e-3)
    errors = output.parse_test_log((deepmd_files / 'pytorch' / 'test.out').read_text())
    assert [errors[f'data/aimd_{number}/test'].force_rmse for number in (0, 1)] == [0.7762645, 0.8729446]
