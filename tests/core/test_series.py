"""Picking from a series."""

from __future__ import annotations

import pytest

from aiida_sis.core.series import evenly, latest_at


def test_latest_at() -> None:
    assert latest_at([0, 10, 20], 15) == 1
    assert latest_at([0, 10, 20], 20) == 2
    assert latest_at([10, 20], 5) is None
    assert latest_at([], 5) is None


@pytest.mark.parametrize(('n', 'most', 'expected'), [(3, 5, [0, 1, 2]), (9, 1, [4]), (9, 3, [0, 4, 8]), (0, 3, [])])
def test_evenly(n: int, most: int, expected: list[int]) -> None:
    assert evenly(n, most) == expected
