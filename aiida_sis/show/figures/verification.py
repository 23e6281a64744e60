"""What single points say: the true force error along the stable MD, and where a failed MD was still right."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from aiida_deepmd.arrays import FloatArray
from aiida_sis.core.loop.record import Ladder
from aiida_sis.run.trajectories import Details
from aiida_sis.show.figures.style import CP, NEXT, RUNGS, NothingToShowError, legend_below, new_figure, series_colour
from aiida_sis.show.tabular import Table

__all__ = ('draw_errors', 'draw_ladders', 'draw_verification', 'ladders_table', 'verification_table')

_COLUMNS = ('replica', 'time_ps', 'force_rmse')
Errors = dict[int, tuple[FloatArray, FloatArray]]


def draw_errors(axis: Axes, errors: Errors, limit: float | None = None, marker: str = '') -> None:
    """Draw the force error along the MD of each replica.

    :param axis: where to draw.
    :param errors: times in ps and force errors in eV/Å, each (n_frames,), by the number of the replica.
    :param limit: largest error over all frames with which an MD is verified, in eV/Å.
    :param marker: of each frame; an empty one leaves the line alone.
    """
    for replica, (times, values) in sorted(errors.items()):
        colour = series_colour(replica)
        axis.plot(times, values, lw=0.9, marker=marker, ms=4.5, color=colour, label=f'replica {replica}')
    if limit is not None:
        axis.axhline(limit, color=CP, lw=1.0, ls=(0, (4, 3)), label='allowed over all frames')
    axis.set_ylabel('force RMSE (eV/Å)')
    axis.set_xlabel('time (ps)')
    axis.set_ylim(bottom=0)
    axis.spines[['top', 'right']].set_visible(False)


def draw_verification(details: Details, width: float) -> Figure:
    """Draw what the labels of each stable MD say of its potential.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where no stable MD was verified.
    """
    if not details.true_errors:
        raise NothingToShowError('No stable MD was verified: its frames have no labels.')
    figure, axes = new_figure(width, len(details.true_errors), 2.6, most_columns=2)
    limits = {one.generation: one.verification.force_rmse_max for one in details.run.generations if one.verification}
    for axis, ((generation, stage), columns) in zip(axes, details.true_errors.items(), strict=True):
        replicas, times, values = (columns[name] for name in ('replica', 'time_ps', 'force_rmse'))
        parts = {int(number): (times[replicas == number], values[replicas == number]) for number in np.unique(replicas)}
        draw_errors(axis, parts, limits.get(generation), marker='o')
        whole = float(np.sqrt((values**2).mean()))
        name = details.run.stage_name(stage)
        axis.set_title(f'g{generation} {name}: {whole:.3f} eV/Å, {len(values)} frames')
    longest = max(axes, key=lambda axis: len(axis.get_lines()))
    legend_below(figure, longest.get_legend_handles_labels()[0], 1 if width < 5 else 4)
    return figure


def verification_table(details: Details) -> Table:
    """Return the error of every frame of a stable MD that was labelled.

    :param details: of a run.
    """
    rows = (
        (generation, details.run.stage_name(stage), int(replica), time, error)
        for (generation, stage), columns in details.true_errors.items()
        for replica, time, error in zip(*(columns[name] for name in _COLUMNS), strict=True)
    )
    return Table(('generation', 'stage', 'replica', 'time_ps', 'force_rmse_ev_per_angstrom'), tuple(rows))


def draw_ladders(details: Details, width: float) -> Figure:
    """Draw the force error of the rungs of each ladder over their distance from the catastrophe.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where there is no ladder of which a rung could be labelled.
    """
    found = [(generation, ladder) for generation in details.run.generations for ladder in generation.ladders]
    labelled = [(*one, rungs) for one in found if (rungs := _labelled(one[1]))]
    if not labelled:
        raise NothingToShowError('No ladder was labelled: the strategy takes none, or no MD failed.')
    figure, (axis,) = new_figure(width, 1, 3.4)
    for number, (generation, ladder, rungs) in enumerate(labelled):
        colour = series_colour(number)
        name = f'generation {generation.generation}, label {ladder.index}'
        axis.plot(*zip(*(rung[:2] for rung in rungs), strict=True), lw=0.9, color=colour, label=name)
        for back, error, state in rungs:
            axis.plot(back, error, ls='', color=colour, marker=RUNGS[state]['marker'], ms=4.5)
    for limit in sorted({ladder.force_rmse_max for _, ladder, _ in labelled}):
        axis.axhline(limit, color=NEXT, lw=1.0, ls=(0, (4, 3)), label='the largest that is right')
    axis.set(xscale='log', yscale='log', xlabel='before t_cp (fs)', ylabel='force RMSE (eV/Å)')
    axis.invert_xaxis()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter(ScalarFormatter())
    handles, _ = axis.get_legend_handles_labels()
    legend_below(figure, handles, 1 if width < 5 else 3)
    return figure


def _labelled(ladder: Ladder) -> list[tuple[float, float, str]]:
    """The rungs that have a force error: how long before t_cp in fs, the error in eV/Å, what they turned out to be."""
    return [
        (rung.before_t_cp_fs, rung.force_rmse_ev_per_angstrom, rung.state)
        for rung in ladder.rungs
        if rung.force_rmse_ev_per_angstrom is not None
    ]


def ladders_table(details: Details) -> Table:
    """Return every rung of every ladder.

    :param details: of a run.
    """
    rows = (
        (generation.generation, ladder.index, rung.time_ps, rung.before_t_cp_fs, rung.state,
         rung.force_rmse_ev_per_angstrom, rung.largest_force_ev_per_angstrom)
        for generation in details.run.generations
        for ladder in generation.ladders
        for rung in ladder.rungs
    )  # fmt: skip
    headers = (
        'generation',
        'label',
        'time_ps',
        'before_t_cp_fs',
        'state',
        'force_rmse_ev_per_angstrom',
        'largest_force_ev_per_angstrom',
    )
    return Table(headers, tuple(rows))
