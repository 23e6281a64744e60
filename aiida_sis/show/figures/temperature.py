"""The temperature of every generation, in the manner of the paper's Figures 1b and 3a, and what it did at t_cp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_deepmd.arrays import FloatArray
from aiida_sis.core.loop.record import Generation, Ladder, Md, Run
from aiida_sis.run.trajectories import Details
from aiida_sis.show.figures.style import (
    CP,
    INK,
    NARROW,
    NEXT,
    PAPER,
    RUNGS,
    STYLE,
    WINDOW,
    NothingToShowError,
    legend_below,
    new_figure,
    series_colour,
    subtitle,
)
from aiida_sis.show.tables import format_ratio
from aiida_sis.show.tabular import Table

__all__ = ('draw_temperature', 'draw_zoom', 'envelope', 'plot_run', 'points_table', 'series_table')

_MOST_LISTED = 3
_MAX_COLUMNS = 3
_MOST_ZOOMED = 9


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


def plot_run(record: Run, width: float | None = None, titled: bool = True) -> Figure:
    """Draw the temperature of every generation and replica, one panel per generation and stage.

    :param record: a run collected with its series.
    :param width: inches; by default what the number of panels asks for.
    :param titled: write the run and its result above the panels.
    """
    panels = _panels(record)
    n_columns = 1 if len(panels) <= 2 else min(_MAX_COLUMNS, int(np.ceil(np.sqrt(len(panels)))))
    n_columns = 1 if width is not None and width <= NARROW else n_columns
    n_rows = max(1, int(np.ceil(len(panels) / n_columns)))
    width = width or (7.6 if n_columns == 1 else 3.7 * n_columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, 2.3 * n_rows + 0.6), layout='constrained')
        FigureCanvasAgg(figure)
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).ravel()
        limits = _limits(record.all_md)
        ladders = _ladders(record)
        for axis, (generation, stage, runs) in zip(axes, panels, strict=False):
            _panel(axis, generation, record.stage_name(stage), runs, limits, ladders)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis in axes[-n_columns:]:
            axis.set_xlabel('Time (ps)')
        figure.supylabel('Temperature (K)', fontsize=9)
        if titled:
            figure.suptitle(_title(record), fontsize=10.5, x=0.02, ha='left')
        if not panels:
            axes[0].text(0.5, 0.5, 'no MD has been run yet', ha='center', va='center', transform=axes[0].transAxes)
        else:
            legend_below(figure, _handles(record.all_md, list(ladders.values())), 3 if width <= NARROW else 7)
    return figure


def draw_temperature(details: Details, width: float) -> Figure:
    """Draw what :func:`plot_run` draws, without its title.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where no MD has begun.
    """
    if not details.run.all_md:
        raise NothingToShowError('No MD has been run yet.')
    return plot_run(details.run, width, titled=False)


def draw_zoom(details: Details, width: float) -> Figure:
    """Draw the temperature around each catastrophic point, from before t_next to the end.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where no MD has left its window.
    """
    runs = [run for run in details.run.all_md if run.t_cp_ps is not None and run.series.time_ps.size > 1]
    if not runs:
        raise NothingToShowError('No MD has left its window.')
    figure, axes = new_figure(width, len(runs[-_MOST_ZOOMED:]), 2.35)
    ladders = _ladders(details.run)
    for axis, run in zip(axes, runs[-_MOST_ZOOMED:], strict=True):
        _zoom_panel(axis, run, ladders.get(run.pk))
        axis.set_xlabel('Time (fs)')
    figure.supylabel('Temperature (K)', fontsize=9)
    return figure


def _zoom_panel(axis: Axes, run: Md, ladder: Ladder | None) -> None:
    end = float(run.series.time_ps[-1])
    first = run.t_next_ps if run.t_next_ps is not None else 0.8 * end
    begin = max(0.0, min(first, end - 0.02) - 0.25 * (end - first))
    shown = run.series.time_ps >= begin - 1e-9
    fs = 1000.0 * run.series.time_ps[shown]
    if run.window_k is not None:
        axis.axhspan(*run.window_k, color=WINDOW, lw=0, zorder=0)
    if run.temperature_target_k is not None:
        axis.axhline(run.temperature_target_k, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=1)
    marker = 'o' if fs.size < 80 else ''
    temperature = run.series.temperature[shown]
    axis.plot(fs, temperature, marker=marker, ms=2.6, lw=1.1, color=series_colour(run.replica), zorder=3)
    finite = temperature[np.isfinite(temperature)]
    top = max([*finite, *(run.window_k or ())], default=1000.0)
    ceiling = 1.4 * run.window_k[1] if run.window_k is not None else top
    axis.set_ylim(0, min(1.06 * top, ceiling))
    axis.set_xlim(fs[0], fs[-1] + 0.04 * max(fs[-1] - fs[0], 1.0))
    _draw_rungs(axis, run, ladder, 1000.0)
    _draw_marks(axis, run, 1000.0)
    axis.set_title(f'Generation {run.generation}, replica {run.replica}', pad=19)
    before = '' if run.t_next_ps is None or run.t_cp_ps is None else f'{1000 * (run.t_cp_ps - run.t_next_ps):.0f} fs'
    subtitle(axis, f'$t_{{next}}$ {before} before $t_{{cp}}$' if before else 'no snapshot')


def series_table(details: Details) -> Table:
    """Return every sample of every MD.

    :param details: of a run.
    """
    rows = (
        (run.generation, details.run.stage_name(run.stage), run.replica, run.pk, float(time), float(temperature))
        for run in details.run.all_md
        for time, temperature in zip(run.series.time_ps, run.series.temperature, strict=True)
    )
    return Table(('generation', 'stage', 'replica', 'pk', 'time_ps', 'temperature_k'), tuple(rows))


def points_table(details: Details) -> Table:
    """Return the catastrophic points.

    :param details: of a run.
    """
    rows = (
        (run.generation, details.run.stage_name(run.stage), run.replica, run.pk, run.t_cp_ps, run.temperature_cp_k,
         run.bound, run.t_next_ps)
        for run in details.run.all_md
        if run.t_cp_ps is not None
    )  # fmt: skip
    headers = ('generation', 'stage', 'replica', 'pk', 't_cp_ps', 'temperature_cp_k', 'bound', 't_next_ps')
    return Table(headers, tuple(rows))


def _panels(record: Run) -> list[tuple[Generation, int, list[Md]]]:
    """Return generation, stage and its MD runs of each panel."""
    return [
        (generation, stage, [md for md in generation.md if md.stage == stage])
        for generation in record.generations
        for stage in generation.stages
    ]


def _panel(
    axis: Axes,
    generation: Generation,
    stage: str,
    runs: Sequence[Md],
    limits: tuple[float, float],
    ladders: Mapping[int | None, Ladder],
) -> None:
    bottom, top = limits
    first = runs[0]
    for low, high in {run.window_k for run in runs if run.window_k is not None}:
        axis.axhspan(max(low, bottom), high, color=WINDOW, lw=0, zorder=0)
    if first.temperature_target_k is not None:
        axis.axhline(first.temperature_target_k, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=1)
    length = 0.0
    for run in runs:
        colour = series_colour(run.replica)
        _draw_series(axis, run, colour)
        length = max(length, run.series.time_ps[-1] if run.series.time_ps.size else 0.0, run.t_cp_ps or 0.0)
    axis.set_ylim(bottom, top)
    if length > 0:
        axis.set_xlim(0, length * 1.04)
    for run in runs:
        _draw_rungs(axis, run, ladders.get(run.pk))
        _draw_marks(axis, run)
    force = generation.force_rmse_ev_per_angstrom
    error = '' if force is None else f', {force:.2f} eV/Å'
    axis.set_title(f'Generation {generation.generation}{error}, {stage}', pad=19)
    text, colour = _outcome(runs)
    subtitle(axis, text, colour)


def _outcome(runs: Sequence[Md]) -> tuple[str, str]:
    """Say below the title where the replicas failed: labels beside the crosses would cover those of other replicas."""
    points = []
    for run in sorted(runs, key=lambda run: run.replica):
        if run.t_cp_ps is not None:
            value = run.temperature_cp_k
            known = value is not None and np.isfinite(value)
            points.append(f'{run.t_cp_ps:.3g} ps' + (f' ({value:.0f} K)' if known else ''))
    if points:
        more = f', {len(points) - _MOST_LISTED} more' if len(points) > _MOST_LISTED else ''
        return f'$t_{{cp}}$ {", ".join(points[:_MOST_LISTED])}{more}', CP
    if all(run.stable for run in runs):
        return f'stable for {min(run.length_ps or 0.0 for run in runs):.4g} ps', NEXT
    return '', NEXT


def _draw_series(axis: Axes, run: Md, colour: str, most_drawn: int = 1500) -> None:
    if run.series.time_ps.size > most_drawn:
        middle, low, high = envelope(run.series.time_ps, run.series.temperature)
        axis.fill_between(middle, low, high, color=colour, alpha=0.45, lw=0, zorder=2)
        mean = np.convolve(np.pad((low + high) / 2, 5, mode='edge'), np.ones(11) / 11, mode='valid')
        axis.plot(middle, mean, color=colour, lw=0.9, zorder=3)
    else:
        axis.plot(run.series.time_ps, run.series.temperature, color=colour, lw=1.0, alpha=0.9, zorder=2)


def _draw_marks(axis: Axes, run: Md, scale: float = 1.0) -> None:
    """Put the red cross at t_cp, at the edge where the temperature left the picture, and the green dot at t_next."""
    bottom, top = axis.get_ylim()
    finite = np.isfinite(run.series.temperature)
    if run.t_next_ps is not None and finite.any():
        height = float(np.interp(run.t_next_ps, run.series.time_ps[finite], run.series.temperature[finite]))
        axis.plot(scale * run.t_next_ps, height, 'o', color=NEXT, ms=6.5, mec=PAPER, mew=0.8, zorder=6, clip_on=False)
    if run.t_cp_ps is None:
        return
    temperature = run.temperature_cp_k
    if temperature is None or not np.isfinite(temperature):
        temperature = bottom if run.bound == 'low' else top
    height = min(max(temperature, bottom), top)
    axis.plot(scale * run.t_cp_ps, height, 'x', color=CP, ms=7.5, mew=2.2, zorder=6, clip_on=False)


def _ladders(record: Run) -> dict[int | None, Ladder]:
    """Return the ladder of each MD that has one, by its PK."""
    return {ladder.md: ladder for generation in record.generations for ladder in generation.ladders}


def _draw_rungs(axis: Axes, run: Md, ladder: Ladder | None, scale: float = 1.0) -> None:
    """Put a mark on the temperature at each rung, and a ring around the measured t_next."""
    finite = np.isfinite(run.series.temperature)
    if ladder is None or not finite.any():
        return
    bottom, top = axis.get_ylim()
    left = axis.get_xlim()[0]
    for rung in ladder.rungs:
        if scale * rung.time_ps < left:
            continue
        height = float(np.interp(rung.time_ps, run.series.time_ps[finite], run.series.temperature[finite]))
        at = scale * rung.time_ps, min(max(height, bottom), top)
        axis.plot(*at, **RUNGS[rung.state], ls='', mew=0.6, zorder=5, clip_on=False)
        if rung.time_ps == ladder.t_next_ps:
            axis.plot(*at, 'o', ms=11, mfc='none', mec=NEXT, mew=1.6, zorder=6, clip_on=False)


def _limits(runs: Sequence[Md]) -> tuple[float, float]:
    """Return the ends of the temperature axis: the window with a margin, so that no explosion flattens the rest."""
    values = [run.series.temperature[np.isfinite(run.series.temperature)] for run in runs]
    everything = np.concatenate(values) if values else np.empty(0)
    highest = float(everything.max()) if everything.size else 1000.0
    window_top = max((run.window_k[1] for run in runs if run.window_k is not None), default=highest)
    return 0.0, max(min(highest * 1.05, window_top * 1.3), window_top * 1.05)


def _title(record: Run) -> str:
    parts = [record.title if record.is_hybrid else f'Stability-indicated sampling, run {record.pk}']
    if record.aimd_ps:
        parts.append(f'AIMD {record.aimd_ps:.3g} ps')
    if record.md_ps is not None:
        parts.append(f'{"MD" if record.is_hybrid else "stable MD"} {record.md_ps:.3g} ps')
    if record.acceleration_ratio is not None:
        parts.append(f'AR {format_ratio(record.acceleration_ratio)}')
    return ', '.join(parts)


def _handles(runs: Sequence[Md], ladders: Sequence[Ladder] = ()) -> list[Line2D | Patch]:
    replicas = sorted({run.replica for run in runs})
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=series_colour(number), lw=1.6, label=f'replica {number}') for number in replicas
    ]
    handles.append(Patch(color=WINDOW, label='window'))
    handles.append(Line2D([], [], color=INK, lw=0.9, ls=(0, (4, 3)), label='target'))
    handles.append(Line2D([], [], color=CP, marker='x', ls='', ms=7, mew=2.0, label='$t_{cp}$'))
    handles.append(Line2D([], [], color=NEXT, marker='o', ls='', ms=6, label='$t_{next}$'))
    states = {rung.state for ladder in ladders for rung in ladder.rungs}
    handles += [Line2D([], [], ls='', label=f'rung: {name}', **RUNGS[name]) for name in RUNGS if name in states]
    if states:
        ring: dict[str, Any] = {'marker': 'o', 'ms': 9.0, 'mfc': 'none', 'mec': NEXT, 'mew': 1.6}
        handles.append(Line2D([], [], ls='', label='$t_{next}$ measured', **ring))
    return handles
