"""Which runs there are, where their MD failed, and which of them used a structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.core.loop.call_labels import read_call
from aiida_sis.core.loop.record import MdResults
from aiida_sis.run import graph
from aiida_sis.run.graph import Edge
from aiida_sis.run.loops import system_of
from aiida_sis.run.origins import measured_t_next
from aiida_sis.run.rows import CatastropheRow, NodeRef, RunRow, UseRow

__all__ = ('catastrophes', 'explorations_of', 'run_filters', 'runs', 'uses_of')

_SUMMARY = (
    'attributes.outcome',
    'attributes.aimd_ps',
    'attributes.md_ps',
    'attributes.acceleration_ratio',
    'attributes.verification.force_rmse_ev_per_angstrom',
)


def run_filters(selected: Collection[int] | None) -> dict[str, Any]:
    """Give the filters of all runs, or of those that were chosen.

    :param selected: PKs of runs, or nothing for all.
    :returns: the filters.
    """
    return {'process_type': {'in': list(graph.RUNS)}} if selected is None else graph.pks(selected)


def runs(selected: Collection[int] | None = None) -> list[RunRow]:
    """List the runs: how each ended, how far its MD got, and its last potential.

    :param selected: PKs of runs, or nothing for all.
    :returns: one row for each run, the oldest first.
    """
    of = run_filters(selected)
    columns = ('id', 'uuid', 'label', 'ctime', 'attributes.process_state', 'attributes.exit_status')
    nodes = graph.table(orm.WorkChainNode, of, columns)
    summaries = _first(graph.outputs(of, LinkType.RETURN, 'summary', orm.Dict, project=_SUMMARY))
    potentials = _first(graph.outputs(of, LinkType.RETURN, 'potential'))
    systems: dict[int, list[str]] = {}
    for edge in graph.inputs(of, cls=orm.StructureData):
        if (name := system_of(edge.label)) is not None:
            systems.setdefault(edge.here, []).append(name)
    generations: dict[int, set[int]] = {}
    for edge in graph.callees(of, orm.WorkChainNode):
        call = read_call(edge.label)
        if call is not None:
            generations.setdefault(edge.here, set()).add(call.generation)
    rows = []
    for pk, uuid, label, created, state, exit_status in nodes:
        outcome, aimd_ps, md_ps, ratio, true = summaries[pk].values if pk in summaries else (None,) * 5
        rows.append(
            RunRow(
                run=NodeRef(pk, uuid),
                label=label,
                created=created,
                state=state_in_words(state, exit_status),
                exit_status=exit_status,
                outcome=outcome,
                systems=tuple(sorted(systems.get(pk, []))),
                n_generations=len(generations.get(pk, ())),
                aimd_ps=aimd_ps,
                md_ps=md_ps,
                acceleration_ratio=ratio,
                true_force_rmse_ev_per_angstrom=true,
                potential=potentials[pk].there if pk in potentials else None,
            )
        )
    return rows


def catastrophes(selected: Collection[int] | None = None) -> list[CatastropheRow]:
    """List every catastrophic point: where, when and at which temperature an MD left its window, and of what matter.

    :param selected: PKs of runs, or nothing for all explorations there are, also those that no run called.
    :returns: one row for each, the oldest first.
    """
    of = explorations_of(selected)
    columns = ('attributes.catastrophe', 'attributes.t_next')
    failed = graph.outputs(of, LinkType.RETURN, 'results', orm.Dict, {'attributes.stable': False}, columns)
    nodes = graph.pks([edge.here for edge in failed])
    refs = {pk: NodeRef(pk, uuid) for pk, uuid in graph.table(orm.WorkChainNode, nodes, ('id', 'uuid'))}
    called_by = graph.callers(nodes)
    settings = _first(
        graph.inputs(nodes, 'md__parameters', orm.Dict, project=('attributes.temperature_k', 'attributes.window_k'))
    )
    structures = _first(graph.inputs(nodes, 'md__structure', orm.StructureData))
    potentials = _first(graph.inputs(nodes, 'md__potential'))
    matter = compositions({edge.there.pk for edge in structures.values()})
    results = {edge.here: edge for edge in failed}
    measured = measured_t_next(refs)
    rows = []
    for pk, ref in refs.items():
        edge = results[pk]
        catastrophe, t_next = edge.values
        caller, structure = called_by.get(pk), structures.get(pk)
        call = read_call(caller.label) if caller else None
        temperature, window = settings[pk].values if pk in settings else (None, None)
        low, high = window or (None, None)
        formula, n_atoms = matter.get(structure.there.pk, ('', None)) if structure else ('', None)
        rows.append(
            CatastropheRow(
                run=caller.there if caller else None,
                place=caller.label if caller else '',
                generation=call.generation if call else None,
                stage=call.stage if call else None,
                replica=call.replica if call else None,
                exploration=ref,
                potential=potentials[pk].there if pk in potentials else None,
                structure=structure.there if structure else None,
                composition=formula,
                n_atoms=n_atoms,
                temperature_target_k=temperature,
                window_low_k=low,
                window_high_k=high,
                **MdResults(catastrophe=catastrophe, t_next=t_next).points
                | ({'t_next_ps': measured[pk]} if pk in measured else {}),
            )
        )
    return rows


def uses_of(structure: int, equal: bool = False) -> list[UseRow]:
    """Find the runs that used a structure: as a system, or through a label or an MD that started from it.

    :param structure: PK of the structure.
    :param equal: count other nodes with the same cell and the same atoms too.
    :returns: one row for each use, the oldest run first.
    """
    wanted = {structure, *(_equal_to(structure) if equal else ())}
    found = graph.users(graph.pks(wanted), project=('process_type',))
    refs = {pk: NodeRef(pk, uuid) for pk, uuid in graph.table(orm.Data, graph.pks(wanted), ('id', 'uuid'))}
    children = [edge for edge in found if edge.values[0] not in graph.RUNS]
    callers = graph.callers(graph.pks([edge.there.pk for edge in children]), ('process_type',))
    uses = {(edge.there, edge.label, edge.there, edge.here) for edge in found if edge.values[0] in graph.RUNS}
    for edge in children:
        caller = callers.get(edge.there.pk)
        if caller is not None and caller.values[0] in graph.RUNS:
            uses.add((caller.there, caller.label, edge.there, edge.here))
    columns = ('id', 'label', 'attributes.process_state', 'attributes.exit_status')
    about = graph.table(orm.WorkChainNode, graph.pks([use[0].pk for use in uses]), columns)
    order = {row[0]: number for number, row in enumerate(about)}
    rows = []
    for run, used_as, process, pk in sorted(uses, key=lambda use: (order[use[0].pk], use[1], use[2].uuid)):
        _, label, state, exit_status = about[order[run.pk]]
        rows.append(UseRow(run, label, state_in_words(state, exit_status), used_as, process, refs[pk]))
    return rows


def explorations_of(selected: Collection[int] | None) -> dict[str, Any]:
    """Give the filters of the explorations of some runs, or of all that there are.

    :param selected: PKs of runs, or nothing for all.
    :returns: the filters.
    """
    if selected is None:
        return {'process_type': graph.EXPLORE}
    called = graph.callees(graph.pks(selected), orm.WorkChainNode, {'process_type': graph.EXPLORE})
    return graph.pks([edge.there.pk for edge in called])


def compositions(structures: Collection[int]) -> dict[int, tuple[str, int]]:
    """Give formula and number of atoms of structures.

    :param structures: their PKs.
    :returns: formula in the alphabetical order of the elements and number of atoms, by PK.
    """
    columns = ('id', 'attributes.kinds', 'attributes.sites')
    found = {}
    for pk, kinds, sites in graph.table(orm.StructureData, graph.pks(structures), columns):
        symbols = {kind['name']: kind['symbols'] for kind in kinds}
        counts = Counter(symbol for site in sites for symbol in symbols[site['kind_name']])
        formula = ''.join(f'{element}{counts[element] if counts[element] > 1 else ""}' for element in sorted(counts))
        found[pk] = (formula, len(sites))
    return found


def state_in_words(state: str | None, exit_status: int | None) -> str:
    """Put the state of a process into a word: AiiDA's own, but a nonzero exit status is a failure.

    :param state: its process state.
    :param exit_status: its exit status.
    :returns: the word.
    """
    if state == 'finished':
        return 'finished' if exit_status == 0 else f'failed ({exit_status})'
    return state or 'created'


def _equal_to(structure: int) -> list[int]:
    """The structures with the same cell and the same atoms in the same places and order.

    AiiDA's own hash can't tell: an import leaves it out.
    """
    columns = ('attributes.cell', 'attributes.kinds', 'attributes.sites')
    wanted = graph.table(orm.StructureData, graph.pks([structure]), columns)
    if not wanted:
        return []
    same_size = {'attributes.sites': {'of_length': len(wanted[0][2])}}
    candidates = graph.table(orm.StructureData, same_size, ('id', *columns))
    return [pk for pk, *content in candidates if content == wanted[0]]


def _first(edges: list[Edge]) -> dict[int, Edge]:
    """Keep one edge for each node that was asked about, the first."""
    found: dict[int, Edge] = {}
    for edge in edges:
        found.setdefault(edge.here, edge)
    return found
