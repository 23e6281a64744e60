"""Which frames of a trajectory are worth their cost: neighbouring frames hardly differ, so a few may say it all.

Frames are compared by a descriptor that knows distances only. For each pair of elements A–B it holds the sorted values
of f(r) = 1/r − 1/r_c, over all distances r < r_c to the nearest image; frames with fewer distances are filled with
zeros, which is where f goes at r_c. r_c is 5 Å, or half the smallest height of the cell where that is less. It is
unchanged by translation, rotation and exchange of like atoms. The distance of two frames is the Euclidean distance of
their descriptors; for each pair of elements that is, up to a factor, the Wasserstein-2 distance between the two
distributions of f.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import lapack
from scipy.spatial.distance import cdist

from aiida_deepmd import frames as fr
from aiida_deepmd.arrays import FloatArray, IntArray

EVERY, EVEN, STRIDE, FARTHEST_POINT, ENTROPY = 'every', 'even', 'stride', 'farthest_point', 'entropy'
#: How the frames of a dataset may be chosen.
DATASET_CHOICES = (EVERY, STRIDE, FARTHEST_POINT, ENTROPY)
#: How the frames that are labelled by single points may be chosen.
REPLAY_CHOICES = (EVEN, FARTHEST_POINT, ENTROPY)
#: These compare all frames with each other, so they need a number of frames to stop at.
BY_DESCRIPTOR = (FARTHEST_POINT, ENTROPY)
#: Distances beyond this (Å) do not count: it covers the first shell of ions and molecules.
CUTOFF = 5.0
#: Atoms nearer than this (Å) are told apart no further: 1/r of two atoms on one place has no end.
CLOSEST = 0.1


def choose_frames(frames: fr.Frames, symbols: Sequence[str], method: str, n: int, seed: int) -> IntArray:
    """Choose frames for their worth.

    ``every`` and ``even``: evenly spread in time. ``stride``: at a constant spacing, hence at most n.
    ``farthest_point``: see :func:`farthest_points`. ``entropy``: see :func:`most_informative`.

    :param frames: the frames; only their coordinates and cells are looked at.
    :param symbols: (n_atoms,) element of each atom.
    :param method: one of the above.
    :param n: number of frames wanted; where there are no more, all are taken.
    :param seed: decides between frames of equal worth, and the first one of ``entropy``.
    :returns: distinct frame numbers, ascending.
    :raises FramesError: for an unknown method or n below 1.
    """
    everything = np.arange(len(frames.coords), dtype=np.int64)
    if method not in {*DATASET_CHOICES, *REPLAY_CHOICES}:
        raise fr.FramesError(
            f'choice {method!r} is unknown: use one of {", ".join((*DATASET_CHOICES, EVEN))}.',
        )
    if n < 1:
        raise fr.FramesError(f'the number of frames to choose is {n}, but it must be at least 1.')
    if len(everything) <= n:
        return everything
    if method in (EVERY, EVEN):
        return fr.thin(everything, 1, n)
    if method == STRIDE:
        return everything[:: -(-len(everything) // n)]
    order = np.random.default_rng(seed).permutation(len(everything))
    points = describe(frames.coords[order], frames.cells[order], symbols)
    picked = farthest_points(points, n) if method == FARTHEST_POINT else most_informative(points, n)
    return np.sort(order[picked]).astype(np.int64)


def describe(coords: FloatArray, cells: FloatArray, symbols: Sequence[str], cutoff: float = CUTOFF) -> FloatArray:
    """Describe each frame by its sorted distances, see the top of this module.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param symbols: (n_atoms,) element of each atom.
    :param cutoff: largest r_c in Å.
    :returns: (n_frames, n_values) in Å⁻¹; at least one value a frame.
    """
    inverses = np.linalg.inv(cells)
    heights = 1.0 / np.linalg.norm(inverses, axis=1)
    cutoff = min(cutoff, 0.5 * float(heights.min()))  # below this rounding gives the nearest image in any cell
    elements, kinds = np.unique(np.asarray(symbols), return_inverse=True)
    first, second = np.triu_indices(len(symbols), 1)
    pairs = np.minimum(kinds[first], kinds[second]) * len(elements) + np.maximum(kinds[first], kinds[second])
    lists: list[dict[int, FloatArray]] = []
    for positions, cell, inverse in zip(coords, cells, inverses, strict=True):
        scaled = positions @ inverse
        between = scaled[second] - scaled[first]
        distance = np.linalg.norm((between - np.rint(between)) @ cell, axis=1)
        near = distance < cutoff
        values = 1.0 / np.maximum(distance[near], CLOSEST) - 1.0 / cutoff
        lists.append({number: np.sort(values[pairs[near] == number])[::-1] for number in np.unique(pairs)})
    blocks = [np.zeros((len(lists), 1))]
    for number in np.unique(pairs):
        block = np.zeros((len(lists), max(len(one[number]) for one in lists)))
        for row, one in zip(block, lists, strict=True):
            row[: len(one[number])] = one[number]
        blocks.append(block)
    return np.hstack(blocks)


def farthest_points(points: FloatArray, n: int) -> IntArray:
    """Choose points that cover the whole set: each is the one farthest from all that were chosen before.

    The first is the one farthest from the mean, so that the ends of a path are always among the chosen.

    :param points: (n_points, n_values).
    :param n: how many, at most n_points.
    :returns: (n,) numbers of the points in the order of their choice; ties go to the lower number.
    """
    picked = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    nearest = np.full(len(points), np.inf)
    while len(picked) < n:
        nearest = np.minimum(nearest, cdist(points, points[picked[-1:]])[:, 0])
        nearest[picked] = -1.0
        picked.append(int(np.argmax(nearest)))
    return np.array(picked, dtype=np.int64)


def most_informative(points: FloatArray, n: int) -> IntArray:
    """Choose points by maximum entropy sampling (Shewry and Wynn, J. Appl. Stat. 14, 165 (1987)).

    What is unknown is taken as a Gaussian process with covariance K = exp(−d/l), d the distance of two points and l the
    median distance. The entropy of the chosen set is ½ log det K up to a constant; each point is the one that raises it
    most, which is the one whose value the others predict worst. That greedy choice is the pivoting of LAPACK's
    Cholesky decomposition (`dpstrf`).

    :param points: (n_points, n_values).
    :param n: how many, at most n_points.
    :returns: (n,) numbers of the points in the order of their choice.
    """
    distance = cdist(points, points)
    apart = distance[distance > 0]
    scale = float(np.median(apart)) if apart.size else 1.0
    pivots = lapack.dpstrf(np.exp(-distance / scale), tol=0.0)[1]
    return np.asarray(pivots[:n] - 1, dtype=np.int64)
