"""The clock of the codes."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from hypothesis import given
from hypothesis import strategies as st

from aiida_sis.run.clock import WallTime, job_interval, union_length, wall_time


def add_job(caller: orm.Node, output: str | None, cached: bool = False) -> orm.CalcJobNode:
    """Let a workchain call a job whose code wrote an output, or nothing."""
    job = orm.CalcJobNode()
    job.set_option('scheduler_stdout', 'out')
    job.base.links.add_incoming(caller, LinkType.CALL_CALC, f'job_{len(caller.called)}')
    job.store()
    if output is not None:
        retrieved = orm.FolderData()
        retrieved.base.repository.put_object_from_bytes(output.encode(), 'out')
        retrieved.base.links.add_incoming(job, LinkType.CREATE, 'retrieved')
        retrieved.store()
    if cached:
        job.base.extras.set('_aiida_cached_from', 'an earlier job')
    return job


@pytest.fixture
def run(aiida_profile_clean) -> orm.WorkChainNode:
    """Return a workchain that called one job of 40 s."""
    node = orm.WorkChainNode().store()
    add_job(node, 'SIS_CLOCK_START 1000\nSIS_CLOCK_END 1040\n')
    return node


@pytest.mark.parametrize('output', ['SIS_CLOCK_START 1050\n', '', None])
def test_job_without_its_end_is_counted(run: orm.WorkChainNode, output: str | None) -> None:
    """A job that was killed, or was not waited for, makes the share an upper limit."""
    add_job(run, output)
    found = wall_time(run, 100.0)
    assert (found.codes, found.jobs, found.untimed) == (40.0, 1, 1)


def test_results_from_the_cache_took_no_time(run: orm.WorkChainNode) -> None:
    """A job whose results AiiDA copied from an earlier one has that one's clock, and no code ran for it."""
    job = add_job(run, 'SIS_CLOCK_START 10\nSIS_CLOCK_END 500\n', cached=True)
    assert job_interval(job) is None
    found = wall_time(run, 100.0)
    assert (found.codes, found.jobs, found.untimed) == (40.0, 1, 0)
    assert found.framework_share == pytest.approx(0.6)


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


def test_framework_share() -> None:
    """What is not code is framework."""
    assert WallTime(wall=100.0, codes=92.0, jobs=3).framework_share == pytest.approx(0.08)
