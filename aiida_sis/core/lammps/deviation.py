"""The other indicator: where the members of a committee of potentials disagree, as DP-GEN samples it.

The deviation of a frame is ``max_i sqrt(<|F_i − <F_i>|²>)``, the largest over its atoms ``i``, averages over the
members. Below the lower trust level the frame is known already; above the upper one the dynamics itself is not to be
trusted; in between it is worth a label.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_sis.core.series import evenly
from aiida_sis.core.settings.md import DeviationSettings

DEVIATION_FILENAME = 'model_devi.out'
CANDIDATES_FILENAME = 'candidates.lammpstrj'

_COLUMNS = ('step', 'max_devi_f', 'avg_devi_f')


@dataclass(frozen=True)
class ModelDeviation:
    """Force deviations along a dynamics.

    :param steps: Steps, shape ``(n,)``, ascending.
    :param largest: Largest deviation of an atom, shape ``(n,)``, in eV/Å.
    :param mean: Mean over the atoms, shape ``(n,)``, in eV/Å.
    """

    steps: IntArray
    largest: FloatArray
    mean: FloatArray


@dataclass(frozen=True)
class DeviationVerdict:
    """How the frames fall between the trust levels.

    :param n_accurate: Number below the lower level.
    :param n_candidate: Number between the levels, the lower one included.
    :param n_failed: Number at or above the upper level, or without a number.
    :param max: Largest finite deviation in eV/Å, nothing without one.
    :param chosen: Steps of the frames to keep, ascending.
    """

    n_accurate: int
    n_candidate: int
    n_failed: int
    max: float | None
    chosen: list[int]

    def as_dict(self) -> dict[str, int | float | None]:
        """Return the counts as plain values for a database.

        :return: ``n_accurate``, ``n_candidate``, ``n_failed`` and ``max``.
        """
        return {name: value for name, value in asdict(self).items() if name != 'chosen'}


def parse_deviation(text: str, first_step: int = 0) -> ModelDeviation:
    """Read the file that the pair style writes, whole or cut off.

    :param text: Content of ``model_devi.out``.
    :param first_step: Earlier steps are left out.
    :return: One entry per step, ascending; empty where the file has no whole line.
    """
    names: list[str] = []
    rows: dict[int, tuple[float, float]] = {}
    # A last line without its newline may be half a number.
    for line in text.split('\n')[:-1]:
        words = line.split()
        if line.startswith('#'):
            names = words[1:]
        elif names and len(words) >= len(names):
            try:
                step, largest, mean = (float(words[names.index(column)]) for column in _COLUMNS)
            except ValueError:
                continue
            if step >= first_step:
                rows[int(step)] = (largest, mean)
    steps = sorted(rows)
    values = np.array([rows[step] for step in steps], dtype=np.float64).reshape(-1, 2)
    return ModelDeviation(np.array(steps, dtype=np.int64), values[:, 0], values[:, 1])


def judge_deviation(steps: IntArray, largest: FloatArray, settings: DeviationSettings) -> DeviationVerdict:
    """Sort the frames by the trust levels, and choose evenly among the candidates.

    :param steps: Steps, shape ``(n,)``, ascending.
    :param largest: Largest deviation of each, shape ``(n,)``, in eV/Å; a value may be NaN, which counts as failed.
    :param settings: The levels.
    :return: Counts and choice.
    """
    accurate = largest < settings.low_ev_per_angstrom
    candidate = ~accurate & (largest < settings.high_ev_per_angstrom)
    found = steps[candidate]
    finite = largest[np.isfinite(largest)]
    return DeviationVerdict(
        n_accurate=int(accurate.sum()),
        n_candidate=int(candidate.sum()),
        n_failed=int((~accurate & ~candidate).sum()),
        max=float(finite.max()) if finite.size else None,
        chosen=[int(found[index]) for index in evenly(len(found), settings.max_candidates)],
    )
