"""Tables for the terminal: the generations of a run, its verdict and what its jobs do now."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiida_sis.report.collect import GenerationRecord, LabelRecord, MdRecord, RunRecord, TrainingRecord
from aiida_sis.report.live import JobReading

__all__ = ('format_seconds', 'generations_table', 'live_view', 'stage_lines', 'verdict_lines')

_BOUNDS = {'crash': 'crash', 'lost_atoms': 'atoms lost', 'non_finite': 'not a number'}

_LEGEND = (
    'Force, Energy: error on held-out frames (energy per atom). t_cp: the temperature',
    'left its window. t_next: the snapshot that starts the next AIMD.',
)


def generations_table(record: RunRecord, last: int | None = None) -> Table:
    """Show each generation: what was labelled, how well it was learnt, how far the MD went. It fits 80 columns.

    :param record: the run.
    :param last: show only so many generations, the last ones, where the terminal is low.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for header in ('Gen.', 'AIMD\n(fs)', 'Frames\nin all', 'Force\n(eV/Å)', 'Energy\n(meV)', 'Stage,\nreplica'):
        table.add_column(header, justify='right', no_wrap=True)
    table.add_column('Stable or t_cp', no_wrap=True)
    table.add_column('t_next\n(ps)', justify='right', no_wrap=True)
    for generation in record.generations[-(last or len(record.generations)) :]:
        for row in _rows(generation):
            table.add_row(*row)
        table.add_section()
    return table


def stage_lines(record: RunRecord) -> list[str]:
    """Say what the stages are that the table counts, and what its signs mean.

    :param record: the run.
    """
    stages: dict[int, MdRecord] = {}
    for md in record.md_records:
        stages.setdefault(md.stage, md)
    lines = []
    for number, md in sorted(stages.items()):
        window = f', window {md.window_k[0]:g} to {md.window_k[1]:g} K' if md.window_k else ''
        length = f', {md.length_requested_ps:g} ps' if md.length_requested_ps else ''
        lines.append(f'stage {number}: {record.stage_name(number)}{window}{length}')
    if any(label.route == 'fallback' for generation in record.generations for label in generation.labels):
        lines.append('*: AIMD from the optimised snapshot, because the one from the snapshot itself went wrong')
    return lines


def verdict_lines(record: RunRecord) -> list[str]:
    """Say in a few lines how the run ended, what it cost and what it gained.

    :param record: the run.
    """
    summary = record.summary
    lines = [*stage_lines(record), *_LEGEND, f'Verdict: {_verdict(record)}']
    ratio = summary.get('acceleration_ratio')
    md_ps = summary.get('md_ps')
    if md_ps is not None:
        lines.append(f'Stable MD: {float(md_ps):.4g} ps from {record.aimd_ps:.4g} ps of AIMD')
    if ratio is not None:
        lines.append(f'Acceleration ratio (MD / AIMD): {float(ratio):.3g}')
    lines.append(f'Wall time: {format_seconds(record.wall_seconds)}')
    if record.framework_share is not None:
        lines.append(f'Of this the framework: {100 * record.framework_share:.1f} % (the codes ran for the rest)')
    return lines


def live_view(record: RunRecord, readings: list[JobReading], last: int | None = None) -> RenderableType:
    """Show what the jobs do now, one progress bar each, and the table of generations below.

    :param record: the run.
    :param readings: what its jobs do now.
    :param last: show only so many generations.
    """
    bars = Table.grid(padding=(0, 1))
    for reading in readings:
        bar = ProgressBar(total=reading.total, completed=reading.done, width=14) if reading.total else Text('')
        bars.add_row(Text('●', style='green'), bar, Text(str(reading)))
    head = Text(f'SIS run {record.pk}: {record.state}, {format_seconds(record.wall_seconds)}', style='bold')
    return Group(head, bars, generations_table(record, last))


def format_seconds(seconds: float) -> str:
    """Return a time as people say it.

    :param seconds: the time in s.
    """
    if seconds < 60:
        return f'{seconds:.0f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes} min {rest:02d} s'
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes:02d} min'


def _rows(generation: GenerationRecord) -> list[list[RenderableType]]:
    """Return the lines of one generation: its labels and its MD runs side by side, its training on the first."""
    rows: list[list[RenderableType]] = []
    training = generation.training
    for number in range(max(len(generation.labels), len(generation.md), 1)):
        label = generation.labels[number] if number < len(generation.labels) else None
        md = generation.md[number] if number < len(generation.md) else None
        row: list[RenderableType] = [str(generation.generation) if number == 0 else '', _label(label)]
        row += _training(training) if number == 0 else ['', '', '']
        rows.append(row + _md(md))
    return rows


def _label(label: LabelRecord | None) -> str:
    if label is None:
        return ''
    if label.aimd_fs is None:
        return _open(label.state)
    return f'{label.aimd_fs:.0f}{"*" if label.route == "fallback" else ""}'


def _training(training: TrainingRecord | None) -> list[RenderableType]:
    if training is None:
        return ['', '', '']
    frames = str(training.n_frames_total) if training.n_frames_total else ''
    if training.force_rmse is None:
        return [frames, _open(training.state), '']
    energy = f'{1000 * training.energy_rmse:.1f}' if training.energy_rmse is not None else ''
    return [frames, f'{training.force_rmse:.3f}', energy]


def _md(md: MdRecord | None) -> list[RenderableType]:
    if md is None:
        return ['', '', '']
    name = f'{md.stage}, {md.replica}'
    if md.stable:
        return [name, Text(f'stable {md.length_ps or 0:.4g} ps', style='green'), '']
    if md.t_cp_ps is None:
        return [name, Text(_open(md.state), style='red' if md.state == 'failed' else ''), '']
    how = _BOUNDS.get(md.bound or '') or (f'{md.temperature_cp_k:.0f} K' if md.temperature_cp_k is not None else '')
    t_next = f'{md.t_next_ps:.3f}' if md.t_next_ps is not None else ''
    return [name, Text(f'{md.t_cp_ps:.3f} ps, {how}', style='red'), t_next]


def _open(state: str) -> str:
    """Return what stands where there is no number: dots while it is being made, else the state."""
    return '…' if state in ('waiting', 'running') else state


def _verdict(record: RunRecord) -> str:
    if record.is_running:
        return 'the run goes on'
    texts = {
        'stable': 'stable through the last stage',
        'max_generations': 'not stable within the allowed number of generations',
    }
    text = texts.get(record.outcome, record.outcome)
    if record.exit_status:
        text += f' (exit code {record.exit_status}: {record.message})'
    elif record.state == 'failed' and record.message:
        text += f' ({record.message.strip().splitlines()[-1]})'
    return text
