"""The figure of a rehearsal: the stable MD compared with its teacher, force by force, and its structure."""

from __future__ import annotations

import numpy as np
from aiida import orm
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from aiida_sis.show.figures.style import series_colour
from aiida_sis.show.figures.verification import draw_errors


def plot_comparison(node: orm.ProcessNode) -> Figure:
    """Draw the force error along every MD, and the radial distribution functions.

    :param node: the node of a finished ``RehearsalWorkChain``.
    :returns: the figure.
    """
    rdf: orm.ArrayData = node.outputs.rdf
    names = sorted(name.removesuffix('_teacher') for name in rdf.get_arraynames() if name.endswith('_teacher'))
    figure = Figure(figsize=(7.6, 5.4), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, len(names))
    axis = figure.add_subplot(grid[0, :])
    named = {int(key.removeprefix('r')): node for key, node in node.outputs.errors.items()}
    draw_errors(axis, {number: (e.get_array('time_ps'), e.get_array('force_rmse')) for number, e in named.items()})
    axis.legend(frameon=False, ncols=3, fontsize=8)
    whole = node.outputs.results['force_rmse_ev_per_angstrom']
    axis.set_title(f'The potential against its teacher along the MD: force RMSE {whole:.3f} eV/Å', loc='left')
    r = rdf.get_array('r')
    for column, name in enumerate(names):
        axis = figure.add_subplot(grid[1, column])
        teacher, potential = (rdf.get_array(f'{name}_{kind}') for kind in ('teacher', 'potential'))
        axis.plot(r, teacher, color='0.25', lw=2.4, label='teacher')
        axis.plot(r, potential, color=series_colour(1), lw=1.2, label='potential')
        difference = node.outputs.results['rdf_difference'][name]
        axis.set_title(f'{name.replace("_", "–")}: {difference:.1%} apart', loc='left', fontsize=9)
        axis.set_xlabel('r (Å)')
        axis.set_ylim(0, 1.12 * float(np.max(np.concatenate([teacher, potential]))))
        if column == 0:
            axis.set_ylabel('g(r)')
            axis.legend(frameon=False, fontsize=8)
    for axis in figure.axes:
        axis.spines[['top', 'right']].set_visible(False)
    return figure
