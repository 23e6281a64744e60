"""``aiida-sis protocol`` as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from aiida_sis.cli import main
from aiida_sis.workflows.protocols import list_protocols, load_protocol


def call(*words: str) -> Result:
    """Type a command."""
    return CliRunner().invoke(main, ['protocol', *words])


def test_list() -> None:
    """Every protocol with what it is for."""
    lines = call().output.splitlines()
    assert [line.split()[0] for line in lines] == list(list_protocols())


@pytest.mark.parametrize('name', sorted(list_protocols()))
def test_what_is_shown_is_the_protocol(name: str) -> None:
    """Read again, it is the same."""
    result = call(name)
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.output) == load_protocol(name)


@pytest.mark.parametrize('suffix', ['yaml', 'json'])
def test_overrides(tmp_path: Path, suffix: str) -> None:
    """One section, with the changes laid over it."""
    changes = {'dp': {'learning_rate': {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5}, 'optimizer': {}}}
    file = tmp_path / f'changes.{suffix}'
    file.write_text(json.dumps(changes) if suffix == 'json' else yaml.safe_dump(changes, sort_keys=False))
    result = call('fast', '--overrides', str(file), '-s', 'dp')
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.output) == {'dp': load_protocol('fast', changes)['dp']}
    assert 'learning_rate: {type: cosine, start_lr: 0.01, stop_lr: 1.0e-05}' in result.output


@pytest.mark.parametrize(
    ('text', 'words', 'sentence'),
    [
        ('dp: {learning_rate: {start_l: null}}', ['demo'], "did you mean 'start_lr'"),
        ('dp: {optimizer: {type: LKF}}', ['demo'], "'LKF', which DeePMD-kit's TensorFlow backend does not have"),
        ('dp: {learning_rate: {start_lr: 1e-2}}', ['demo'], "start_lr` is '1e-2'"),
        ('dp: {model: {type_map: 3}}', ['demo'], 'type_map` is 3; list each element once'),
        ('dp: [', ['demo'], 'cannot be read'),
        ('- 3', ['demo'], 'give a dictionary with the layout of the protocol'),
        ('', ['demi'], "did you mean 'demo'"),
        ('', ['demo', '-s', 'md', '-s', 'label_'], "did you mean 'label'"),
        ('', [], 'Name the protocol to show: demo'),
    ],
)
def test_refusals(tmp_path: Path, text: str, words: list[str], sentence: str) -> None:
    """What is wrong is said in one sentence."""
    file = tmp_path / 'changes.yaml'
    file.write_text(text)
    result = call(*words, '--overrides', str(file))
    assert result.exit_code != 0
    assert sentence in result.output
    assert 'Traceback' not in result.output


def test_no_profile_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AiiDA's folder is neither made at home nor here."""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('AIIDA_PATH', raising=False)
    monkeypatch.chdir(tmp_path)
    code = "from aiida_sis.cli import main; main(['protocol'])"
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert 'demo' in result.stdout
    assert not list(tmp_path.iterdir())
