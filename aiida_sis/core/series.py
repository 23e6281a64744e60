"""Picking from a series: of steps, times, frames or anything else that is in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def latest_at(steps: ArrayLike, target: float) -> int | None:
    """Find the last entry at or before a step.

    :param steps: Steps or times, ascending; shape ``(n,)``.
    :param target: Step, or time, to stay at or before.
    :return: Its index, or nothing if all are later.
    """
    index = int(np.searchsorted(np.asarray(steps, dtype=np.float64), target + 1e-6, side='right')) - 1
    return index if index >= 0 else None


def evenly(n: int, most: int) -> list[int]:
    """Choose evenly spaced indices, first and last among them; the middle one where only one may be kept.

    :param n: How many there are.
    :param most: How many may be kept.
    :return: Indices, ascending.
    """
    if n <= most:
        return list(range(n))
    if most == 1:
        return [n // 2]
    return [int(index) for index in np.round(np.linspace(0, n - 1, most))]
