"""Which good frames are kept, and how they are split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_deepmd import frames as fr


def test_thin() -> None:
    kept = np.array([0, 1, 3, 4, 7, 9])
    assert fr.thin(kept, 2).tolist() == [0, 3, 7]
    assert fr.thin(kept, 1, 2).tolist() == [0, 9]
    assert fr.thin(kept, 1, 100).tolist() == kept.tolist()
    with pytest.raises(fr.FramesError, match='stride'):
        fr.thin(kept, 0)


@given(n=st.integers(3, 500), seed=st.integers(0, 2**31), mode=st.sampled_from(['shuffled', 'blocks']))
def test_no_subset_is_empty_from_three_frames_on(n: int, seed: int, mode: str) -> None:
    subset = fr.split(n, (0.6, 0.2, 0.2), seed, mode)
    assert len(subset) == n
    assert set(subset.tolist()) == {fr.TRAIN, fr.VALIDATION, fr.TEST}


@given(n=st.integers(0, 300), share=st.floats(0.01, 0.99))
def test_sizes_add_up_for_any_fractions(n: int, share: float) -> None:
    sizes = fr.split_sizes(n, (share, (1 - share) / 2, (1 - share) / 2))
    assert sum(sizes) == n
    assert min(sizes) >= 0


def test_split_sizes_of_the_paper() -> None:
    assert fr.split_sizes(100, (0.6, 0.2, 0.2)) == (60, 20, 20)
    assert fr.split_sizes(1, (0.6, 0.2, 0.2)) == (1, 0, 0)
    assert fr.split_sizes(2, (0.6, 0.2, 0.2)) == (1, 0, 1)
    assert fr.split_sizes(10, (1.0, 0.0, 0.0)) == (10, 0, 0)


def test_split_is_reproducible_and_seeded() -> None:
    assert (fr.split(50, seed=1) == fr.split(50, seed=1)).all()
    assert (fr.split(50, seed=1) != fr.split(50, seed=2)).any()


def test_blocks_hold_out_the_end() -> None:
    assert fr.split(10, mode='blocks').tolist() == [0] * 6 + [1] * 2 + [2] * 2


@pytest.mark.parametrize('fractions', [(0.5, 0.2, 0.2), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_fractions_must_be_shares(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(fr.FramesError, match='sum to 1'):
        fr.split(10, fractions)


def test_unknown_mode() -> None:
    with pytest.raises(fr.FramesError, match='blocks'):
        fr.split(10, mode='random')
