"""Follow a run in the terminal until it ends: a live view, or plain lines where the output is not a terminal."""

from __future__ import annotations

import time

from aiida import orm
from rich.console import Console
from rich.live import Live

from aiida_sis.report.collect import RunRecord, collect
from aiida_sis.report.live import JobReading, LiveReader
from aiida_sis.report.tables import format_seconds, live_view

__all__ = ('follow',)


def follow(node: orm.ProcessNode, console: Console, interval: float = 2.0, plain_interval: float = 20.0) -> None:
    """Show the progress of a run until it ends.

    :param node: the node of the run.
    :param console: where to show it.
    :param interval: seconds between two looks.
    :param plain_interval: seconds after which a plain line is printed although the stage has not changed.
    """
    with LiveReader(node) as reader:
        if console.is_terminal:
            _follow_live(node, reader, console, interval)
        else:
            _follow_plain(node, reader, console, interval, plain_interval)


def _follow_live(node: orm.ProcessNode, reader: LiveReader, console: Console, interval: float) -> None:
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while not node.is_terminated:
            readings = reader.read()
            last = max(1, (console.height - len(readings) - 8) // 4)
            live.update(live_view(collect(node), readings, last))
            time.sleep(interval)


def _follow_plain(
    node: orm.ProcessNode, reader: LiveReader, console: Console, interval: float, plain_interval: float
) -> None:
    shown: set[str] = set()
    last = 0.0
    while not node.is_terminated:
        record = collect(node)
        for event in _events(record):
            if event not in shown:
                shown.add(event)
                _print(console, record, event)
                last = time.monotonic()
        if time.monotonic() - last >= plain_interval:
            readings: list[JobReading] = reader.read()
            for reading in readings:
                _print(console, record, str(reading))
            last = time.monotonic()
        time.sleep(interval)


def _events(record: RunRecord) -> list[str]:
    """Return what has happened so far, one sentence each, in order."""
    events = []
    for generation in record.generations:
        number = generation.generation
        for label in generation.labels:
            if label.aimd_fs is not None:
                amount = f'{label.n_frames or 0} frames from {label.aimd_fs:.0f} fs'
                events.append(f'generation {number}: AIMD {label.index} gave {amount}')
        training = generation.training
        if training is not None and training.force_rmse is not None:
            events.append(f'generation {number}: trained, held-out force error {training.force_rmse:.3f} eV/Å')
        for md in generation.md:
            where = f'generation {number}, {record.stage_name(md.stage)}, replica {md.replica}'
            if md.stable:
                events.append(f'{where}: stable for {md.length_ps or 0:.4g} ps')
            elif md.t_cp_ps is not None:
                events.append(f'{where}: catastrophic point at {md.t_cp_ps:.3f} ps')
            elif md.state == 'failed':
                events.append(f'{where}: failed')
    return events


def _print(console: Console, record: RunRecord, text: str) -> None:
    console.print(f'[{format_seconds(record.wall_seconds):>12}] {text}', markup=False, highlight=False, soft_wrap=True)
