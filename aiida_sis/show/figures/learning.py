"""Figures of what the potential learnt: how stable time grew, learning curves, parity, elements, forgetting."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from aiida_deepmd.arrays import FloatArray
from aiida_sis.run.parity import Parity
from aiida_sis.run.trajectories import Details
from aiida_sis.show.figures.style import (
    BROKEN,
    CP,
    INK,
    MUTED,
    NEXT,
    PAPER,
    SOUND,
    NothingToShowError,
    legend_below,
    new_figure,
    series_colour,
    subtitle,
)
from aiida_sis.show.tabular import Table

__all__ = (
    'curves_table', 'draw_elements', 'draw_forgetting', 'draw_growth', 'draw_learning', 'draw_parity',
    'elements_table', 'forgetting_table', 'growth_table', 'parity_table',
)  # fmt: skip

#: Points beyond these are thinned before they are drawn.
_MOST_POINTS = 20_000


def growth_table(details: Details) -> Table:
    """Return labelled data and stable time of each generation.

    :param details: of a run.
    """
    rows, frames, stable_frames, aimd = [], 0, 0, 0.0
    for generation in details.run.generations:
        frames += generation.n_frames + stable_frames
        stable_frames = generation.n_stable_frames
        aimd += sum(label.aimd_fs or 0.0 for label in generation.labels) / 1000.0
        lengths = generation.stable_ps
        if lengths:
            worst, best = min(lengths.values()), max(lengths.values())
            rows.append((generation.generation, frames, aimd, generation.force_rmse_ev_per_angstrom, worst, best))
    headers = ('generation', 'labelled_frames', 'aimd_ps', 'force_rmse_ev_per_angstrom', 'shortest_ps', 'longest_ps')
    return Table(headers, tuple(rows))


def draw_growth(details: Details, width: float) -> Figure:
    """Draw how long the MD of each generation was stable over the data it had.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where no MD has ended.
    """
    table = growth_table(details)
    if not table.rows:
        raise NothingToShowError('No MD has ended yet.')
    frames = np.array([row[1] for row in table.rows], dtype=float)
    worst = np.array([row[4] for row in table.rows])
    figure, (axis,) = new_figure(width, 1, 3.0)
    goal = max((md.length_ps_requested or 0.0 for md in details.run.all_md), default=0.0)
    positive = worst[worst > 0]
    if positive.size and max(goal, positive.max()) / positive.min() > 15:
        axis.set_yscale('log')
    worst = np.maximum(worst, 1e-3)
    axis.plot(frames, worst, color=series_colour(0), lw=1.8, zorder=3)
    numbers = {row[0]: row[1] for row in table.rows}
    for generation in details.run.generations:
        for replica, length in generation.stable_ps.items():
            failed = any(md.replica == replica and md.t_cp_ps is not None for md in generation.md)
            style = BROKEN if failed else SOUND
            axis.plot(numbers[generation.generation], max(length, 1e-3), ms=7, mec=PAPER, mew=0.8, zorder=4, **style)
    if goal:
        axis.axhline(goal, color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=1)
    for row, height in zip(table.rows, worst, strict=True):
        axis.annotate(
            f'{row[0]}', (row[1], height), xytext=(0, -13), textcoords='offset points', ha='center', fontsize=8,
            color=MUTED,
        )  # fmt: skip
    axis.margins(x=0.08, y=0.18)
    axis.set_xlabel('Labelled frames the potential learnt from')
    axis.set_ylabel('Stable MD (ps)')
    if axis.get_yscale() == 'log':
        axis.yaxis.set_major_formatter(lambda value, _: f'{value:g}')
    handles = [
        Line2D([], [], color=series_colour(0), lw=1.8, label='shortest replica'),
        Line2D([], [], color=CP, marker='X', ls='', ms=7, label='left its window'),
        Line2D([], [], color=NEXT, marker='o', ls='', ms=7, label='stable'),
        Line2D([], [], color=MUTED, lw=0.9, ls=(0, (4, 3)), label='asked for'),
    ]
    legend_below(figure, handles, 2 if width < 5 else 4)
    return figure


def curves_table(details: Details) -> Table:
    """Return the learning curves.

    :param details: of a run.
    """
    names = ('rmse_f_trn', 'rmse_f_val', 'rmse_e_trn', 'rmse_e_val')
    rows = (
        (generation, int(step), *(_at(curve, name, number) for name in names))
        for generation, curve in details.curves.items()
        for number, step in enumerate(curve.get('step', ()))
    )
    headers = ('generation', 'step', 'force_training', 'force_validation', 'energy_training', 'energy_validation')
    return Table(headers, tuple(rows))


def _at(curve: dict[str, FloatArray], name: str, number: int) -> float | None:
    column = curve.get(name)
    return float(column[number]) if column is not None else None


def draw_learning(details: Details, width: float) -> Figure:
    """Draw force and energy error over the steps of each training.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where no training has ended.
    """
    curves = {generation: curve for generation, curve in details.curves.items() if 'step' in curve}
    if not curves:
        raise NothingToShowError('No training has left a learning curve yet.')
    figure, axes = new_figure(width, 2, 2.9)
    panels = (('f', 'Force error (eV/Å)', 1.0), ('e', 'Energy error (meV/atom)', 1000.0))
    for axis, (quantity, title, factor) in zip(axes, panels, strict=True):
        for generation, curve in curves.items():
            colour = series_colour(generation)
            for subset, lightness in (('trn', 0.35), ('val', 1.0)):
                values = curve.get(f'rmse_{quantity}_{subset}')
                if values is None:
                    continue
                steps = curve['step'] / 1000.0
                axis.plot(steps, factor * values, color=colour, alpha=lightness, lw=0.9 if lightness < 1 else 1.4)
        _scale_errors(axis)
        axis.set_title(title)
        axis.set_xlabel('Step (thousands)')
    numbers = sorted(curves)
    handles = [Line2D([], [], color=series_colour(n), lw=1.6, label=f'generation {n}') for n in numbers[:6]]
    handles += [
        Line2D([], [], color=INK, lw=1.4, label='validation'),
        Line2D([], [], color=INK, alpha=0.35, lw=0.9, label='training'),
    ]
    legend_below(figure, handles, 2 if width < 5 else 6)
    return figure


def _scale_errors(axis: Axes) -> None:
    """Make the axis of errors logarithmic, with at most four decades: a batch of a perfect crystal has no forces."""
    axis.set_yscale('log')
    bottom, top = axis.get_ylim()
    bottom = max(bottom, top / 10_000)
    axis.set_ylim(bottom, top)
    axis.yaxis.set_major_formatter(lambda value, _: f'{value:g}')
    if top / bottom < 100:
        axis.yaxis.set_minor_formatter(lambda value, _: f'{value:g}' if _first_digit(value) in (2, 5) else '')
    else:
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis='y', which='minor', labelsize=8)


def _first_digit(value: float) -> int:
    return int(f'{value:e}'[0]) if value > 0 else 0


def parity_table(details: Details) -> Table:
    """Return forces (eV/Å, by component) and energies (eV/atom) of held-out frames, labelled and predicted.

    All generations, datasets and systems are there, in their order.

    :param details: of a run.
    :raises NothingToShowError: where no predictions are kept.
    """
    _last_parity(details)
    rows = [
        (one.generation, one.systems[str(dataset)], str(dataset), quantity, str(element), float(label), float(value))
        for one in details.parities
        for quantity, datasets, elements, labels, predicted in (
            ('force', one.force_datasets, one.elements, one.forces, one.predicted_forces),
            ('energy', one.datasets, [''] * len(one.datasets), one.energies, one.predicted_energies),
        )
        for dataset, element, label, value in zip(datasets, elements, labels, predicted, strict=True)
    ]
    return Table(('generation', 'system', 'dataset', 'quantity', 'element', 'labelled', 'predicted'), tuple(rows))


def _last_parity(details: Details) -> Parity:
    if not details.parities:
        raise NothingToShowError('No training of this run has kept its predictions of single frames.')
    return details.parities[-1]


def draw_parity(details: Details, width: float) -> Figure:
    """Draw predicted over labelled forces and energies of held-out frames, by the last potential.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where no predictions are kept.
    """
    parity = _last_parity(details)
    figure, axes = new_figure(width, 2, 3.7 if width < 5 else 4.1)
    scales = (
        (parity.elements, parity.forces, parity.predicted_forces, 'Forces', 'eV/Å', 1.0),
        (parity.datasets, parity.energies, parity.predicted_energies, 'Energies', 'meV/atom', 1000.0),
    )
    for axis, (kinds, labels, predicted, title, unit, factor) in zip(axes, scales, strict=True):
        _parity_panel(axis, kinds, factor * labels, factor * predicted)
        error = float(np.sqrt(np.mean((factor * (predicted - labels)) ** 2)))
        axis.set_title(title, pad=19)
        subtitle(axis, f'RMSE {error:.3g} {unit}, {len(labels)} values')
        axis.set_xlabel(f'Labelled ({unit})')
        axis.set_ylabel(f'Predicted ({unit})')
    return figure


def _parity_panel(axis: Axes, kinds: NDArray[np.str_], labels: FloatArray, predicted: FloatArray) -> None:
    names = sorted(set(kinds.tolist()))
    # In no order of elements, or the last one would hide the others.
    chosen = np.random.default_rng(0).permutation(len(labels))[:_MOST_POINTS]
    colours = [series_colour(names.index(kind)) for kind in kinds[chosen]]
    dense = len(chosen) > 500
    axis.scatter(
        labels[chosen], predicted[chosen], s=7 if dense else 14, c=colours, alpha=0.6 if dense else 0.8, lw=0,
        rasterized=dense,
    )  # fmt: skip
    low, high = (float(f(np.concatenate([labels, predicted]))) for f in (np.min, np.max))
    pad = 0.04 * (high - low) or 1.0
    axis.plot([low - pad, high + pad], [low - pad, high + pad], color=MUTED, lw=0.9, zorder=1)
    axis.set(xlim=(low - pad, high + pad), ylim=(low - pad, high + pad))
    axis.set_aspect('equal', adjustable='box')
    handles = [
        Line2D([], [], marker='o', ls='', ms=5, mew=0, color=series_colour(number), label=name)
        for number, name in enumerate(names[:8])
    ]
    axis.legend(handles=handles, loc='upper left', handletextpad=0.2, borderaxespad=0.2)


def elements_table(details: Details) -> Table:
    """Return the force error of each element in each generation.

    :param details: of a run.
    """
    errors = {one.generation: one.training.per_element or {} for one in details.run.generations if one.training}
    elements = sorted({element for row in errors.values() for element in row})
    rows = ((generation, *(row.get(element) for element in elements)) for generation, row in errors.items() if row)
    return Table(('generation', *elements), tuple(rows))


def draw_elements(details: Details, width: float) -> Figure:
    """Draw the force error of each element, which chemistry the potential has not understood.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where no training has been tested.
    """
    table = elements_table(details)
    if not table.rows:
        raise NothingToShowError('No training has been tested on held-out frames yet.')
    elements, last = table.headers[1:], table.rows[-1]
    order = sorted(range(len(elements)), key=lambda index: last[1 + index] or 0.0)
    figure, (axis,) = new_figure(width, 1, 0.9 + 0.34 * len(elements))
    for row in table.rows[-6:]:
        newest = row is last
        values = [row[1 + index] for index in order]
        axis.plot(
            values, range(len(order)), 'o', ms=9 if newest else 5.5, mec=PAPER, mew=0.8,
            color=series_colour(row[0]), zorder=4 if newest else 3,
        )  # fmt: skip
    for height, index in enumerate(order):
        values = [row[1 + index] for row in table.rows[-6:] if row[1 + index] is not None]
        axis.plot([min(values), max(values)], [height, height], color=MUTED, lw=1, zorder=2)
    axis.set_yticks(range(len(order)), [elements[index] for index in order])
    axis.grid(False)
    axis.xaxis.grid(True)
    axis.set_xlim(left=0)
    axis.set_ylim(-0.6, len(order) - 0.4)
    axis.set_xlabel('Force error on held-out frames (eV/Å)')
    handles = [
        Line2D([], [], marker='o', ls='', ms=6, color=series_colour(row[0]), label=f'generation {row[0]}')
        for row in table.rows[-6:]
    ]
    legend_below(figure, handles, 2 if width < 5 else 6)
    return figure


def forgetting_table(details: Details) -> Table:
    """Return the force error on each dataset's held-out frames by the potential of each generation.

    :param details: of a run.
    """
    generations = sorted({int(number) for row in details.forgetting.values() for number in row['force_rmse']})
    rows = (
        (name, *(row['force_rmse'].get(str(number)) for number in generations), row['best'], row['last'])
        for name, row in details.forgetting.items()
    )
    return Table(('dataset', *(f'generation_{number}' for number in generations), 'best', 'last'), tuple(rows))


def draw_forgetting(details: Details, width: float) -> Figure:
    """Draw the force error on each dataset through the generations: learning without forgetting never rises.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: before the second generation has been tested.
    """
    generations = sorted({int(number) for row in details.forgetting.values() for number in row['force_rmse']})
    if len(generations) < 2:
        raise NothingToShowError('One generation alone can forget nothing: this needs the second training.')
    figure, (axis,) = new_figure(width, 1, 2.8)
    for name, row in details.forgetting.items():
        numbers = sorted(int(number) for number in row['force_rmse'])
        first = numbers[0]
        axis.plot(
            numbers, [row['force_rmse'][str(number)] for number in numbers], marker='o', ms=5, mec=PAPER, mew=0.7,
            lw=1.3, color=series_colour(first), label=name,
        )  # fmt: skip
    axis.set_xticks(generations)
    axis.margins(x=0.08)
    axis.set_ylim(bottom=0)
    axis.set_xlabel('Potential of generation')
    axis.set_ylabel('Force error (eV/Å)')
    handles = [
        Line2D([], [], color=series_colour(n), marker='o', ms=5, lw=1.3, label=f'frames of generation {n}')
        for n in generations[:6]
    ]
    legend_below(figure, handles, 2 if width < 5 else 3)
    return figure
