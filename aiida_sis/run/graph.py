"""Steps along links of the graph, as projections: no node is loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.run.rows import NodeRef

SIS = 'aiida.workflows:sis.sis'
HYBRID = 'aiida.workflows:sis.hybrid'
REHEARSAL = 'aiida.workflows:sis.rehearsal'
LABEL = 'aiida.workflows:sis.label'
REPLAY = 'aiida.workflows:sis.replay'
TRAIN = 'aiida.workflows:deepmd.base'
EXPLORE = 'aiida.workflows:sis.explore'
TRAIN_JOB = 'aiida.calculations:deepmd.train'
MD_JOB = 'aiida.calculations:sis.lammps.md'
CP2K_JOB = 'aiida.calculations:cp2k'

#: What labels frames, and by what.
LABELS = {LABEL: 'AIMD', REPLAY: 'single points'}
#: The loops: workchains that call labels, trainings and explorations.
RUNS = (SIS, HYBRID)
#: What a user submits and watches: a loop, or a rehearsal, which has a loop inside.
SUBMITTED = (*RUNS, REHEARSAL)

_CALLS = (LinkType.CALL_WORK, LinkType.CALL_CALC)
_INPUTS = (LinkType.INPUT_WORK, LinkType.INPUT_CALC)
#: Databases take a limited number of values in one `in`.
_CHUNK = 5000

Filters = Mapping[str, Any]


@dataclass(frozen=True)
class Edge:
    """One link from a node that was asked about.

    :param here: PK of the node that was asked about.
    :param label: label of the link.
    :param there: the node at the other end.
    :param values: what was projected of that node.
    """

    here: int
    label: str
    there: NodeRef
    values: tuple[Any, ...] = ()


def callees(
    of: Filters, cls: Any = orm.ProcessNode, filters: Filters | None = None, project: Sequence[str] = ()
) -> list[Edge]:
    """Go from processes to those they called.

    :param of: filters of the processes that are asked about.
    :param cls: class of what is looked for.
    :param filters: filters of what is looked for.
    :param project: columns of what is looked for.
    :returns: one edge for each link found.
    """
    return _follow(of, _CALLS, True, None, cls, filters, project)


def callers(of: Filters, project: Sequence[str] = ()) -> dict[int, Edge]:
    """Go from processes to the one that called each.

    :param of: filters of the processes that are asked about.
    :param project: columns of the callers.
    :returns: the edge to its caller, by PK of the process.
    """
    return {edge.here: edge for edge in _follow(of, _CALLS, False, None, orm.ProcessNode, None, project)}


def inputs(
    of: Filters,
    label: str | None = None,
    cls: Any = orm.Data,
    filters: Filters | None = None,
    project: Sequence[str] = (),
) -> list[Edge]:
    """Go from processes to their inputs.

    :param of: filters of the processes that are asked about.
    :param label: label of the link, with ``%`` for anything.
    :param cls: class of the inputs.
    :param filters: filters of the inputs.
    :param project: columns of the inputs.
    :returns: one edge for each link found.
    """
    return _follow(of, _INPUTS, False, label, cls, filters, project)


def users(
    of: Filters, label: str | None = None, filters: Filters | None = None, project: Sequence[str] = ()
) -> list[Edge]:
    """Go from data to the processes that took them as an input.

    :param of: filters of the data that are asked about.
    :param label: label of the link, with ``%`` for anything.
    :param filters: filters of the processes.
    :param project: columns of the processes.
    :returns: one edge for each link found.
    """
    return _follow(of, _INPUTS, True, label, orm.ProcessNode, filters, project)


def outputs(
    of: Filters,
    link: LinkType,
    label: str,
    cls: Any = orm.Data,
    filters: Filters | None = None,
    project: Sequence[str] = (),
) -> list[Edge]:
    """Go from processes to what they created or returned.

    :param of: filters of the processes that are asked about.
    :param link: ``CREATE`` for calculations, ``RETURN`` for workflows.
    :param label: label of the link, with ``%`` for anything.
    :param cls: class of the outputs.
    :param filters: filters of the outputs.
    :param project: columns of the outputs.
    :returns: one edge for each link found.
    """
    return _follow(of, (link,), True, label, cls, filters, project)


def sources(of: Filters, link: LinkType, filters: Filters | None = None, project: Sequence[str] = ()) -> list[Edge]:
    """Go from data to the processes that created or returned them.

    :param of: filters of the data that are asked about.
    :param link: ``CREATE`` or ``RETURN``.
    :param filters: filters of the processes.
    :param project: columns of the processes.
    :returns: one edge for each link found.
    """
    return _follow(of, (link,), False, None, orm.ProcessNode, filters, project)


def table(cls: Any, filters: Filters, project: Sequence[str]) -> list[list[Any]]:
    """Give columns of all nodes that fit.

    :param cls: class of the nodes.
    :param filters: their filters.
    :param project: the columns.
    :returns: one list for each node, in the order of their creation. An import deals out PKs anew, in no order.
    """
    columns = [*project, *(name for name in ('ctime', 'uuid') if name not in project)]
    first, second = columns.index('ctime'), columns.index('uuid')
    found: list[list[Any]] = []
    for part in _parts(filters):
        found += orm.QueryBuilder().append(cls, filters=part, project=columns).all()
    return [row[: len(project)] for row in sorted(found, key=lambda row: (row[first], row[second]))]


def pks(nodes: Collection[int]) -> dict[str, Any]:
    """Give the filters of nodes by their PKs.

    :param nodes: the PKs.
    :returns: the filters.
    """
    return {'id': {'in': sorted(set(nodes))}}


def _follow(
    of: Filters,
    links: Sequence[LinkType],
    outgoing: bool,
    label: str | None,
    cls: Any,
    filters: Filters | None,
    project: Sequence[str],
) -> list[Edge]:
    edge_filters: dict[str, Any] = {'type': {'in': [link.value for link in links]}}
    if label is not None:
        edge_filters['label'] = {'like': label.replace('_', '\\_')} if '%' in label else label
    join: dict[str, Any] = {'with_incoming' if outgoing else 'with_outgoing': 'here'}
    found = []
    for part in _parts(of):
        builder = orm.QueryBuilder().append(orm.Node, tag='here', filters=dict(part), project=['id'])
        builder.append(
            cls,
            **join,
            filters=dict(filters or {}),
            project=['id', 'uuid', *project],
            edge_filters=edge_filters,
            edge_project=['label'],
        )
        for here, pk, uuid, *values, name in builder.all():
            found.append(Edge(here, name, NodeRef(pk, uuid), tuple(values)))
    return sorted(found, key=lambda edge: (edge.here, edge.there.pk, edge.label))


def _parts(filters: Filters) -> Iterator[dict[str, Any]]:
    """Split a long list of PKs."""
    wanted = filters.get('id')
    listed = wanted.get('in') if isinstance(wanted, Mapping) else None
    if listed is None:
        yield dict(filters)
        return
    for start in range(0, len(listed), _CHUNK):
        yield {**filters, 'id': {'in': listed[start : start + _CHUNK]}}
