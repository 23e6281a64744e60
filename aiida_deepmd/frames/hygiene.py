"""Which labelled frames may teach a potential, and which of them it never sees.

One wrong frame (a NaN, an unconverged energy, two atoms on top of each other) costs a potential more than a hundred
good ones give it, so every frame is examined before it is trained on, and every refusal is counted with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_deepmd.frames import plausibility
from aiida_deepmd.frames.duplicates import find_duplicates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TRAIN, VALIDATION, TEST = 0, 1, 2
SUBSETS: dict[str, int] = {'train': TRAIN, 'validation': VALIDATION, 'test': TEST}

#: Force above which a frame is refused, in eV/Å. The stiffest bonds of organic chemistry (C≡O, about 120 eV/Å²) reach
#: 35 eV/Å with 5 eV in them, more than a bond holds; 50 eV/Å therefore only meets atoms pressed into each other.
DEFAULT_MAX_FORCE = 50.0
#: Robust standard deviations of the energy per atom beyond which a frame is flagged as an outlier.
DEFAULT_ENERGY_OUTLIER_SIGMAS = 10.0
#: A cell with less volume (Å³) is none: no atom fits into it.
LEAST_VOLUME = 1.0
#: Makes the median absolute deviation an estimate of the standard deviation (normal law).
_MAD_TO_SIGMA = 1.4826


class FramesError(ValueError):
    """The arrays offered are not one set of labelled frames, or the settings contradict each other."""


@dataclass(frozen=True)
class Frames:
    """Labelled frames of one composition.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param energies: (n_frames,), eV.
    :param forces: (n_frames, n_atoms, 3), eV/Å.
    """

    coords: FloatArray
    cells: FloatArray
    energies: FloatArray
    forces: FloatArray

    def take(self, indices: IntArray) -> Frames:
        """The frames at ``indices``, in that order.

        :param indices: (n,) frame numbers.
        """
        return Frames(self.coords[indices], self.cells[indices], self.energies[indices], self.forces[indices])

    def __len__(self) -> int:
        return min(len(self.coords), len(self.cells), len(self.energies), len(self.forces))


@dataclass(frozen=True)
class HygieneSettings:
    """What counts as a bad frame.

    :param max_force: eV/Å; a frame with any larger force on an atom is refused.
    :param min_distance: shortest distance of two atoms in units of the sum of their covalent radii (needs the symbols).
    :param max_energy_per_atom: eV; a frame farther from the median energy than this for every atom, and the energy of
        one strongest bond for the whole frame, is refused. None for no limit.
    :param max_step_energy: eV; a frame that an atom reaches with more kinetic energy is refused (needs the symbols and
        ``timestep_fs``).
    :param timestep_fs: time between the frames where they follow each other; None if they do not.
    :param energy_outlier_sigmas: robust standard deviations of energy per atom beyond which a frame is flagged.
    :param refuse_energy_outliers: refuse the flagged frames too. Off by default: a reaction *is* an outlier.
    :param unconverged: frame numbers whose electronic structure did not converge, known to the caller only.
    :param known: reason -> frame numbers, of what else only the caller can know: ``incomplete``, ``no_cell``,
        ``duplicate``.
    """

    max_force: float = DEFAULT_MAX_FORCE
    min_distance: float = plausibility.MIN_DISTANCE
    max_energy_per_atom: float | None = plausibility.MAX_ENERGY_PER_ATOM
    max_step_energy: float = plausibility.STRONGEST_BOND
    timestep_fs: float | None = None
    energy_outlier_sigmas: float = DEFAULT_ENERGY_OUTLIER_SIGMAS
    refuse_energy_outliers: bool = False
    unconverged: tuple[int, ...] = ()
    known: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class HygieneReport:
    """The verdict on each frame offered.

    :param n_offered: frames of the longest array.
    :param kept: (n_kept,) numbers of the good frames, ascending.
    :param refused: reason -> numbers of the frames refused for it (a frame is refused once, for its first reason).
    :param energy_outliers: flagged frames, refused or not.
    :param found: reason -> numbers of all frames it applies to, whatever they were refused for first.
    """

    n_offered: int
    kept: IntArray
    refused: dict[str, list[int]] = field(default_factory=dict)
    energy_outliers: list[int] = field(default_factory=list)
    found: dict[str, list[int]] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Counts and indices as plain values, fit for a ``Dict`` node."""
        counts = {f'n_{reason}': len(indices) for reason, indices in self.refused.items()}
        return {
            'n_offered': self.n_offered,
            'n_good': len(self.kept),
            **counts,
            'n_outlier': len(self.energy_outliers),
            'outlier_frames': self.energy_outliers,
            'refused_frames': {reason: indices for reason, indices in self.refused.items() if indices},
            'found_frames': {reason: indices for reason, indices in self.found.items() if indices},
        }


def check_shapes(frames: Frames) -> None:
    """Refuse arrays that cannot belong together whatever their length.

    :param frames: the candidate frames.
    :raises FramesError: if the atoms or the axes of two arrays differ.
    """
    n_atoms = frames.coords.shape[1] if frames.coords.ndim == 3 else 0
    expected = {
        'coords': (frames.coords, ('n_frames', n_atoms, 3)),
        'cells': (frames.cells, ('n_frames', 3, 3)),
        'energies': (frames.energies, ('n_frames',)),
        'forces': (frames.forces, ('n_frames', n_atoms, 3)),
    }
    for name, (array, shape) in expected.items():
        if n_atoms == 0 or array.ndim != len(shape) or array.shape[1:] != shape[1:]:
            wanted = '(n_frames, n_atoms, 3)' if name in ('coords', 'forces') else str(shape).replace("'", '')
            raise FramesError(
                f'{name} has shape {array.shape}, but {wanted} is needed for coords of shape {frames.coords.shape}.'
            )


def examine(
    frames: Frames, settings: HygieneSettings | None = None, symbols: Sequence[str] | None = None
) -> HygieneReport:
    """Sort the good frames from the bad ones.

    The reasons, in order: ``incomplete`` (a killed MD wrote a position but no force), ``no_cell``, ``unconverged``,
    ``non_finite``, ``duplicate`` (a restarted MD repeats its last step), ``close_contact`` (atoms pressed together),
    ``force_limit``, ``energy_limit`` (more energy than reactions release), ``jump`` (an atom came faster than any force
    can drive it), ``energy_outlier``.

    :param frames: the candidate frames; the arrays may differ in their number of frames only.
    :param settings: the limits.
    :param symbols: element of each atom, (n_atoms,); without them ``close_contact`` and ``jump`` are not looked for.
    :raises FramesError: if the atoms or the axes of two arrays differ.
    """
    settings = settings or HygieneSettings()
    check_shapes(frames)
    n_complete = len(frames)
    n_offered = max(len(frames.coords), len(frames.cells), len(frames.energies), len(frames.forces))
    whole = frames.take(np.arange(n_complete))
    known = {
        reason: np.isin(np.arange(n_complete), np.asarray(numbers, dtype=np.int64))
        for reason, numbers in {'incomplete': (), 'no_cell': (), 'duplicate': (), **settings.known}.items()
    }
    there = ~(known['incomplete'] | known['no_cell'])
    finite = find_finite(whole)
    sound = finite & there & find_cells(whole.cells)
    n_atoms = whole.coords.shape[1]
    outlier = flag_energy_outliers(whole.energies / n_atoms, sound, settings.energy_outlier_sigmas)
    nothing = np.zeros(n_complete, dtype=bool)
    repeated = find_duplicates(whole.coords, whole.cells, sound & ~known['duplicate'])
    verdicts: dict[str, NDArray[np.bool_]] = {
        'incomplete': known['incomplete'],
        'no_cell': known['no_cell'] | (finite & there & ~sound),
        'unconverged': np.isin(np.arange(n_complete), settings.unconverged),
        'non_finite': there & ~finite,
        'duplicate': known['duplicate'] | repeated,
        **_find_unphysical(whole, sound, settings, symbols),
        'energy_outlier': outlier if settings.refuse_energy_outliers else nothing,
    }
    good = np.ones(n_complete, dtype=bool)
    missing = list(range(n_complete, n_offered))
    refused: dict[str, list[int]] = {}
    found: dict[str, list[int]] = {}
    for reason, bad in verdicts.items():
        refused[reason] = [int(i) for i in np.flatnonzero(good & bad)]
        found[reason] = [int(i) for i in np.flatnonzero(bad)]
        good &= ~bad
    refused['incomplete'] += missing
    found['incomplete'] += missing
    flagged = [int(i) for i in np.flatnonzero(outlier)]
    return HygieneReport(n_offered, np.flatnonzero(good), refused, flagged, found)


def find_finite(frames: Frames) -> NDArray[np.bool_]:
    """Mark the frames without a NaN or an infinity in any array.

    :param frames: frames of equal number in all arrays.
    """
    finite: NDArray[np.bool_] = (
        np.isfinite(frames.coords).all(axis=(1, 2))
        & np.isfinite(frames.cells).all(axis=(1, 2))
        & np.isfinite(frames.energies)
        & np.isfinite(frames.forces).all(axis=(1, 2))
    )
    return finite


def find_cells(cells: FloatArray) -> NDArray[np.bool_]:
    """Mark the cells that have a volume, of either handedness; one that is not finite has none.

    :param cells: (n_frames, 3, 3), Å.
    """
    volumes: FloatArray = np.abs(np.linalg.det(np.where(np.isfinite(cells), cells, 0.0)))
    return np.asarray(volumes >= LEAST_VOLUME, dtype=np.bool_)


def _find_unphysical(
    frames: Frames, finite: NDArray[np.bool_], settings: HygieneSettings, symbols: Sequence[str] | None
) -> dict[str, NDArray[np.bool_]]:
    """The frames that no real matter shows, by reason; a frame that is not finite is not asked."""
    numbers = np.flatnonzero(finite)
    sound = frames.take(numbers)
    n_atoms = sound.coords.shape[1]

    def mark(bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
        marked = np.zeros(len(finite), dtype=bool)
        marked[numbers[bad]] = True
        return marked

    close: NDArray[np.bool_] = np.zeros(len(numbers), dtype=bool)
    jump = too_much = close
    if symbols is not None and len(numbers):
        close = plausibility.closest_approach(sound.coords, sound.cells, symbols) < settings.min_distance
    if symbols is not None and settings.timestep_fs is not None and len(numbers):
        energies = plausibility.step_energies(sound.coords, sound.cells, symbols, settings.timestep_fs)
        follows = np.diff(numbers, prepend=-1) == 1  # not across a frame that was left out
        jump = (energies > settings.max_step_energy) & follows
    if settings.max_energy_per_atom is not None and len(numbers):
        allowed = settings.max_energy_per_atom * n_atoms + plausibility.STRONGEST_BOND
        too_much = np.abs(sound.energies - np.median(sound.energies)) > allowed
    largest_force = np.linalg.norm(sound.forces, axis=2).max(axis=1, initial=0.0)
    return {
        'close_contact': mark(close),
        'force_limit': mark(largest_force > settings.max_force),
        'energy_limit': mark(too_much),
        'jump': mark(jump),
    }


def flag_energy_outliers(per_atom: FloatArray, candidates: NDArray[np.bool_], sigmas: float) -> NDArray[np.bool_]:
    """Mark energies far from the median, by the median absolute deviation, which the outliers themselves can't widen.

    :param per_atom: (n_frames,) energies, eV per atom.
    :param candidates: (n_frames,) frames that are finite; the others are never flagged.
    :param sigmas: threshold in robust standard deviations.
    """
    flagged = np.zeros(len(per_atom), dtype=bool)
    if candidates.sum() < 5:
        return flagged
    deviation = np.abs(per_atom - np.median(per_atom[candidates]))
    sigma = _MAD_TO_SIGMA * float(np.median(deviation[candidates]))
    flagged[candidates] = deviation[candidates] > sigmas * max(sigma, 1.0e-6)
    return flagged


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
