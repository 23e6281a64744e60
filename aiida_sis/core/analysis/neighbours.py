"""Pairs of near atoms in periodic cells, found by vesin's cell lists."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from vesin import NeighborList

from aiida_deepmd.arrays import FloatArray, IntArray

#: One frame: positions (n_atoms, 3) and cell vectors as rows (3, 3), both in Å.
Frame = tuple[FloatArray, FloatArray]
#: Frames that are read once, in their order; a list, or a generator over a file.
Frames = Iterable[Frame]


class NeighbourSearch:
    """Find each pair of atoms nearer than a cutoff once, through every periodic image.

    Positions need not be wrapped and the cell may have any angles.

    :param cutoff: in Å.
    """

    def __init__(self, cutoff: float) -> None:
        self.cutoff = float(cutoff)
        self._list = NeighborList(cutoff=self.cutoff, full_list=False, n_threads=1)

    def pairs(self, positions: FloatArray, cell: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Give the pairs of one frame.

        :param positions: (n_atoms, 3), Å.
        :param cell: (3, 3), Å.
        :returns: the two atoms (n_pairs,) each, with the smaller index first, and the distances (n_pairs,) in Å. A pair
            that is near through two images comes twice; an atom is no neighbour of its own image.
        :raises ValueError: if a position is not finite or the cell has no volume.
        """
        if not np.isfinite(positions).all() or not np.isfinite(cell).all():
            raise ValueError('A position or a cell is not a finite number: leave this frame out.')
        if abs(np.linalg.det(cell)) < 1e-6:
            raise ValueError('The cell has no volume: neighbours need a periodic cell.')
        first, second, distance = self._list.compute(points=positions, box=cell, periodic=True, quantities='ijd')
        if self.cutoff >= shortest_height(cell):
            other = first != second
            first, second, distance = first[other], second[other], distance[other]
        low, high = np.minimum(first, second), np.maximum(first, second)
        return low.astype(np.int64), high.astype(np.int64), distance


def shortest_height(cell: FloatArray) -> float:
    """Give the shortest distance between opposite faces of a cell.

    :param cell: (3, 3), Å.
    :returns: Å. Below half of it every pair has one nearest image.
    """
    return float(1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0).max())


def check_radius(r_max: float, cell: FloatArray) -> None:
    """Refuse a radius beyond which a sphere would meet its own image.

    :param r_max: Å.
    :param cell: (3, 3), Å.
    :raises ValueError: if it is not positive or longer than half of the shortest height of the cell.
    """
    limit = shortest_height(cell) / 2
    if not 0.0 < r_max <= limit * (1 + 1e-9):
        raise ValueError(
            f'r_max is {r_max:g} Å, but must be above 0 and at most half of the cell ({limit:.3f} Å): change it.'
        )
