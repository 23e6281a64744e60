"""Which of the good frames are kept, and which of them train, validate and test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_deepmd.arrays import IntArray
from aiida_deepmd.frames.labelled import FramesError

TRAIN, VALIDATION, TEST = 0, 1, 2
SUBSETS: dict[str, int] = {'train': TRAIN, 'validation': VALIDATION, 'test': TEST}


def thin(kept: IntArray, stride: int = 1, max_frames: int | None = None) -> IntArray:
    """Keep every ``stride``-th frame, and of these at most ``max_frames``, evenly spread in time.

    Frames 1 fs apart hardly differ: the statistical inefficiency of liquids near 300 K is 7 to 24 fs.

    :param kept: (n,) frame numbers, ascending.
    :param stride: at least 1.
    :param max_frames: at least 1, or None for no limit.
    :raises FramesError: if stride or max_frames is below 1.
    """
    if stride < 1 or (max_frames is not None and max_frames < 1):
        raise FramesError(f'stride ({stride}) and max_frames ({max_frames}) must be at least 1.')
    thinned = kept[::stride]
    if max_frames is not None and len(thinned) > max_frames:
        thinned = thinned[np.unique(np.linspace(0, len(thinned) - 1, max_frames).round().astype(int))]
    return thinned


def split_sizes(n_frames: int, fractions: tuple[float, float, float]) -> tuple[int, int, int]:
    """How many frames train, validate and test; none is left empty from three frames on unless its fraction is zero.

    :param n_frames: number of frames.
    :param fractions: shares of train, validation and test, not negative, sum 1, train above zero.
    :raises FramesError: if the fractions are not shares.
    """
    if len(fractions) != 3 or min(fractions) < 0 or fractions[0] <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise FramesError(
            f'fractions {list(fractions)} must be three shares (train above 0, validation, test) that sum to 1, '
            'for example [0.6, 0.2, 0.2].'
        )
    wanted = [int(fraction > 0) for fraction in fractions]
    if n_frames < sum(wanted):  # too few to share: training first, then the test that judges it
        n_test = int(n_frames == 2 and fractions[TEST] > 0)
        return n_frames - n_test, 0, n_test
    n_test = max(wanted[TEST], round(n_frames * fractions[TEST]))
    n_validation = max(wanted[VALIDATION], round(n_frames * fractions[VALIDATION]))
    n_train = n_frames - n_test - n_validation
    if n_train < 1:  # rounding up took the last training frame: the larger of the two gives it back
        if n_test >= n_validation:
            n_test -= 1
        else:
            n_validation -= 1
        n_train = n_frames - n_test - n_validation
    return n_train, n_validation, n_test


def split(
    n_frames: int,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    mode: str = 'shuffled',
) -> NDArray[np.int8]:
    """Deal the frames out to training (0), validation (1) and test (2).

    :param n_frames: number of frames.
    :param fractions: shares of train, validation and test.
    :param seed: seed of the shuffle.
    :param mode: ``shuffled`` as in the paper, or ``blocks``: the last frames in time are held out, so that a test
        frame has no neighbour 1 fs away in the training set (an honest error for correlated frames).
    :return: (n_frames,) subset of each frame.
    :raises FramesError: for an unknown mode or fractions that are not shares.
    """
    if mode not in ('shuffled', 'blocks'):
        raise FramesError(f"split mode '{mode}' is unknown; use 'shuffled' or 'blocks'.")
    ordered = np.repeat(np.array([TRAIN, VALIDATION, TEST], dtype=np.int8), split_sizes(n_frames, fractions))
    if mode == 'blocks':
        return ordered
    subset = np.empty(n_frames, dtype=np.int8)
    subset[np.random.default_rng(seed).permutation(n_frames)] = ordered
    return subset
