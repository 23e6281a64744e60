"""Follow a run in the terminal until it ends: a live view, or plain lines where the output is not a terminal."""

from __future__ import annotations

import time
from collections import Counter

import click
from aiida import orm
from rich.console import Console
from rich.live import Live
from rich.text import Text

from aiida_sis.command_lines import again, verdi
from aiida_sis.core.loop.outcome import verification_lines
from aiida_sis.core.loop.record import Ladder, Run
from aiida_sis.run.graph import REHEARSAL, SUBMITTED
from aiida_sis.run.record import collect, loop_of
from aiida_sis.run.running_jobs import LiveReader
from aiida_sis.run.status import current_status, run_status
from aiida_sis.show.tables import format_seconds
from aiida_sis.show.terminal import EndView, RunView

__all__ = ('LEAVE', 'follow', 'refuse_parts', 'show_frame', 'watch_run')

LEAVE = 'Ctrl-C leaves the run going.'
_INTERRUPTED = 130


def refuse_parts(node: orm.ProcessNode) -> None:
    """Refuse the node of a part of a run, or of another workchain, and name the run.

    :param node: the node that was given.
    :raises click.BadParameter: in one sentence.
    """
    if node.process_type in SUBMITTED:
        return
    name, caller = node.process_label or type(node).__name__, node.caller
    while caller is not None and caller.process_type not in SUBMITTED:
        caller = caller.caller
    remedy = (
        f'a part of run {caller.pk}: give that PK'
        if caller is not None
        else f'no run of the SIS loop: `{verdi(f"process report {node.pk}")}` tells what it did'
    )
    raise click.BadParameter(f'node {node.pk} is a {name}, {remedy}.')


def watch_run(node: orm.ProcessNode, console: Console) -> int:
    """Follow a run until it ends and leave its table and verdict on the screen.

    :param node: the node of a SIS run, or of a run that contains one.
    :param console: where to show it.
    :returns: the exit code: 0 if it ended stable, 1 if not, 130 if it was left with Ctrl-C and goes on.
    """
    try:
        loop = follow(node, console)
    except KeyboardInterrupt:
        console.print(
            f'Run {node.pk} goes on in the background: `{again(f"watch {node.pk}")}` comes back to it, '
            f'`{verdi(f"process kill {node.pk}")}` ends it.',
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        return _INTERRUPTED
    console.print(EndView(collect(loop)))
    return 0 if node.is_finished_ok else 1


def follow(
    node: orm.ProcessNode, console: Console, interval: float = 2.0, plain_interval: float = 20.0
) -> orm.ProcessNode:
    """Show the progress of a run until it ends.

    :param node: the node of a SIS run, or of a run that contains one.
    :param console: where to show it.
    :param interval: seconds between two looks.
    :param plain_interval: seconds after which a plain line is printed although the stage has not changed.
    :returns: the node of the SIS run.
    """
    while (loop := loop_of(node)) is node and node.process_type == REHEARSAL and not node.is_terminated:
        time.sleep(interval / 4)
    with LiveReader(loop) as reader:
        if console.is_terminal:
            _follow_live(loop, reader, console, interval)
        else:
            _follow_plain(loop, reader, console, interval, plain_interval)
    if not node.is_terminated:
        text = f'The loop of run {node.pk} has ended; its last part runs: the MD is compared with its teacher.'
        if console.is_terminal:
            with console.status(text):
                _wait(node, interval)
        else:
            console.print(text, highlight=False, markup=False, soft_wrap=True)
            _wait(node, interval)
    return loop


def show_frame(node: orm.ProcessNode, console: Console) -> None:
    """Print the view of a run once, whether it goes on or has ended.

    :param node: the node of a SIS run, or of a run that contains one.
    :param console: where to print it.
    """
    status = current_status(node)
    console.print(RunView(status) if status.is_running else EndView(status))


def _follow_live(node: orm.ProcessNode, reader: LiveReader, console: Console, interval: float) -> None:
    with Live(Text('…'), console=console, refresh_per_second=4, transient=True) as live:
        try:
            while not node.is_terminated:
                began = time.monotonic()
                record = collect(node)
                live.update(RunView(run_status(node, record, reader.read()), console.height, LEAVE))
                _rest(began, interval)
        except KeyboardInterrupt:
            live.transient = False  # who leaves keeps the last view
            raise


def _follow_plain(
    node: orm.ProcessNode, reader: LiveReader, console: Console, interval: float, plain_interval: float
) -> None:
    shown: set[str] = set()
    last = 0.0
    while not node.is_terminated:
        began = time.monotonic()
        record = collect(node)
        for event in _events(record):
            if event not in shown:
                shown.add(event)
                _print(console, record, event)
                last = time.monotonic()
        if time.monotonic() - last >= plain_interval:
            readings = reader.read()
            for reading in readings:
                _print(console, record, str(reading))
            for sentence in run_status(node, record, readings).waits_for:
                _print(console, record, f'waits: {sentence}')
            last = time.monotonic()
        _rest(began, interval)


def _rest(began: float, interval: float) -> None:
    """Sleep, on a slow machine so long that the looks take a twentieth of a core from the codes, at most 15 s."""
    time.sleep(max(interval, min(19 * (time.monotonic() - began), 15.0)))


def _wait(node: orm.ProcessNode, interval: float) -> None:
    while not node.is_terminated:
        time.sleep(interval)


def _events(record: Run) -> list[str]:
    """Return what has happened so far, one sentence each, in order."""
    events = []
    for generation in record.generations:
        number = generation.generation
        for label in generation.labels:
            if label.aimd_fs is not None:
                replay = label.route == 'replay'
                asked = f' of {label.asked_fs:.0f}' if label.cut_short and label.asked_fs is not None else ''
                what, amount = ('single points', '') if replay else ('AIMD', f' from {label.aimd_fs:.0f}{asked} fs')
                events.append(f'generation {number}: {what} {label.index} gave {label.n_frames or 0} frames{amount}')
        events += [f'generation {number}: {_measured(ladder)}' for ladder in generation.ladders]
        training = generation.training
        error = generation.force_rmse_ev_per_angstrom
        if training is not None and error is not None:
            events.append(f'generation {number}: trained, held-out force error {error:.3f} eV/Å')
            events += [f'generation {number}: the training warns: {warning}' for warning in training.warnings]
        for md in generation.md:
            where = f'generation {number}, {record.stage_name(md.stage)}, replica {md.replica}'
            if md.stable:
                events.append(f'{where}: stable for {md.length_ps or 0:.4g} ps')
            elif md.t_cp_ps is not None:
                events.append(f'{where}: catastrophic point at {md.t_cp_ps:.3f} ps')
            elif md.state == 'failed':
                events.append(f'{where}: failed')
        for label in generation.stable_labels:
            if label.n_frames is not None or label.state in ('finished', 'failed'):
                where = f'generation {number}, {record.stage_name(label.stage or 0)}, replica {label.index}'
                events.append(f'{where}: {label.n_frames or 0} frames of the stable MD labelled')
        if generation.verification is not None:
            events += [f'generation {number}: {line}' for line in verification_lines(generation.verification)]
            events.append(f'generation {number}: {"verified" if generation.verification.verified else "not verified"}')
    return events


def _measured(ladder: Ladder) -> str:
    """What a ladder came to, in one line."""
    counts = Counter(rung.state for rung in ladder.rungs)
    rungs = ', '.join(
        f'{counts[state]} {state}' for state in ('right', 'wrong', 'unphysical', 'failed') if counts[state]
    )
    if ladder.t_next_ps is None:
        found = f'no rung before t_cp {ladder.t_cp_ps:.3f} ps is right'
    else:
        before = 1000 * (ladder.t_cp_ps - ladder.t_next_ps)
        found = f't_next measured at {ladder.t_next_ps:.3f} ps, {before:.0f} fs before t_cp'
    chance = ': the window was left by chance, or the heat is real' if ladder.is_right_to_the_last else ''
    return f'ladder {ladder.index}: {found} ({rungs}{chance})'


def _print(console: Console, record: Run, text: str) -> None:
    console.print(f'[{format_seconds(record.wall_seconds):>12}] {text}', markup=False, highlight=False, soft_wrap=True)
