"""The training job: what it writes, runs and brings back, and what it refuses before the queue."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeRunMode
from aiida.common.folders import Folder
from aiida.engine.utils import instantiate_process
from aiida.manage.manager import get_manager

from aiida_deepmd.calculations.train import DeepmdTrainCalculation, validate_inputs
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.frames import split

Prepare = Callable[..., tuple[CalcInfo, Path]]


@pytest.fixture
def inputs(
    aiida_code_installed: Any, deepmd_datasets: dict[str, DatasetData], deepmd_parameters: dict[str, Any]
) -> dict[str, Any]:
    """Inputs of a first training."""
    return {
        'code': aiida_code_installed(default_calc_job_plugin='deepmd.train', filepath_executable='/bin/true'),
        'datasets': deepmd_datasets,
        'parameters': orm.Dict(deepmd_parameters),
        'seed': orm.Int(3),
    }


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Write the job into a folder, without running it."""

    def _prepare(inputs: dict[str, Any]) -> tuple[CalcInfo, Path]:
        process = instantiate_process(get_manager().get_runner(), DeepmdTrainCalculation, **inputs)
        assert isinstance(process, DeepmdTrainCalculation)
        return process.prepare_for_submission(Folder(tmp_path)), tmp_path

    return _prepare


def parent(compressed: bool = False, **changed: Any) -> PotentialData:
    """A potential of an earlier generation."""
    files: dict[str, Path | bytes] = {'model.pb': b'graph'}
    if compressed:
        files = {'model.pb': b'table', 'frozen.pb': b'graph'}
    facts = {'type_map': ['N', 'S', 'O', 'F', 'Li'], 'descriptor': 'se_e2_a', 'rcut': 6.0, 'sel': [4, 6, 12, 6, 4]}
    return PotentialData(**{'files': files, 'compressed': compressed, **facts, **changed}).store()


def test_commands_of_a_first_training(inputs: dict[str, Any], prepare: Prepare) -> None:
    calcinfo, _ = prepare(inputs)
    assert [info.cmdline_params for info in calcinfo.codes_info] == [
        ['train', 'input.json'],
        ['freeze', '-o', 'frozen.pb'],
        ['test', '-m', 'frozen.pb', '-f', 'test_systems.txt', '-n', '0', '-d', 'detail'],
    ]
    assert calcinfo.codes_run_mode == CodeRunMode.SERIAL
    assert all(info.join_files for info in calcinfo.codes_info)
    assert calcinfo.retrieve_list == ['lcurve.out', 'train.out', 'freeze.out', 'test.out']


def test_input_and_frames(inputs: dict[str, Any], prepare: Prepare) -> None:
    _, folder = prepare(inputs)
    training = json.loads((folder / 'input.json').read_text())['training']
    assert training['training_data']['systems'] == ['data/aimd_0/train', 'data/aimd_1/train']
    assert training['validation_data']['systems'] == ['data/aimd_0/validation', 'data/aimd_1/validation']
    assert training['seed'] == 3
    assert (folder / 'test_systems.txt').read_text().split() == ['data/aimd_0/test', 'data/aimd_1/test']
    dataset = inputs['datasets']['aimd_1']
    np.testing.assert_array_equal(
        np.load(folder / 'data/aimd_1/test/set.000/coord.npy'), dataset.get_frames('test').coords.reshape(3, 30)
    )


def test_another_schedule_and_optimizer(
    inputs: dict[str, Any], prepare: Prepare, deepmd_parameters: dict[str, Any]
) -> None:
    """Both go into the input as they were given."""
    deepmd_parameters['learning_rate'] = {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5, 'warmup_steps': 5}
    deepmd_parameters['optimizer'] = {'type': 'Adam', 'adam_beta2': 0.99}
    inputs['parameters'] = orm.Dict(deepmd_parameters)
    _, folder = prepare(inputs)
    written = json.loads((folder / 'input.json').read_text())
    for block in ('learning_rate', 'optimizer'):
        assert written[block] == deepmd_parameters[block]


def test_nothing_is_stored_twice(inputs: dict[str, Any], prepare: Prepare) -> None:
    """Frames are in the datasets and the model is in the potential: neither goes into the job's repository."""
    calcinfo, folder = prepare(inputs)
    written = {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}
    assert written - set(calcinfo.provenance_exclude_list) == {'input.json', 'test_systems.txt'}
    assert calcinfo.retrieve_temporary_list == ['frozen.pb', 'compressed.pb', 'detail.e.out', 'detail.f.out']


def test_compression_tests_what_lammps_will_run(inputs: dict[str, Any], prepare: Prepare) -> None:
    calcinfo, _ = prepare({**inputs, 'settings': orm.Dict({'compress': True})})
    commands = [info.cmdline_params for info in calcinfo.codes_info]
    assert commands[2] == ['compress', '-i', 'frozen.pb', '-o', 'compressed.pb']
    assert commands[3][:3] == ['test', '-m', 'compressed.pb']
    assert 'compress.out' in calcinfo.retrieve_list


@pytest.mark.parametrize(('compressed', 'filename'), [(False, 'model.pb'), (True, 'frozen.pb')])
def test_parent(inputs: dict[str, Any], prepare: Prepare, compressed: bool, filename: str) -> None:
    node = parent(compressed)
    calcinfo, _ = prepare({**inputs, 'parent': node})
    assert calcinfo.codes_info[0].cmdline_params == ['train', 'input.json', '--init-frz-model', 'parent.pb']
    assert calcinfo.local_copy_list == [(node.uuid, filename, 'parent.pb')]


def test_finetune(inputs: dict[str, Any], prepare: Prepare, deepmd_parameters: dict[str, Any]) -> None:
    """Attention descriptors only, and a model that says what it was trained with."""
    inputs['parent'], inputs['settings'] = parent(), orm.Dict({'start': 'finetune'})
    message = validate_inputs(inputs, None) or ''
    assert "['se_atten', 'se_atten_v2'] only" in message
    assert "'se_e2_a'" in message
    deepmd_parameters['model']['descriptor'] = {'type': 'se_atten', 'rcut': 6.0, 'rcut_smth': 0.5, 'sel': 30}
    inputs['parameters'] = orm.Dict(deepmd_parameters)
    facts = {'descriptor': 'se_atten', 'sel': [30]}
    inputs['parent'] = parent(**facts)
    assert 'does not hold its training input' in (validate_inputs(inputs, None) or '')
    script = json.dumps(deepmd_parameters).encode()
    inputs['parent'] = parent(files={'model.pb': b'train_attr/training_script\x12\x05Const' + script}, **facts)
    assert validate_inputs(inputs, None) is None
    calcinfo, _ = prepare(inputs)
    assert calcinfo.codes_info[0].cmdline_params == ['train', 'input.json', '--finetune', 'parent.pb']
    del inputs['parent']
    assert 'no `parent`' in (validate_inputs(inputs, None) or '')


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        ({'descriptor': 'se_atten'}, 'se_atten'),
        ({'rcut': 5.0}, 'rcut 5'),
        ({'sel': [1, 1, 1, 1, 1]}, 'sel [1, 1, 1, 1, 1]'),
        ({'compressed': True, 'files': {'model.pb': b'table'}}, 'compressed model alone'),
    ],
)
def test_another_network_is_no_parent(inputs: dict[str, Any], changed: dict[str, Any], words: str) -> None:
    facts = {'type_map': ['N', 'S', 'O', 'F', 'Li'], 'descriptor': 'se_e2_a', 'rcut': 6.0, 'sel': [4, 6, 12, 6, 4]}
    inputs['parent'] = PotentialData(**{'files': {'model.pb': b'graph'}, **facts, **changed})
    assert words in (validate_inputs(inputs, None) or '')


def fix(dataset: DatasetData, sites: list[int]) -> DatasetData:
    """The same frames with atoms held in place: their forces are printed as zero."""
    frames = dataset.get_frames()
    frames.forces[:, sites] = 0.0
    weights = np.ones(dataset.n_atoms)
    weights[sites] = 0.0
    types, split = dataset.get_array('atom_types'), dataset.get_array('split')
    return DatasetData(
        **vars(frames), atom_types=types, type_map=dataset.type_map, split=split, atom_weights=weights
    ).store()


def test_fixed_atoms_are_masked_in_every_system(inputs: dict[str, Any], prepare: Prepare) -> None:
    """Without the file of weights, the forces of the free dataset would not be trained on."""
    inputs['datasets'] = {**inputs['datasets'], 'aimd_0': fix(inputs['datasets']['aimd_0'], [1, 4])}
    _, folder = prepare(inputs)
    loss = json.loads((folder / 'input.json').read_text())['loss']
    given = inputs['parameters']['loss']
    assert [loss[key] for key in ('start_pref_f', 'limit_pref_f')] == [0, 0]
    assert [loss[f'{key}_pf'] for key in ('start_pref', 'limit_pref')] == [given['start_pref_f'], given['limit_pref_f']]
    for key, row in (('aimd_0', [1, 0, 1, 1, 0, 1, 1, 1, 1, 1]), ('aimd_1', [1] * 10)):
        for subset, n in (('train', 9), ('validation', 3), ('test', 3)):
            assert np.load(folder / f'data/{key}/{subset}/set.000/atom_pref.npy').tolist() == [row] * n


@pytest.mark.parametrize('fixed', [True, False])
def test_nothing_is_masked_unless_it_must(inputs: dict[str, Any], prepare: Prepare, fixed: bool) -> None:
    if fixed:
        inputs['datasets'] = {'a': fix(inputs['datasets']['aimd_0'], [1])}
        inputs['settings'] = orm.Dict({'mask_fixed_atoms': False})
    _, folder = prepare(inputs)
    assert json.loads((folder / 'input.json').read_text())['loss'] == inputs['parameters']['loss']
    assert not list(folder.rglob('atom_pref.npy'))


def test_a_loss_that_cannot_be_masked_is_refused(inputs: dict[str, Any], deepmd_parameters: dict[str, Any]) -> None:
    deepmd_parameters['loss']['use_huber'] = True
    inputs['parameters'] = orm.Dict(deepmd_parameters)
    assert validate_inputs(inputs, None) is None
    inputs['datasets'] = {'a': fix(inputs['datasets']['aimd_0'], [1])}
    assert 'use_huber' in (validate_inputs(inputs, None) or '')
    inputs['settings'] = orm.Dict({'mask_fixed_atoms': False})
    assert validate_inputs(inputs, None) is None


def pytorch_parent(**changed: Any) -> PotentialData:
    """A potential of the PyTorch backend."""
    files: dict[str, Path | bytes] = {'model.pth': b'script', 'checkpoint.pt': b'weights'}
    return parent(**{'files': files, 'deepmd_backend': 'pytorch', **changed})


def test_commands_of_pytorch(inputs: dict[str, Any], prepare: Prepare) -> None:
    """Every command has the option of the backend, and the checkpoint comes back beside the model."""
    inputs['settings'] = orm.Dict({'backend': 'pytorch', 'compress': True})
    calcinfo, _ = prepare({**inputs, 'parent': pytorch_parent()})
    assert [info.cmdline_params for info in calcinfo.codes_info] == [
        ['--pt', 'train', 'input.json', '--init-model', 'parent.pt'],
        ['--pt', 'freeze', '-o', 'frozen.pth'],
        ['--pt', 'compress', '-i', 'frozen.pth', '-o', 'compressed.pth'],
        ['--pt', 'test', '-m', 'compressed.pth', '-f', 'test_systems.txt', '-n', '0', '-d', 'detail'],
    ]
    assert [names[1:] for names in calcinfo.local_copy_list] == [('checkpoint.pt', 'parent.pt')]
    assert calcinfo.retrieve_temporary_list[:3] == ['frozen.pth', 'compressed.pth', 'model.ckpt.pt']


BRANCHES = {'ours': ['Li', 'O', 'S', 'F', 'N', 'H'], 'theirs': ['H', 'O']}


@pytest.mark.parametrize(
    ('settings', 'changed', 'words'),
    [
        ({'backend': 'tensorflow'}, {}, 'is a potential of the PyTorch backend'),
        ({'start': 'finetune'}, {'files': {'model.pth': b'script'}}, 'needs a checkpoint'),
        ({'model_branch': 'ours'}, {}, 'is a model of one task'),
        ({}, {'branches': BRANCHES}, "to 'finetune'"),
        ({'start': 'finetune'}, {'branches': BRANCHES}, "has the branches ['ours', 'theirs']: name one"),
        ({'start': 'finetune', 'model_branch': 'our'}, {'branches': BRANCHES}, "is 'our', but"),
        (
            {'start': 'finetune', 'model_branch': 'theirs'},
            {'branches': BRANCHES, 'descriptor': 'dpa1', 'sel': [30]},
            'was not trained on F, Li, N, S',
        ),
    ],
)
def test_what_is_no_parent_for_pytorch(
    inputs: dict[str, Any], settings: dict[str, Any], changed: dict[str, Any], words: str
) -> None:
    if 'descriptor' in changed:
        parameters = inputs['parameters'].get_dict()
        parameters['model']['descriptor'] = {'type': 'dpa1', 'rcut': 6.0, 'rcut_smth': 0.5, 'sel': 30}
        inputs['parameters'] = orm.Dict(parameters)
    inputs['settings'] = orm.Dict({'backend': 'pytorch', **settings})
    message = validate_inputs({**inputs, 'parent': pytorch_parent(**changed)}, None) or ''
    assert words in message


def test_a_branch_of_a_pretrained_model(inputs: dict[str, Any], prepare: Prepare) -> None:
    """A checkpoint alone, with more elements in another order."""
    parameters = inputs['parameters'].get_dict()
    parameters['model']['descriptor'] = {'type': 'dpa1', 'rcut': 6.0, 'rcut_smth': 0.5, 'sel': 30}
    inputs['parameters'] = orm.Dict(parameters)
    inputs['settings'] = orm.Dict({'backend': 'pytorch', 'start': 'finetune', 'model_branch': 'ours'})
    facts = {'branches': BRANCHES, 'descriptor': 'dpa1', 'sel': [30], 'files': {'checkpoint.pt': b'weights'}}
    inputs['parent'] = pytorch_parent(**facts)
    assert validate_inputs(inputs, None) is None
    calcinfo, _ = prepare(inputs)
    start = ['--finetune', 'parent.pt', '--model-branch', 'ours']
    assert calcinfo.codes_info[0].cmdline_params == ['--pt', 'train', 'input.json', *start]
    assert not inputs['parent'].runs


def test_a_branch_without_a_parent(inputs: dict[str, Any]) -> None:
    inputs['settings'] = orm.Dict({'backend': 'pytorch', 'model_branch': 'ours'})
    assert 'no `parent`' in (validate_inputs(inputs, None) or '')


def test_restart_folder(inputs: dict[str, Any], prepare: Prepare, aiida_localhost: orm.Computer) -> None:
    remote = orm.RemoteData(remote_path='/scratch/job', computer=aiida_localhost)
    calcinfo, _ = prepare({**inputs, 'restart_folder': remote})
    assert calcinfo.codes_info[0].cmdline_params == ['train', 'input.json', '--restart', 'model.ckpt']
    assert [path for _, path, _ in calcinfo.remote_copy_list] == [
        '/scratch/job/model.ckpt*',
        '/scratch/job/checkpoint',
        '/scratch/job/lcurve.out',
    ]


@pytest.mark.parametrize('in_a_container', [False, True])
def test_a_budget_is_planned_between_probe_and_training(
    inputs: dict[str, Any], tmp_path: Path, aiida_localhost: orm.Computer, in_a_container: bool
) -> None:
    """30 core-minutes on three cores are 600 s; the lines stand in the script that AiiDA wrote, whatever the code."""
    if in_a_container:
        inputs['code'] = orm.ContainerizedCode(
            computer=aiida_localhost,
            filepath_executable='dp',
            image_name='deepmd.sif',
            engine_command='engine run {image_name} sh -c',
            wrap_cmdline_params=True,
            default_calc_job_plugin='deepmd.train',
            label='contained',
        ).store()
    options = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 3}}
    process = instantiate_process(
        get_manager().get_runner(),
        DeepmdTrainCalculation,
        **inputs,
        settings=orm.Dict({'budget': {'core_minutes': 30}}),
        metadata={'options': options},
    )
    assert isinstance(process, DeepmdTrainCalculation)
    calcinfo = process.presubmit(Folder(tmp_path))
    assert [info.cmdline_params[:2] for info in calcinfo.codes_info] == [
        ['train', 'probe/input.json'],
        ['train', 'input.json'],
        ['freeze', '-o'],
        ['test', '-m'],
    ]
    assert calcinfo.retrieve_list[:4] == ['lcurve.out', 'input.json', 'probe.out', 'train.out']
    script = (tmp_path / '_aiidasubmit.sh').read_text()
    places = [script.rindex(text) for text in ("'probe/input.json'", '-v seconds=600.000', "'train' 'input.json'")]
    assert places == sorted(places)
    assert not (tmp_path / 'input.json').exists()
    assert (tmp_path / 'probe/input.json').exists()


def test_a_restart_keeps_what_was_planned(
    inputs: dict[str, Any], tmp_path: Path, aiida_localhost: orm.Computer
) -> None:
    """The input that was planned is fetched beside the checkpoint, and nothing is measured again."""
    remote = orm.RemoteData(remote_path='/scratch/job', computer=aiida_localhost).store()
    settings = orm.Dict({'budget': {'core_minutes': 30}})
    process = instantiate_process(
        get_manager().get_runner(),
        DeepmdTrainCalculation,
        **inputs,
        settings=settings,
        restart_folder=remote,
    )
    assert isinstance(process, DeepmdTrainCalculation)
    calcinfo = process.presubmit(Folder(tmp_path))
    assert calcinfo.codes_info[0].cmdline_params == ['train', 'input.json', '--restart', 'model.ckpt']
    assert '/scratch/job/input.json' in [path for _, path, _ in calcinfo.remote_copy_list]
    assert 'input.json' in calcinfo.retrieve_list
    assert not (tmp_path / 'input.json').exists()
    assert 'awk' not in (tmp_path / '_aiidasubmit.sh').read_text()


def test_weights_follow_the_systems(inputs: dict[str, Any], prepare: Prepare) -> None:
    _, folder = prepare({**inputs, 'settings': orm.Dict({'weights': {'aimd_1': 0.7, 'aimd_0': 0.3}})})
    data = json.loads((folder / 'input.json').read_text())['training']['training_data']
    assert data['auto_prob'] == 'prob_sys_size; 0:1:0.300000; 1:2:0.700000'


def test_dataset_that_only_tests(inputs: dict[str, Any], prepare: Prepare) -> None:
    """A benchmark of held-out frames may ride along: it is tested and never trained on."""
    reference = inputs['datasets']['aimd_1']
    arrays = {name: reference.get_array(name) for name in ('coords', 'cells', 'energies', 'forces', 'atom_types')}
    held_out = DatasetData(**arrays, type_map=reference.type_map, split=[2] * 15)
    _, folder = prepare({**inputs, 'datasets': {'aimd_0': inputs['datasets']['aimd_0'], 'other': held_out}})
    training = json.loads((folder / 'input.json').read_text())['training']
    assert training['training_data']['systems'] == ['data/aimd_0/train']
    assert (folder / 'test_systems.txt').read_text().split() == ['data/aimd_0/test', 'data/other/test']
    assert not (folder / 'data/other/train').exists()


def test_good_inputs_pass(inputs: dict[str, Any]) -> None:
    settings = orm.Dict({'compress': True, 'weights': {'aimd_0': 0.5, 'aimd_1': 0.5}})
    assert validate_inputs({**inputs, 'parent': parent(), 'settings': settings}, None) is None


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        ({'datasets': {}}, ['datasets', 'at least one']),
        ({'settings': {'compres': True}}, ['compres', 'compress']),
        ({'settings': {'budget': {'core_minutes': 0}}}, ["'budget.core_minutes'", 'above 0']),
        ({'settings': {'budget': {'core_minutes': -5}}}, ["'budget.core_minutes'", 'above 0']),
        ({'settings': {'budget': {'core_minutes': '30'}}}, ["'budget.core_minutes'", 'give a number']),
        ({'settings': {'budget': {'minutes': 30}}}, ["'budget.minutes'", "'core_minutes'"]),
        ({'settings': {'budget': {}}}, ["'budget.core_minutes'", 'missing']),
        ({'settings': {'budget': 30}}, ["'budget'", 'give a dictionary']),
        ({'settings': {'weights': {'aimd_0': 1.0}}}, ['aimd_0', 'aimd_1']),
        ({'settings': {'weights': {'aimd_0': 0.9, 'aimd_1': 0.9}}}, ['1.8', 'sum to 1']),
        ({'parent': {'type_map': ['Li', 'N', 'S', 'O', 'F']}}, ['parent', 'type_map']),
        ({'parent': {'sel': [8, 8, 8, 8, 8]}}, ['parent', 'sel', '[8, 8, 8, 8, 8]']),
    ],
)
def test_bad_inputs_are_named(inputs: dict[str, Any], changed: dict[str, Any], words: list[str]) -> None:
    nodes = dict(changed)
    if 'settings' in nodes:
        nodes['settings'] = orm.Dict(nodes['settings'])
    if 'parent' in nodes:
        nodes['parent'] = parent(**nodes['parent'])
    message = validate_inputs({**inputs, **nodes}, None)
    assert message is not None
    for word in words:
        assert word in message


def test_other_element_order_is_refused(inputs: dict[str, Any], deepmd_parameters: dict[str, Any]) -> None:
    deepmd_parameters['model']['type_map'] = ['Li', 'N', 'S', 'O', 'F']
    message = validate_inputs({**inputs, 'parameters': orm.Dict(deepmd_parameters)}, None)
    assert message is not None
    assert '`datasets.aimd_0` has the type_map' in message


def test_no_test_frame_is_refused(inputs: dict[str, Any]) -> None:
    dataset = inputs['datasets']['aimd_0']
    arrays = {name: dataset.get_array(name) for name in ('coords', 'cells', 'energies', 'forces', 'atom_types')}
    untested = DatasetData(**arrays, type_map=dataset.type_map, split=[0] * 15)
    message = validate_inputs({**inputs, 'datasets': {'a': untested}}, None)
    assert message is not None
    assert 'tested on' in message


@pytest.mark.parametrize(('n_frames', 'allowed'), [(1, False), (2, True)])
def test_two_frames_are_enough(inputs: dict[str, Any], n_frames: int, allowed: bool) -> None:
    """What the sentence offers as the remedy is one."""
    dataset = inputs['datasets']['aimd_0']
    arrays = {name: dataset.get_array(name)[:n_frames] for name in ('coords', 'cells', 'energies', 'forces')}
    few = DatasetData(
        **arrays, atom_types=dataset.get_array('atom_types'), type_map=dataset.type_map, split=split(n_frames)
    )
    message = validate_inputs({**inputs, 'datasets': {'a': few}}, None)
    assert (message is None) == allowed
    assert allowed or 'offer at least 2 frames, and give test a share' in str(message)


def test_parent_and_restart_exclude_each_other(inputs: dict[str, Any], aiida_localhost: orm.Computer) -> None:
    remote = orm.RemoteData(remote_path='/scratch/job', computer=aiida_localhost)
    message = validate_inputs({**inputs, 'parent': parent(), 'restart_folder': remote}, None)
    assert message is not None
    assert 'restart_folder' in message


def test_wrong_inputs_do_not_reach_the_queue(inputs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'compres' of the training settings is unknown: did you mean 'compress'"):
        instantiate_process(
            get_manager().get_runner(), DeepmdTrainCalculation, **inputs, settings=orm.Dict({'compres': True})
        )


def test_a_job_keeps_the_version_of_the_plugin(inputs: dict[str, Any]) -> None:
    """AiiDA takes it from the package of the process class."""
    process = instantiate_process(get_manager().get_runner(), DeepmdTrainCalculation, **inputs)
    assert process.node.base.attributes.get('version')['plugin'] == version('aiida-sis')
