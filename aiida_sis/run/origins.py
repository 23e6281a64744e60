"""From a model back to the frames that trained it, and from frames back to the catastrophe that asked for them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.core.loop.call_labels import LADDER, read_call
from aiida_sis.core.loop.record import MdResults
from aiida_sis.run import graph
from aiida_sis.run.graph import Edge
from aiida_sis.run.rows import FramesRow, NodeRef, OriginRow

__all__ = ('datasets_of', 'labels_of', 'measured_t_next', 'origins', 'training_frames')

_DATASET = (
    'label',
    'attributes.n_frames',
    'attributes.n_train',
    'attributes.n_validation',
    'attributes.n_test',
    'attributes.sha256',
)
_LABELS = {'process_type': {'in': list(graph.LABELS)}}


def training_frames(potential: int) -> list[FramesRow]:
    """Find every dataset that a potential has seen: in its own training, and in those that it was continued from.

    :param potential: PK of the potential.
    :returns: one row for each dataset, the oldest first; none for a potential that was imported.
    """
    seen: dict[int, int] = {}
    current: int | None = potential
    visited: set[int] = set()
    back = 0
    while current is not None and current not in visited:
        visited.add(current)
        jobs = graph.sources(graph.pks([current]), LinkType.CREATE, {'process_type': graph.TRAIN_JOB})
        job = jobs[0].there.pk if jobs else None
        current = None
        if job is not None:
            for edge in graph.inputs(graph.pks([job]), 'datasets__%', orm.Data):
                seen.setdefault(edge.there.pk, back)
            parents = graph.inputs(graph.pks([job]), 'parent')
            current = parents[0].there.pk if parents else None
        back += 1
    labels = labels_of(seen)
    jobs_of = _cp2k_jobs({edge.there.pk for edge in labels.values()})
    trajectories = _trajectories_of(seen)
    callers = graph.callers(graph.pks([edge.there.pk for edge in labels.values()]))
    rows = []
    for pk, uuid, *values in graph.table(orm.Data, graph.pks(seen), ('id', 'uuid', *_DATASET)):
        label = labels.get(pk)
        caller = callers.get(label.there.pk) if label else None
        call = read_call(caller.label) if caller else None
        system, n_frames, n_train, n_validation, n_test, sha256 = values
        rows.append(
            FramesRow(
                dataset=NodeRef(pk, uuid),
                system=system,
                generation=call.generation if call else None,
                n_frames=n_frames,
                n_train=n_train,
                n_validation=n_validation,
                n_test=n_test,
                source=graph.LABELS[label.values[0]] if label else 'imported',
                label=label.there if label else None,
                jobs=tuple(jobs_of.get(label.there.pk, ())) if label else (),
                trajectory=trajectories.get(pk),
                run=caller.there if caller else None,
                trainings_back=seen[pk],
                sha256=sha256 or '',
            )
        )
    return rows


def datasets_of(run: int) -> list[int]:
    """Find the datasets that a run was given or has labelled so far, also while it goes on.

    :param run: PK of the run.
    :returns: their PKs, ascending.
    """
    found = graph.inputs(graph.pks([run]), 'datasets__%')
    labels = graph.callees(graph.pks([run]), orm.WorkChainNode, _LABELS)
    found += graph.outputs(graph.pks([edge.there.pk for edge in labels]), LinkType.RETURN, 'dataset')
    return sorted({edge.there.pk for edge in found})


def origins(datasets: Collection[int]) -> list[OriginRow]:
    """Find what led to datasets: the catastrophe, the MD that met it and the snapshot that was labelled.

    :param datasets: PKs of the datasets.
    :returns: one row for each, the oldest first.
    """
    labels = labels_of(datasets)
    nodes = graph.pks([edge.there.pk for edge in labels.values()])
    callers = graph.callers(nodes)
    routes = {
        edge.here: edge
        for edge in graph.outputs(nodes, LinkType.RETURN, 'results', orm.Dict, project=('attributes.route',))
    }
    starts = {edge.here: edge for edge in graph.inputs(nodes) if edge.label in ('structure', 'frames')}
    files = _files_of(set(datasets) - set(labels))
    rows = []
    for pk, uuid in graph.table(orm.Data, graph.pks(datasets), ('id', 'uuid')):
        label = labels.get(pk)
        number = label.there.pk if label else None
        caller, start = callers.get(number or 0), starts.get(number or 0)
        route = routes[number].values[0] if number in routes else None
        found = _md_behind(start) if start else {}
        rows.append(
            OriginRow(
                dataset=NodeRef(pk, uuid),
                run=caller.there if caller else None,
                place=caller.label if caller else '',
                kind=_kind(start, found, files.get(pk)),
                route=route,
                label=label.there if label else None,
                start=start.there if start else None,
                file=files.get(pk),
                **found,
            )
        )
    return rows


def _kind(start: Edge | None, found: dict[str, Any], file: str | None) -> str:
    if start is None:
        return 'file' if file else 'unknown'
    if not found:
        return 'start' if start.label == 'structure' else 'unknown'
    return 'snapshot' if start.label == 'structure' else 'frames'


def labels_of(datasets: Collection[int]) -> dict[int, Edge]:
    """Find the workchain that labelled each dataset.

    :param datasets: PKs of the datasets.
    :returns: the edge to it, with its process type, by PK of the dataset; none for one that was imported.
    """
    edges = graph.sources(graph.pks(datasets), LinkType.RETURN, _LABELS, ('process_type',))
    return {edge.here: edge for edge in edges}


def measured_t_next(explorations: Collection[int]) -> dict[int, float | None]:
    """Find the t_next that ladders have measured; it stands for that of the rule.

    :param explorations: PKs of explorations that met a catastrophe.
    :returns: the time in ps by PK, ``None`` where no rung was right; no key where there was no ladder.
    """
    results = graph.outputs(graph.pks(explorations), LinkType.RETURN, 'results', orm.Dict)
    of = {edge.there.pk: edge.here for edge in results}
    ladders: dict[int, int] = {}
    users = graph.users(graph.pks(of), 'results')
    callers = graph.callers(graph.pks([edge.there.pk for edge in users]))
    for edge in users:
        call = read_call(callers[edge.there.pk].label) if edge.there.pk in callers else None
        if call is not None and call.kind == LADDER:
            ladders[edge.there.pk] = of[edge.here]
    found = graph.outputs(graph.pks(ladders), LinkType.CREATE, 'result', orm.Dict, project=('attributes.t_next_ps',))
    return {ladders[edge.here]: edge.values[0] for edge in found}


def _trajectories_of(datasets: Collection[int]) -> dict[int, NodeRef]:
    """The trajectory that each dataset was made of, by PK of the dataset."""
    makers = {edge.there.pk: edge.here for edge in graph.sources(graph.pks(datasets), LinkType.CREATE)}
    return {makers[edge.here]: edge.there for edge in graph.inputs(graph.pks(makers), 'trajectory')}


def _cp2k_jobs(labels: Collection[int]) -> dict[int, list[NodeRef]]:
    """The CP2K jobs of labels, by PK of the label: label → one workchain for each trajectory → its jobs."""
    parts = graph.callees(graph.pks(labels), orm.WorkChainNode)
    whole = {edge.there.pk: edge.here for edge in parts}
    of_label = {edge.there.pk: whole[edge.here] for edge in graph.callees(graph.pks(whole), orm.CalcJobNode)}
    jobs: dict[int, list[NodeRef]] = {}
    for pk, uuid in graph.table(orm.CalcJobNode, graph.pks(of_label), ('id', 'uuid')):
        jobs.setdefault(of_label[pk], []).append(NodeRef(pk, uuid))
    return jobs


def _files_of(datasets: Collection[int]) -> dict[int, str]:
    """The file that each imported dataset was read from, by PK of the dataset."""
    makers = {edge.there.pk: edge.here for edge in graph.sources(graph.pks(datasets), LinkType.CREATE)}
    found = graph.inputs(graph.pks(makers), 'source', orm.Dict, project=('attributes.path',))
    return {makers[edge.here]: edge.values[0] for edge in found if edge.values[0]}


def _md_behind(start: Edge) -> dict[str, Any]:
    """Go from what was labelled back to the MD it was taken from, and read off where that failed.

    :param start: the structure or the frames that a label started from.
    :returns: what is known; nothing where it is not from an MD.
    """
    frames, index = start.there.pk, None
    # From the start to its selection, from there to the frames, and where an MD took several jobs to its last one.
    for _ in range(3):
        makers = graph.sources(graph.pks([frames]), LinkType.CREATE, project=('process_type', 'label'))
        if not makers:
            return {}
        maker = makers[0].there
        if makers[0].values[0] == graph.MD_JOB:
            return {'snapshot_index': index, **_catastrophe_of(maker)}
        taken = graph.inputs(graph.pks([maker.pk]))
        snapshots = [edge for edge in taken if edge.label == 'snapshots' or edge.label.startswith('part_')]
        if not snapshots:
            return {}
        numbers = graph.inputs(graph.pks([maker.pk]), 'index', orm.Int, project=('attributes.value',))
        index = numbers[0].values[0] if numbers else index
        frames = max(snapshots, key=lambda edge: edge.label).there.pk
    return {}


def _catastrophe_of(job: NodeRef) -> dict[str, Any]:
    """Where an MD job failed, and the exploration that it belonged to."""
    of = graph.pks([job.pk])
    columns = ('attributes.catastrophe', 'attributes.t_next')
    exploration = graph.callers(of).get(job.pk)
    results = graph.outputs(of, LinkType.CREATE, 'results', orm.Dict, project=columns)
    if exploration:
        # Of an MD that took several jobs, t_next is that of all of them.
        whole = graph.pks([exploration.there.pk])
        results = graph.outputs(whole, LinkType.RETURN, 'results', orm.Dict, project=columns) or results
    catastrophe, t_next = results[0].values if results else (None, None)
    call = graph.callers(graph.pks([exploration.there.pk])).get(exploration.there.pk) if exploration else None
    potentials = graph.inputs(of, 'potential')
    points = MdResults(catastrophe=catastrophe, t_next=t_next).points
    if exploration and (measured := measured_t_next([exploration.there.pk])):
        points['t_next_ps'] = measured[exploration.there.pk]
    return {
        'exploration': exploration.there if exploration else job,
        'explored_as': call.label if call else None,
        'potential': potentials[0].there if potentials else None,
        **points,
    }
