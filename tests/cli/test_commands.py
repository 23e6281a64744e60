"""The commands, as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiida import orm
from aiida.manage.configuration import get_config
from click.testing import CliRunner
from plumpy import ProcessState

from aiida_sis import __version__
from aiida_sis.cli import cmd_doctor, cmd_setup, main
from aiida_sis.cli.cmd_demo import export
from aiida_sis.setup.codes import CODES, FoundCode


@pytest.fixture
def run_node(aiida_profile_clean) -> orm.WorkChainNode:
    """Store a run that has ended without a child."""
    node = orm.WorkChainNode(process_type='aiida.workflows:sis.sis')
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(0)
    return node.store()


def own_profile() -> str:
    """Return the name of the profile that the tests use, as a user's own."""
    return str(get_config().default_profile_name)


def test_help_and_version() -> None:
    """Every command is there and explains itself."""
    result = CliRunner().invoke(main, ['--help'])
    assert result.exit_code == 0
    for command in ('build', 'demo', 'doctor', 'import-dataset', 'import-model', 'plot', 'rehearse', 'setup', 'status'):
        assert command in result.output
        assert CliRunner().invoke(main, [command, '--help']).exit_code == 0
    assert __version__ in CliRunner().invoke(main, ['--version']).output


def test_status(run_node: orm.WorkChainNode) -> None:
    """The table of a run in the user's own profile."""
    result = CliRunner().invoke(main, ['status', str(run_node.pk), '-p', own_profile()])
    assert result.exit_code == 0, result.output
    assert f'SIS run {run_node.pk}' in result.output
    assert 'Verdict' in result.output


@pytest.mark.parametrize('identifier', ['999999', 'no-such-uuid'])
def test_status_of_nothing(run_node: orm.WorkChainNode, identifier: str) -> None:
    """A PK that is not there is refused in one sentence."""
    result = CliRunner().invoke(main, ['status', identifier, '-p', own_profile()])
    assert result.exit_code == 2
    assert f'there is no node {identifier}' in result.output


def test_status_of_data(aiida_profile_clean) -> None:
    """A node that is no run is refused."""
    pk = orm.Int(3).store().pk
    result = CliRunner().invoke(main, ['status', str(pk), '-p', own_profile()])
    assert result.exit_code == 2
    assert 'is a Int, not a run' in result.output


def test_no_profile(tmp_path: Path) -> None:
    """Without a profile the remedy is named."""
    result = CliRunner().invoke(main, ['status', '1', '--profile-dir', str(tmp_path)])
    assert result.exit_code == 2
    assert '--profile-dir' in result.output


def test_plot(run_node: orm.WorkChainNode, tmp_path: Path) -> None:
    """The picture is written where it is asked for."""
    path = tmp_path / 'figure.png'
    result = CliRunner().invoke(main, ['plot', str(run_node.pk), '-p', own_profile(), '-o', str(path)])
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(b'\x89PNG')


def test_export(run_node: orm.WorkChainNode, tmp_path: Path) -> None:
    """The folder of a run has the figure, and the summary as soon as there is one."""
    from aiida.common.links import LinkType

    assert set(export(run_node, tmp_path / 'a')) == {'Figure'}
    summary = orm.Dict({'outcome': 'stable'}).store()
    summary.base.links.add_incoming(run_node, LinkType.RETURN, 'summary')
    paths = export(run_node, tmp_path / 'b')
    content = json.loads(paths['Summary'].read_text())
    assert content['outcome'] == 'stable'
    assert {'wall_seconds', 'code_seconds', 'framework_share'} <= set(content)


def test_doctor_with_missing_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A missing code makes the exit code nonzero and its remedy is printed; a profile not made yet does not."""
    found = {spec.label: FoundCode(spec, Path('/opt') / spec.label, '1.0') for spec in CODES}
    monkeypatch.setattr(cmd_doctor, 'find_code', lambda spec: found[spec.label])
    result = CliRunner().invoke(main, ['doctor', '--profile-dir', str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert 'aiida-sis setup' in result.output
    monkeypatch.setattr(cmd_doctor, 'find_code', lambda spec: None if spec.label == 'cp2k' else found[spec.label])
    result = CliRunner().invoke(main, ['doctor', '--profile-dir', str(tmp_path)])
    assert result.exit_code == 1
    assert 'apt-get install cp2k' in result.output


@pytest.mark.parametrize('command', ['doctor', 'setup', 'demo', 'rehearse'])
def test_without_ps(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where AiiDA could not follow its jobs nothing is set up, and the remedy is one sentence."""
    found = {spec.label: FoundCode(spec, Path('/opt') / spec.label, '1.0') for spec in CODES}
    monkeypatch.setattr(cmd_doctor, 'find_code', lambda spec: found[spec.label])
    monkeypatch.setenv('PATH', str(tmp_path))
    result = CliRunner().invoke(main, [command, '--profile-dir', str(tmp_path / 'sis')])
    assert result.exit_code == 1
    assert result.output.count('apt-get install procps') == 1
    assert 'Everything' not in result.output
    assert not (tmp_path / 'sis').exists()


@pytest.mark.parametrize('name', ['plain', 'two words', "it's", 'a;b', '$HOME'])
def test_setup_names_its_folder_for_the_shell(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last line of the setup works in a shell, whatever the folder is called."""
    monkeypatch.setattr(cmd_setup, 'prepare', lambda folder, start_daemon: {})
    result = CliRunner().invoke(main, ['setup', '--profile-dir', str(tmp_path / name)])
    script = result.output.strip().partition('by: ')[2] + '; printf %s "$AIIDA_PATH"'
    answer = subprocess.run(['sh', '-c', script], capture_output=True, text=True, check=True)
    assert answer.stdout == str(tmp_path / name)


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A `~` that the shell has left alone is the home for every command, and for what the setup prints."""
    asked = []
    monkeypatch.setattr(cmd_setup, 'prepare', lambda folder, start_daemon: asked.append(folder))
    monkeypatch.setenv('HOME', str(tmp_path))
    result = CliRunner().invoke(main, ['setup', '--profile-dir', '~/sis'])
    assert asked == [tmp_path / 'sis']
    assert result.output.endswith(f'AIIDA_PATH={tmp_path}/sis\n')
    result = CliRunner().invoke(main, ['status', '1', '--profile-dir', '~/nothing'])
    assert f'no profile in {tmp_path}/nothing' in result.output


@pytest.mark.real
def test_setup_twice_in_isolation(tmp_path: Path) -> None:
    """Setup makes one profile, one computer and three codes, in its folder alone, and the second time makes nothing."""
    home = tmp_path / 'home'
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != 'AIIDA_PATH'} | {'HOME': str(home)}

    def call(*arguments: str) -> str:
        program = str(Path(sys.executable).parent / arguments[0])
        answer = subprocess.run(
            [program, *arguments[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    assert 'profile  made' in call('aiida-sis', 'setup', '--no-daemon')
    assert 'profile  found' in call('aiida-sis', 'setup', '--no-daemon')
    assert not (home / '.aiida').exists()
    environment['AIIDA_PATH'] = str(tmp_path / '.sis')
    codes = call('verdi', 'code', 'list', '--raw').split()
    assert [word for word in codes if '@' in word] == ['cp2k@localhost', 'dp@localhost', 'lmp@localhost']
