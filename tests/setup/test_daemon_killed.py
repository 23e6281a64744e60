"""A daemon whose processes were killed: a view says it, and the setup makes somebody work again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

COMMANDS = Path(__file__).with_name('daemon_commands.py')


def command(folder: Path, *arguments: object) -> dict[str, Any]:
    """Do what a command does, in a Python of its own."""
    environment = {name: value for name, value in os.environ.items() if name != 'AIIDA_PATH'}
    line = [sys.executable, str(COMMANDS), str(folder), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def all_of(said: dict[str, Any]) -> set[int]:
    """Give the numbers of all processes of the daemon."""
    return {pid for pids in said['parts'].values() for pid in pids}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the folder of a profile of its own, whose daemon is stopped at the end."""
    folder = tmp_path_factory.mktemp('sis')
    yield folder
    command(folder, 'stop')


@pytest.mark.parametrize(
    'killed', [('supervisor', 'worker', 'broker', 'stats'), ('supervisor',)], ids=['all', 'supervisor']
)
def test_killed_daemon_is_started_again(folder: Path, killed: tuple[str, ...]) -> None:
    """A PID file is left; a view tells of it with the remedy, the setup starts a daemon, and the job ends."""
    begun = command(folder, 'begin')
    for role in killed:
        for pid in begun['parts'][role]:
            os.kill(pid, signal.SIGKILL)
    seen = command(folder, 'look')
    assert 'it was killed, so nothing advances; start it: aiida-sis setup' in seen['said']
    again = command(folder, 'go_on', begun['pk'])
    assert again['said'] == 'restarted (the daemon is not running, it was killed)'
    assert again['exit_status'] == 0
    assert again['problem'] == ''
    assert [len(pids) for pids in again['parts'].values()] == [1, 1, 1, 1], again
    assert not all_of(begun) & all_of(again)


def test_worker_of_a_dead_broker(folder: Path) -> None:
    """The supervisor starts another broker, of which the worker never hears: that is said, and mended too."""
    begun = command(folder, 'begin')
    for pid in begun['parts']['broker']:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while 'listen to a broker that is gone' not in (seen := command(folder, 'look'))['said']:
        assert time.monotonic() < deadline, seen
    again = command(folder, 'go_on', begun['pk'])
    assert again['said'] == 'restarted (the workers of the daemon listen to a broker that is gone)'
    assert (again['exit_status'], again['problem']) == (0, '')
