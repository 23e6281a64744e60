"""The provenance of one generation as a picture."""

from __future__ import annotations

from itertools import pairwise

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from aiida_sis.run.picture import Box
from aiida_sis.run.trajectories import Details
from aiida_sis.show.figures.style import INK, MUTED, NEXT, STYLE, WINDOW, NothingToShowError, new_figure, series_colour
from aiida_sis.show.tabular import Table

__all__ = ('draw_lineage', 'lineage_table')

_BOX = (1.52, 0.74)
_STEP = (2.02, 1.36)
_MOST_PKS = 3


def lineage_table(details: Details) -> Table:
    """Return the boxes of the picture with the PKs of their nodes.

    :param details: of a run.
    :raises NothingToShowError: before the first training.
    """
    if details.lineage is None:
        raise NothingToShowError('The first training has not begun.')
    boxes = (*details.lineage.inflow, *details.lineage.chain)
    kinds = ('process' if box.is_process else 'data' for box in boxes)
    rows = ((box.title, kind, ' '.join(map(str, box.pks))) for box, kind in zip(boxes, kinds, strict=True))
    return Table(('box', 'kind', 'pks'), tuple(rows))


def draw_lineage(details: Details, width: float) -> Figure:
    """Draw the chain of one generation, from its structure to t_next.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: before the first training.
    """
    lineage = details.lineage
    if lineage is None:
        raise NothingToShowError('The first training has not begun.')
    columns = 2 if width < 5 else 4
    training = next(index for index, box in enumerate(lineage.chain) if box.title == 'Training')
    arrange = _arrange_narrow if width < 5 else _arrange_wide
    places, sources = arrange(len(lineage.chain), training, len(lineage.inflow))
    rows = max(row for _, row in (*places, *sources)) + 1
    figure, (axis,) = new_figure(width, 1, width * rows * _STEP[1] / (columns * _STEP[0]))
    with mpl.rc_context(STYLE):
        for first, second in pairwise(places):
            _arrow(axis, first, second)
        for place, box in zip((*places, *sources), (*lineage.chain, *lineage.inflow), strict=True):
            _draw_box(axis, place, box)
        for place in sources:
            _arrow(axis, place, places[training], faint=True)
        axis.set_xlim(-0.06 * _STEP[0], columns * _STEP[0] - (_STEP[0] - _BOX[0]) + 0.06 * _STEP[0])
        axis.set_ylim(rows * _STEP[1] - (_STEP[1] - _BOX[1]) + 0.3, -0.14)
        axis.set_aspect('equal')
        axis.set_axis_off()
    return figure


_Place = tuple[float, float]


def _plough(index: int, columns: int) -> _Place:
    """Return column and row of a box: the chain runs to and fro like an ox that ploughs."""
    row, column = divmod(index, columns)
    return float(column if row % 2 == 0 else columns - 1 - column), float(row)


def _arrange_wide(n_boxes: int, training: int, n_sources: int) -> tuple[list[_Place], list[_Place]]:
    """Return the places of the chain and, above its training, of what flows in from earlier generations."""
    down = 1.0 if n_sources else 0.0
    places = [(column, row + down) for column, row in (_plough(index, 4) for index in range(n_boxes))]
    last = max(int(places[training][0]), n_sources - 1)
    return places, [(float(last - n_sources + 1 + number), 0.0) for number in range(n_sources)]


def _arrange_narrow(n_boxes: int, training: int, n_sources: int) -> tuple[list[_Place], list[_Place]]:
    """Return the same on two columns: what flows in stands beside the training, in the other column."""
    if not n_sources:
        return [_plough(index, 2) for index in range(n_boxes)], []
    places = [_plough(index, 2) for index in range(training)]
    column = places[-1][0] if places else 1.0
    row = places[-1][1] + 1 if places else 0.0
    above = row - 1 if places and (1 - column, row - 1) not in places else row
    sources = [(1 - column, above + number) for number in range(n_sources)]
    places.append((column, row))
    row = max(row, sources[-1][1]) + 1
    for index in range(n_boxes - training - 1):
        side, down = _plough(index, 2)
        places.append((abs(side - column), row + down))
    return places, sources


def _draw_box(axis: Axes, place: tuple[float, float], box: Box) -> None:
    x, y = place[0] * _STEP[0], place[1] * _STEP[1]
    goal = box.title == 't_next'
    edge = NEXT if goal else series_colour(0) if box.is_process else MUTED
    style = f'round,pad=0,rounding_size={0.34 if box.is_process else 0.05}'
    axis.add_patch(FancyBboxPatch((x, y), *_BOX, boxstyle=style, facecolor=WINDOW, edgecolor=edge, lw=1.3, zorder=3))
    title = '$t_{next}$' if goal else box.title
    centre = x + _BOX[0] / 2
    axis.text(centre, y + 0.27, title, ha='center', va='center', fontsize=9.5, fontweight='bold', color=INK, zorder=4)
    more = f' +{len(box.pks) - _MOST_PKS}' if len(box.pks) > _MOST_PKS else ''
    pks = ', '.join(map(str, box.pks[:_MOST_PKS])) + more
    axis.text(centre, y + 0.53, f'PK {pks}', ha='center', va='center', fontsize=8, color=INK, zorder=4)
    if box.note:
        axis.text(centre, y + _BOX[1] + 0.15, box.note, ha='center', va='center', fontsize=7.5, color=MUTED, zorder=4)


def _arrow(axis: Axes, first: tuple[float, float], second: tuple[float, float], faint: bool = False) -> None:
    """Draw an arrow from the edge of one box to the edge of another."""
    (x1, y1), (x2, y2) = ((c * _STEP[0] + _BOX[0] / 2, r * _STEP[1] + _BOX[1] / 2) for c, r in (first, second))
    if first[1] == second[1]:
        sign = 1 if x2 > x1 else -1
        x1, x2 = x1 + sign * (_BOX[0] / 2 + 0.05), x2 - sign * (_BOX[0] / 2 + 0.05)
    elif y2 > y1:  # the note of the upper box stands below it
        y1, y2 = y1 + _BOX[1] / 2 + 0.28, y2 - _BOX[1] / 2 - 0.05
    else:
        y1, y2 = y1 - _BOX[1] / 2 - 0.04, y2 + _BOX[1] / 2 + 0.28
    axis.add_patch(
        FancyArrowPatch(
            (x1, y1), (x2, y2), arrowstyle='-|>', mutation_scale=9, lw=1.1, color=MUTED,
            linestyle=(0, (3, 2)) if faint else '-', zorder=2, shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip
