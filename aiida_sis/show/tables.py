"""Tables for the terminal: the generations of a run, and its verdict."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from aiida_sis.command_lines import again
from aiida_sis.core.loop.outcome import last_verified, outcome_in_words, verification_lines
from aiida_sis.core.loop.record import Generation, Label, Md, Run, Training

__all__ = ('format_seconds', 'generations_table', 'stage_lines', 'true_error_lines', 'verdict_lines', 'warning_lines')

_BOUNDS = {'crash': 'crash', 'lost_atoms': 'atoms lost', 'non_finite': 'not a number', 'distance': 'atoms too near'}

#: Header, whether numbers stand below it, whether a narrow terminal needs it too.
_COLUMNS = (
    ('Gen.', True, True),
    ('AIMD\n(fs)', True, True),
    ('Frames\nin all', True, False),
    ('Force\n(eV/Å)', True, True),
    ('Energy\n(meV)', True, False),
    ('Stage,\nreplica', True, True),
    ('Stable or t_cp', False, True),
    ('t_next\n(ps)', True, False),
)
_WIDE = 76

_LEGEND = (
    'Force, Energy: error on held-out frames (energy per atom). t_cp: the temperature '
    'left its window. t_next: the snapshot to go back to, measured where there is a ladder.'
)


def generations_table(record: Run, rows: int | None = None, width: int = 80) -> Table:
    """Show each generation: what was labelled, how well it was learnt, how far the MD went. It fits 80 columns.

    :param record: the run.
    :param rows: show no more rows, where the terminal is low: the last generations, one at least.
    :param width: columns of the terminal; below 76 the columns that can be missed are left out.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for header, is_number, _ in _COLUMNS:
        table.add_column(header, justify='right' if is_number else 'left', no_wrap=True)
    for generation in _last(record, rows):
        for row in _rows(generation):
            table.add_row(*row)
        table.add_section()
    if width < _WIDE:
        table.columns = [column for column, (_, _, needed) in zip(table.columns, _COLUMNS, strict=True) if needed]
    return table


def _last(record: Run, rows: int | None) -> list[Generation]:
    """Return the last generations that fit into so many rows."""
    chosen: list[Generation] = []
    left = float('inf') if rows is None else rows
    for generation in reversed(record.generations):
        left -= max(len(generation.labels), len(generation.md), 1) + 1
        if chosen and left < 0:
            break
        chosen.insert(0, generation)
    return chosen


def stage_lines(record: Run) -> list[str]:
    """Say what the stages are that the table counts, and what its signs mean.

    :param record: the run.
    """
    stages: dict[int, Md] = {}
    for md in record.all_md:
        stages.setdefault(md.stage, md)
    lines = []
    for number, md in sorted(stages.items()):
        edges = record.stage_window(number)
        window = f', window {edges[0]:g} to {edges[1]:g} K' if edges else ''
        length = f', {md.length_ps_requested:g} ps' if md.length_ps_requested else ''
        lines.append(f'stage {number}: {record.stage_name(number)}{window}{length}')
    if any(label.route == 'fallback' for generation in record.generations for label in generation.labels):
        lines.append('*: AIMD from the optimised snapshot, because the one from the snapshot itself went wrong')
    if any(label.cut_short for generation in record.generations for label in generation.labels):
        lines.append(
            'of: AIMD cut short by the time of its job: give it a longer max_wallclock_seconds or more cores, '
            'or ask for a shorter one'
        )
    return lines


def warning_lines(record: Run) -> list[str]:
    """Say what the last training that ended warned of; a later one has seen all that an earlier one had.

    :param record: the run.
    """
    trained = [one for one in record.generations if one.training and one.training.state in ('finished', 'failed')]
    last = trained[-1] if trained else None
    if last is None or last.training is None:
        return []
    return [f'The training of generation {last.generation} warns: {warning}' for warning in last.training.warnings]


def verdict_lines(record: Run) -> list[str]:
    """Say in a few lines how the run ended, what it cost and what it gained.

    :param record: the run.
    """
    lines = [*stage_lines(record), _LEGEND, *warning_lines(record), f'Verdict: {_verdict(record)}']
    if record.state == 'failed' and not record.summary and record.generations and not record.is_hybrid:
        lines.append(f'What its parts have computed is kept: `{again(f"continue {record.pk}")}` goes on from it.')
    lines += true_error_lines(record)
    if record.md_ps is not None:
        what = 'MD' if record.is_hybrid else 'Stable MD'
        lines.append(f'{what}: {record.md_ps:.4g} ps from {record.labelled}')
    if record.acceleration_ratio is not None:
        lines.append(f'Acceleration ratio ({record.ratio_of}): {format_ratio(record.acceleration_ratio)}')
    lines.append(f'Wall time: {format_seconds(record.wall_seconds)}')
    if record.framework_share is not None:
        lines.append(_framework(record.framework_share, record.untimed_jobs))
    return lines


def true_error_lines(record: Run) -> list[str]:
    """Say how wrong the potential is along its stable MD, where that was labelled.

    :param record: the run.
    """
    verified = last_verified(record)
    if verified is None or verified.verification is None:
        return []
    lines = verification_lines(verified.verification)
    if verified is not record.generations[-1]:
        lines[0] += f', generation {verified.generation}'
    return lines


def _framework(share: float, untimed: int) -> str:
    if untimed:
        jobs = 'one job' if untimed == 1 else f'{untimed} jobs'
        return f'Of this the framework: at most {100 * share:.1f} % ({jobs} did not say how long the code ran)'
    rest = 'no code ran' if share == 1 else 'the codes ran for the rest'
    return f'Of this the framework: {100 * share:.1f} % ({rest})'


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


def format_ratio(ratio: float) -> str:
    """Return an acceleration ratio to three digits, never in powers of ten.

    :param ratio: the ratio.
    """
    return f'{ratio:.3g}' if ratio < 999.5 else f'{ratio:,.0f}'


def format_label(label: Label) -> str:
    """Return what a label cost: its AIMD in fs, with a star after a fallback, or that it was a replay.

    Where the time of the job was up, what was asked for stands beside what was got.

    :param label: the label.
    :returns: the text; an ellipsis where it has not ended.
    """
    if label.aimd_fs is None:
        return '…'
    if label.route == 'replay':
        return 'replay'
    asked = f' of {label.asked_fs:.0f}' if label.cut_short and label.asked_fs is not None else ''
    return f'{label.aimd_fs:.0f}{asked}{"*" if label.route == "fallback" else ""}'


def _rows(generation: Generation) -> list[list[RenderableType]]:
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


def _label(label: Label | None) -> str:
    if label is None:
        return ''
    if label.aimd_fs is None:
        return _open(label.state)
    return format_label(label)


def _training(training: Training | None) -> list[RenderableType]:
    if training is None:
        return ['', '', '']
    frames = str(training.n_frames_total) if training.n_frames_total else ''
    if training.force_rmse_ev_per_angstrom is None:
        return [frames, _open(training.state), '']
    energy = f'{1000 * training.energy_rmse_ev_per_atom:.1f}' if training.energy_rmse_ev_per_atom is not None else ''
    return [frames, f'{training.force_rmse_ev_per_angstrom:.3f}', energy]


def _md(md: Md | None) -> list[RenderableType]:
    if md is None:
        return ['', '', '']
    name = f'{md.stage}, {md.replica}'
    if md.stable:
        return [name, Text(f'stable {md.length_ps or 0:.4g} ps', style='green'), '']
    if md.t_cp_ps is None:
        return [name, Text(_open(md.state), style='red' if md.state == 'failed' else ''), '']
    t_next = f'{md.t_next_ps:.3f}' if md.t_next_ps is not None else ''
    return [name, Text(f'{md.t_cp_ps:.3f} ps, {_how(md)}', style='red'), t_next]


def _how(md: Md) -> str:
    """Return what told of the catastrophe: the temperature, or what else ended the MD."""
    if md.pair_cp is not None and md.distance_cp_angstrom is not None:
        return f'{md.pair_cp} {md.distance_cp_angstrom:.2f} Å'
    return _BOUNDS.get(md.bound or '') or (f'{md.temperature_cp_k:.0f} K' if md.temperature_cp_k is not None else '')


def _open(state: str) -> str:
    """Return what stands where there is no number: dots while it is being made, else the state."""
    return '…' if state in ('waiting', 'running') else state


def _verdict(record: Run) -> str:
    if record.is_running:
        return 'the run goes on'
    if record.is_hybrid:
        text = 'every cycle was run' if record.outcome == 'finished' else record.outcome
    else:
        text = outcome_in_words(record.outcome)
    if record.exit_status:
        text += f' (exit code {record.exit_status}: {record.message})'
    elif record.state == 'failed' and record.message:
        text += f' ({record.message.strip().splitlines()[-1]})'
    return text
