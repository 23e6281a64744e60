"""The tables say what a reader wants to know."""

from __future__ import annotations

import pytest
from plumpy import ProcessState
from rich.console import Console, RenderableType

from aiida_sis.core.loop.record import Label
from aiida_sis.run.record import collect
from aiida_sis.show.page.sentences import sentences
from aiida_sis.show.tables import format_label, format_ratio, format_seconds, generations_table, verdict_lines


def render(renderable: RenderableType) -> str:
    """Return what is printed on a wide terminal."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_generations(make_run) -> None:
    """Errors, catastrophic point and stable length are in the rows."""
    text = render(generations_table(collect(make_run())))
    for part in ('0.200', '4.0', '0.120 ps, 1120 K', 'stable 10 ps', '0.072', '1, 0'):
        assert part in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_low_terminal(make_run) -> None:
    """Where there is no room the last generations are shown."""
    text = render(generations_table(collect(make_run()), rows=2))
    assert '0.120 ps' not in text
    assert 'stable 10 ps' in text


def test_verdict(make_run) -> None:
    """The verdict names the outcome and the acceleration ratio."""
    text = '\n'.join(verdict_lines(collect(make_run())))
    assert 'stage 1: fine, window 50 to 800 K, 10 ps' in text
    assert 'Verdict: stable through the last stage' in text
    assert 'Acceleration ratio (stable MD over labelled time): 50' in text
    assert 'Stable MD: 10 ps from 0.2 ps of AIMD' in text


@pytest.mark.parametrize(
    ('codes', 'untimed', 'text'),
    [
        (0.9, 0, 'Of this the framework: 10.0 % (the codes ran for the rest)'),
        (0.0, 0, 'Of this the framework: 100.0 % (no code ran)'),
        (0.9, 1, 'Of this the framework: at most 10.0 % (one job did not say how long the code ran)'),
        (0.0, 3, 'Of this the framework: at most 100.0 % (3 jobs did not say how long the code ran)'),
    ],
)
def test_framework(make_run, codes: float, untimed: int, text: str) -> None:
    """A share that rests on jobs without an end is an upper limit, and nothing is said of codes that did not run."""
    record = collect(make_run(ProcessState.FINISHED, 401))
    record = record.model_copy(update={'wall_seconds': 100.0, 'code_seconds': 100 * codes, 'untimed_jobs': untimed})
    assert verdict_lines(record)[-1] == text
    assert f'for {"at least " if untimed else ""}{100 * codes:.0f} % of it a code was running' in sentences(record)[-1]


def test_verdict_of_failure(make_run) -> None:
    """A failure shows its exit code."""
    assert 'exit code 410' in '\n'.join(verdict_lines(collect(make_run(ProcessState.FINISHED, 410))))


def test_narrow_terminal(make_run) -> None:
    """On 60 columns the columns that can be missed are left out, and nothing is cut."""
    text = render(generations_table(collect(make_run()), width=60))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 60
    assert '0.120 ps, 1120 K' in text
    assert 'Energy' not in text


@pytest.mark.parametrize(('seconds', 'text'), [(3.2, '3 s'), (75, '1 min 15 s'), (3660, '1 h 01 min')])
def test_seconds(seconds: float, text: str) -> None:
    """A time reads as people say it."""
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(('ratio', 'text'), [(8.8888, '8.89'), (62.5, '62.5'), (999.4, '999'), (1000.0, '1,000')])
def test_ratio_is_never_written_in_powers_of_ten(ratio: float, text: str) -> None:
    """A replay labels so little that a ratio can be a thousand."""
    assert format_ratio(ratio) == text


@pytest.mark.parametrize(
    ('route', 'aimd_fs', 'text'),
    [('direct', 150.0, '150'), ('fallback', 300.0, '300*'), ('replay', 0.0, 'replay'), (None, None, '…')],
)
def test_what_a_label_cost(route: str | None, aimd_fs: float | None, text: str) -> None:
    """Single points have no length in fs."""
    assert format_label(Label(pk=1, index=0, state='finished', route=route, aimd_fs=aimd_fs)) == text


def test_a_label_that_was_cut_short_says_what_was_asked_for() -> None:
    """Half an AIMD is not shown as a whole one."""
    cut = Label(pk=1, index=0, state='finished', route='direct', aimd_fs=33.5, asked_fs=300.0, cut_short=True)
    assert format_label(cut) == '34 of 300'
