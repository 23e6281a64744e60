"""The clock of the codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_sis.query.clock import WallTime, read_clock, union_length


def test_overlap_counts_once() -> None:
    """Two replicas side by side take the time of the longer one."""
    assert union_length([(0.0, 10.0), (5.0, 12.0), (20.0, 21.0)]) == 13.0


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)).map(sorted).map(tuple), max_size=8))
def test_union_is_bounded(intervals: list[tuple[float, float]]) -> None:
    """The union is no longer than the sum and no shorter than the longest."""
    lengths = [end - start for start, end in intervals]
    total = union_length(intervals)
    assert total <= sum(lengths) + 1e-9
    assert total >= max(lengths, default=0.0) - 1e-9


def test_clock_is_read_between_other_lines() -> None:
    """What the code itself prints does not disturb."""
    assert read_clock('hello\nSIS_CLOCK_START 10.5\nnoise\nSIS_CLOCK_END 12.75\n') == (10.5, 12.75)


def test_killed_job_has_no_interval() -> None:
    """A job that never reached its end has no interval."""
    assert read_clock('SIS_CLOCK_START 10.5\n') is None


def test_framework_share() -> None:
    """What is not code is framework."""
    assert WallTime(wall=100.0, codes=92.0, jobs=3).framework_share == pytest.approx(0.08)
