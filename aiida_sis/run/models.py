"""Which potentials there are, how good they are and how long an MD with them was stable."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.core.loop.call_labels import TRAIN, VERDICT, Call, read_call
from aiida_sis.run import graph
from aiida_sis.run.rows import ModelRow, NodeRef
from aiida_sis.run.runs import run_filters

__all__ = ('models',)

_RESULTS = (
    'attributes.force_rmse_ev_per_angstrom',
    'attributes.energy_rmse_ev_per_atom',
    'attributes.n_train_frames',
    'attributes.deepmd_version',
)
_POTENTIAL = ('attributes.type_map', 'attributes.descriptor', 'attributes.sha256')


def models(below: float | None = None, selected: Collection[int] | None = None) -> list[ModelRow]:
    """List the potentials by the error of their forces on held-out frames, the best first.

    Where a training was continued because its error was too high, the potential that its workchain returned counts.

    :param below: leave out potentials whose force RMSE, in eV/Å, is not below this.
    :param selected: PKs of the runs that trained them, or nothing for all.
    :returns: one row for each potential.
    """
    filters: dict[str, Any] = {'attributes.force_rmse_ev_per_angstrom': {'of_type': 'number'}}
    if below is not None:
        filters = {'attributes.force_rmse_ev_per_angstrom': {'<': below}}
    workchains, superseded = _returned(selected)
    of: dict[str, Any] = {'process_type': graph.TRAIN_JOB}
    if selected is not None:
        jobs = graph.callees(graph.pks([pk for pk, _ in workchains.values()]), orm.CalcJobNode)
        of = graph.pks([edge.there.pk for edge in jobs])
    tested = {edge.here: edge for edge in graph.outputs(of, LinkType.CREATE, 'results', orm.Dict, filters, _RESULTS)}
    created = graph.outputs(graph.pks(tested), LinkType.CREATE, 'potential', project=_POTENTIAL)
    refs = dict(graph.table(orm.CalcJobNode, graph.pks(tested), ('id', 'uuid')))
    in_workchain = graph.callers(graph.pks(tested))
    stable = _longest_stable({edge.there.pk for edge in created})
    true = _true_errors([run for _, run in workchains.values() if run is not None])
    rows = []
    for edge in created:
        potential = edge.there
        if (
            potential.pk not in workchains
            and edge.here in in_workchain
            and in_workchain[edge.here].there.pk in superseded
        ):
            continue
        run = workchains[potential.pk][1] if potential.pk in workchains else None
        force, energy, n_frames, version = tested[edge.here].values
        type_map, descriptor, sha256 = edge.values
        rows.append(
            ModelRow(
                potential=potential,
                run=run.there if run else None,
                place=run.label if run else '',
                training=NodeRef(edge.here, refs[edge.here]),
                elements=' '.join(type_map or ()),
                descriptor=descriptor,
                force_rmse_ev_per_angstrom=force,
                energy_rmse_ev_per_atom=energy,
                true_force_rmse_ev_per_angstrom=true.get((run.there.pk, run.label)) if run else None,
                n_train_frames=n_frames,
                longest_stable_ps=stable.get(potential.pk),
                deepmd_version=version,
                sha256=sha256,
            )
        )
    return sorted(rows, key=lambda row: (row.force_rmse_ev_per_angstrom, row.potential.uuid))


def _returned(selected: Collection[int] | None) -> tuple[dict[int, tuple[int, graph.Edge | None]], set[int]]:
    """Find what the training workchains returned.

    :param selected: PKs of runs, or nothing for all.
    :returns: the workchain and the call of it, by PK of the potential; and the PKs of the workchains that returned one.
    """
    calls = graph.callees(run_filters(selected), orm.WorkChainNode, {'process_type': graph.TRAIN})
    by_run = {edge.there.pk: edge for edge in calls}
    of: dict[str, Any] = {'process_type': graph.TRAIN} if selected is None else graph.pks(by_run)
    callers = graph.callers(of)
    found: dict[int, tuple[int, graph.Edge | None]] = {}
    for edge in graph.outputs(of, LinkType.RETURN, 'potential'):
        found[edge.there.pk] = (edge.here, callers.get(edge.here))
    return found, {workchain for workchain, _ in found.values()}


def _true_errors(trainings: Collection[graph.Edge]) -> dict[tuple[int, str], float | None]:
    """Find the force errors along stable MD, in eV/Å, by the PK of the run and the label of the training in it.

    :param trainings: the edges from trainings to the runs that called them.
    """
    runs = graph.pks({edge.there.pk for edge in trainings})
    found = [
        (call, edge)
        for edge in graph.callees(runs, orm.CalcFunctionNode)
        if (call := read_call(edge.label)) is not None and call.kind == VERDICT
    ]
    # Of several stages that a potential was verified in the last counts; PKs say no order after an import.
    last: dict[tuple[int, str], int] = {}
    for call, edge in sorted(found, key=lambda one: one[0].stage or 0):
        last[edge.here, str(Call(call.generation, TRAIN))] = edge.there.pk
    verdicts = {pk: training for training, pk in last.items()}
    column = ('attributes.force_rmse_ev_per_angstrom',)
    errors = graph.outputs(graph.pks(verdicts), LinkType.CREATE, 'results', orm.Dict, project=column)
    return {verdicts[edge.here]: edge.values[0] for edge in errors}


def _longest_stable(potentials: Collection[int]) -> dict[int, float]:
    """Find the longest stable MD of each potential, in ps.

    :param potentials: their PKs.
    :returns: the length by PK; none where there was no stable MD.
    """
    uses = graph.users(graph.pks(potentials), 'md__potential', {'process_type': graph.EXPLORE})
    by_exploration = {edge.there.pk: edge.here for edge in uses}
    ended = graph.outputs(
        graph.pks(by_exploration),
        LinkType.RETURN,
        'results',
        orm.Dict,
        {'attributes.stable': True},
        ('attributes.length_ps_reached',),
    )
    longest: dict[int, float] = {}
    for edge in ended:
        potential = by_exploration[edge.here]
        longest[potential] = max(longest.get(potential, 0.0), edge.values[0] or 0.0)
    return longest
