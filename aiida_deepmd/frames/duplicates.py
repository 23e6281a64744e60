"""Frames that are there twice: a restart repeats a step, a file is a copy of another with fewer digits."""

from __future__ import annotations

import numpy as np

from aiida_deepmd.arrays import BoolArray, FloatArray
from aiida_deepmd.frames.geometry import nearest_image

#: Coordinates closer than this (Å) are the same frame. Single precision moves one by 10⁻⁶ Å, the five digits of a VASP
#: file by half of this; an atom of lead at 10 K moves twenty times as far in 1 fs.
TOLERANCE = 1.0e-5


def find_duplicates(coords: FloatArray, cells: FloatArray, candidates: BoolArray) -> BoolArray:
    """Mark every frame that repeats an earlier one: no number of the cell, and no coordinate in it, is farther apart.

    :param coords: (n_frames, n_atoms, 3), Å; an atom moved by a lattice vector is where it was.
    :param cells: (n_frames, 3, 3), Å.
    :param candidates: (n_frames,) frames that are finite and have a cell.
    """
    numbers = np.flatnonzero(candidates)
    repeated = np.zeros(len(coords), dtype=bool)
    if len(numbers) < 2:
        return repeated
    marks = _marks(coords[numbers], cells[numbers])
    order = np.argsort(marks[:, 0], kind='stable')
    ends = np.searchsorted(marks[order, 0], marks[order, 0] + TOLERANCE, side='right')
    for place, i in enumerate(order):
        near = order[place + 1 : ends[place]]
        for j in near[(np.abs(marks[near] - marks[i]) <= TOLERANCE).all(axis=1)]:
            one, other = int(numbers[i]), int(numbers[j])
            if repeated[one]:
                break
            if not repeated[other] and _same(coords, cells, one, other):
                repeated[max(one, other)] = True
    return repeated


def _same(coords: FloatArray, cells: FloatArray, one: int, other: int) -> bool:
    """Whether two frames are one."""
    if np.abs(cells[one] - cells[other]).max() > TOLERANCE:
        return False
    shift = nearest_image(coords[one] - coords[other], cells[one])
    return bool(np.abs(shift).max() <= TOLERANCE)


def _marks(coords: FloatArray, cells: FloatArray, n_marks: int = 4) -> FloatArray:
    """A few numbers a frame that differ, for the same frame, by no more than the tolerance (n_frames, n_marks).

    Each is a mean, with random weights of sum 1, of the numbers of the cell and of waves cos(2πs + φ) of the fractional
    coordinates s, divided by the steepest slope that a wave can have. Only frames of like marks have to be compared.
    """
    inverses = np.linalg.inv(cells)
    fractions = np.einsum('fni,fij->fnj', coords, inverses)
    reach = 1.0 + np.abs(fractions).sum(axis=2).max()  # a cell that differs moves atoms the more the farther they are
    steepest = max(1.0, 2 * np.pi * reach * float(np.abs(inverses).sum(axis=1).max()))
    rng = np.random.default_rng(0)
    waves = np.cos(2 * np.pi * (fractions + rng.random(fractions.shape[1:]))).reshape(len(coords), -1) / steepest
    weights = rng.random((waves.shape[1] + 9, n_marks))
    marks: FloatArray = np.concatenate([waves, cells.reshape(-1, 9)], axis=1) @ (weights / weights.sum(axis=0))
    return marks
