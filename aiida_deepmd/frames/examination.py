"""Which labelled frames may teach a potential.

One wrong frame (a NaN, an unconverged energy, two atoms on top of each other) costs a potential more than a hundred
good ones give it, so every frame is examined before it is trained on, and every refusal is counted with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import Field

from aiida_deepmd.arrays import BoolArray, FloatArray, IntArray
from aiida_deepmd.frames import plausibility
from aiida_deepmd.frames.duplicates import find_duplicates
from aiida_deepmd.frames.labelled import Frames, check_shapes, find_cells, find_finite
from aiida_deepmd.settings import Flag, Number, StrictModel

#: Makes the median absolute deviation an estimate of the standard deviation (normal law).
_MAD_TO_SIGMA = 1.4826


class Limits(StrictModel):
    """What counts as a bad frame."""

    max_force: Number = Field(default=50.0, gt=0)
    """A frame with a larger force on an atom is refused, in eV/Å. The stiffest bonds of organic chemistry (C≡O, about
    120 eV/Å²) reach 35 eV/Å with 5 eV in them, more than a bond holds; 50 eV/Å only meets atoms pressed together."""
    min_distance: Number = Field(default=plausibility.MIN_DISTANCE, ge=0)
    """Shortest distance of two atoms, in units of the sum of their covalent radii; needs the elements."""
    max_energy_per_atom: Number | None = Field(default=plausibility.MAX_ENERGY_PER_ATOM, gt=0)
    """A frame farther from the median energy of those that no contact and no force rules out than this for every atom,
    and the energy of one strongest bond for the whole frame, is refused, in eV. None for no limit."""
    max_step_energy: Number = Field(default=plausibility.STRONGEST_BOND, gt=0)
    """A frame that an atom reaches with more kinetic energy is refused, in eV; needs the elements and
    ``timestep_fs``."""
    timestep_fs: Number | None = Field(default=None, gt=0)
    """Time between the frames, where they follow each other. An import reads it off the frames where Newton's law shows
    it."""
    energy_outlier_sigmas: Number = Field(default=10.0, gt=0)
    """Robust standard deviations of the energy per atom beyond which a frame is flagged."""
    refuse_energy_outliers: Flag = False
    """Refuse the flagged frames too. A reaction is an outlier, so this is off."""


@dataclass(frozen=True)
class Examination:
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


def examine(
    frames: Frames,
    limits: Limits | None = None,
    symbols: Sequence[str] | None = None,
    known: Mapping[str, Sequence[int]] | None = None,
) -> Examination:
    """Sort the good frames from the bad ones.

    The reasons, in order: ``incomplete`` (a killed MD wrote a position but no force), ``no_cell``, ``unconverged``,
    ``non_finite``, ``duplicate`` (a restarted MD repeats its last step), ``close_contact`` (atoms pressed together),
    ``force_limit``, ``energy_limit`` (more energy than reactions release), ``jump`` (an atom came faster than any force
    can drive it), ``energy_outlier``.

    :param frames: the candidate frames; the arrays may differ in their number of frames only.
    :param limits: what counts as a bad frame.
    :param symbols: element of each atom, (n_atoms,); without them ``close_contact`` and ``jump`` are not looked for.
    :param known: reason -> frame numbers, of what only the caller can know: ``incomplete``, ``no_cell``,
        ``unconverged``, ``duplicate``.
    :raises FramesError: if the atoms or the axes of two arrays differ.
    """
    limits = limits or Limits()
    check_shapes(frames)
    n_complete = len(frames)
    n_offered = max(len(frames.coords), len(frames.cells), len(frames.energies), len(frames.forces))
    whole = frames.take(np.arange(n_complete))
    told = {
        reason: np.isin(np.arange(n_complete), np.asarray((known or {}).get(reason, ()), dtype=np.int64))
        for reason in ('incomplete', 'no_cell', 'unconverged', 'duplicate')
    }
    there = ~(told['incomplete'] | told['no_cell'])
    finite = find_finite(whole)
    sound = finite & there & find_cells(whole.cells)
    n_atoms = whole.coords.shape[1]
    outlier = flag_energy_outliers(whole.energies / n_atoms, sound, limits.energy_outlier_sigmas)
    nothing = np.zeros(n_complete, dtype=bool)
    repeated = find_duplicates(whole.coords, whole.cells, sound & ~told['duplicate'])
    verdicts: dict[str, BoolArray] = {
        'incomplete': told['incomplete'],
        'no_cell': told['no_cell'] | (finite & there & ~sound),
        'unconverged': told['unconverged'],
        'non_finite': there & ~finite,
        'duplicate': told['duplicate'] | repeated,
        **_find_unphysical(whole, sound, limits, symbols),
        'energy_outlier': outlier if limits.refuse_energy_outliers else nothing,
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
    return Examination(n_offered, np.flatnonzero(good), refused, flagged, found)


def _find_unphysical(
    frames: Frames, finite: BoolArray, limits: Limits, symbols: Sequence[str] | None
) -> dict[str, BoolArray]:
    """The frames that no real matter shows, by reason; a frame that is not finite is not asked."""
    numbers = np.flatnonzero(finite)
    sound = frames.take(numbers)
    n_atoms = sound.coords.shape[1]

    def mark(bad: BoolArray) -> BoolArray:
        marked = np.zeros(len(finite), dtype=bool)
        marked[numbers[bad]] = True
        return marked

    close: BoolArray = np.zeros(len(numbers), dtype=bool)
    jump = too_much = close
    if symbols is not None and len(numbers):
        close = plausibility.closest_approach(sound.coords, sound.cells, symbols) < limits.min_distance
    if symbols is not None and limits.timestep_fs is not None and len(numbers):
        energies = plausibility.step_energies(sound.coords, sound.cells, symbols, limits.timestep_fs)
        follows = np.diff(numbers, prepend=-1) == 1  # not across a frame that was left out
        jump = (energies > limits.max_step_energy) & follows
    forced = np.linalg.norm(sound.forces, axis=2).max(axis=1, initial=0.0) > limits.max_force
    if limits.max_energy_per_atom is not None and len(numbers):
        allowed = limits.max_energy_per_atom * n_atoms + plausibility.STRONGEST_BOND
        # Most frames of an MD that blows up may be broken: they do not say what is usual.
        usual = ~(close | forced) if (~(close | forced)).any() else np.ones(len(numbers), dtype=bool)
        too_much = np.abs(sound.energies - np.median(sound.energies[usual])) > allowed
    return {
        'close_contact': mark(close),
        'force_limit': mark(forced),
        'energy_limit': mark(too_much),
        'jump': mark(jump),
    }


def flag_energy_outliers(per_atom: FloatArray, candidates: BoolArray, sigmas: float) -> BoolArray:
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
