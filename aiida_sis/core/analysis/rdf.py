r"""Radial distribution functions of all pairs of kinds in one pass, and how different two of them are.

For kinds *a* and *b* with :math:`N_a`, :math:`N_b` atoms in the volume :math:`V`, averaged over frames,

.. math:: g_{ab}(r) = \frac{\langle n_{ab}(r, r + \Delta r) \rangle}{N_a N_b \, v(r) \langle 1/V \rangle}

where :math:`n_{ab}` counts the ordered pairs in the shell of volume :math:`v(r)`. For :math:`a = b` the number of
pairs is :math:`N_a (N_a - 1)`, so that an ideal gas of any size gives one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_sis.core.analysis.neighbours import Frames, NeighbourSearch, check_radius

Pair = tuple[str, str]


@dataclass(frozen=True)
class Rdfs:
    """Radial distribution functions of pairs of kinds.

    :param r: middle of each bin, (n_bins,), Å.
    :param dr: width of a bin, Å.
    :param g: g(r) of each pair, (n_bins,).
    :param neighbours: mean number of pairs a–b in each bin and frame, (n_bins,); each pair once.
    :param counts: number of atoms of each kind.
    :param n_frames: number of frames.
    """

    r: FloatArray
    dr: float
    g: dict[Pair, FloatArray]
    neighbours: dict[Pair, FloatArray]
    counts: dict[str, int]
    n_frames: int

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs, as they are named here."""
        return tuple(self.g)

    def key(self, first: str, second: str) -> Pair:
        """Give the name under which a pair stands, in whichever order it is asked for.

        :param first: a kind.
        :param second: a kind.
        :raises ValueError: if it is not among them.
        """
        for pair in ((first, second), (second, first)):
            if pair in self.g:
                return pair
        raise ValueError(f'There is no pair {first}, {second}; there are {", ".join("/".join(p) for p in self.g)}.')

    def of(self, first: str, second: str) -> FloatArray:
        """Give g(r) of a pair, (n_bins,).

        :param first: a kind.
        :param second: a kind.
        """
        return self.g[self.key(first, second)]

    def coordination(self, centre: str, other: str) -> FloatArray:
        """Count the neighbours around an atom as a function of the distance.

        :param centre: kind of the atom in the middle.
        :param other: kind of its neighbours.
        :returns: mean number of neighbours nearer than the outer edge of each bin, (n_bins,).
        """
        per_bin = self.neighbours[self.key(centre, other)] * (2 if centre == other else 1) / self.counts[centre]
        running: FloatArray = np.cumsum(per_bin)
        return running

    def coordination_number(self, centre: str, other: str, r_max: float) -> float:
        """Count the neighbours around an atom up to a distance.

        :param centre: kind of the atom in the middle.
        :param other: kind of its neighbours.
        :param r_max: Å, such as the first minimum, see :meth:`first_shell`.
        """
        edges = np.arange(len(self.r) + 1) * self.dr
        return float(np.interp(r_max, edges, np.concatenate([[0.0], self.coordination(centre, other)])))

    def first_shell(self, first: str, second: str) -> tuple[float, float] | None:
        """Find the first peak of g(r) and the minimum behind it.

        The curve is smoothed over three bins; the minimum is the lowest point before the next rise above one half of
        the way back to the peak, or the end of the curve.

        :param first: a kind.
        :param second: a kind.
        :returns: both distances in Å, None if the two never meet.
        """
        g = np.convolve(self.of(first, second), np.ones(3) / 3, mode='same')
        if g.max() < 1e-9:
            return None
        rising = np.flatnonzero(g > 0.3 * g.max())
        start = int(rising[0])
        falls = np.flatnonzero(np.diff(g[start:]) < 0)
        peak = start + (int(falls[0]) if len(falls) else len(g) - 1 - start)
        while peak + 2 < len(g) and g[peak + 1 : peak + 4].max() > g[peak]:  # a shoulder of noise
            peak = peak + 1 + int(np.argmax(g[peak + 1 : peak + 4]))
        low = peak
        for index in range(peak, len(g)):
            if g[index] < g[low]:
                low = index
            elif g[index] > g[low] + 0.25 * (g[peak] - g[low]):
                break
        return float(self.r[peak]), float(self.r[low])


class RdfAccumulator:
    """Collect distances frame by frame.

    :param kinds: kind of each atom, (n_atoms,), an element or a label such as ``O(DOL)``.
    :param r_max: Å; at most half of the shortest height of every cell.
    :param n_bins: number of bins.
    :param pairs: the pairs that are wanted; None: all.
    :raises ValueError: if a kind is not there.
    """

    def __init__(self, kinds: Sequence[str], r_max: float, n_bins: int, pairs: Sequence[Pair] | None = None) -> None:
        self.counts = dict(sorted(Counter(kinds).items()))
        names = list(self.counts)
        self.pairs = tuple(pairs) if pairs is not None else tuple(combinations_with_replacement(names, 2))
        for pair in self.pairs:
            for kind in pair:
                if kind not in self.counts:
                    raise ValueError(f'There is no {kind} among the atoms; there are {", ".join(names)}.')
        if n_bins < 1:
            raise ValueError(f'n_bins is {n_bins}: take at least 1.')
        self.r_max, self.n_bins = float(r_max), int(n_bins)
        # Row of the histogram of each pair of kinds; what is not asked for goes to a last row.
        table = np.full((len(names), len(names)), len(self.pairs))
        for row, (first, second) in enumerate(self.pairs):
            table[names.index(first), names.index(second)] = table[names.index(second), names.index(first)] = row
        self._offset = (table * self.n_bins).ravel()
        self._n_kinds = len(names)
        self._kind = np.array([names.index(kind) for kind in kinds])
        self._histogram: IntArray = np.zeros((len(self.pairs) + 1) * self.n_bins, dtype=np.int64)
        self._inverse_volume = 0.0
        self.n_frames = 0
        self._checked: FloatArray | None = None

    def add(self, cell: FloatArray, first: IntArray, second: IntArray, distance: FloatArray) -> None:
        """Add the pairs of one frame.

        :param cell: (3, 3), Å.
        :param first: an atom of each pair, (n_pairs,); each pair once, at least all that are nearer than ``r_max``.
        :param second: the other atom.
        :param distance: (n_pairs,), Å.
        """
        if self._checked is None or not np.array_equal(cell, self._checked):
            check_radius(self.r_max, cell)
            self._checked = np.array(cell)
        bins = (distance * (self.n_bins / self.r_max)).astype(np.int64)
        bins += self._offset[self._kind[first] * self._n_kinds + self._kind[second]]
        bins = bins[distance < self.r_max]
        self._histogram += np.bincount(bins, minlength=len(self._histogram))
        self._inverse_volume += 1.0 / abs(np.linalg.det(cell))
        self.n_frames += 1

    def result(self) -> Rdfs:
        """Normalise what was collected.

        :raises ValueError: if there was no frame.
        """
        if self.n_frames == 0:
            raise ValueError('There is no frame: a radial distribution function needs one at least.')
        dr = self.r_max / self.n_bins
        edges = (np.arange(self.n_bins + 1) * dr).astype(np.float64)
        shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
        g, neighbours = {}, {}
        for row, (first, second) in enumerate(self.pairs):
            found = self._histogram[row * self.n_bins : (row + 1) * self.n_bins].astype(np.float64)
            n_first, n_second = self.counts[first], self.counts[second]
            n_pairs = n_first * (n_first - 1) / 2 if first == second else n_first * n_second
            expected = n_pairs * self._inverse_volume * shells
            g[first, second] = found / expected if n_pairs else np.zeros(self.n_bins)
            neighbours[first, second] = found / self.n_frames
        return Rdfs(edges[:-1] + dr / 2, dr, g, neighbours, self.counts, self.n_frames)


def rdfs(frames: Frames, kinds: Sequence[str], r_max: float, n_bins: int, pairs: Sequence[Pair] | None = None) -> Rdfs:
    """Average the radial distribution functions of pairs of kinds over frames, in one pass.

    :param frames: positions (n_atoms, 3) and cell (3, 3) of each frame, Å; read once.
    :param kinds: kind of each atom, (n_atoms,): elements, or :attr:`.Topology.kinds`.
    :param r_max: Å; at most half of the shortest height of the cell.
    :param n_bins: number of bins.
    :param pairs: the pairs that are wanted; None: all.
    :raises ValueError: if a kind is not there, there is no frame, or ``r_max`` is too long for a cell.
    """
    collected = RdfAccumulator(kinds, r_max, n_bins, pairs)
    search = NeighbourSearch(r_max)
    for positions, cell in frames:
        check_radius(r_max, cell)
        collected.add(cell, *search.pairs(positions, cell))
    return collected.result()


def rdf_difference(first: FloatArray, second: FloatArray) -> float:
    """Compare two radial distribution functions by one number.

    :param first: g(r), (n_bins,).
    :param second: the reference, (n_bins,), on the same distances.
    :returns: mean of |g1 − g2| divided by the mean of g2; 0 means equal.
    """
    return float(np.abs(first - second).mean() / second.mean())
