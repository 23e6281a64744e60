"""Vectors in a periodic cell."""

from __future__ import annotations

import numpy as np

from aiida_deepmd.arrays import FloatArray


def nearest_image(vectors: FloatArray, cell: FloatArray) -> FloatArray:
    """Vectors moved by lattice vectors to where their fractional coordinates are within half a cell.

    :param vectors: (..., 3), Å.
    :param cell: (3, 3), Å.
    """
    shifts: FloatArray = np.rint(vectors @ np.linalg.inv(cell)) @ cell
    return vectors - shifts


def displacements(coords: FloatArray, cells: FloatArray) -> FloatArray:
    """Shortest way of each atom from each frame to the next, (n_frames - 1, n_atoms, 3), Å.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    """
    steps = np.diff(coords, axis=0)
    return np.array([nearest_image(step, cell) for step, cell in zip(steps, cells[1:], strict=True)]).reshape(
        steps.shape
    )
