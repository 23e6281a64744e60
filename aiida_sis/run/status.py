"""The state of a run under keys that stay: what ``aiida-sis status --json`` prints and ``aiida-sis watch`` shows.

Times are in fs or ps, temperatures in K, energies in eV, forces in eV/Å, as the keys say. A key whose value is not
known (yet) is there with ``null``. Keys may be added within :data:`SCHEMA_VERSION`; none is renamed or removed.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiida import orm

from aiida_sis.command_lines import verdi
from aiida_sis.core.loop.record import Record, Run
from aiida_sis.run.daemon import daemon_problem
from aiida_sis.run.job_readings import JobStatus
from aiida_sis.run.record import collect, loop_of
from aiida_sis.run.running_jobs import LiveReader

__all__ = ('SCHEMA_VERSION', 'JobStatus', 'RunStatus', 'StageStatus', 'current_status', 'run_status')

SCHEMA_VERSION = 1


class StageStatus(Record):
    """The stage that the MD has to pass now; at the end, the last one that it tried."""

    index: int
    """Number of the stage, from 0."""
    n_stages: int
    """How many there are."""
    name: str
    """Its name."""
    window_k: tuple[float, float] | None
    """Lower and upper edge of the window in K, of several systems the widest span; ``null`` where it is automatic and
    no MD has begun."""
    length_ps: float
    """Length in ps that every replica must survive."""


class RunStatus(Run):
    """The record of a run, what its jobs do now, and what holds it up."""

    schema_version: int = SCHEMA_VERSION
    """Version of these keys."""
    stage: StageStatus | None
    """The stage it is in."""
    jobs: tuple[JobStatus, ...]
    """What runs now; empty at the end."""
    waits_for: tuple[str, ...]
    """What holds the run up, each with its remedy, in one sentence; empty while it advances."""


def current_status(node: orm.ProcessNode) -> RunStatus:
    """Read the state of a run now, from the graph and from the files of its running jobs.

    :param node: the node of a SIS run, or of a run that contains one.
    """
    loop = loop_of(node)
    record = collect(loop)
    if not record.is_running:
        return run_status(loop, record)
    with LiveReader(loop) as reader:
        return run_status(loop, record, reader.read())


def run_status(node: orm.ProcessNode, record: Run, readings: Sequence[JobStatus] = ()) -> RunStatus:
    """Put the state of a run under its documented keys.

    :param node: the node of the SIS workchain.
    :param record: what :func:`~aiida_sis.run.record.collect` read of it.
    :param readings: what its jobs do now, as :class:`~aiida_sis.run.running_jobs.LiveReader` read it.
    """
    waits = [problem] if record.is_running and (problem := daemon_problem()) else []
    if record.is_running and node.paused:
        waits.append(f'run {node.pk} is paused: `{verdi(f"process play {node.pk}")}` lets it go on')
    waits += [wait for wait in dict.fromkeys(reading.waits_for for reading in readings) if wait]
    if record.state == 'waiting' and not waits:
        waits.append('the daemon has not begun with it yet')
    return RunStatus(
        **dict(record),
        stage=_stage(record),
        jobs=tuple(readings),
        waits_for=tuple(dict.fromkeys(waits)),
    )


def _stage(record: Run) -> StageStatus | None:
    """Find the stage of the newest MD, or the one after it where every replica of that was stable."""
    stages = record.stages
    if not stages:
        return None
    index = 0
    tried = [generation for generation in record.generations if generation.md]
    if tried:
        index = max(tried[-1].stages)
        passed = all(md.stable for md in tried[-1].md if md.stage == index)
        index = min(index + (1 if passed and record.is_running else 0), len(stages) - 1)
    stage = stages[index]
    return StageStatus(
        index=index,
        n_stages=len(stages),
        name=str(stage.get('name', index)),
        window_k=record.stage_window(index),
        length_ps=stage['length_ps'],
    )
