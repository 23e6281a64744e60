"""The seeds of a run: functions of the place in it, so a run can be repeated and continued from its inputs alone."""

from __future__ import annotations

import numpy as np

_SEED_RANGE = 900_000_000


def derive_seed(seed: int, *path: int) -> int:
    """Give a seed of its own to every random choice of a run.

    Seeds drawn from one generator would depend on the order in which jobs finish; a seed derived from its place in the
    run (generation, stage, replica, …) does not.

    :param seed: the seed of the run.
    :param path: the integers that say where in the run the choice is made.
    :returns: a seed in [1, 900000000], the range that LAMMPS accepts.
    """
    state = np.random.SeedSequence([seed, *path]).generate_state(1)[0]
    return int(state) % _SEED_RANGE + 1
