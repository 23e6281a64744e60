"""The view of a run in the terminal: where it is, what its jobs do now, what it waits for, its generations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiida_sis.core.loop.record import Run
from aiida_sis.run.job_readings import JobStatus
from aiida_sis.run.status import RunStatus
from aiida_sis.show.tables import format_seconds, generations_table, verdict_lines, warning_lines

__all__ = ('EndView', 'RunView', 'sparkline')

_LEVELS = '▁▂▃▄▅▆▇█'
_NARROW = 80


class RunView:
    """A run that goes on. It fits the width of the terminal, and its height where ``height`` is given.

    :param status: the state of the run.
    :param height: rows of the terminal; the oldest generations are left out where there are too many.
    :param footer: what stands below, such as how to leave.
    """

    def __init__(self, status: RunStatus, height: int | None = None, footer: str = '') -> None:
        self._status, self._height, self._footer = status, height, footer

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the parts from top to bottom."""
        width = options.max_width
        top: list[RenderableType] = [*_head(self._status), '', _jobs(self._status, width)]
        top += [Text(f'Waits: {sentence}', style='yellow', overflow='fold') for sentence in self._status.waits_for]
        top += [Text(line, style='yellow', overflow='fold') for line in warning_lines(self._status)]
        rows = None
        if self._height is not None:
            used = sum(len(console.render_lines(part, options)) for part in top)
            rows = max(1, self._height - used - 5 - (1 if self._footer else 0))
        yield Group(*top)
        if self._status.generations:
            yield generations_table(self._status, rows, width)
        if self._footer:
            yield Text(self._footer, style='dim')


class EndView:
    """A run that has ended: its generations and its verdict.

    :param record: the record of the run.
    """

    def __init__(self, record: Run) -> None:
        self._record = record

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the parts from top to bottom."""
        yield Text(self._record.title, style='bold')
        yield generations_table(self._record, width=options.max_width)
        for line in verdict_lines(self._record):
            yield Text(line)


def sparkline(values: Sequence[float], low: float, high: float, width: int = 16) -> str:
    """Draw a series as a row of blocks, for a glance at whether it stays.

    :param values: the series ``(n_samples,)``; what is not finite becomes a cross.
    :param low: the value at the lowest block.
    :param high: the value at the highest block.
    :param width: the most characters; a longer series is cut into as many parts, each drawn by its highest value.
    :returns: the characters.
    """
    if not values:
        return ''
    count = min(width, len(values))
    edges = [round(number * len(values) / count) for number in range(count + 1)]
    blocks = ''
    for start, end in itertools.pairwise(edges):
        part = values[start:end]
        if not all(math.isfinite(value) for value in part):
            blocks += '×'
            continue
        place = (max(part) - low) / (high - low) if high > low else 0.5
        blocks += _LEVELS[min(max(int(place * len(_LEVELS)), 0), len(_LEVELS) - 1)]
    return blocks


def _head(status: RunStatus) -> list[Text]:
    name = status.title + (f', {status.label}' if status.label else '')
    lines = [Text(f'{name}: {status.state}, {format_seconds(status.wall_seconds)}', style='bold')]
    where = []
    if status.generation is not None:
        most = f' of at most {status.max_generations}' if status.max_generations is not None else ''
        where.append(f'generation {status.generation}{most}')
    if status.aimd_ps:
        where.append(f'{status.aimd_ps:.4g} ps of AIMD labelled')
    if where:
        lines.append(Text(', '.join(where)))
    if status.stage is not None:
        edges = status.stage.window_k
        window = 'automatic window' if edges is None else f'window {edges[0]:g} to {edges[1]:g} K'
        place = f'stage {status.stage.index}, {status.stage.name}'
        lines.append(Text(f'{place}: {window}, {status.stage.length_ps:g} ps'))
    return lines


def _jobs(status: RunStatus, width: int) -> RenderableType:
    """Show what runs, a line each: a bar where the end is known, the temperature with its latest course."""
    if not status.jobs:
        return Text('nothing runs at this moment')
    narrow = width < _NARROW
    several = len({job.system for job in status.jobs if job.system}) > 1
    grid = Table.grid(padding=(0, 1))
    for column in range(4):
        grid.add_column(no_wrap=column < 3, justify='right' if column == 2 else 'left')
    for job in status.jobs:
        what = f'{job.what}, {job.system}' if several and job.system else job.what
        what += ', paused' if job.state == 'paused' else ''
        mark = Text('● ', style='green' if job.state == 'running' else 'yellow') + Text(what, style='default')
        bar: RenderableType = ''
        if job.total:
            bar = ProgressBar(
                total=job.total,
                completed=min(job.done or 0.0, job.total),
                width=8 if narrow else 16,
                complete_style='green',
                finished_style='green',
            )
        grid.add_row(mark, bar, job.amount, _now(job, 8 if narrow else 16))
    return grid


def _now(job: JobStatus, width: int) -> Text:
    parts = Text()
    if job.temperature_k is not None:
        low, high = job.window_k or (0.0, 2 * _mean(job.temperatures_k))
        parts.append(f'{job.temperature_k:4.0f} K ' if math.isfinite(job.temperature_k) else ' no K ')
        parts.append(sparkline(job.temperatures_k, low, high, width), style='cyan')
    elif job.detail:
        parts.append(f' {job.detail}')
    return parts


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else 1.0
