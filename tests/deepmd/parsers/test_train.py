"""Real outputs of training jobs through the parser: each exit code, and what is attached with it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.parsers.train import DeepmdTrainParser

Parsed = tuple[dict[str, Any], orm.CalcFunctionNode | orm.CalcJobNode]
EXIT = DeepmdTrainCalculation.exit_codes
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nValueError: bad\n'


@pytest.fixture
def parse(
    aiida_localhost: orm.Computer,
    deepmd_files: Path,
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
    tmp_path: Path,
) -> Callable[..., Parsed]:
    """Parse one of the folders of real outputs, after changes to its files."""

    def _parse(
        scenario: str,
        without: tuple[str, ...] = (),
        replace: dict[str, Any] | None = None,
        compress: bool = False,
        model: bool = True,
        fixed: tuple[int, ...] = (),
        files: dict[str, str] | None = None,
        **settings: Any,
    ) -> Parsed:
        node = orm.CalcJobNode(computer=aiida_localhost, process_type='aiida.calculations:deepmd.train')
        node.set_option('resources', {'num_machines': 1})
        node.set_option('scheduler_stderr', '_scheduler-stderr.txt')
        links: dict[str, orm.Data] = {f'datasets__{key}': dataset for key, dataset in deepmd_datasets.items()}
        if fixed:
            links['datasets__aimd_0'] = _fix(deepmd_datasets['aimd_0'], fixed)
        links['parameters'] = orm.Dict(copy.deepcopy(deepmd_parameters))
        links['settings'] = orm.Dict({'compress': compress, **settings})
        for label, data in links.items():
            node.base.links.add_incoming(data.store(), LinkType.INPUT_CALC, label)
        node.store()
        kept, temporary = (tmp_path / str(node.pk) / name for name in ('retrieved', 'temporary'))
        shutil.copytree(deepmd_files / scenario, kept)
        temporary.mkdir()
        if model:
            (temporary / 'frozen.pb').write_bytes(b'frozen graph')
        for path in kept.glob('detail.*.out'):
            shutil.move(path, temporary / path.name)
        for name in without:
            ((kept / name) if (kept / name).exists() else (temporary / name)).unlink()
        for name, content in (files or {}).items():
            (kept / name).write_text(content)
        for name, change in (replace or {}).items():
            target = kept if (kept / name).exists() else temporary
            (target / name).write_text(change((target / name).read_text()) if callable(change) else change)
        retrieved = orm.FolderData(tree=str(kept))
        retrieved.base.links.add_incoming(node, LinkType.CREATE, 'retrieved')
        retrieved.store()
        outputs, parsing = DeepmdTrainParser.parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(temporary)
        )
        return outputs or {}, parsing

    return _parse


def test_finished(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('finished')
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert results['force_rmse_ev_per_angstrom'] == pytest.approx(0.4439957, rel=1e-6)
    assert results['energy_rmse_ev_per_atom'] == pytest.approx(7.281972e-3, rel=1e-6)
    assert results['train_force_rmse_ev_per_angstrom'] == pytest.approx(0.434)
    assert results['validation_force_rmse_ev_per_angstrom'] == pytest.approx(0.414)
    assert set(results['per_dataset']) == {'aimd_0', 'aimd_1'}
    assert results['per_dataset']['aimd_0']['n_frames'] == 3
    assert sorted(results['per_element']) == ['F', 'Li', 'N', 'O', 'S']
    assert (results['n_steps'], results['n_train_frames'], results['n_test_frames']) == (500, 18, 6)
    assert results['wall_seconds'] == pytest.approx(9.345)
    assert results['deepmd_version'] == '3.2.0'
    assert results['warnings'] == []
    potential = outputs['potential']
    assert potential.type_map == ['N', 'S', 'O', 'F', 'Li']
    assert (potential.rcut, potential.sel) == (6.0, [4, 6, 12, 6, 4])
    with potential.open_model() as handle:
        assert handle.read() == b'frozen graph'
    curve = outputs['learning_curve']
    assert {'step', 'lr', 'rmse_f_val', 'rmse_f_trn'} <= set(curve.get_arraynames())
    assert curve.get_array('step')[-1] == 500


def test_warnings_name_the_element(parse: Callable[..., Parsed]) -> None:
    """DeePMD-kit counts the types; a chemist has elements."""
    warning = (
        '[2026-11-24 17:17:29,615] DEEPMD WARNING sel of type 4 is not enough! The expected value is not less than 13, '
        'but you set it to 4. The accuracy of your model may get worse.\n'
    )
    outputs, node = parse('finished', replace={'train.out': lambda text: warning + text})
    assert node.is_finished_ok, node.exit_message
    (found,) = outputs['results']['warnings']
    assert found.startswith('sel of type 4 (Li) is not enough! The expected value is not less than 13')


def test_predictions_stand_beside_the_labels(
    parse: Callable[..., Parsed], deepmd_datasets: dict[str, DatasetData]
) -> None:
    """What is kept of single frames gives, with the labels of the datasets, the errors that DeePMD-kit reports."""
    outputs, _ = parse('finished')
    predictions = outputs['predictions']
    for key, dataset in deepmd_datasets.items():
        numbers, energies, forces = (
            predictions.get_array(f'{key}__{name}') for name in ('frames', 'energies', 'forces')
        )
        assert numbers.tolist() == dataset.get_split('test').tolist()
        errors = outputs['results']['per_dataset'][key]
        energy = np.sqrt(np.mean(((energies - dataset.get_array('energies')[numbers]) / dataset.n_atoms) ** 2))
        force = np.sqrt(np.mean((forces - dataset.get_array('forces')[numbers]) ** 2))
        assert energy == pytest.approx(errors['energy_rmse_ev_per_atom'], rel=1e-5)
        assert force == pytest.approx(errors['force_rmse_ev_per_angstrom'], rel=1e-5)


def test_missing_energies_are_a_warning(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('finished', without=('detail.e.out',))
    assert node.is_finished_ok, node.exit_message
    assert 'predictions' not in outputs
    assert outputs['results']['per_element']
    assert 'no predictions of single frames' in outputs['results']['warnings'][0]


def _fix(dataset: DatasetData, sites: tuple[int, ...]) -> DatasetData:
    """The same frames, some atoms marked as held in place."""
    frames, weights = dataset.get_frames(), [float(site not in sites) for site in range(dataset.n_atoms)]
    types, split = dataset.get_array('atom_types'), dataset.get_array('split')
    return DatasetData(**vars(frames), atom_types=types, type_map=dataset.type_map, split=split, atom_weights=weights)


def _spoil(text: str) -> str:
    """A prediction that is wrong by 1000 eV/Å for the second atom of the first frame."""
    lines = text.splitlines()
    words = lines[2].split()
    lines[2] = ' '.join([*words[:3], *(str(float(word) + 1e3) for word in words[3:])])
    return '\n'.join(lines) + '\n'


def test_fixed_atoms_are_left_out_of_the_errors(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('finished', fixed=(1,), replace={'detail.f.out': _spoil})
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert results['n_masked_atoms'] == {'aimd_0': 1}
    assert 0.1 < results['force_rmse_ev_per_angstrom'] < 1.0
    assert results['per_dataset']['aimd_0']['force_rmse_ev_per_angstrom'] < 1.0
    assert max(results['per_element'].values()) < 1.0


def test_masked_errors_need_the_details(parse: Callable[..., Parsed]) -> None:
    _, node = parse('finished', fixed=(1,), without=('detail.f.out',))
    assert node.exit_status == EXIT.ERROR_NOT_EVALUATED.status
    assert 'free atoms' in (node.exit_message or '')


def test_killed(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('killed', model=False)
    assert node.exit_status == EXIT.ERROR_TRAINING_INTERRUPTED.status
    assert 'step 250 of 500' in (node.exit_message or '')
    assert outputs['learning_curve'].get_array('step')[-1] == 250
    assert outputs['results']['n_steps'] == 250
    assert outputs['results']['train_force_rmse_ev_per_angstrom'] == pytest.approx(0.265)
    assert 'potential' not in outputs


BUDGET = {'core_minutes': 5}
PLANNED = {
    'probe.out': 'DEEPMD INFO    average training time: 0.0119 s/batch (exclude first 50 batches)\n',
    'input.json': '{"training": {"numb_steps": 500}}',
}


def test_a_budget_is_told(parse: Callable[..., Parsed]) -> None:
    """What was measured and what was planned; the planned steps are those that were done."""
    outputs, node = parse('finished', files=PLANNED, budget=BUDGET)
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert (results['planned_steps'], results['n_steps']) == (500, 500)
    assert results['probe_seconds_per_step'] == pytest.approx(0.0119)


def test_killed_on_the_way_to_what_was_planned(parse: Callable[..., Parsed]) -> None:
    """A training that goes on has no probe of its own."""
    plan = {'input.json': '{"training": {"numb_steps": 2400}}'}
    outputs, node = parse('killed', model=False, files=plan, budget=BUDGET)
    assert node.exit_status == EXIT.ERROR_TRAINING_INTERRUPTED.status
    assert 'step 250 of 2400' in (node.exit_message or '')
    assert outputs['results']['planned_steps'] == 2400


@pytest.mark.parametrize(
    ('probe', 'without', 'label', 'words'),
    [
        ('', ('train.out',), 'ERROR_TRAINING_INTERRUPTED', 'step 0 of as many as its budget allows'),
        ('', (), 'ERROR_TRAINING_FAILED', 'reports no time for a step, see probe.out'),
        ('Traceback (most recent call last)\nMemoryError: 9 GiB', (), 'ERROR_TRAINING_FAILED', 'MemoryError: 9 GiB'),
        (None, ('train.out',), 'ERROR_NO_TRAIN_OUTPUT', 'was not retrieved'),
    ],
)
def test_a_budget_that_was_not_planned(
    probe: str | None, without: tuple[str, ...], label: str, words: str, parse: Callable[..., Parsed]
) -> None:
    """Killed in the probe, or the probe failed: the training then had no input."""
    files = {} if probe is None else {'probe.out': probe}
    outputs, node = parse('failed', model=False, without=without, files=files, budget=BUDGET)
    assert node.exit_status == EXIT[label].status
    assert words in (node.exit_message or '')
    assert outputs['results']['planned_steps'] is None


def test_nan(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('not_finite', model=False)
    assert node.exit_status == EXIT.ERROR_LOSS_NOT_FINITE.status
    assert 'step 0' in (node.exit_message or '')
    assert 'potential' not in outputs
    assert outputs['results']['deepmd_version'] == '3.2.0'


def test_nan_in_a_training_that_went_on(parse: Callable[..., Parsed]) -> None:
    """Older versions train on; no potential, and no NaN in the database."""
    outputs, node = parse('finished', replace={'lcurve.out': lambda text: text.replace('4.34e-01', '     nan')})
    assert node.exit_status == EXIT.ERROR_LOSS_NOT_FINITE.status
    assert outputs['results']['train_force_rmse_ev_per_angstrom'] is None
    assert 'potential' not in outputs


def test_nan_that_only_the_test_sees(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('finished', replace={'test.out': lambda text: _set(text, 'Force  RMSE        : ', 'nan')})
    assert node.exit_status == EXIT.ERROR_LOSS_NOT_FINITE.status
    assert outputs['results']['force_rmse_ev_per_angstrom'] is None
    assert 'potential' not in outputs


def test_diverged(parse: Callable[..., Parsed]) -> None:
    """A start_lr of 1000 saturates every neuron: the forces vanish, and their error is the force itself."""
    outputs, node = parse('diverged')
    assert node.exit_status == EXIT.ERROR_DIVERGED.status
    results = outputs['results'].get_dict()
    assert results['force_rmse_ev_per_angstrom'] == pytest.approx(results['test_force_rms_ev_per_angstrom'], rel=0.02)
    assert 'potential' in outputs


def test_failed(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('failed', model=False)
    assert node.exit_status == EXIT.ERROR_TRAINING_FAILED.status
    assert 'invalid choice `nonesuch`' in (node.exit_message or '')
    assert 'results' in outputs


@pytest.mark.parametrize(
    ('without', 'label', 'attached'),
    [
        (('train.out',), 'ERROR_NO_TRAIN_OUTPUT', {'results'}),
        (('lcurve.out',), 'ERROR_NO_LEARNING_CURVE', {'results', 'potential', 'predictions'}),
        (('frozen.pb',), 'ERROR_NOT_EVALUATED', {'results', 'learning_curve', 'predictions'}),
        (('test.out',), 'ERROR_NOT_EVALUATED', {'results', 'learning_curve', 'potential'}),
    ],
)
def test_missing_file(parse: Callable[..., Parsed], without: tuple[str, ...], label: str, attached: set[str]) -> None:
    outputs, node = parse('finished', without=without)
    assert node.exit_status == EXIT[label].status
    assert set(outputs) == attached


def test_missing_model_says_why(parse: Callable[..., Parsed], deepmd_files: Path) -> None:
    text = (deepmd_files / 'killed/freeze.out').read_text()
    _, node = parse('finished', model=False, replace={'freeze.out': text})
    assert node.exit_status == EXIT.ERROR_NO_MODEL.status
    assert 'model_checkpoint_path' in (node.exit_message or '')


def test_compression_failed_keeps_the_frozen_model(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('finished', compress=True)
    assert node.exit_status == EXIT.ERROR_NOT_EVALUATED.status
    assert not outputs['potential'].compressed
    outputs, node = parse('finished', compress=True, files={'compress.out': TRACEBACK})
    assert node.exit_status == EXIT.ERROR_NO_COMPRESSED_MODEL.status
    assert not outputs['potential'].compressed


def test_compressed(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('finished', compress=True, replace={'compressed.pb': 'table'})
    assert node.is_finished_ok, node.exit_message
    assert outputs['potential'].compressed
    assert outputs['potential'].training_filename == 'frozen.pb'


def test_unreadable_learning_curve(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('finished', replace={'lcurve.out': 'nothing'})
    assert node.exit_status == EXIT.ERROR_LEARNING_CURVE_UNREADABLE.status
    assert set(outputs) == {'results', 'potential', 'predictions'}
    assert outputs['results']['force_rmse_ev_per_angstrom'] == pytest.approx(0.4439957)


def test_unreadable_test(parse: Callable[..., Parsed], deepmd_files: Path) -> None:
    text = (deepmd_files / 'killed/test.out').read_text()
    outputs, node = parse('finished', replace={'test.out': text})
    assert node.exit_status == EXIT.ERROR_TEST_OUTPUT_UNREADABLE.status
    assert 'NotFoundError' in (node.exit_message or '')
    assert 'potential' in outputs


def test_missing_details_are_a_warning(parse: Callable[..., Parsed]) -> None:
    outputs, node = parse('finished', without=('detail.f.out',))
    assert node.is_finished_ok, node.exit_message
    assert outputs['results']['per_element'] == {}
    assert 'per element' in outputs['results']['warnings'][0]


def _set(text: str, key: str, value: str) -> str:
    """The value after each occurrence of a key, replaced."""
    head, *rest = text.split(key)
    return head + ''.join(f'{key}{value}{part[part.index(" ") :]}' for part in rest)


HALF = 'DEEPMD INFO    load dataset\n'


@pytest.mark.parametrize(
    ('changes', 'missing'),
    [
        ({'model': False, 'replace': {'freeze.out': HALF, 'test.out': TRACEBACK}}, 'made'),
        ({'model': False, 'without': ('freeze.out', 'test.out')}, 'made'),
        ({'replace': {'test.out': lambda text: text[: len(text) // 2]}}, 'tested'),
        ({'replace': {'test.out': lambda text: text[: text.index('Force  RMSE') + 24]}}, 'tested'),
    ],
)
def test_exit_402(changes: dict[str, Any], missing: str, parse: Callable[..., Parsed]) -> None:
    """`dp freeze` or `dp test` was killed: it left no traceback of its own, and the training is complete."""
    outputs, node = parse('finished', **changes)
    assert node.exit_status == EXIT.ERROR_NOT_EVALUATED.status
    assert f'the job was ended before its potential was {missing}: ' in node.exit_message
    assert outputs['results']['n_steps'] == 500


def test_exit_306(parse: Callable[..., Parsed]) -> None:
    """The test left nothing, and the shell says that it died by its own fault."""
    _, node = parse('finished', without=('test.out',), files={'_scheduler-stderr.txt': 'Segmentation fault\n'})
    assert node.exit_status == EXIT.ERROR_NO_TEST_OUTPUT.status


def test_exit_311(parse: Callable[..., Parsed]) -> None:
    """A full disk is named, although DeePMD-kit ends in a traceback of its own."""
    line = 'OSError: [Errno 28] No space left on device'
    full = TRACEBACK.replace('ValueError: bad', line)
    _, node = parse('killed', replace={'train.out': lambda text: text + full})
    assert node.exit_status == EXIT.ERROR_DISK_FULL.status
    assert line in node.exit_message
    _, node = parse('finished', model=False, replace={'freeze.out': full})
    assert node.exit_status == EXIT.ERROR_NOT_EVALUATED.status
    assert line in node.exit_message
