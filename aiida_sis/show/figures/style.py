"""How figures look, in a file and inside the page.

In the page a figure is inline SVG: its text is text in the page's own font, and its colours are names that the page's
style sheet fills, so that the same figure is right on a light and on a dark background. Every figure is drawn for two
widths, because text that is scaled down to a phone can't be read.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ('NARROW', 'WIDE', 'NothingToShowError', 'new_figure', 'save', 'series_colour', 'to_svg')

#: Widths in inches: a laptop's column and a phone.
WIDE, NARROW = 8.6, 3.72

INK, MUTED, GRID, WINDOW = '#1f2a37', '#667485', '#d9e0e8', '#e6edf5'
#: Where the temperature left its window, and where the next AIMD starts.
CP, NEXT = '#c8102e', '#00804a'
# Colour-blind safe (Okabe and Ito, 2008), without the red and green that t_cp and t_next need.
SERIES = ('#0072b2', '#e08e00', '#56a8d8', '#b85c97', '#7f5539', '#5b6570', '#00858a', '#6a51a3')
_NAMES = {
    INK: 'currentColor',
    MUTED: 'var(--muted)',
    GRID: 'var(--grid)',
    WINDOW: 'var(--window)',
    CP: 'var(--cp)',
    NEXT: 'var(--next)',
    '#fefefe': 'var(--paper)',
    **{colour: f'var(--c{number})' for number, colour in enumerate(SERIES)},
}
#: Marks of what went wrong and of what held.
BROKEN: dict[str, Any] = {'marker': 'X', 'color': CP}
SOUND: dict[str, Any] = {'marker': 'o', 'color': NEXT}
#: A halo in the colour of the background.
PAPER = '#fefefe'
#: Rungs of a ladder by what they turned out to be: shape and colour each tell them apart.
RUNGS: dict[str, dict[str, Any]] = {
    'right': {'marker': '^', 'ms': 6.5, 'mfc': SERIES[0], 'mec': PAPER},
    'wrong': {'marker': 's', 'ms': 5.5, 'mfc': SERIES[1], 'mec': PAPER},
    'unphysical': {'marker': 'D', 'ms': 5.5, 'mfc': SERIES[3], 'mec': PAPER},
    'failed': {'marker': 'v', 'ms': 6.5, 'mfc': SERIES[5], 'mec': PAPER},
}

STYLE: dict[Any, Any] = {
    'font.size': 9,
    'text.color': INK,
    'axes.labelcolor': INK,
    'axes.edgecolor': MUTED,
    'axes.facecolor': 'none',
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.linewidth': 0.8,
    'axes.titlesize': 9.5,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'axes.grid': True,
    'axes.grid.axis': 'y',
    'axes.axisbelow': True,
    'grid.color': GRID,
    'grid.linewidth': 0.7,
    'xtick.color': MUTED,
    'ytick.color': MUTED,
    'xtick.labelcolor': INK,
    'ytick.labelcolor': INK,
    'legend.frameon': False,
    'legend.fontsize': 8.5,
    'mathtext.fontset': 'dejavusans',
}


class NothingToShowError(Exception):
    """A figure has no data; the message is the sentence that stands in its place."""


def series_colour(number: int) -> str:
    """Return the colour of the series of that number.

    :param number: from 0; the colours repeat.
    """
    return SERIES[number % len(SERIES)]


def new_figure(
    width: float, n_panels: int, panel_height: float, most_columns: int = 3, narrow_columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """Make a figure with its panels in as many columns as its width carries.

    :param width: inches.
    :param n_panels: number of panels.
    :param panel_height: inches of each.
    :param most_columns: on a wide figure.
    :param narrow_columns: on a narrow one.
    :returns: the figure and its panels; those too many in the last row are switched off.
    """
    columns = min(narrow_columns if width < 5 else most_columns, n_panels)
    rows = math.ceil(n_panels / columns)
    figure = Figure(figsize=(width, panel_height * rows), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    axes: list[Axes] = list(np.ravel(grid))
    for axis in axes[n_panels:]:
        axis.set_axis_off()
    return figure, axes[:n_panels]


def save(figure: Figure, path: Path, dpi: int = 180) -> Path:
    """Write a figure.

    :param figure: the figure.
    :param path: the file; its suffix gives the format. Its folder is made if need be.
    :param dpi: dots per inch.
    :returns: the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)
    return path


def to_svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an SVG element for an HTML page.

    :param figure: the figure.
    :param name: unique in the page; the ids inside begin with it.
    :param label: what a reader who can't see it is told.
    """
    stream = io.StringIO()
    with mpl.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': name, 'savefig.dpi': 200}):
        figure.savefig(stream, format='svg', transparent=True, metadata={'Date': None})
    text = stream.getvalue()
    text = text[text.index('<svg') :]
    text = re.sub(r'<metadata>.*?</metadata>\s*|<!--.*?-->\s*', '', text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1', text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1', text, count=1)
    text = text.replace('<svg', f'<svg role="img" aria-label="{escape(label, quote=True)}"', 1)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda match: match.group(0) if match.group(1) in used else '', text)
    text = re.sub(r'(url\(#|href="#| id=")(?=[A-Za-z])', rf'\1{name}-', text)
    text = re.sub(r'font-family: [^;\"]*;? ?|font: ([\d.]+px)[^;\"]*', _font, text)
    text = re.sub(r'<[^>]*>', lambda tag: re.sub(r'(\d\.\d\d)\d+', r'\1', tag.group(0)), text)
    for colour, css in _NAMES.items():
        text = text.replace(colour, css)
    return re.sub(r'>\s+<', '><', re.sub(r'<style[^>]*>.*?</style>', '', text, flags=re.DOTALL))


def _font(match: re.Match[str]) -> str:
    """Leave the family of a font to the page."""
    return f'font-size: {match.group(1)}' if match.group(1) else ''


def subtitle(axis: Axes, text: str, colour: str = MUTED) -> None:
    """Write a line between the title and the panel.

    :param axis: the panel; its title must have a pad of 19 points.
    :param text: the line.
    :param colour: of the text.
    """
    axis.annotate(
        text, (0, 1), xytext=(0, 7), xycoords='axes fraction', textcoords='offset points', fontsize=8, color=colour
    )


def legend_below(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    """Put one legend below all panels.

    :param figure: the figure.
    :param handles: labelled artists.
    :param columns: most columns of the legend.
    """
    figure.legend(handles=list(handles), loc='outside lower left', ncols=min(columns, len(handles)), handlelength=1.4)
