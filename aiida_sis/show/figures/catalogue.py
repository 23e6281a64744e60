"""The figures of a report by name: how each is drawn, its numbers, and what it says in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from matplotlib.figure import Figure

from aiida_sis.run.trajectories import Details
from aiida_sis.show.figures import cost as draw_cost
from aiida_sis.show.figures import learning as draw_learning
from aiida_sis.show.figures import structure as motion
from aiida_sis.show.figures import temperature as figures
from aiida_sis.show.tabular import Table

__all__ = ('FIGURES', 'Content', 'FigureSpec')


@dataclass
class Content:
    """A run's details, and what is worked out from them once for several figures."""

    details: Details

    @cached_property
    def observations(self) -> list[motion.Observation]:
        """The trajectories of MD and AIMD with their bonds."""
        return motion.observe((*self.details.motions, *self.details.aimds))


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
    draw: Callable[[Content, float], Figure]
    table: Callable[[Content], Table]
    shown: Callable[[Content], Table] | None = None


FIGURES: dict[str, FigureSpec] = {
    'temperature': FigureSpec(
        'Temperature of every generation',
        'The MD of each potential, watched through its temperature alone. It ends where the temperature leaves its '
        'window: the red cross is that catastrophic point t_cp, the green dot t_next, from which the next AIMD starts. '
        'A long run is drawn as the band between its lowest and highest values.',
        lambda content, width: figures.draw_temperature(content.details.run, width),
        lambda content: figures.series_table(content.details.run),
    ),
    'zoom': FigureSpec(
        'The catastrophic points, near',
        'The same temperatures from just before t_next to the end. A dot is one sample.',
        lambda content, width: figures.draw_zoom(content.details.run, width),
        lambda content: figures.points_table(content.details.run),
        lambda content: figures.points_table(content.details.run),
    ),
    'growth': FigureSpec(
        'How stable time grew with data',
        'Each dot is one MD: how long it ran before its temperature left the window, or its whole length. The number '
        'below is the generation.',
        lambda content, width: draw_learning.draw_growth(content.details, width),
        lambda content: draw_learning.growth_table(content.details),
        lambda content: draw_learning.growth_table(content.details),
    ),
    'learning': FigureSpec(
        'Learning curves',
        'The error of forces and energies while each potential was trained, on the frames it learns from and on frames '
        'that are only watched.',
        lambda content, width: draw_learning.draw_learning(content.details, width),
        lambda content: draw_learning.curves_table(content.details),
    ),
    'parity': FigureSpec(
        'Parity on held-out frames',
        'What the last potential says of frames it never saw, over their labels. Each force component is one point; '
        'energies are counted from the mean of their dataset; g1_0 is AIMD 0 of generation 1. The numbers as CSV have '
        'every generation, system and dataset.',
        lambda content, width: draw_learning.draw_parity(content.details, width),
        lambda content: draw_learning.parity_table(content.details),
    ),
    'elements': FigureSpec(
        'Error by element',
        'Which chemistry the potential has understood: the force error on held-out frames for each element.',
        lambda content, width: draw_learning.draw_elements(content.details, width),
        lambda content: draw_learning.elements_table(content.details),
        lambda content: draw_learning.elements_table(content.details),
    ),
    'forgetting': FigureSpec(
        'Learning without forgetting',
        'The force error on the held-out frames of each dataset, by each later potential. A line that rises would be '
        'something forgotten; g1_0 is AIMD 0 of generation 1.',
        lambda content, width: draw_learning.draw_forgetting(content.details, width),
        lambda content: draw_learning.forgetting_table(content.details),
        lambda content: draw_learning.forgetting_table(content.details),
    ),
    'cost': FigureSpec(
        'What it cost',
        'Core time by generation and code, from the clocks of the jobs: wall time of each job times its MPI processes '
        'and their threads.',
        lambda content, width: draw_cost.draw_cost(content.details, width),
        lambda content: draw_cost.cost_table(content.details),
        lambda content: draw_cost.gain_table(content.details),
    ),
    'rdf': FigureSpec(
        'Structure: radial distribution functions',
        'The MD of the last stage over the labelled frames. They need not agree: the AIMD is short and starts where '
        'something went wrong, the MD is long.',
        lambda content, width: motion.draw_rdf(content.details, width),
        lambda content: motion.rdf_table(content.details),
    ),
    'reactions': FigureSpec(
        'Bonds that broke and formed',
        'Each mark is a bond that broke or formed and stayed so; contacts of metal ions are no bonds. The first marks '
        'of an AIMD that starts from a snapshot of a failing MD are that snapshot as it heals.',
        lambda content, width: motion.draw_reactions(content.observations, width),
        lambda content: motion.reactions_table(content.observations),
        lambda content: motion.reactions_table(content.observations),
    ),
    'census': FigureSpec(
        'Census of molecules',
        'How many molecules of each species there were; only those whose number changed are drawn. An anion held by '
        'lithium is named as its salt.',
        lambda content, width: motion.draw_census(content.observations, width),
        lambda content: motion.census_table(content.observations),
    ),
}
