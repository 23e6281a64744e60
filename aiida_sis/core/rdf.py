"""Radial distribution functions, and how different two of them are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.geometry.rdf import get_rdf
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def partial_rdf(
    coords: FloatArray, cells: FloatArray, symbols: Sequence[str], pair: tuple[str, str], r_max: float, n_bins: int
) -> tuple[FloatArray, FloatArray]:
    """Average the radial distribution function of a pair of elements over frames.

    g(r) is the density of the second element at the distance r from the first, divided by its mean density.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param symbols: element of each atom, (n_atoms,).
    :param pair: the two elements.
    :param r_max: largest distance in Å; at most half of the shortest height of the cell.
    :param n_bins: number of bins.
    :returns: distances (n_bins,) in Å and g(r), (n_bins,).
    :raises ValueError: if an element is missing or ``r_max`` is too long for the cell.
    """
    missing = [element for element in pair if element not in symbols]
    if missing:
        raise ValueError(f'The structure has no {missing[0]}: the pair {pair} has no radial distribution function.')
    heights = [abs(np.linalg.det(cell)) / np.linalg.norm(np.cross(*np.delete(cell, k, axis=0)))
               for cell in cells[:1] for k in range(3)]  # fmt: skip
    if r_max > min(heights) / 2:
        raise ValueError(f'r_max is {r_max:g} Å, longer than half of the cell ({min(heights) / 2:.3g} Å): shorten it.')
    first, second = (atomic_numbers[element] for element in pair)
    total = np.zeros(n_bins)
    for positions, cell in zip(coords, cells, strict=True):
        atoms = Atoms(symbols, positions, cell=cell, pbc=True)
        # ASE normalises by all pairs of the two elements that are among the atoms it is given.
        values, distances = get_rdf(atoms, r_max, n_bins, elements=(first, second))
        total += values
    return distances, total / len(coords)


def rdf_difference(first: FloatArray, second: FloatArray) -> float:
    """Compare two radial distribution functions by one number.

    :param first: g(r), (n_bins,).
    :param second: the reference, (n_bins,), on the same distances.
    :returns: mean of |g1 − g2| divided by the mean of g2; 0 means equal.
    """
    return float(np.abs(first - second).mean() / second.mean())
