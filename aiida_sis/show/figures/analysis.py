"""The figure of an analysis: structure, molecules, bonds, clusters, displacement, density."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aiida_sis.core.analysis.analyse import Analysis
from aiida_sis.core.analysis.summary import coordinations
from aiida_sis.show.figures.style import INK, MUTED, STYLE, WIDE, new_figure, series_colour

__all__ = ('draw_analysis',)

_MOST_LINES = 6
#: Fewer neighbours than this are no shell worth a line.
_FEWEST = 0.02
Panel = Callable[[Axes, Analysis], None]


def draw_analysis(analysis: Analysis, width: float = WIDE) -> Figure:
    """Draw what an analysis found, one panel for each thing that there is something to see of.

    :param analysis: of a trajectory.
    :param width: inches.
    """
    panels: list[Panel] = [_rdf, _molecules]
    if analysis.history.events:
        panels.append(_bonds)
    if analysis.aggregates.clusters:
        panels.append(_clusters)
    if analysis.msd:
        panels.append(_msd)
    if analysis.density is not None:
        panels.append(_density)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(width, len(panels), 2.9, 2 if len(panels) in (2, 4) else 3)
        for axis, panel in zip(axes, panels, strict=True):
            panel(axis, analysis)
        figure.suptitle(f'{analysis.name}: {len(analysis.times_fs)} frames', fontsize=10.5, x=0.02, ha='left')
    return figure


def _rdf(axis: Axes, analysis: Analysis) -> None:
    rdfs = analysis.rdfs
    shells = [one for one in coordinations(rdfs) if one.number >= _FEWEST]
    nearest = sorted(shells[:_MOST_LINES], key=lambda one: one.peak)
    pairs = [(one.centre, one.other) for one in nearest]
    pairs = pairs or sorted(rdfs.pairs, key=lambda pair: -float(rdfs.g[pair].max()))
    for number, pair in enumerate(pairs[:_MOST_LINES]):
        axis.plot(rdfs.r, rdfs.of(*pair), lw=1.3, color=series_colour(number), label='–'.join(pair))
    axis.set_title('Radial distribution')
    axis.set_xlabel('r (Å)')
    axis.set_ylabel('g(r)')
    axis.set_xlim(0, rdfs.r[-1])
    axis.set_ylim(bottom=0)
    _legend(axis)


def _molecules(axis: Axes, analysis: Analysis) -> None:
    """Species whose number changes; where none does, all of them as bars."""
    salts = analysis.salts
    changing = np.flatnonzero(np.ptp(salts.counts, axis=0))
    axis.set_title('Molecules')
    if len(changing) == 0:
        shown = np.argsort(-salts.counts[0], kind='stable')[:10][::-1]
        axis.barh([salts.names[k] for k in shown], salts.counts[0, shown], color=series_colour(0), height=0.65)
        for height, k in enumerate(shown):
            axis.annotate(str(salts.counts[0, k]), (salts.counts[0, k], height), xytext=(3, 0),
                          textcoords='offset points', va='center', fontsize=8)  # fmt: skip
        axis.set_xlim(0, 1.2 * salts.counts[0].max())
        axis.set_xlabel('number, the same throughout')
        axis.set_xticks([])
        axis.grid(False)
        return
    scale = _time_axis(axis, analysis)
    most = changing[np.argsort(-np.ptp(salts.counts[:, changing], axis=0), kind='stable')][:_MOST_LINES]
    for number, k in enumerate(most):
        values = salts.counts[:, k] + 0.035 * number  # so that equal numbers do not hide each other
        axis.step(salts.times_fs * scale, values, where='post', lw=1.3, color=series_colour(number),
                  label=salts.names[k])  # fmt: skip
    axis.set_ylim(0, 1.1 * salts.counts[:, most].max() + 0.3)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axis)


def _bonds(axis: Axes, analysis: Analysis) -> None:
    history = analysis.history
    scale = _time_axis(axis, analysis)
    axis.set_title('Bonds since the start')
    pairs = list(dict.fromkeys(event.pair for event in history.events))[:_MOST_LINES]
    for number, pair in enumerate(pairs):
        change = np.zeros(len(history.times_fs))
        for event in history.events:
            if event.pair == pair:
                change[event.frame :] += 1 if event.change == 'formed' else -1
        axis.step(history.times_fs * scale, change, where='post', lw=1.3, color=series_colour(number), label=pair)
    axis.axhline(0, color=MUTED, lw=0.7)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axis)


def _clusters(axis: Axes, analysis: Analysis) -> None:
    scale = _time_axis(axis, analysis)
    axis.set_title('Clusters of LiF')
    clusters = sorted(analysis.aggregates.clusters, key=lambda one: -one.lifetime_fs)[:10]
    for height, one in enumerate(sorted(clusters, key=lambda one: one.born_fs)):
        axis.barh(height, one.lifetime_fs * scale, left=one.born_fs * scale, height=0.62, color=series_colour(2))
        axis.annotate(one.formula, (one.born_fs * scale, height), xytext=(4, 0), textcoords='offset points',
                      va='center', fontsize=8, color=INK)  # fmt: skip
    axis.set_yticks([])
    axis.invert_yaxis()
    axis.grid(False)


def _msd(axis: Axes, analysis: Analysis) -> None:
    lags = analysis.lags_fs * 1e-3
    half = slice(1, max(3, len(lags) // 2))
    order = sorted(analysis.msd, key=lambda kind: -float(analysis.msd[kind][half][-1]))
    for number, kind in enumerate(order[:_MOST_LINES]):
        axis.plot(lags[half], analysis.msd[kind][half], lw=1.3, color=series_colour(number), label=kind)
    axis.set_xscale('log')
    axis.set_yscale('log')
    axis.set_title('Mean square displacement')
    axis.set_xlabel('lag (ps)')
    axis.set_ylabel('MSD (Å²)')
    _legend(axis)


def _density(axis: Axes, analysis: Analysis) -> None:
    assert analysis.density is not None
    density = analysis.density.density
    if len(density) > _MOST_LINES:  # by element, where the kinds are too many
        elements = sorted({kind.split('(')[0] for kind in density})
        density = {
            name: np.sum([v for k, v in density.items() if k.split('(')[0] == name], axis=0) for name in elements
        }
    order = sorted(density, key=lambda kind: -float(density[kind].max()))
    for number, kind in enumerate(order[:_MOST_LINES]):
        axis.plot(analysis.density.z, density[kind], lw=1.2, color=series_colour(number), label=kind)
    name = 'xyz'[analysis.settings.density_axis or 0]
    reference = analysis.settings.density_reference
    axis.set_title(f'Density along {name}')
    axis.set_xlabel(f'{name} (Å)' + (f' from the middle of {reference}' if reference else ''))
    axis.set_ylabel('atoms per Å³')
    axis.set_ylim(bottom=0)
    _legend(axis)


def _legend(axis: Axes) -> None:
    """Below the panel, where it covers nothing."""
    axis.legend(loc='upper center', bbox_to_anchor=(0.5, -0.24), ncols=3, fontsize=7.5, handlelength=1.1,
                columnspacing=0.9, handletextpad=0.5, borderaxespad=0.0)  # fmt: skip


def _time_axis(axis: Axes, analysis: Analysis) -> float:
    """Name the axis in the unit that suits it, and give the factor from fs to it."""
    first, last = float(analysis.times_fs[0]), float(analysis.times_fs[-1])
    scale, unit = (1e-3, 'ps') if last >= 2000 else (1.0, 'fs')
    axis.set_xlabel(f'time ({unit})')
    if last > first:
        axis.set_xlim(first * scale, last * scale)
    return scale
