"""The shortest distance of each pair of elements: what a potential has learnt of, and what an MD comes to.

A pair is named by its elements in alphabetical order, as in ``F-Li``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aiida_deepmd.arrays import FloatArray
from aiida_sis.core.analysis.neighbours import Frames, NeighbourSearch


@dataclass(frozen=True)
class Contact:
    """A pair of atoms nearer than its limit.

    :param pair: Its elements, as in ``Na-Na``.
    :param distance: In Å.
    """

    pair: str
    distance: float


def pair_name(first: str, second: str) -> str:
    """Name a pair of elements.

    :param first: An element.
    :param second: The other.
    :return: Both in alphabetical order, as in ``F-Li``.
    """
    return '-'.join(sorted((first, second)))


def shortest_distances(frames: Frames, symbols: Sequence[str], cutoff: float) -> dict[str, float]:
    """Give the shortest distance of each pair of elements over some frames.

    A later frame is searched only as far as it may still shorten a distance.

    :param frames: Positions and cells.
    :param symbols: Chemical symbols of the atoms, shape ``(n_atoms,)``.
    :param cutoff: Distances from here on are not looked at, in Å.
    :return: Distance in Å by pair, for the pairs that come nearer than the cutoff.
    """
    elements, kinds = np.unique(np.array(symbols), return_inverse=True)
    counts = np.bincount(kinds)
    # With one atom of an element there is no pair of it.
    possible = np.triu(np.ones((len(elements), len(elements)), dtype=bool), 1) | np.diag(counts > 1)
    shortest = np.full(possible.shape, np.inf)
    reach = cutoff
    for positions, cell in frames:
        if not possible.any():
            break
        first, second, distance = NeighbourSearch(reach).pairs(positions, cell)
        pairs = np.sort(np.column_stack((kinds[first], kinds[second])), axis=1)
        np.minimum.at(shortest, (pairs[:, 0], pairs[:, 1]), distance)
        reach = min(cutoff, float(shortest[possible].max()))
    return {
        pair_name(str(elements[i]), str(elements[j])): float(shortest[i, j])
        for i, j in zip(*np.nonzero(np.isfinite(shortest)), strict=True)
    }


def find_contact(
    positions: FloatArray,
    cell: FloatArray,
    symbols: Sequence[str],
    limits: Mapping[str, float],
    fixed_atoms: Sequence[int] = (),
) -> Contact | None:
    """Find the pair of atoms that lies furthest below its limit.

    :param positions: Shape ``(n_atoms, 3)``, in Å.
    :param cell: Cell vectors as rows, shape ``(3, 3)``, in Å.
    :param symbols: Chemical symbols of the atoms.
    :param limits: Limit in Å by pair of elements.
    :param fixed_atoms: Numbers of the atoms that never move: a pair of two of them is no contact.
    :return: The pair with the smallest distance in units of its limit, or nothing.
    """
    first, second, distance = NeighbourSearch(max(limits.values())).pairs(positions, cell)
    fixed = np.zeros(len(symbols), dtype=bool)
    fixed[list(fixed_atoms)] = True
    found: Contact | None = None
    least = 1.0
    for i, j, value in zip(first, second, distance, strict=True):
        pair = pair_name(symbols[i], symbols[j])
        if not (fixed[i] and fixed[j]) and pair in limits and value / limits[pair] < least:
            found, least = Contact(pair, float(value)), float(value) / limits[pair]
    return found
