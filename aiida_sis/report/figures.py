"""The figure of a run: the temperature of every generation, in the manner of the paper's Figures 1b and 3a."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_sis.report.collect import FloatArray, GenerationRecord, MdRecord, RunRecord

__all__ = ('envelope', 'plot_run', 'save_figure')

# Colour-blind safe (Okabe and Ito, 2008), without the red and green that t_cp and t_next need.
_REPLICA_COLOURS = ('#0072B2', '#E69F00', '#56B4E9', '#CC79A7', '#7F5539', '#5B5B5B')
_WINDOW = '#E8EEF4'
_CP = '#D00000'
_NEXT = '#00994D'
_MOST_LISTED = 3
_STYLE: dict[Any, Any] = {
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.linewidth': 0.8,
    'axes.titlesize': 9.5,
    'axes.titlelocation': 'left',
    'xtick.direction': 'out',
    'ytick.direction': 'out',
    'legend.frameon': False,
}
_MAX_COLUMNS = 3


def envelope(times: FloatArray, values: FloatArray, n_bins: int = 600) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Reduce a long series to the lowest and highest value of each of ``n_bins`` equal pieces of time.

    A drawn line of a million samples is slow and hides its peaks; the envelope keeps every excursion.

    :param times: (n_samples,), any unit, rising.
    :param values: (n_samples,); values that are not finite are left out.
    :param n_bins: the number of pieces.
    :returns: the middle of each piece, the lowest and the highest value there: each (n_pieces,).
    """
    finite = np.isfinite(values)
    times, values = times[finite], values[finite]
    if times.size == 0:
        return times, values, values
    edges = np.linspace(0, times.size, min(n_bins, times.size) + 1).astype(int)[:-1]
    middle = np.add.reduceat(times, edges) / np.diff(np.append(edges, times.size))
    return middle, np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)


def plot_run(record: RunRecord) -> Figure:
    """Draw the temperature of every generation and replica, one panel per generation and stage.

    :param record: a run collected with its series.
    """
    panels = [
        (generation, stage, [md for md in generation.md if md.stage == stage])
        for generation in record.generations
        for stage in generation.stages
    ]
    n_columns = 1 if len(panels) <= 2 else min(_MAX_COLUMNS, int(np.ceil(np.sqrt(len(panels)))))
    n_rows = max(1, int(np.ceil(len(panels) / n_columns)))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.6 if n_columns == 1 else 3.7 * n_columns, 2.4 * n_rows + 0.9), layout='constrained')
        FigureCanvasAgg(figure)
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).ravel()
        limits = _limits(record.md_records)
        for axis, (generation, stage, runs) in zip(axes, panels, strict=False):
            _panel(axis, generation, record.stage_name(stage), runs, limits)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis in axes[-n_columns:]:
            axis.set_xlabel('Time (ps)')
        figure.supylabel('Temperature (K)', fontsize=10)
        figure.suptitle(_title(record), fontsize=10.5, x=0.02, ha='left')
        if not panels:
            axes[0].text(0.5, 0.5, 'no MD has been run yet', ha='center', va='center', transform=axes[0].transAxes)
        elif len(panels) < len(axes):
            axes[-1].legend(handles=_handles(record.md_records), loc='center', fontsize=9)
        else:
            figure.legend(handles=_handles(record.md_records), loc='outside lower center', ncols=7, fontsize=8)
    return figure


def save_figure(record: RunRecord, path: Path, dpi: int = 180) -> Path:
    """Write the figure of a run and return its path.

    :param record: a run collected with its series.
    :param path: the file; its suffix gives the format.
    :param dpi: dots per inch.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plot_run(record).savefig(path, dpi=dpi)
    return path


def _panel(
    axis: Axes, generation: GenerationRecord, stage: str, runs: Sequence[MdRecord], limits: tuple[float, float]
) -> None:
    bottom, top = limits
    first = runs[0]
    if first.window_k is not None:
        axis.axhspan(max(first.window_k[0], bottom), first.window_k[1], color=_WINDOW, lw=0, zorder=0)
    if first.temperature_target_k is not None:
        axis.axhline(first.temperature_target_k, color='0.35', lw=0.8, ls=(0, (4, 3)), zorder=1)
    length = 0.0
    for run in runs:
        colour = _REPLICA_COLOURS[run.replica % len(_REPLICA_COLOURS)]
        _draw_series(axis, run, colour)
        length = max(length, run.times[-1] if run.times.size else 0.0, run.t_cp_ps or 0.0)
    axis.set_ylim(bottom, top)
    if length > 0:
        axis.set_xlim(0, length * 1.04)
    for run in runs:
        _draw_marks(axis, run)
    training = generation.training
    error = f', {training.force_rmse:.2f} eV/Å' if training and training.force_rmse is not None else ''
    axis.set_title(f'Generation {generation.generation}{error}, {stage}', pad=19)
    text, colour = _outcome(runs)
    axis.annotate(
        text, (0, 1), xytext=(0, 8), xycoords='axes fraction', textcoords='offset points', fontsize=7.5, color=colour
    )


def _outcome(runs: Sequence[MdRecord]) -> tuple[str, str]:
    """Say below the title where the replicas failed: labels beside the crosses would cover those of other replicas."""
    points = []
    for run in sorted(runs, key=lambda run: run.replica):
        if run.t_cp_ps is not None:
            value = run.temperature_cp_k
            known = value is not None and np.isfinite(value)
            points.append(f'{run.t_cp_ps:.3g} ps' + (f' ({value:.0f} K)' if known else ''))
    if points:
        more = f', {len(points) - _MOST_LISTED} more' if len(points) > _MOST_LISTED else ''
        return f'$t_{{cp}}$ {", ".join(points[:_MOST_LISTED])}{more}', _CP
    if all(run.stable for run in runs):
        return f'stable for {min(run.length_ps or 0.0 for run in runs):.4g} ps', _NEXT
    return '', _NEXT


def _draw_series(axis: Axes, run: MdRecord, colour: str, most_drawn: int = 1500) -> None:
    if run.times.size > most_drawn:
        middle, low, high = envelope(run.times, run.temperatures)
        axis.fill_between(middle, low, high, color=colour, alpha=0.45, lw=0, zorder=2)
        mean = np.convolve(np.pad((low + high) / 2, 5, mode='edge'), np.ones(11) / 11, mode='valid')
        axis.plot(middle, mean, color=colour, lw=0.9, zorder=3)
    else:
        axis.plot(run.times, run.temperatures, color=colour, lw=1.0, alpha=0.9, zorder=2)


def _draw_marks(axis: Axes, run: MdRecord) -> None:
    """Put the red cross at t_cp, at the edge where the temperature left the picture, and the green dot at t_next."""
    bottom, top = axis.get_ylim()
    finite = np.isfinite(run.temperatures)
    if run.t_next_ps is not None and finite.any():
        height = float(np.interp(run.t_next_ps, run.times[finite], run.temperatures[finite]))
        axis.plot(run.t_next_ps, height, 'o', color=_NEXT, ms=6.5, mec='white', mew=0.8, zorder=6, clip_on=False)
    if run.t_cp_ps is None:
        return
    temperature = run.temperature_cp_k
    if temperature is None or not np.isfinite(temperature):
        temperature = bottom if run.bound == 'low' else top
    axis.plot(run.t_cp_ps, min(max(temperature, bottom), top), 'x', color=_CP, ms=7.5, mew=2.2, zorder=6, clip_on=False)


def _limits(runs: Sequence[MdRecord]) -> tuple[float, float]:
    """Return the ends of the temperature axis: the window with a margin, so that no explosion flattens the rest."""
    values = [run.temperatures[np.isfinite(run.temperatures)] for run in runs]
    everything = np.concatenate(values) if values else np.empty(0)
    highest = float(everything.max()) if everything.size else 1000.0
    window_top = max((run.window_k[1] for run in runs if run.window_k is not None), default=highest)
    return 0.0, max(min(highest * 1.05, window_top * 1.3), window_top * 1.05)


def _title(record: RunRecord) -> str:
    parts = [f'Stability-indicated sampling, run {record.pk}']
    if record.aimd_ps:
        parts.append(f'AIMD {record.aimd_ps:.3g} ps')
    if record.summary.get('md_ps') is not None:
        parts.append(f'stable MD {float(record.summary["md_ps"]):.3g} ps')
    if record.summary.get('acceleration_ratio') is not None:
        parts.append(f'AR {float(record.summary["acceleration_ratio"]):.3g}')
    return ', '.join(parts)


def _handles(runs: Sequence[MdRecord]) -> list[Line2D | Patch]:
    replicas = sorted({run.replica for run in runs})
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=_REPLICA_COLOURS[number % len(_REPLICA_COLOURS)], lw=1.6, label=f'replica {number}')
        for number in replicas
    ]
    handles.append(Patch(color=_WINDOW, label='window'))
    handles.append(Line2D([], [], color='0.35', lw=0.9, ls=(0, (4, 3)), label='target'))
    handles.append(Line2D([], [], color=_CP, marker='x', ls='', ms=7, mew=2.0, label='$t_{cp}$'))
    handles.append(Line2D([], [], color=_NEXT, marker='o', ls='', ms=6, label='$t_{next}$'))
    return handles
