"""``watch`` and ``status``: as they are typed, in a pipe and in a terminal."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pexpect
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.manage.configuration import get_config
from click.testing import CliRunner, Result
from plumpy import ProcessState

from aiida_sis.cli import main
from aiida_sis.run import graph
from aiida_sis.show import progress
from aiida_sis.show.progress import watch_run


def invoke(*arguments: str) -> Result:
    """Call the command line on the profile of the tests, as a user's own."""
    return CliRunner().invoke(main, [*arguments, '-p', str(get_config().default_profile_name)])


def store_run(state: ProcessState, exit_status: int | None = None, process_type: str = graph.SIS) -> orm.WorkChainNode:
    """Store a run in a state, without a child."""
    node = orm.WorkChainNode(process_type=process_type)
    node.set_process_state(state)
    if exit_status is not None:
        node.set_exit_status(exit_status)
    return node.store()


@pytest.mark.parametrize(
    ('state', 'exit_status', 'exit_code', 'words'),
    [
        (ProcessState.FINISHED, 0, 0, 'Verdict'),
        (ProcessState.FINISHED, 410, 1, 'exit code 410'),
        (ProcessState.EXCEPTED, None, 1, 'Verdict'),
        (ProcessState.WAITING, None, 0, 'the daemon is not running'),
    ],
)
def test_exit_codes(
    aiida_profile_clean, state: ProcessState, exit_status: int | None, exit_code: int, words: str
) -> None:
    """What a script learns from the exit code, and a person from the words."""
    pk = str(store_run(state, exit_status).pk)
    for arguments in (['watch', pk, '--once'], ['status', pk]):
        result = invoke(*arguments)
        assert result.exit_code == exit_code, result.output
        assert words in result.output
    result = invoke('status', pk, '--json')
    assert result.exit_code == exit_code
    assert json.loads(result.output)['exit_status'] == exit_status


def test_wrong_usage(aiida_profile_clean) -> None:
    """Nothing to watch, and two options that exclude each other."""
    assert invoke('watch', '999999').exit_code == 2
    result = invoke('status', '1', '--json', '--watch')
    assert result.exit_code == 2
    assert 'give one of the two' in result.output


def test_part_of_a_run(aiida_profile_clean) -> None:
    """The PK of a part is answered with that of its run."""
    run = store_run(ProcessState.WAITING)
    part = orm.WorkChainNode()
    part.base.attributes.set('process_label', 'LabelWorkChain')
    part.base.links.add_incoming(run, LinkType.CALL_WORK, 'label_g0_0')
    part.store()
    result = invoke('watch', str(part.pk))
    assert result.exit_code == 2
    assert f'is a LabelWorkChain, a part of run {run.pk}' in result.output


def test_a_hybrid_run_that_goes_on(make_hybrid_run) -> None:
    """It is shown as a run of one system in one stage; its cycles are generations."""
    pk = str(make_hybrid_run(ProcessState.WAITING, None).pk)
    result = invoke('watch', pk, '--once')
    assert result.exit_code == 0, result.output
    assert f'Hybrid run {pk}: running' in result.output
    assert 'generation 1 of at most 1' in result.output
    assert 'window 0 to 1000 K, 2 ps' in result.output
    assert '0.120 ps, 1120 K' in result.output
    found = json.loads(invoke('status', pk, '--json').output)
    assert (found['generation'], found['max_generations'], found['stage']['n_stages']) == (1, 1, 1)
    assert (found['md_ps'], found['acceleration_ratio']) == (None, None)
    (job,) = found['jobs']
    assert (job['what'], job['system']) == ('MD, replica 0', 'structure')


def test_a_hybrid_run_at_its_end(make_hybrid_run) -> None:
    """What every cycle gave, and the acceleration ratio as HAIR counts it."""
    pk = str(make_hybrid_run().pk)
    result = invoke('status', pk)
    assert result.exit_code == 0, result.output
    assert 'Verdict: every cycle was run' in result.output
    assert 'MD: 2.072 ps from 0.2 ps of AIMD' in result.output
    assert 'Acceleration ratio (MD + AIMD over AIMD): 11.4' in result.output
    found = json.loads(invoke('status', pk, '--json').output)
    assert [len(generation['labels']) for generation in found['generations']] == [1, 1]
    assert found['generations'][0]['md'][0]['t_cp_ps'] == 0.12
    assert found['md_ps'] == pytest.approx(2.072)
    assert invoke('status', str(make_hybrid_run(exit_status=403).pk)).exit_code == 1


def test_plain_lines_until_the_end(
    aiida_profile_clean, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pipe: a line for what happens, then the table; the loop inside a rehearsal is what is shown."""
    from rich.console import Console

    outer, loop = store_run(ProcessState.WAITING, process_type=graph.REHEARSAL), orm.WorkChainNode()
    loop.base.links.add_incoming(outer, LinkType.CALL_WORK, 'sis')
    loop.set_process_state(ProcessState.FINISHED)
    loop.set_exit_status(0)
    loop.store()

    def end(_: float) -> None:
        outer.set_exit_status(0)
        outer.set_process_state(ProcessState.FINISHED)

    monkeypatch.setattr(progress.time, 'sleep', end)
    assert watch_run(outer, Console(width=80)) == 0
    printed = capsys.readouterr().out
    assert 'its last part runs' in printed
    assert f'SIS run {loop.pk}' in printed


@pytest.fixture
def spawn(aiida_profile_clean, tmp_path: Path):
    """Start ``watch`` in a terminal of its own, in a profile on disk that this process can alter."""
    from aiida.manage.configuration import get_config

    def start(pk: int, *arguments: str) -> pexpect.spawn:
        config = get_config()
        environment = {**os.environ, 'AIIDA_PATH': str(Path(config.dirpath).parent), 'TERM': 'xterm-256color'}
        return pexpect.spawn(
            str(Path(sys.executable).parent / 'aiida-sis'),
            ['watch', str(pk), '-p', str(config.default_profile_name), *arguments],
            env=environment,
            cwd=tmp_path,
            # As a shell starts a program in a terminal; tests that run in the background have Ctrl-C ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            dimensions=(30, 100),
            timeout=60,
            encoding='utf-8',
        )

    return start


@pytest.mark.slow
def test_terminal_until_the_end(spawn) -> None:
    """A terminal shows the view, then the verdict, and the exit code says how it ended."""
    run = store_run(ProcessState.WAITING)
    terminal = spawn(run.pk)
    terminal.expect(f'SIS run {run.pk}')
    terminal.expect('Ctrl-C leaves the run going')
    run.set_exit_status(410)
    run.set_process_state(ProcessState.FINISHED)
    terminal.expect('Verdict')
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1


@pytest.mark.slow
def test_terminal_ctrl_c(spawn) -> None:
    """Ctrl-C leaves the run as it is and says how to come back."""
    run = store_run(ProcessState.WAITING)
    terminal = spawn(run.pk)
    terminal.expect('Ctrl-C leaves the run going')
    time.sleep(0.5)
    terminal.sendintr()
    terminal.expect(f'Run {run.pk} goes on in the background: `aiida-sis watch {run.pk}')
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert not run.is_terminated
