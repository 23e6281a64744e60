"""DeePMD-kit's input completed and its real output read, whole and cut."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from aiida_deepmd.files import input as deepmd
from aiida_deepmd.files import output

SYSTEMS = ['data/aimd_0/train', 'data/aimd_1/train']


def test_complete_input_adds_and_does_not_change(deepmd_parameters: dict[str, Any]) -> None:
    before = copy.deepcopy(deepmd_parameters)
    complete = deepmd.complete_input(deepmd_parameters, SYSTEMS, ['v'], seed=7)
    assert deepmd_parameters == before
    assert complete['training']['training_data']['systems'] == SYSTEMS
    assert complete['training']['validation_data']['systems'] == ['v']
    assert complete['training']['training_data']['batch_size'] == before['training']['training_data']['batch_size']
    seeds = [complete['training']['seed'], *(complete['model'][k]['seed'] for k in ('descriptor', 'fitting_net'))]
    assert seeds == [7, 7, 7]
    assert 'auto_prob' not in complete['training']['training_data']


def test_a_rate_is_a_float(deepmd_parameters: dict[str, Any]) -> None:
    """A huge one comes out of the database as a whole number, at which DeePMD-kit would stop with a TypeError."""
    deepmd_parameters['learning_rate']['start_lr'] = 10**38
    rate = deepmd.complete_input(deepmd_parameters, SYSTEMS, [], seed=1)['learning_rate']['start_lr']
    assert (type(rate), rate) == (float, 1e38)


def test_complete_input_without_validation(deepmd_parameters: dict[str, Any]) -> None:
    assert 'validation_data' not in deepmd.complete_input(deepmd_parameters, SYSTEMS, [], seed=1)['training']


def test_complete_input_shares(deepmd_parameters: dict[str, Any]) -> None:
    complete = deepmd.complete_input(deepmd_parameters, SYSTEMS, [], 1, [0.25, 0.75])
    assert complete['training']['training_data']['auto_prob'] == 'prob_sys_size; 0:1:0.250000; 1:2:0.750000'


def test_complete_input_seeds_a_hybrid_descriptor(deepmd_parameters: dict[str, Any]) -> None:
    part = deepmd_parameters['model']['descriptor']
    deepmd_parameters['model']['descriptor'] = {'type': 'hybrid', 'list': [dict(part), dict(part)]}
    complete = deepmd.complete_input(deepmd_parameters, SYSTEMS, [], seed=3)
    assert [part['seed'] for part in complete['model']['descriptor']['list']] == [3, 3]


def test_good_parameters_pass(deepmd_parameters: dict[str, Any]) -> None:
    assert deepmd.check_parameters(deepmd_parameters) is None


@pytest.mark.parametrize(
    ('path', 'value', 'words'),
    [
        ('loss', None, ['`loss`']),
        ('training.training_data.systems', ['x'], ['systems', 'datasets']),
        ('training.seed', 3, ['training.seed', '3', '`seed` input']),
        ('model.descriptor.seed', 3, ['descriptor.seed']),
        ('training.disp_file', 'x', ['disp_file', 'leave it out']),
        ('training.training_data.auto_prob', 'x', ['settings.weights']),
        ('model.type_map', [], ['type_map']),
        ('model.type_map', ['O', 'O'], ['type_map', 'once']),
        ('model.descriptor.sel', 'auto', ['sel', 'auto', 'fixed numbers']),
        ('model.descriptor.sel', None, ['sel']),
        ('model.descriptor.sel', [4, 6], ['2 numbers', '5 elements']),
        ('training.numb_steps', 0, ['numb_steps']),
        ('training.training_data.sys_weights', [1.0], ['settings.weights']),
        ('training.validation_data.auto_prob', 'prob_uniform', ['settings.weights']),
        ('training.training_data.batch_size', [4, 4], ['[4, 4]', 'max:N']),
        ('training.training_data.batch_size', 0, ['batch_size', '0']),
        ('training.validation_data.batch_size', 'filter:200', ['validation_data.batch_size', 'filter:200']),
        ('training.disp_freq', 0, ['disp_freq', 'at least 1']),
        ('training.disp_freq', '100', ["'100'"]),
        ('training.save_freq', -1, ['save_freq', 'at least 0']),
        ('training.disp_training', False, ['disp_training', 'leave it out']),
        ('learning_rate.start_lr', 0.0, ['start_lr', 'above 0']),
        ('learning_rate.stop_lr', 1.0, ['stop_lr', 'at most start_lr', '0.002']),
        ('learning_rate.warmup_steps', 500, ['warmup_steps', '500 steps', 'warmup_ratio']),
        ('learning_rate.warmup_ratio', 1.0, ['warmup_ratio', 'below 1']),
        ('learning_rate.stop_lr', None, ['stop_lr', 'is missing', '2e-06, say']),
        (
            'learning_rate',
            {'type': 'cosine', 'start_lr': 0.01, 'stop_lr_ratio': 0.001},
            ['stop_lr', '(1e-05), and no stop_lr_ratio'],
        ),
        (
            'learning_rate',
            {'type': 'cosine', 'start_lr': 0.01, 'stop_lr': 0.001, 'warmup_steps': 3, 'warmup_ratio': 0.1},
            ['warmup_steps 3 and warmup_ratio 0.1', 'leave one out'],
        ),
        ('learning_rate.decay_step', 3, ['DeePMD-kit', 'decay_step']),
        ('optimizer', 'Adam', ["'Adam'; give {'type': 'Adam'"]),
        ('optimizer', {'type': 'adam'}, ["'adam'", "use 'Adam'"]),
        ('optimizer', {'type': 'AdamW'}, ["'AdamW'", 'TensorFlow backend does not have', "use 'Adam'"]),
        ('optimizer', {'type': 'HybridMuon'}, ["'HybridMuon'", "use 'Adam'"]),
        ('optimizer', {'type': 'LKF', 'kf_blocksize': 1024}, ["'LKF'", "use 'Adam'"]),
        ('optimizer', {'type': 'Adam', 'weight_decay': 0.1}, ['weight_decay', '0.1', 'leave it out']),
        ('optimizer', {'adam_beta2': 1.0}, ['adam_beta2', '1.0', 'below 1']),
        ('optimizer', {'adam_beta1': '0.9'}, ['adam_beta1', "'0.9'", 'below 1']),
        ('optimizer', {'type': 'Adam', 'beta2': 0.99}, ['DeePMD-kit', 'beta2']),
        ('learning_rate.type', 'nonesuch', ['DeePMD-kit', 'nonesuch']),
        ('learning_rate.start_rl', 0.1, ['DeePMD-kit', 'start_rl']),
    ],
)
def test_bad_parameters_are_named(deepmd_parameters: dict[str, Any], path: str, value: Any, words: list[str]) -> None:
    *folders, last = path.split('.')
    block = deepmd_parameters
    for folder in folders:
        block = block[folder]
    block[last] = value
    message = deepmd.check_parameters(deepmd_parameters)
    assert message is not None
    for word in words:
        assert word in message


def change(parameters: dict[str, Any], path: str, value: Any) -> None:
    """Set a value, and the blocks on the way to it."""
    *folders, last = path.split('.')
    for folder in folders:
        parameters = parameters.setdefault(folder, {})
    parameters[last] = value


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        # What DeePMD-kit 3.2 documents for other backends: TensorFlow stops at the first ones, and ignores the last.
        ('loss.loss_func', 'mae'),
        ('loss.f_use_norm', True),
        ('loss.use_default_pf', True),
        ('model.descriptor.env_protection', 1e-6),
        ('model.fitting_net.dim_case_embd', 2),
        ('model.atom_exclude_types', [0]),
        ('training.gradient_max_norm', 5.0),
        ('training.enable_ema', True),
        ('training.zero_stage', 1),
        ('training.training_data.min_pair_dist', 0.5),
    ],
)
def test_settings_of_other_backends_are_named(deepmd_parameters: dict[str, Any], path: str, value: Any) -> None:
    change(deepmd_parameters, path, value)
    message = deepmd.check_parameters(deepmd_parameters) or ''
    assert message.startswith(f'`parameters.{path}` is {value!r}, which DeePMD-kit has for other backends only'), (
        message
    )
    assert 'PyTorch' in message
    assert message.endswith('leave it out.')


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('loss.loss_func', 'mse'),
        ('optimizer', {'type': 'Adam', 'adam_beta2': 0.99}),
        ('optimizer', {'adam_beta1': 0.8}),
        ('optimizer', {}),
        ('training.gradient_max_norm', 0.0),
        ('training.enable_ema', False),
        ('training.change_bias_after_training', True),
        ('training.training_data.batch_size', 'max:32'),
        ('training.save_freq', 0),
        ('learning_rate', {'type': 'cosine', 'start_lr': 1e-3, 'stop_lr': 0.0, 'warmup_ratio': 0.1}),
        ('learning_rate', {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5, 'warmup_steps': 20}),
        ('learning_rate', {'type': 'wsd', 'start_lr': 1e-2, 'stop_lr': 1e-5}),
        ('loss.start_pref_v', 0.0),
        ('model.fitting_net.trainable', [True, False, True, True]),
        ('model.fitting_net.activation_function', 'SiLU'),
        ('model.descriptor.activation_function', 'silut:10.0'),
        ('model.descriptor.exclude_types', [[0, 1]]),
    ],
)
def test_settings_that_tensorflow_has_pass(deepmd_parameters: dict[str, Any], path: str, value: Any) -> None:
    change(deepmd_parameters, path, value)
    assert deepmd.check_parameters(deepmd_parameters) is None


def test_a_block_of_other_backends_is_named(deepmd_parameters: dict[str, Any]) -> None:
    deepmd_parameters['validating'] = {'full_validation': True, 'validation_freq': 10}
    message = deepmd.check_parameters(deepmd_parameters) or ''
    assert message.startswith('`parameters.validating` is given, which DeePMD-kit has for other backends only'), message


THREE_BODY = {'type': 'se_e3', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': [4, 6, 12, 6, 4], 'neuron': [2, 4]}


@pytest.mark.parametrize(
    ('path', 'value', 'words'),
    [
        ('model.type', 'pairtab', "'pairtab'; only 'standard'"),
        ('model.fitting_net.type', 'dipole', "'dipole'; only 'ener'"),
        ('loss.type', 'ener_spin', "'ener_spin'; only 'ener'"),
        ('model.fitting_net.numb_fparam', 1, 'no parameters of the frames'),
        ('model.spin', {'use_spin': [True]}, 'no spins'),
        ('loss.start_pref_v', 0.02, 'no virials'),
        ('loss.limit_pref_ae', 1.0, 'no energies of single atoms'),
        ('loss.start_pref_pf', 1.0, 'mask_fixed_atoms'),
        ('training.mixed_precision', {'compute_prec': 'float64'}, "'bfloat16'"),
        ('model.fitting_net.trainable', [True, False], 'has 2 entries, but 4'),
        ('model.fitting_net.atom_ener', [1.0], 'has 1 entries, but 5'),
        ('model.descriptor.neuron', [], 'neuron` is empty'),
        ('model.descriptor.axis_neuron', 100, 'axis_neuron` is 100, but the last layer'),
        ('model.descriptor.rcut_smth', 12.0, 'give a smaller rcut_smth'),
        ('model.descriptor.activation_function', 'swish', "'swish', which DeePMD-kit does not know"),
        ('model.fitting_net.activation_function', 'swish', "'swish', which DeePMD-kit does not know"),
        ('model.data_stat_nbatch', 0, 'at least 1'),
        ('training.training_data.batch_size', 'mixed:4', 'for attention descriptors'),
        ('loss', {'type': 'ener', 'use_huber': True, 'relative_f': 1.0}, 'leave one out'),
        ('model.descriptor', THREE_BODY | {'exclude_types': [[0, 1]]}, "'se_e3' does not have"),
    ],
)
def test_what_cannot_be_trained_here_is_named(
    deepmd_parameters: dict[str, Any], path: str, value: Any, words: str
) -> None:
    """Each passes DeePMD-kit's own check, and `dp train` stops at it or passes over it."""
    change(deepmd_parameters, path, value)
    message = deepmd.check_parameters(deepmd_parameters) or ''
    assert words in message, message
    assert path.rpartition('.')[0] in message


ATTENTION = {'rcut': 6.0, 'rcut_smth': 0.5, 'sel': 30, 'neuron': [10, 20, 40], 'attn': 16}


@pytest.mark.parametrize(
    ('descriptor', 'words'),
    [
        ({'type': 'se_atten', **ATTENTION}, None),
        ({'type': 'dpa1', **ATTENTION}, None),
        ({'type': 'se_atten_v2', **ATTENTION}, None),
        ({'type': 'se_t', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': [4, 6, 12, 6, 4]}, None),
        ({'type': 'se_atten', **ATTENTION, 'sel': 'auto'}, 'auto'),
        ({'type': 'se_atten', **ATTENTION, 'attention': 16}, 'attention'),
        ({'type': 'se_atten_v2', **ATTENTION, 'tebd_input_mode': 'concat'}, 'tebd_input_mode'),
        ({'type': 'dpa2', 'repinit': {'rcut': 6.0, 'rcut_smth': 0.5, 'nsel': 30}}, "'dpa2'.*TensorFlow"),
        ({'type': 'hybrid', 'list': [{'type': 'dpa3'}]}, "'dpa3'.*TensorFlow"),
    ],
)
def test_descriptors(deepmd_parameters: dict[str, Any], descriptor: dict[str, Any], words: str | None) -> None:
    deepmd_parameters['model']['descriptor'] = descriptor
    message = deepmd.check_parameters(deepmd_parameters)
    if words is None:
        assert message is None
    else:
        assert re.search(words, message or ''), message


@pytest.mark.parametrize(('key', 'value'), [('resnet_dt', True), ('activation_function', 'silut:3.0')])
def test_what_is_not_compressed_is_named(deepmd_parameters: dict[str, Any], key: str, value: Any) -> None:
    """`dp compress` stops there, when the model has been trained."""
    deepmd_parameters['model']['descriptor'][key] = value
    message = deepmd.check_compressible(deepmd_parameters) or ''
    assert f'descriptor.{key}` is' in message
    assert 'settings.compress' in message
    assert deepmd.check_parameters(deepmd_parameters) is None


def test_attention_is_not_compressed(deepmd_parameters: dict[str, Any]) -> None:
    assert deepmd.check_compressible(deepmd_parameters) is None
    deepmd_parameters['model']['descriptor'] = {'type': 'se_atten', **ATTENTION}
    assert 'attn_layer` is 2' in (deepmd.check_compressible(deepmd_parameters) or '')
    deepmd_parameters['model']['descriptor']['attn_layer'] = 0
    assert 'tebd_input_mode' in (deepmd.check_compressible(deepmd_parameters) or '')
    deepmd_parameters['model']['descriptor']['tebd_input_mode'] = 'strip'
    assert deepmd.check_compressible(deepmd_parameters) is None


def test_learning_curve(deepmd_files: Path) -> None:
    curve = output.parse_learning_curve((deepmd_files / 'finished/lcurve.out').read_text())
    names = ['rmse_val', 'rmse_trn', 'rmse_e_val', 'rmse_e_trn', 'rmse_f_val', 'rmse_f_trn']
    assert list(curve.columns) == ['step', *names, 'lr']
    assert curve.columns['step'].tolist() == list(range(0, 501, 50))
    assert curve.last('rmse_f_val') == pytest.approx(0.414)
    assert curve.last('rmse_v_trn') is None
    assert curve.first_bad_step is None


def test_learning_curve_cut_in_a_line(deepmd_files: Path) -> None:
    text = (deepmd_files / 'finished/lcurve.out').read_text()
    for cut in range(len(text) - 60, len(text)):
        assert output.parse_learning_curve(text[:cut]).columns['step'][-1] == 450


def test_learning_curve_with_nan(deepmd_files: Path) -> None:
    text = (deepmd_files / 'finished/lcurve.out').read_text() + '    550   nan  nan  nan  nan  nan  nan  1.0e-05\n'
    assert output.parse_learning_curve(text).first_bad_step == 550


def test_learning_curve_of_a_restart_repeats_its_header(deepmd_files: Path) -> None:
    text = (deepmd_files / 'finished/lcurve.out').read_text()
    curve = output.parse_learning_curve(text + text)
    assert curve.columns['step'].tolist() == list(range(0, 501, 50))


def test_learning_curve_of_a_restart_does_not_go_back() -> None:
    """Killed at 120, gone on from the checkpoint of 100: the rows of the training that went on hold."""
    rows = [(0, 9.0), (100, 3.0), (110, 2.9), (120, 2.8)]
    again = [(100, 3.1), (130, 2.5)]
    text = '# step rmse_trn lr\n' + ''.join(f'{step} {error} 1e-3\n' for step, error in rows + again)
    curve = output.parse_learning_curve(text)
    assert curve.columns['step'].tolist() == [0, 100, 130]
    assert curve.columns['rmse_trn'].tolist() == [9.0, 3.1, 2.5]


def test_a_nan_that_a_restart_left_behind_is_forgotten() -> None:
    text = '# step rmse_trn lr\n0 9.0 1e-3\n10 nan 1e-3\n5 8.0 1e-3\n10 7.0 1e-3\n'
    assert output.parse_learning_curve(text).first_bad_step is None


def saved_steps(training: dict[str, Any]) -> list[int]:
    """The steps that DeePMD-kit 3.2 (TensorFlow) saves, as its training loop has it."""
    shown, every, last = training['disp_freq'], training['save_freq'], training['numb_steps']
    steps = [step for step in range(1, last + 1) if step % shown == 0 and every > 0 and step % every == 0]
    return [*steps, last] if every == 0 or last % every else steps


@given(st.integers(1, 300), st.integers(1, 200), st.integers(0, 200))
def test_the_last_step_is_saved(last: int, shown: int, every: int) -> None:
    """With 100 steps, 1000 and 100, DeePMD-kit saves nothing; with 50, 30 and 10 it saves step 30."""
    training = {'numb_steps': last, 'disp_freq': shown, 'save_freq': every}
    parameters = {'model': {}, 'loss': {}, 'training': {**training, 'training_data': {}}}
    complete = deepmd.complete_input(parameters, ['x'], [], 1)['training']
    steps = saved_steps(complete)
    assert steps[-1] == last
    assert (complete['numb_steps'], complete['disp_freq']) == (last, shown)
    if every:
        assert max(np.diff([0, *steps])) <= every + shown


def test_the_checkpoints_of_the_defaults_are_those_of_deepmd() -> None:
    assert deepmd.save_freq({}) == 1000
    assert deepmd.save_freq({'disp_freq': 200}) == 1000
    assert deepmd.save_freq({'disp_freq': 2000}) == 2000
    assert deepmd.save_freq({'disp_freq': 300, 'save_freq': 1000}) == 1200


def test_the_step_of_the_last_checkpoint(deepmd_files: Path) -> None:
    finished, killed = (deepmd_files / name / 'train.out' for name in ('finished', 'killed'))
    assert output.parse_train_log(finished.read_text()).checkpoint_step == 500
    assert output.parse_train_log(killed.read_text()).checkpoint_step is None, 'killed before the first'
    lines = '[x] DEEPMD INFO    Batch {}: trn\n[x] DEEPMD INFO    saved checkpoint model.ckpt\n'
    text = lines.format(100) + lines.format(200) + '[x] DEEPMD INFO    Batch     300: trn\n'
    assert (output.parse_train_log(text).checkpoint_step, output.parse_train_log(text).n_steps) == (200, 300)


def test_learning_curve_without_validation_names_its_columns_alike() -> None:
    text = '# step rmse rmse_e rmse_f lr\n0 1.0 2.0 3.0 1e-3\n'
    columns = output.parse_learning_curve(text).columns
    assert list(columns) == ['step', 'rmse_trn', 'rmse_e_trn', 'rmse_f_trn', 'lr']


@pytest.mark.parametrize('text', ['', 'no header\n1 2 3\n', '# step lr\n', '# step lr\n  0'])
def test_unreadable_learning_curve(text: str) -> None:
    with pytest.raises(output.DeepmdOutputError, match='learning curve'):
        output.parse_learning_curve(text)


def test_train_log(deepmd_files: Path) -> None:
    log = output.parse_train_log((deepmd_files / 'finished/train.out').read_text())
    assert log.finished
    assert log.version == '3.2.0'
    assert log.n_steps == 500
    assert log.wall_seconds == pytest.approx(9.345)
    assert log.seconds_per_step == pytest.approx(0.0119)
    assert (log.error, log.nan_step, log.warnings) == (None, None, [])


def test_train_log_of_a_killed_training(deepmd_files: Path) -> None:
    log = output.parse_train_log((deepmd_files / 'killed/train.out').read_text())
    assert not log.finished
    assert (log.n_steps, log.wall_seconds, log.error, log.nan_step) == (250, None, None, None)


def test_train_log_of_a_nan(deepmd_files: Path) -> None:
    log = output.parse_train_log((deepmd_files / 'not_finite/train.out').read_text())
    assert not log.finished
    assert log.nan_step == 0
    assert log.error is not None
    assert log.error.startswith('RuntimeError: NaN detected')


def test_train_log_of_a_failure(deepmd_files: Path) -> None:
    log = output.parse_train_log((deepmd_files / 'failed/train.out').read_text())
    assert log.error is not None
    assert 'invalid choice `nonesuch`' in log.error


def test_train_log_cut_anywhere_reads(deepmd_files: Path) -> None:
    text = (deepmd_files / 'finished/train.out').read_text()
    for cut in range(0, len(text), 97):
        output.parse_train_log(text[:cut])


def test_errors_of_freeze_and_test_are_named(deepmd_files: Path) -> None:
    assert 'AttributeError' in (output.find_error((deepmd_files / 'killed/freeze.out').read_text()) or '')
    assert 'frozen.pb' in (output.find_error((deepmd_files / 'killed/test.out').read_text()) or '')
    assert output.find_error((deepmd_files / 'finished/freeze.out').read_text()) is None


def test_test_log(deepmd_files: Path) -> None:
    errors = output.parse_test_log((deepmd_files / 'finished/test.out').read_text())
    assert list(errors) == ['data/aimd_0/test', 'data/aimd_1/test']
    assert [e.n_frames for e in errors.values()] == [3, 3]


def test_pooled_errors_are_deepmds_own_average(deepmd_files: Path) -> None:
    """Equal systems: the same numbers as under `weighted average of errors`."""
    text = (deepmd_files / 'finished/test.out').read_text()
    energy, force = output.pool(output.parse_test_log(text), {'data/aimd_0/test': 10, 'data/aimd_1/test': 10})
    average = text.split('weighted average')[1]
    assert energy == pytest.approx(7.281972e-03, rel=1e-6)
    assert force == pytest.approx(4.439957e-01, rel=1e-6)
    assert '7.281972e-03' in average
    assert '4.439957e-01' in average


def test_pool_counts_atoms_for_forces_and_frames_for_energies() -> None:
    errors = {'a': output.SystemErrors(1, 1.0, 1.0, 0, 0), 'b': output.SystemErrors(3, 2.0, 2.0, 0, 0)}
    energy, force = output.pool(errors, {'a': 30, 'b': 10})
    assert energy == pytest.approx(np.sqrt((1 * 1 + 3 * 4) / 4))
    assert force == pytest.approx(np.sqrt((30 * 1 + 30 * 4) / 60))


@pytest.mark.parametrize('name', ['killed/test.out', 'finished/freeze.out'])
def test_test_log_without_a_test(deepmd_files: Path, name: str) -> None:
    with pytest.raises(output.DeepmdOutputError, match='no system'):
        output.parse_test_log((deepmd_files / name).read_text())


def test_test_log_cut(deepmd_files: Path) -> None:
    text = (deepmd_files / 'finished/test.out').read_text()
    with pytest.raises(output.DeepmdOutputError, match='aimd_1'):
        output.parse_test_log(text[: text.index('Force', text.index('data/aimd_1'))])


def details(deepmd_files: Path) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    """The real table, its reference forces as two systems of three frames, the elements of a frame."""
    table = output.parse_detail((deepmd_files / 'finished/detail.f.out').read_text())
    forces = table[:, :3].reshape(2, 3, 10, 3)
    return table, {'a': forces[0], 'b': forces[1]}, np.load(deepmd_files / 'frames.npz')['symbols'].tolist()


def test_details_agree_with_the_log(deepmd_files: Path) -> None:
    """The per-element errors, weighted with their atoms, are the total error of the log."""
    table, forces, symbols = details(deepmd_files)
    errors = output.split_detail(table, forces, {name: np.ones(10, dtype=bool) for name in forces})
    per_element = output.force_rmse_per_element(errors, dict.fromkeys(forces, symbols))
    assert sorted(per_element) == ['F', 'Li', 'N', 'O', 'S']
    weights = [symbols.count(element) for element in per_element]
    assert np.sqrt(np.average(np.square(list(per_element.values())), weights=weights)) == pytest.approx(0.4439957)
    reported = output.parse_test_log((deepmd_files / 'finished/test.out').read_text())
    for name, system in zip('ab', reported.values(), strict=True):
        replaced = output.replace_force_errors(system, errors[name])
        assert replaced.force_rmse == pytest.approx(system.force_rmse, rel=1e-5)
        assert replaced.force_mae == pytest.approx(system.force_mae, rel=1e-5)


def test_energies_of_each_system(deepmd_files: Path) -> None:
    """The rows follow the order of the test; another number of frames is refused."""
    table = output.parse_detail((deepmd_files / 'finished/detail.e.out').read_text())
    energies = output.split_energies(table, {'first': 3, 'second': 3})
    np.testing.assert_array_equal(np.concatenate([energies['first'], energies['second']]), table[:, 1])
    with pytest.raises(output.DeepmdOutputError, match=r'shape \(6, 2\), not \(5, 2\)'):
        output.split_energies(table, {'first': 5})


def test_details_leave_fixed_atoms_out(deepmd_files: Path) -> None:
    """A fixed atom may be wrong by any amount; the other system keeps all its atoms."""
    table, forces, symbols = details(deepmd_files)
    table[[2, 12, 22], 3:] += 1e3
    free = {'a': np.arange(10) != 2, 'b': np.ones(10, dtype=bool)}
    errors = output.split_detail(table, forces, free)
    assert (errors['a'].shape, errors['b'].shape) == ((3, 9, 3), (3, 10, 3))
    assert np.abs(errors['a']).max() < 10
    elements = {'a': [s for site, s in enumerate(symbols) if site != 2], 'b': symbols}
    assert max(output.force_rmse_per_element(errors, elements).values()) < 10


def test_details_of_other_frames_are_refused(deepmd_files: Path) -> None:
    table, forces, _ = details(deepmd_files)
    free = {name: np.ones(10, dtype=bool) for name in forces}
    with pytest.raises(output.DeepmdOutputError, match='reference forces'):
        output.split_detail(table[::-1], forces, free)
    with pytest.raises(output.DeepmdOutputError, match='shape'):
        output.split_detail(table[:50], forces, free)


def test_masked_learning_curve_names_its_columns_alike() -> None:
    text = '# step rmse_val rmse_trn rmse_e_val rmse_e_trn rmse_pf_val rmse_pf_trn lr\n0 1 2 3 4 5 6 1e-3\n'
    curve = output.parse_learning_curve(text)
    assert (curve.last('rmse_f_val'), curve.last('rmse_f_trn')) == (5, 6)


def test_masking_hands_the_force_prefactors_over(deepmd_parameters: dict[str, Any]) -> None:
    loss = dict(deepmd_parameters['loss'])
    complete = deepmd.complete_input(deepmd_parameters, SYSTEMS, [], 1, masked=True)['loss']
    assert (complete['start_pref_pf'], complete['limit_pref_pf']) == (loss['start_pref_f'], loss['limit_pref_f'])
    assert (complete['start_pref_f'], complete['limit_pref_f']) == (0, 0)
    assert complete['start_pref_e'] == loss['start_pref_e']
    assert deepmd.mask_loss({}) == {'start_pref_pf': 1000, 'limit_pref_pf': 1.0, 'start_pref_f': 0, 'limit_pref_f': 0}


@pytest.mark.parametrize('loss', [{'type': 'tensor'}, {'use_huber': True}, {'relative_f': 0.1}])
def test_a_loss_that_cannot_be_masked_is_named(loss: dict[str, Any]) -> None:
    message = deepmd.check_maskable(loss)
    assert message is not None
    assert next(iter(loss)) in message
    assert 'mask_fixed_atoms' in message
    assert deepmd.check_maskable({'type': 'ener', 'start_pref_f': 1000}) is None


@pytest.mark.parametrize('text', ['', '# a: x y\n1 2 3\n', '# a: x y\n1 2\n1\n', '# a: x y\n1 two\n'])
def test_unreadable_details(text: str) -> None:
    with pytest.raises(output.DeepmdOutputError, match='details'):
        output.parse_detail(text)


def test_sel_has_room_for_more_neighbours() -> None:
    """Bcc lithium has 14 neighbours within 4 Å: 1.5 times as many, up to a multiple of four; an absent element 4."""
    lithium = bulk('Li', 'bcc', a=3.49, cubic=True)
    assert deepmd.suggest_sel([lithium], ['F', 'Li'], 4.0) == [4, 20]
    assert deepmd.suggest_sel([lithium], ['F', 'Li'], 4.0, margin=1.0) == [4, 16]
    salt = bulk('LiF', 'rocksalt', a=4.03)
    assert deepmd.suggest_sel([lithium, salt], ['F', 'Li'], 2.5, margin=1.0) == [8, 8]
