"""Tables for the terminal: the generations of a run, its verdict and what its jobs do now."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiida_sis.report.collect import GenerationRecord, LabelRecord, MdRecord, RunRecord
from aiida_sis.report.live import JobReading

__all__ = ('format_seconds', 'generations_table', 'live_view', 'verdict_lines')

_ROUTES = {'direct': 'direct', 'optimised_first': 'optimised first', 'fallback': 'optimised after failure'}
_BOUNDS = {
    'low': 'too cold',
    'high': 'too hot',
    'crash': 'crash',
    'lost_atoms': 'atoms lost',
    'non_finite': 'not a number',
}


def generations_table(record: RunRecord) -> Table:
    """Show one row per generation: what was labelled, how well it was learnt, how far the MD went.

    :param record: the run.
    """
    table = Table(title=f'SIS run {record.pk}', title_justify='left', show_lines=True)
    table.add_column('Gen.', justify='right')
    table.add_column('AIMD', justify='left')
    table.add_column('Frames\nin all', justify='right')
    table.add_column('Force error\n(eV/Å)', justify='right')
    table.add_column('Energy error\n(meV/atom)', justify='right')
    table.add_column('MD with this potential\n(stage, replica)', justify='left')
    table.add_column('t_next\n(ps)', justify='right')
    for generation in record.generations:
        table.add_row(*_row(record, generation))
    return table


def verdict_lines(record: RunRecord) -> list[str]:
    """Say in a few lines how the run ended, what it cost and what it gained.

    :param record: the run.
    """
    summary = record.summary
    lines = [f'Verdict: {_verdict(record)}']
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


def live_view(record: RunRecord, readings: list[JobReading]) -> RenderableType:
    """Show the table of generations and one progress bar for each running job.

    :param record: the run.
    :param readings: what its jobs do now.
    """
    bars = Table.grid(padding=(0, 1))
    for reading in readings:
        bar = ProgressBar(total=reading.total, completed=reading.done, width=30) if reading.total else Text('')
        bars.add_row(Text('●', style='green'), Text(str(reading)), bar)
    state = f'{record.state}, {format_seconds(record.wall_seconds)}'
    return Group(generations_table(record), Text(state, style='bold'), bars)


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


def _row(record: RunRecord, generation: GenerationRecord) -> tuple[RenderableType, ...]:
    training = generation.training
    force = f'{training.force_rmse:.3f}' if training and training.force_rmse is not None else _state(training)
    energy = f'{1000 * training.energy_rmse:.1f}' if training and training.energy_rmse is not None else ''
    frames = str(training.n_frames_total) if training and training.n_frames_total else ''
    return (
        str(generation.generation),
        '\n'.join(_label(label) for label in generation.labels) or '–',
        frames,
        force,
        energy,
        Text('\n').join([_md(md, record.stage_name(md.stage)) for md in generation.md]),
        '\n'.join(f'{md.t_next_ps:.3f}' if md.t_next_ps is not None else '' for md in generation.md),
    )


def _label(label: LabelRecord) -> str:
    if label.aimd_fs is None:
        return label.state
    route = _ROUTES.get(label.route or '', label.route or '')
    failed = ' (failed)' if label.state == 'failed' else ''
    return f'{label.aimd_fs:.0f} fs, {label.n_frames or 0} frames, {route}{failed}'


def _md(md: MdRecord, stage: str) -> Text:
    name = f'{stage}, {md.replica}: '
    if md.stable:
        return Text(f'{name}stable {md.length_ps or 0:.4g} ps', style='green')
    if md.t_cp_ps is not None:
        at = f', {md.temperature_cp_k:.0f} K' if md.temperature_cp_k is not None else ''
        return Text(f'{name}t_cp {md.t_cp_ps:.3f} ps ({_BOUNDS.get(md.bound or "", md.bound)}{at})', style='red')
    return Text(f'{name}{md.state}', style='red' if md.state == 'failed' else '')


def _state(record: Any) -> str:
    return '' if record is None or record.state == 'finished' else str(record.state)


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
