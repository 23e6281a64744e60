"""The plan of a training that costs what it may: the shell's part is run by the shell."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aiida_deepmd.files import budget
from aiida_deepmd.files.input import complete_input

LOG = 'DEEPMD INFO    average training time: {} s/batch (exclude first 50 batches)\n'


@pytest.fixture
def complete(deepmd_parameters: dict[str, Any]) -> dict[str, Any]:
    """A training input of 500 steps that shows every 50th, whose rate falls every 10 steps."""
    return complete_input(deepmd_parameters, ['data/a/train'], ['data/a/validation'], seed=1)


def plan(folder: Path, complete: dict[str, Any], seconds: float, log: str) -> dict[str, Any] | None:
    """Let the shell plan a training; nothing where it wrote no input."""
    (folder / budget.PROBE_FOLDER).mkdir()
    for name, text in budget.input_files(complete).items():
        (folder / name).write_text(text)
    (folder / budget.PROBE_OUTPUT).write_text(log)
    command = f'set -eu\n{budget.plan_command(complete, seconds)}'
    subprocess.run(['bash', '-c', command], cwd=folder, check=True)
    written = folder / 'input.json'
    return json.loads(written.read_text()) if written.exists() else None


@pytest.mark.parametrize(
    ('seconds', 'per_step', 'steps', 'shown'),
    [
        (600.0, '0.0600', 9900, 50),
        (60.0, '0.0600', 900, 50),
        # Rows are spread evenly, so that the last step has one.
        (62.0, '0.0600', 931, 49),
        # Ten of them at least, and a hundred steps.
        (18.0, '0.0600', 200, 20),
        (0.6, '0.0600', 100, 10),
        # A step that takes less than DeePMD-kit shows.
        (60.0, '0.0000', 1199900, 50),
        (60.0, '0.0119', 4900, 49),
    ],
)
def test_as_many_steps_as_fit(
    seconds: float, per_step: str, steps: int, shown: int, tmp_path: Path, complete: dict[str, Any]
) -> None:
    """What depends on the number of steps follows it, and nothing else is changed."""
    planned = plan(tmp_path, complete, seconds, f'noise\n{LOG.format(per_step)}more\n')
    assert planned is not None
    training = planned['training']
    assert abs(training['numb_steps'] - steps) <= shown
    assert training['numb_steps'] % training['disp_freq'] == 0
    assert training['disp_freq'] == shown
    assert training['save_freq'] % shown == 0
    assert training['save_freq'] >= complete['training']['save_freq']
    assert planned['learning_rate'].pop('decay_steps') == max(1, round(10 * training['numb_steps'] / 500))
    assert budget.planned_steps(json.dumps(planned)) == training['numb_steps']
    for key in ('numb_steps', 'disp_freq', 'save_freq'):
        training[key] = complete['training'][key]
    del complete['learning_rate']['decay_steps']
    assert planned == complete


@pytest.mark.parametrize(
    'rate',
    [
        {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5},
        {'type': 'exp', 'start_lr': 1e-2, 'stop_lr': 1e-5, 'decay_steps': 10, 'decay_rate': 0.95},
    ],
)
def test_a_schedule_that_follows_by_itself(rate: dict[str, Any], tmp_path: Path, complete: dict[str, Any]) -> None:
    """DeePMD-kit spreads a cosine over the steps; a given decay rate says how fast the rate falls."""
    complete['learning_rate'] = rate
    planned = plan(tmp_path, complete, 60.0, LOG.format('0.0600'))
    assert planned is not None
    assert planned['learning_rate'] == rate


def test_a_warm_up_keeps_its_share(tmp_path: Path, complete: dict[str, Any]) -> None:
    """50 of 500 steps are a tenth of any number."""
    complete['learning_rate'] = {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5, 'warmup_steps': 50}
    planned = plan(tmp_path, complete, 60.0, LOG.format('0.0600'))
    assert planned is not None
    assert planned['learning_rate'] == {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5, 'warmup_ratio': 0.1}


@pytest.mark.parametrize('log', ['', 'Traceback (most recent call last)\nMemoryError\n'])
def test_no_time_no_plan(log: str, tmp_path: Path, complete: dict[str, Any]) -> None:
    """An input that is missing says more than one that is empty."""
    assert plan(tmp_path, complete, 60.0, log) is None


def test_the_probe_keeps_to_its_folder(complete: dict[str, Any]) -> None:
    """It trains the same network on the same frames, too slowly for a NaN, and leaves nothing for the freezing."""
    before = copy.deepcopy(complete)
    probe = json.loads(budget.input_files(complete)['probe/input.json'])
    assert complete == before
    assert {key: probe[key] for key in ('model', 'loss')} == {key: complete[key] for key in ('model', 'loss')}
    assert probe['training']['training_data'] == complete['training']['training_data']
    assert probe['training']['save_ckpt'] == 'probe/model.ckpt'
    assert probe['training']['disp_file'] == 'probe/lcurve.out'
    assert probe['learning_rate']['start_lr'] < 1e-6
    # Both halves are shown, or DeePMD-kit would count the slow first steps in.
    assert probe['training']['numb_steps'] == 2 * probe['training']['disp_freq']


@pytest.mark.parametrize(
    ('resources', 'default', 'cores'),
    [
        ({}, None, 1),
        ({'num_machines': 1, 'num_mpiprocs_per_machine': 1}, 8, 1),
        ({'num_machines': 2}, 8, 16),
        ({'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 4}, None, 4),
        ({'num_machines': 2, 'num_mpiprocs_per_machine': 1, 'num_cores_per_machine': 6}, None, 12),
        ({'tot_num_mpiprocs': 3, 'parallel_env': 'smp'}, 8, 3),
    ],
)
def test_cores_that_a_job_holds(resources: dict[str, Any], default: int | None, cores: int) -> None:
    assert budget.cores(resources, default) == cores


def test_lines_before_the_training() -> None:
    script = "#!/bin/bash\n\n'dp' 'train' 'input.json'  > 'train.out' 2>&1\n\n'dp' 'freeze'  > 'freeze.out' 2>&1\n"
    assert budget.put_before(script, 'train.out', 'plan\n') == script.replace("'dp' 'train'", "plan\n\n'dp' 'train'")
    with pytest.raises(ValueError, match=r'No line of the job script names input\.json and train\.out'):
        budget.put_before('#!/bin/bash\n', 'train.out', 'plan\n')


def test_an_input_that_was_cut_short() -> None:
    assert budget.planned_steps('{"training": {"numb_ste') is None
