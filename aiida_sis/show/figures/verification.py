"""The figure of a rehearsal: the true force error along the stable MD, and its structure beside the teacher's."""

from __future__ import annotations

import numpy as np
from aiida import orm
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_COLOURS = ('#0072B2', '#E69F00', '#56B4E9', '#CC79A7', '#7F5539', '#5B5B5B')


def plot_verification(node: orm.ProcessNode) -> Figure:
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
    for index, (key, errors) in enumerate(sorted(node.outputs.errors.items())):
        colour = _COLOURS[index % len(_COLOURS)]
        axis.plot(errors.get_array('time_ps'), errors.get_array('force_rmse'), lw=0.9, color=colour, label=key)
    whole = node.outputs.results['force_rmse_ev_per_angstrom']
    axis.set_title(f'The potential against its teacher along the MD: force RMSE {whole:.3f} eV/Å', loc='left')
    axis.set_ylabel('force RMSE (eV/Å)')
    axis.set_xlabel('time (ps)')
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, ncols=3, fontsize=8, loc='lower right')
    r = rdf.get_array('r')
    for column, name in enumerate(names):
        axis = figure.add_subplot(grid[1, column])
        teacher, potential = (rdf.get_array(f'{name}_{kind}') for kind in ('teacher', 'potential'))
        axis.plot(r, teacher, color='0.25', lw=2.4, label='teacher')
        axis.plot(r, potential, color=_COLOURS[1], lw=1.2, label='potential')
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
