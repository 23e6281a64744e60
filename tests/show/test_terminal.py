"""The view of a run: where it is, what runs, what it waits for."""

from __future__ import annotations

import io
import math

import pytest
from plumpy import ProcessState
from rich.console import Console

from aiida_sis.run.job_readings import JobStatus
from aiida_sis.run.record import collect
from aiida_sis.run.status import run_status
from aiida_sis.show.progress import _events
from aiida_sis.show.terminal import EndView, RunView, sparkline

MD = JobStatus(
    what='MD, replica 0', generation=1, done=2.0, total=10.0, unit='ps', temperature_k=320.0,
    temperatures_k=(280.0, 300.0, 320.0), window_k=(50.0, 800.0), system='box', pk=7,
)  # fmt: skip
QUEUED = JobStatus(
    what='AIMD 0', generation=1, waits_for='job 9 is in the queue of cluster (number 4)', state='queued', system='slab'
)


def lines_of(view: object, width: int, height: int = 100) -> list[str]:
    """Return the lines as they appear on a terminal of this width."""
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(view)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize('width', [60, 100])
def test_running(make_run, width: int) -> None:
    """Stage, generation, progress, temperature and what is waited for fit the terminal."""
    node = make_run(ProcessState.WAITING, None)
    record = collect(node)
    lines = lines_of(RunView(run_status(node, record, [MD, QUEUED]), footer='Ctrl-C'), width)
    text = '\n'.join(lines)
    assert max(map(len, lines)) <= width
    for part in ('running', 'generation 1', 'stage 1, fine: window 50 to 800 K', '2/10 ps', ' 320 K ▃▃▃', 'Ctrl-C'):
        assert part in text
    assert 'MD, replica 0, box' in text
    assert 'in the queue of cluster' in text.replace('\n', ' ')
    assert 'daemon start' in text


def test_what_the_last_training_warns_of(make_run) -> None:
    """An MD that heats up because `sel` is too small is not understood where nobody says so; the newest word holds."""
    node = make_run(ProcessState.WAITING, None)
    record = collect(node)
    for view in (RunView(run_status(node, record)), EndView(record)):
        text = ' '.join(' '.join(lines_of(view, 80)).split())
        assert 'The training of generation 1 warns: sel of type 4 (Li) is not enough! 13 are needed' in text
        assert 'generation 0 warns' not in text
    assert 'generation 0: the training warns: sel of type 4 (Li) is not enough! 12 are needed' in _events(record)


def test_low_terminal(make_run) -> None:
    """The oldest generations give way, not what runs."""
    node = make_run(ProcessState.WAITING, None)
    record = collect(node)
    view = RunView(run_status(node, record, [MD]), height=16)
    lines = lines_of(view, 100)
    assert len(lines) <= 16
    assert '2/10 ps' in '\n'.join(lines)
    assert '0.120 ps' not in '\n'.join(lines)


def test_between_two_jobs(make_run) -> None:
    """A run with no job at this moment says so."""
    node = make_run(ProcessState.WAITING, None)
    record = collect(node)
    assert 'nothing runs at this moment' in '\n'.join(lines_of(RunView(run_status(node, record)), 80))


def test_end(make_run) -> None:
    """The table and the verdict."""
    text = '\n'.join(lines_of(EndView(collect(make_run())), 80))
    assert 'stable 10 ps' in text
    assert 'Verdict: stable through the last stage' in text


def test_sparkline() -> None:
    """Low, middle, high, beyond the edges, not a number; long series by their highest values."""
    assert sparkline([0, 500, 999, 2000, -5, math.nan], 0, 1000) == '▁▅██▁×'
    assert sparkline([1.0] * 30 + [9.0] + [1.0] * 29, 0, 10, width=4) == '▁▁█▁'
    assert sparkline([], 0, 1) == ''
    assert sparkline([5.0], 5.0, 5.0) == '▅'
