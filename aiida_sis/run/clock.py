"""Where the wall time of a run went: into the codes, on how many cores, or into the framework around them.

Each job writes the time at which its code starts and ends into the scheduler's output, which AiiDA always retrieves.
Codes run side by side, so it is the union of their intervals that counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_sis.core.loop.clock_marks import read_clock

#: How the codes of `aiida-sis setup` are told their threads.
_THREADS = re.compile(r"(?:DP_INTRA_OP_PARALLELISM_THREADS|OMP_NUM_THREADS)='?(\d+)")


@dataclass(frozen=True)
class WallTime:
    """Seconds of a run.

    :param wall: from the submission of the run to its end.
    :param codes: during which at least one code ran.
    :param jobs: number of jobs that reported their clock.
    :param untimed: number of jobs whose code ran and did not report its end, since it was killed or not waited for.
    """

    wall: float
    codes: float
    jobs: int
    untimed: int = 0

    @property
    def framework_share(self) -> float:
        """The part of the wall time during which no code ran, between 0 and 1; at most that where a job is untimed."""
        return max(0.0, 1 - self.codes / self.wall) if self.wall > 0 else 0.0


def wall_time(node: orm.ProcessNode, wall_seconds: float) -> WallTime:
    """Compare the wall time of a run with the time during which its codes ran.

    :param node: the workchain.
    :param wall_seconds: its wall time in s.
    :returns: both, from the clocks of all jobs it called.
    """
    jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode) and not _is_cached(job)]
    intervals = [interval for job in jobs if (interval := job_interval(job)) is not None]
    untimed = len(jobs) - len(intervals)
    return WallTime(wall=wall_seconds, codes=union_length(intervals), jobs=len(intervals), untimed=untimed)


def job_interval(job: orm.Node) -> tuple[float, float] | None:
    """Read when the code of a job started and ended.

    :param job: any called node; those that are no jobs, whose output is not there, or whose results were taken from an
        earlier job (AiiDA's caching), have no interval.
    :returns: start and end in seconds since the epoch, or nothing.
    """
    if not isinstance(job, orm.CalcJobNode) or _is_cached(job):
        return None
    text = job.get_scheduler_stdout()
    return read_clock(text) if text else None


def _is_cached(job: orm.CalcJobNode) -> bool:
    """Return whether the results of a job are a copy of an earlier one's, clock and all, so that no code ran."""
    return bool(job.base.caching.is_created_from_cache)


def cores_of(resources: Mapping[str, Any] | None, prepend_text: str | None) -> int:
    """Give the number of cores that a job has: its MPI ranks times the threads of each.

    :param resources: what was asked of the scheduler.
    :param prepend_text: what the code sets before it starts, where `aiida-sis setup` writes its threads.
    :returns: at least 1.
    """
    asked = resources or {}
    ranks = asked.get('tot_num_mpiprocs') or (
        (asked.get('num_machines') or 1) * (asked.get('num_mpiprocs_per_machine') or 1)
    )
    threads = max([1, *map(int, _THREADS.findall(prepend_text or ''))])
    return int(ranks) * max(threads, int(asked.get('num_cores_per_mpiproc') or 1))


def union_length(intervals: list[tuple[float, float]]) -> float:
    """Give the length of the union of intervals.

    :param intervals: pairs of start and end, in any order.
    :returns: the length in the same unit.
    """
    total, reached = 0.0, float('-inf')
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
