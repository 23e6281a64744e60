"""What runs cost: labelled time, MD time and core hours by code, for whole runs or for each generation."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.manage import get_manager

from aiida_sis.core.loop.call_labels import read_call
from aiida_sis.core.loop.clock_marks import read_clock
from aiida_sis.run import graph
from aiida_sis.run.clock import cores_of
from aiida_sis.run.rows import CostRow, NodeRef
from aiida_sis.run.runs import run_filters

__all__ = ('costs',)

_CODES = {graph.CP2K_JOB: 'cp2k', graph.TRAIN_JOB: 'dp', graph.MD_JOB: 'lmp'}
_CLOCK_FILE = '_scheduler-stdout.txt'

Key = tuple[int, int | None]


@dataclass
class _Sum:
    """What is added up for one run and generation; floats are summed at the end, so that no order shows."""

    aimd_fs: list[float] = field(default_factory=list)
    kept_frames: int = 0
    md_ps: list[float] = field(default_factory=list)
    n_jobs: int = 0
    n_untimed: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add_job(self, code: str, seconds: float | None) -> None:
        """Count a job and its core seconds."""
        self.n_jobs += 1
        self.n_untimed += seconds is None
        self.seconds.setdefault(code, []).append(seconds or 0.0)


def costs(selected: Collection[int] | None = None, by_generation: bool = False) -> list[CostRow]:
    """Add up what runs cost.

    :param selected: PKs of runs, or nothing for all.
    :param by_generation: one row for each generation of a run instead of one for each run.
    :returns: the rows, in the order of runs and generations.
    """
    of = run_filters(selected)
    refs = {pk: NodeRef(pk, uuid) for pk, uuid in graph.table(orm.WorkChainNode, of, ('id', 'uuid'))}
    place: dict[int, Key] = {}
    for edge in graph.callees(of, orm.WorkChainNode):
        call = read_call(edge.label) if by_generation else None
        place[edge.there.pk] = (edge.here, call.generation if call else None)
    sums: dict[Key, _Sum] = {key: _Sum() for key in ((run, None) for run in refs)} if not by_generation else {}
    _add_results(place, sums)
    for key, code, seconds in _jobs(place):
        sums.setdefault(key, _Sum()).add_job(code, seconds)
    order = {run: number for number, run in enumerate(refs)}
    ordered = sorted(sums, key=lambda key: (order[key[0]], -1 if key[1] is None else key[1]))
    return [_row(refs[run], generation, sums[run, generation]) for run, generation in ordered]


def _row(run: NodeRef, generation: int | None, found: _Sum) -> CostRow:
    hours = {code: math.fsum(found.seconds.get(code, ())) / 3600 for code in _CODES.values()}
    return CostRow(
        run=run,
        generation=generation,
        aimd_ps=math.fsum(found.aimd_fs) / 1000,
        kept_frames=found.kept_frames,
        md_ps=math.fsum(found.md_ps),
        core_hours_cp2k=hours['cp2k'],
        core_hours_dp=hours['dp'],
        core_hours_lmp=hours['lmp'],
        core_hours=sum(hours.values()),
        n_jobs=found.n_jobs,
        n_untimed_jobs=found.n_untimed,
    )


def _add_results(place: Mapping[int, Key], sums: dict[Key, _Sum]) -> None:
    """Add labelled time and MD time from the results of the children of the runs.

    :param place: the run and generation of each child, by its PK.
    :param sums: what is added to.
    """
    columns = ('attributes.aimd_fs', 'attributes.kept_frames', 'attributes.length_ps_reached')
    for edge in graph.outputs(graph.pks(place), LinkType.RETURN, 'results', orm.Dict, project=columns):
        found = sums.setdefault(place[edge.here], _Sum())
        aimd_fs, kept_frames, length_ps = edge.values
        found.aimd_fs.append(aimd_fs or 0.0)
        found.kept_frames += kept_frames or 0
        found.md_ps.append(length_ps or 0.0)


def _jobs(place: Mapping[int, Key]) -> list[tuple[Key, str, float | None]]:
    """Find the jobs of the children of runs, at most two calls below them, and their core seconds.

    :param place: the run and generation of each child, by its PK.
    :returns: run and generation, code and core seconds of each job; no seconds where nothing tells the time.
    """
    columns = ('process_type', 'attributes.resources', 'attributes.last_job_info.wallclock_time_seconds')
    of = graph.pks(place)
    inner = {edge.there.pk: place[edge.here] for edge in graph.callees(of, orm.WorkChainNode)}
    edges = [(place[edge.here], edge) for edge in graph.callees(of, orm.CalcJobNode, project=columns)]
    edges += [(inner[e.here], e) for e in graph.callees(graph.pks(inner), orm.CalcJobNode, project=columns)]
    jobs = graph.pks([edge.there.pk for _, edge in edges])
    clocks, texts = _clocks(jobs), _prepend_texts(jobs)
    found = []
    for key, edge in edges:
        process_type, resources, by_scheduler = edge.values
        seconds = clocks.get(edge.there.pk) or by_scheduler or None
        cores = cores_of(resources, texts.get(edge.there.pk))
        found.append((key, _CODES.get(process_type, 'cp2k'), None if seconds is None else seconds * cores))
    return found


def _prepend_texts(jobs: Mapping[str, Any]) -> dict[int, str]:
    """What the code of each job sets before it starts, by PK of the job, where that gives it more than one thread."""
    # The class of all codes has no node type of its own that a query could ask for.
    filters = {'node_type': {'like': 'data.core.code.%'}}
    found = graph.table(orm.Data, filters, ('id', 'attributes.prepend_text'))
    texts = {pk: text for pk, text in found if cores_of(None, text) > 1}
    if not texts:
        return {}
    return {edge.here: texts[edge.there.pk] for edge in graph.inputs(jobs, 'code', filters=graph.pks(texts))}


def _clocks(jobs: Mapping[str, Any]) -> dict[int, float]:
    """Seconds between the clock marks that jobs write into the scheduler's output, by PK of the job.

    The small files are read from the repository in one go, by the keys that the folders name.
    """
    keys: dict[str, list[int]] = {}
    folders = graph.outputs(jobs, LinkType.CREATE, 'retrieved', orm.FolderData, project=('repository_metadata',))
    for edge in folders:
        key = ((edge.values[0] or {}).get('o') or {}).get(_CLOCK_FILE, {}).get('k')
        if key is not None:
            keys.setdefault(key, []).append(edge.here)
    seconds = {}
    repository = get_manager().get_profile_storage().get_repository()
    for key, stream in repository.iter_object_streams(list(keys)):
        interval = read_clock(stream.read().decode('utf-8', errors='replace'))
        if interval is not None:
            seconds.update(dict.fromkeys(keys[key], interval[1] - interval[0]))
    return seconds
