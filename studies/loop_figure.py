"""Draw the loop for README and the documentation.

`python studies/loop_figure.py`, which writes docs/images/loop.svg. The temperature is made up: it shows what t_cp and
t_next are, and no run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

INK, MUTED, WINDOW, CP, NEXT, LINE = '#1f2a37', '#667485', '#e6edf5', '#c8102e', '#00804a', '#0072b2'
#: Left edge, first line and second line of each box.
BOXES = (
    (0.02, 'short AIMD', 'CP2K'),
    (0.28, 'train', 'DeePMD-kit'),
    (0.54, 'long MD', 'LAMMPS, T watched'),
)
WIDTH, HEIGHT, BOTTOM = 0.18, 0.22, 0.66


def draw_boxes(axes: Axes) -> None:
    """Draw the three codes, the way from one to the next, and both ways out of the MD."""
    for left, what, code in BOXES:
        axes.add_patch(
            FancyBboxPatch(
                (left, BOTTOM), WIDTH, HEIGHT, boxstyle='round,pad=0,rounding_size=0.015', fc='white', ec=INK, lw=1.2
            )
        )
        axes.text(left + WIDTH / 2, BOTTOM + 0.145, what, ha='center', va='center', weight='bold', color=INK)
        axes.text(left + WIDTH / 2, BOTTOM + 0.065, code, ha='center', va='center', color=MUTED, size=8.5)
    middle = BOTTOM + HEIGHT / 2
    for start, end, above, below in (
        (0.20, 0.28, 'energies,', 'forces'),
        (0.46, 0.54, 'potential', ''),
    ):
        arrow(axes, (start, middle), (end, middle), INK)
        axes.text((start + end) / 2, middle + 0.03, above, ha='center', va='bottom', size=8, color=MUTED)
        axes.text((start + end) / 2, middle - 0.04, below, ha='center', va='top', size=8, color=MUTED)
    arrow(axes, (0.72, middle), (0.83, middle), NEXT)
    axes.text(0.84, middle + 0.045, 'stable', va='center', weight='bold', color=NEXT)
    axes.text(0.84, middle - 0.045, 'T stayed in its window', va='center', size=8.5, color=MUTED)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """Draw an arrow from one point to another."""
    axes.annotate(
        '', end, start, arrowprops={'arrowstyle': '-|>', 'color': colour, 'lw': 1.4, 'shrinkA': 2, 'shrinkB': 2}
    )


def draw_temperature(figure: Figure) -> Axes:
    """Draw a temperature that leaves its window, with t_next and t_cp."""
    axes = figure.add_axes((0.43, 0.08, 0.38, 0.40))
    times = np.linspace(0.0, 10.0, 600)
    noise = np.convolve(np.random.default_rng(4).normal(size=640), np.ones(14) / 14, 'valid')[:600]
    temperature = 300 + 90 * noise + 330 * np.exp((times - 9.2) / 0.28)
    gone = int(np.argmax(temperature > 500))
    start = int(np.searchsorted(times, 7.2))
    axes.axhspan(200, 500, color=WINDOW, lw=0)
    axes.plot(times[: gone + 1], temperature[: gone + 1], color=LINE, lw=1.1)
    axes.plot(times[gone], temperature[gone], 'X', color=CP, ms=7)
    axes.plot(times[start], temperature[start], 'o', color=NEXT, ms=7)
    axes.text(times[gone] + 0.25, temperature[gone], '$t_{cp}$', color=CP, va='center', size=10)
    axes.text(times[start], 172, '$t_{next}$', color=NEXT, ha='center', va='center', size=10)
    axes.text(0.15, 478, 'window', color=MUTED, size=8, va='top')
    axes.set(xlim=(0, 10.6), ylim=(130, 580), xticks=[], yticks=[], xlabel='time')
    axes.xaxis.label.set_color(MUTED)
    axes.text(0.15, 580, 'temperature', color=MUTED, size=8.5, va='bottom')
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    return axes


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-o', '--output', type=Path, default=Path('docs/images/loop.svg'))
    arguments = parser.parse_args()
    mpl.rcParams.update({'font.size': 10, 'svg.hashsalt': 'loop', 'svg.fonttype': 'path', 'path.simplify': True})
    figure = Figure(figsize=(8.6, 3.3), facecolor='white')
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis('off')
    draw_boxes(axes)
    draw_temperature(figure)
    # From the MD down to its temperature, and from t_next back to the AIMD.
    arrow(axes, (0.63, BOTTOM), (0.63, 0.52), INK)
    axes.plot([0.425, 0.11], [0.29, 0.29], color=NEXT, lw=1.4)
    arrow(axes, (0.11, 0.283), (0.11, BOTTOM), NEXT)
    axes.text(0.265, 0.31, 'T left its window:', ha='center', va='bottom', color=CP, size=9)
    axes.text(0.265, 0.27, 'snapshot at $t_{next}$, more frames', ha='center', va='top', color=NEXT, size=9)
    figure.savefig(arguments.output, metadata={'Date': None})


if __name__ == '__main__':
    main()
