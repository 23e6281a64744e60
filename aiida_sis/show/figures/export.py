"""Figures of a run as files, and their numbers as CSV."""

from __future__ import annotations

from pathlib import Path

from aiida_sis.run.trajectories import Details
from aiida_sis.show.figures.catalogue import FIGURES
from aiida_sis.show.figures.style import WIDE, save
from aiida_sis.show.tabular import csv_text

__all__ = ('write_figure', 'write_numbers')


def write_figure(name: str, details: Details, path: Path, dpi: int = 180) -> Path:
    """Draw one figure into a file.

    :param name: of the figure, see :data:`aiida_sis.show.figures.catalogue.FIGURES`.
    :param details: of the run.
    :param path: the file; its suffix gives the format.
    :param dpi: dots per inch.
    :returns: the path.
    :raises NothingToShowError: where the run has no data for it.
    """
    return save(FIGURES[name].figure(details, WIDE), path, dpi)


def write_numbers(name: str, details: Details, path: Path) -> Path:
    """Write the numbers of one figure as CSV.

    :param name: of the figure.
    :param details: of the run.
    :param path: the file.
    :returns: the path.
    :raises NothingToShowError: where the run has no data for it.
    """
    text = csv_text(FIGURES[name].table(details))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
    return path
