r"""Mean square displacements, diffusion coefficients with their errors, and density profiles.

.. math:: \mathrm{MSD}(t) = \langle |\mathbf r(t_0 + t) - \mathbf r(t_0)|^2 \rangle, \qquad
   D = \frac{1}{6} \lim_{t \to \infty} \frac{d\,\mathrm{MSD}}{dt}

averaged over atoms and all time origins, by fast Fourier transform (Calandrini et al., 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from aiida_deepmd.arrays import FloatArray
from aiida_sis.core.analysis.neighbours import Frames

#: 1 Å²/ps in cm²/s.
ANGSTROM2_PER_PS_TO_CM2_PER_S = 1.0e-4
#: Å² that an atom must have gone before it is said to diffuse: the vibrations of a liquid reach some tenths.
LEAST_MSD = 1.0


@dataclass(frozen=True)
class Diffusion:
    """A diffusion coefficient.

    :param value: D in Å²/ps; 1 Å²/ps = 1e-4 cm²/s.
    :param error: standard error of the mean over ``n_blocks`` successive blocks of the trajectory, Å²/ps.
    :param n_blocks: number of blocks; each has its own time origins, so they are independent if a block is longer than
        the memory of the motion.
    :param exponent: slope of log MSD over log t in the fitted part: 1 is diffusion, 2 free flight, 0 a cage.
    :param fit_ps: the part of the lag times that was fitted, ps.
    :param reached: the mean square displacement at the end of that part, Å².
    """

    value: float
    error: float
    n_blocks: int
    exponent: float
    fit_ps: tuple[float, float]
    reached: float

    @property
    def is_diffusive(self) -> bool:
        """Whether the number means something: the displacement grows about linearly with time, beyond a vibration."""
        return 0.75 <= self.exponent <= 1.25 and self.reached >= LEAST_MSD


@dataclass(frozen=True)
class DensityProfile:
    """Number densities of kinds along one axis of the cell.

    :param z: middle of each bin along the normal of the faces, (n_bins,), Å, from the reference.
    :param density: atoms per Å³ of each kind, (n_bins,).
    """

    z: FloatArray
    density: dict[str, FloatArray]


def unwrap(positions: FloatArray, cells: FloatArray) -> FloatArray:
    """Undo the wrapping of atoms into the cell.

    :param positions: (n_frames, n_atoms, 3), Å; wrapped, or not already.
    :param cells: (n_frames, 3, 3), Å; a cell that changes its shape carries its atoms with it.
    :returns: the same, each atom on its shortest way from frame to frame; right if none goes farther than half of the
        cell between two frames.
    """
    fractional = np.einsum('fni,fij->fnj', positions, np.linalg.inv(cells))
    steps = np.diff(fractional, axis=0)
    steps -= np.rint(steps)
    path = np.concatenate([fractional[:1], fractional[:1] + np.cumsum(steps, axis=0)])
    unwrapped: FloatArray = np.einsum('fni,fij->fnj', path, cells)
    return unwrapped


def mean_square_displacement(positions: FloatArray) -> FloatArray:
    """Average the square displacement over atoms and all time origins.

    :param positions: (n_frames, n_atoms, 3), Å, unwrapped, frames equally far in time.
    :returns: (n_frames,), Å², for lags of 0, 1, 2 … frames. The last ones have few origins.
    """
    paths = np.asarray(positions, dtype=np.float64)
    n_frames, n_atoms = paths.shape[:2]
    total = np.zeros(n_frames)
    origins = n_frames - np.arange(n_frames)
    for atom in range(n_atoms):  # one at a time: the transforms of all would need several times the trajectory
        path = paths[:, atom] - paths[:, atom].mean(axis=0)
        spectrum = fft.rfft(path, n=2 * n_frames, axis=0)
        products = fft.irfft(np.abs(spectrum) ** 2, n=2 * n_frames, axis=0)[:n_frames].sum(axis=1)
        squares = (path**2).sum(axis=1)
        running = np.concatenate([[0.0], np.cumsum(squares)])
        # Sum of r²(t0) + r²(t0 + t) over all origins t0 of each lag t.
        total += (running[origins] + running[-1] - running[np.arange(n_frames)] - 2.0 * products) / origins
    mean: FloatArray = np.maximum(total / n_atoms, 0.0)
    return mean


def diffusion_coefficient(
    positions: FloatArray,
    timestep_ps: float,
    *,
    n_blocks: int = 5,
    fit: tuple[float, float] = (0.1, 0.5),
) -> Diffusion:
    """Fit a diffusion coefficient, with an error from blocks.

    The trajectory is cut into blocks; in each one the MSD over all its origins is fitted by a straight line. The value
    is the mean of the blocks, the error their standard deviation over the root of their number.

    :param positions: (n_frames, n_atoms, 3), Å, unwrapped, of one kind of atom.
    :param timestep_ps: time between two frames, ps.
    :param n_blocks: number of blocks, at least 2.
    :param fit: the lags that are fitted, as parts of the length of a block.
    :raises ValueError: if the trajectory has fewer than ten frames in a block.
    """
    length = len(positions) // n_blocks if n_blocks >= 2 else 0
    if length < 10:
        raise ValueError(
            f'{len(positions)} frames make no {n_blocks} blocks of 10 at least: take more frames or fewer blocks.'
        )
    low, high = max(1, int(fit[0] * length)), int(fit[1] * length)
    if high - low < 2:
        raise ValueError(f'Lags of {fit[0]:g} to {fit[1]:g} of {length} frames are too few to fit: widen them.')
    lags = timestep_ps * np.arange(low, high)
    values, mean = [], np.zeros(high - low)
    for block in range(n_blocks):
        msd = mean_square_displacement(positions[block * length : (block + 1) * length])[low:high]
        values.append(np.polyfit(lags, msd, 1)[0] / 6.0)
        mean += msd / n_blocks
    moved = mean > 0.0
    exponent = float(np.polyfit(np.log(lags[moved]), np.log(mean[moved]), 1)[0]) if moved.sum() > 1 else 0.0
    error = float(np.std(values, ddof=1) / np.sqrt(n_blocks))
    fitted = (float(lags[0]), float(lags[-1]))
    return Diffusion(float(np.mean(values)), error, n_blocks, exponent, fitted, float(mean[-1]))


class DensityAccumulator:
    """Collect densities frame by frame.

    :param kinds: kind of each atom, (n_atoms,).
    :param n_bins: number of bins along the axis.
    :param axis: 0, 1 or 2: across the faces spanned by the two other cell vectors.
    :param reference: kind whose centre is put at zero in every frame, against drift: Li for a slab; None: the cell's
        own origin.
    :raises ValueError: if the reference is not among the kinds.
    """

    def __init__(self, kinds: Sequence[str], n_bins: int, axis: int = 2, reference: str | None = None) -> None:
        names = sorted(set(kinds))
        if reference is not None and reference not in names:
            raise ValueError(f'There is no {reference} among the atoms; there are {", ".join(names)}.')
        labels = np.array(kinds)
        self._members = {name: np.flatnonzero(labels == name) for name in names}
        self._reference = None if reference is None else self._members[reference]
        self._axis, self._n_bins = axis, n_bins
        self._histogram = np.zeros((len(names), n_bins))
        self._thickness, self._n_frames = 0.0, 0

    def add(self, positions: FloatArray, cell: FloatArray) -> None:
        """Add one frame.

        :param positions: (n_atoms, 3), Å.
        :param cell: (3, 3), Å.
        """
        inverse = np.linalg.inv(cell)[:, self._axis]
        s = positions @ inverse
        if self._reference is not None:
            # The mean direction on a circle: the centre of a slab that crosses the edge of the cell.
            centre = np.angle(np.exp(2j * np.pi * s[self._reference]).mean()) / (2.0 * np.pi)
            s = s - centre + 0.5
        s -= np.floor(s)
        per_volume = self._n_bins / abs(np.linalg.det(cell))
        bins = np.minimum((s * self._n_bins).astype(np.int64), self._n_bins - 1)
        for row, members in enumerate(self._members.values()):
            self._histogram[row] += np.bincount(bins[members], minlength=self._n_bins) * per_volume
        self._thickness += 1.0 / float(np.linalg.norm(inverse))
        self._n_frames += 1

    def result(self) -> DensityProfile:
        """Average over what was collected.

        :raises ValueError: if there was no frame.
        """
        if self._n_frames == 0:
            raise ValueError('There is no frame: a density profile needs one at least.')
        middle = (np.arange(self._n_bins) + 0.5) / self._n_bins - (0.0 if self._reference is None else 0.5)
        density = {name: self._histogram[row] / self._n_frames for row, name in enumerate(self._members)}
        return DensityProfile(middle * self._thickness / self._n_frames, density)


def density_profile(
    frames: Frames, kinds: Sequence[str], n_bins: int = 100, axis: int = 2, reference: str | None = None
) -> DensityProfile:
    """Average the density of each kind across a slab.

    :param frames: positions (n_atoms, 3) and cell (3, 3) of each frame, Å; read once.
    :param kinds: kind of each atom, (n_atoms,).
    :param n_bins: number of bins along the axis.
    :param axis: 0, 1 or 2.
    :param reference: see :class:`DensityAccumulator`.
    :raises ValueError: if there is no frame, or the reference is not among the kinds.
    """
    collected = DensityAccumulator(kinds, n_bins, axis, reference)
    for positions, cell in frames:
        collected.add(positions, cell)
    return collected.result()
