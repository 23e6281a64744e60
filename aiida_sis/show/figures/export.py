"""Figures of a run as files, and their numbers as CSV."""

from __future__ import annotations

from pathlib import Path

from aiida_sis.show.figures.catalogue import FIGURES, Content
from aiida_sis.show.figures.style import WIDE
from aiida_sis.show.tabular import csv_text

__all__ = ('write_figure', 'write_numbers')


def write_figure(name: str, content: Content, path: Path, dpi: int = 180) -> Path:
    """Draw one figure into a file.

    :param name: of the figure, see :data:`aiida_sis.show.figures.catalogue.FIGURES`.
    :param content: of the run.
    :param path: the file; its suffix gives the format.
    :param dpi: dots per inch.
    :returns: the path.
    :raises NothingToShowError: where the run has no data for it.
    """
    figure = FIGURES[name].draw(content, WIDE)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)
    return path


def write_numbers(name: str, content: Content, path: Path) -> Path:
    """Write the numbers of one figure as CSV.

    :param name: of the figure.
    :param content: of the run.
    :param path: the file.
    :returns: the path.
    :raises NothingToShowError: where the run has no data for it.
    """
    text = csv_text(FIGURES[name].table(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
    return path
