"""What moved: radial distribution functions, bond events and the census of molecules along trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aiida_sis.core.analysis.neighbours import shortest_height
from aiida_sis.core.analysis.rdf import Rdfs, rdf_difference, rdfs
from aiida_sis.core.analysis.rules import METALS
from aiida_sis.core.analysis.species import Census, census
from aiida_sis.core.analysis.topology import find_molecules
from aiida_sis.run.trajectories import Details, Observation
from aiida_sis.show.figures.style import (
    BROKEN,
    CP,
    INK,
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
    'census_table', 'draw_census', 'draw_rdf', 'draw_reactions', 'rdf_table', 'reactions_table',
)  # fmt: skip

_MOST_PAIRS = 6
_MOST_MOTIONS = 6
_MOST_SPECIES = 6
_FIRST_ELEMENTS = ('O', 'F', 'Cl', 'N', 'S', 'C', 'P', 'B', 'H')


# --- radial distribution functions ------------------------------------------------------------------------------------


def _rdfs(details: Details) -> tuple[dict[str, Rdfs], list[tuple[str, str]]]:
    """Return g(r) of the MD and of the labelled frames of the same system, and the pairs worth looking at."""
    groups = {'MD': list(details.motions), 'labelled frames': list(details.labelled)}
    everything = (*groups['MD'], *groups['labelled frames'])
    first = next((motion for motion in everything if motion.is_periodic), None)
    if first is None:
        raise NothingToShowError('There are no frames of a periodic cell yet.')
    kinds = find_molecules(first.frames[0]).kinds
    pairs = _choose_pairs(kinds)
    if not pairs:
        raise NothingToShowError('One atom alone has no radial distribution function.')
    found = {}
    for name, motions in groups.items():
        frames = [atoms for motion in motions if motion.symbols == first.symbols for atoms in motion.frames]
        if frames:
            r_max = min(8.0, min(shortest_height(atoms.cell.array) for atoms in frames) / 2)
            found[name] = rdfs(
                [(atoms.positions, atoms.cell.array) for atoms in frames],
                kinds,
                r_max,
                max(20, round(r_max / 0.1)),
                pairs,
            )
    return found, pairs


def _choose_pairs(kinds: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs that say most: the metal and what holds it first, hydrogen last."""

    def rank(pair: tuple[str, str]) -> tuple[int, int, tuple[str, str]]:
        elements = [kind.split('(')[0] for kind in pair]
        metals = sum(element in METALS for element in elements)
        others = [element for element in elements if element not in METALS]
        order = sum(_FIRST_ELEMENTS.index(element) if element in _FIRST_ELEMENTS else 9 for element in others)
        return ({1: 0, 2: 1, 0: 2}[metals], order, pair)

    names = sorted(set(kinds), key=lambda kind: (kind.split('(')[0] not in METALS, kind))
    pairs = [
        (first, second)
        for number, first in enumerate(names)
        for second in names[number:]
        if first != second or list(kinds).count(first) > 1
    ]
    return sorted(pairs, key=rank)[:_MOST_PAIRS]


def rdf_table(details: Details) -> Table:
    """Return g(r) of each pair that is drawn.

    :param details: of a run.
    :raises NothingToShowError: where there are no frames.
    """
    found, pairs = _rdfs(details)
    rows = (
        (name, f'{first}-{second}', float(r), float(g))
        for name, result in found.items()
        for first, second in pairs
        for r, g in zip(result.r, result.of(first, second), strict=True)
    )
    return Table(('frames', 'pair', 'r_angstrom', 'g'), tuple(rows))


def draw_rdf(details: Details, width: float) -> Figure:
    """Draw g(r) of the MD over that of the labelled frames.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where there are no frames.
    """
    found, pairs = _rdfs(details)
    styles: dict[str, dict[str, Any]] = {
        'labelled frames': {'color': INK, 'alpha': 0.38, 'lw': 2.4},
        'MD': {'color': series_colour(0), 'lw': 1.5},
    }
    figure, axes = new_figure(width, len(pairs), 2.1 if width > 5 else 1.75, narrow_columns=2)
    for axis, (first, second) in zip(axes, pairs, strict=True):
        for name in ('labelled frames', 'MD'):
            if name in found:
                axis.plot(found[name].r, found[name].of(first, second), **styles[name])
        axis.set_title(f'{first} – {second}', pad=19)
        shell = found[next(iter(found))].first_shell(first, second)
        note = f'first peak {shell[0]:.2f} Å' if shell else 'they never meet'
        if len(found) == 2 and len(found['MD'].r) == len(found['labelled frames'].r):
            reference = found['labelled frames'].of(first, second)
            if reference.any():
                note += f', {rdf_difference(found["MD"].of(first, second), reference):.0%} apart'
        subtitle(axis, note)
        axis.set_xlim(0, max(result.r[-1] for result in found.values()))
        axis.set_ylim(bottom=0)
        axis.set_xlabel('r (Å)')
    figure.supylabel('g(r)', fontsize=9)
    handles = [Line2D([], [], label=name, **styles[name]) for name in styles if name in found]
    legend_below(figure, handles, 2)
    return figure


# --- bonds that break and form ---------------------------------------------------------------------------------------


def reactions_table(details: Details) -> Table:
    """Return every bond that broke or formed.

    :param details: of a run.
    """
    rows = (
        (seen.motion.title, event.time_fs, event.change, event.pair, f'{event.i}-{event.j}', event.molecule)
        for seen in details.observations
        for event in seen.history.events
    )
    return Table(('trajectory', 'time_fs', 'change', 'bond', 'atoms', 'molecule'), tuple(rows))


def draw_reactions(details: Details, width: float) -> Figure:
    """Draw when bonds broke and formed, one panel for each trajectory that reacted.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where no bond broke or formed.
    """
    observations = details.observations
    if not observations:
        raise NothingToShowError('There is no trajectory yet in which a bond could break.')
    reactive = [seen for seen in observations if seen.history.events]
    if not reactive:
        raise NothingToShowError(f'No bond broke or formed in {_length(observations)}.')
    shown = reactive[:_MOST_MOTIONS]
    most = max(len({event.pair for event in seen.history.events}) for seen in shown)
    figure, axes = new_figure(width, len(shown), 1.1 + 0.3 * most, 2)
    for axis, seen in zip(axes, shown, strict=True):
        _reaction_panel(axis, seen)
    handles = [
        Line2D([], [], color=CP, marker='X', ls='', ms=7, label='broken'),
        Line2D([], [], color=NEXT, marker='o', ls='', ms=7, label='formed'),
    ]
    legend_below(figure, handles, 2)
    return figure


def _reaction_panel(axis: Axes, seen: Observation) -> None:
    events = seen.history.events
    pairs = list(dict.fromkeys(event.pair for event in events))
    scale, unit = _unit(seen.history.times_fs[-1])
    for height, pair in enumerate(pairs):
        axis.axhline(height, color=INK, alpha=0.15, lw=5, zorder=1, solid_capstyle='round')
        for event in events:
            if event.pair == pair:
                style = BROKEN if event.change == 'broken' else SOUND
                axis.plot(event.time_fs * scale, height, ms=7, mec=PAPER, mew=0.7, zorder=3, **style)
    axis.set_yticks(range(len(pairs)), pairs)
    axis.set_ylim(len(pairs) - 0.4, -0.6)
    axis.grid(False)
    span = float(seen.history.times_fs[-1]) * scale
    axis.set_xlim(-0.02 * span, 1.02 * span)
    axis.set_xlabel(f'Time ({unit})')
    axis.set_title(f'{"MD" if seen.motion.is_md else ""} {seen.motion.title}'.strip(), pad=19)
    broken = sum(event.change == 'broken' for event in events)
    subtitle(axis, f'{broken} broken, {len(events) - broken} formed')


def _length(observations: Sequence[Observation]) -> str:
    """Say how much was looked at."""
    parts = []
    for is_md, name in ((True, 'MD'), (False, 'AIMD')):
        times = [seen.history.times_fs for seen in observations if seen.motion.is_md is is_md]
        if times:
            length = sum(float(series[-1] - series[0]) for series in times) / 1000
            parts.append(f'{length:.4g} ps of {name} ({sum(len(series) for series in times)} frames)')
    return ' and '.join(parts)


def _unit(last_fs: float) -> tuple[float, str]:
    return (1e-3, 'ps') if last_fs >= 2000 else (1.0, 'fs')


# --- census ----------------------------------------------------------------------------------------------------------


def census_table(details: Details) -> Table:
    """Return how many molecules of each species there were, wherever their number changed.

    :param details: of a run.
    """
    rows = []
    for seen in details.observations:
        counted = census(seen.history, lithium=True)
        for name, column in zip(counted.names, counted.counts.T, strict=True):
            for frame in np.flatnonzero(np.diff(column, prepend=-1)):
                rows.append((seen.motion.title, name, float(counted.times_fs[frame]), int(column[frame])))
    return Table(('trajectory', 'species', 'time_fs', 'number'), tuple(rows))


def draw_census(details: Details, width: float) -> Figure:
    """Draw the number of molecules of each species over time.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where the composition never changed.
    """
    counted = [(seen, census(seen.history, lithium=True)) for seen in details.observations]
    if not counted:
        raise NothingToShowError('There is no trajectory yet whose molecules could be counted.')
    changing = [(seen, one) for seen, one in counted if np.ptp(one.counts, axis=0).any()]
    if not changing:
        names = ', '.join(f'{number} {name}' for name, number in counted[0][1].at(0).items())
        raise NothingToShowError(f'The molecules stayed what they were in {_length(details.observations)}: {names}.')
    shown = changing[:4]
    figure, axes = new_figure(width, len(shown), 2.5, 2)
    for axis, (seen, one) in zip(axes, shown, strict=True):
        _census_panel(axis, seen, one)
    return figure


def _census_panel(axis: Axes, seen: Observation, one: Census) -> None:
    scale, unit = _unit(one.times_fs[-1])
    spread = np.ptp(one.counts, axis=0)
    chosen = [index for index in np.argsort(-spread, kind='stable') if spread[index] > 0][:_MOST_SPECIES]
    for number, index in enumerate(chosen):
        axis.step(
            one.times_fs * scale, one.counts[:, index] + 0.03 * number, where='post', lw=1.5,
            color=series_colour(number), label=one.names[index],
        )  # fmt: skip
    axis.set_ylim(bottom=-0.2, top=1.25 * float(one.counts[:, chosen].max()) + 0.2)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel(f'Time ({unit})')
    axis.set_ylabel('Molecules')
    axis.set_title(f'{"MD" if seen.motion.is_md else ""} {seen.motion.title}'.strip())
    axis.legend(ncols=2, loc='upper right', handlelength=1.2, columnspacing=1.0)
