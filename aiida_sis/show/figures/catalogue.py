"""The figures of a report by name: how each is drawn, its numbers, and what it says in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

from aiida_sis.run.trajectories import Details
from aiida_sis.show.figures import cost, learning, structure, temperature, verification
from aiida_sis.show.figures.style import STYLE
from aiida_sis.show.tabular import Table

__all__ = ('FIGURES', 'FigureSpec')


@dataclass(frozen=True)
class FigureSpec:
    """One figure.

    :param title: heading.
    :param caption: what is seen, and how to read it.
    :param draw: makes it for a width in inches.
    :param table: its numbers.
    :param shown: a table for people, where that of the numbers is too long.
    """

    title: str
    caption: str
    draw: Callable[[Details, float], Figure]
    table: Callable[[Details], Table]
    shown: Callable[[Details], Table] | None = None

    def figure(self, details: Details, width: float) -> Figure:
        """Draw it in the style of all figures.

        :param details: of a run.
        :param width: inches.
        :raises NothingToShowError: where the run has no data for it.
        """
        with mpl.rc_context(STYLE):
            return self.draw(details, width)


FIGURES: dict[str, FigureSpec] = {
    'temperature': FigureSpec(
        'Temperature of every generation',
        'The MD of each potential, watched through its temperature alone. It ends where the temperature leaves its '
        'window: the red cross is that catastrophic point t_cp, the green dot t_next, from which the next AIMD starts. '
        'A long run is drawn as the band between its lowest and highest values.',
        temperature.draw_temperature,
        temperature.series_table,
    ),
    'zoom': FigureSpec(
        'The catastrophic points, near',
        'The same temperatures from just before t_next to the end. A dot is one sample.',
        temperature.draw_zoom,
        temperature.points_table,
        temperature.points_table,
    ),
    'growth': FigureSpec(
        'How stable time grew with data',
        'Each dot is one MD: how long it ran before its temperature left the window, or its whole length. The number '
        'below is the generation.',
        learning.draw_growth,
        learning.growth_table,
        learning.growth_table,
    ),
    'learning': FigureSpec(
        'Learning curves',
        'The error of forces and energies while each potential was trained, on the frames it learns from and on frames '
        'that are only watched.',
        learning.draw_learning,
        learning.curves_table,
    ),
    'parity': FigureSpec(
        'Parity on held-out frames',
        'What the last potential says of frames it never saw, over their labels. Each force component is one point; '
        'energies are counted from the mean of their dataset; g1_0 is AIMD 0 of generation 1. The numbers as CSV have '
        'every generation, system and dataset.',
        learning.draw_parity,
        learning.parity_table,
    ),
    'elements': FigureSpec(
        'Error by element',
        'Which chemistry the potential has understood: the force error on held-out frames for each element.',
        learning.draw_elements,
        learning.elements_table,
        learning.elements_table,
    ),
    'forgetting': FigureSpec(
        'Learning without forgetting',
        'The force error on the held-out frames of each dataset, by each later potential. A line that rises would be '
        'something forgotten; g1_0 is AIMD 0 of generation 1.',
        learning.draw_forgetting,
        learning.forgetting_table,
        learning.forgetting_table,
    ),
    'ladders': FigureSpec(
        'How far back it was still right',
        'The force error of frames of each failed MD, from single points, over how long before t_cp they are: a '
        'triangle is right, a square wrong but learnt, a diamond beyond what is learnt. The latest triangle is the '
        'measured t_next.',
        verification.draw_ladders,
        verification.ladders_table,
        verification.ladders_table,
    ),
    'verification': FigureSpec(
        'The true error of the stable MD',
        'Frames of each stable MD were labelled afterwards: a dot is the force error of one. The error over all frames '
        'decides whether the MD is verified; a potential that is wrong learns them.',
        verification.draw_verification,
        verification.verification_table,
    ),
    'cost': FigureSpec(
        'What it cost',
        'Core time by generation and code, from the clocks of the jobs: wall time of each job times its MPI processes '
        'and their threads.',
        cost.draw_cost,
        cost.cost_table,
        cost.gain_table,
    ),
    'rdf': FigureSpec(
        'Structure: radial distribution functions',
        'The MD of the last stage over the labelled frames. They need not agree: the AIMD is short and starts where '
        'something went wrong, the MD is long.',
        structure.draw_rdf,
        structure.rdf_table,
    ),
    'reactions': FigureSpec(
        'Bonds that broke and formed',
        'Each mark is a bond that broke or formed and stayed so; contacts of metal ions are no bonds. The first marks '
        'of an AIMD that starts from a snapshot of a failing MD are that snapshot as it heals.',
        structure.draw_reactions,
        structure.reactions_table,
        structure.reactions_table,
    ),
    'census': FigureSpec(
        'Census of molecules',
        'How many molecules of each species there were; only those whose number changed are drawn. An anion held by '
        'lithium is named as its salt.',
        structure.draw_census,
        structure.census_table,
    ),
}
