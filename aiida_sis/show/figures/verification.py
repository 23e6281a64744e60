"""The figure of a verification: the true force error of frames along the stable MD, and its limit."""

from __future__ import annotations

import numpy as np
from aiida import orm
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from aiida_deepmd.arrays import FloatArray
from aiida_sis.show.figures.style import CP, series_colour

__all__ = ('draw_errors', 'plot_verification')

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
    axis.legend(frameon=False, ncols=3, fontsize=8)
    axis.spines[['top', 'right']].set_visible(False)


def plot_verification(errors: orm.ArrayData, limit: float | None) -> Figure:
    """Draw what the labels of a stable MD say of its potential.

    :param errors: the output `errors` of a SIS run: ``replica``, ``time_ps``, ``force_rmse``, each (n_frames,).
    :param limit: largest error over all frames with which it is verified, in eV/Å.
    :returns: the figure.
    """
    replicas, times, values = (errors.get_array(name) for name in ('replica', 'time_ps', 'force_rmse'))
    figure = Figure(figsize=(7.6, 3.2), layout='constrained')
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    parts = {int(number): (times[replicas == number], values[replicas == number]) for number in np.unique(replicas)}
    draw_errors(axis, parts, limit, marker='o')
    whole = float(np.sqrt((values**2).mean()))
    axis.set_title(f'True force error along the stable MD: {whole:.3f} eV/Å over {len(values)} frames', loc='left')
    return figure
