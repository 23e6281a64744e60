"""The numbers of a figure: as CSV for programs, and written for people."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ('Table', 'csv_text', 'number')


@dataclass(frozen=True)
class Table:
    """Headers, and rows of as many values; ``None`` where there is none."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def csv_text(table: Table) -> str:
    """Return a table as CSV, numbers with six significant digits.

    :param table: the numbers.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(table.headers)
    writer.writerows([f'{v:.6g}' if isinstance(v, float) else v for v in row] for row in table.rows)
    return stream.getvalue()


def number(value: Any, digits: int = 3) -> str:
    """Write a number of a table for people.

    :param value: a number, or anything else, which is written as it is; ``None`` gives a dash.
    :param digits: significant ones.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return '–'
    if isinstance(value, float | np.floating):
        return f'{value:.{digits}g}' if abs(value) < 10**digits else f'{value:.0f}'
    return str(value)
