"""The seeds of a run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiida_sis.core.loop.seeds import derive_seed


@given(st.integers(0, 2**31), st.lists(st.integers(0, 100), max_size=4))
def test_seed_is_reproducible_and_in_range(seed: int, path: list[int]) -> None:
    """LAMMPS takes positive 32-bit seeds up to 900 million."""
    value = derive_seed(seed, *path)
    assert value == derive_seed(seed, *path)
    assert 1 <= value <= 900_000_000


def test_each_place_in_a_run_has_its_own_seed() -> None:
    """Generations, stages and replicas do not share random numbers."""
    seeds = {derive_seed(1, kind, g, s, r) for kind in range(3) for g in range(10) for s in range(3) for r in range(4)}
    assert len(seeds) == 3 * 10 * 3 * 4
