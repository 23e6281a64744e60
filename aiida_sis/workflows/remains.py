"""What a SIS run has left in the graph, however it ended: killed, excepted, or in good order.

A run links its datasets and potentials as outputs in its last step only. What its parts gave is in the graph from the
moment that each of them ended, labels that the run had not merged yet among it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aiida import orm
from aiida.common.links import LinkType

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, TRAIN, VERIFY, Call, read_call
from aiida_sis.core.settings.sis import plan_replicas, read_settings

__all__ = ('Remains', 'running_parts', 'what_is_left')


@dataclass(frozen=True)
class Remains:
    """What another run can go on from.

    :param datasets: all labelled frames, by the keys that they have among the outputs of a run.
    :param not_in_outputs: the keys of those that the run itself did not come to return.
    :param potential: the last potential that can explore: a trained one, or the one that the run began to explore with.
    :param generation: the generation of that potential.
    :param passed: numbers of the stages that it has passed.
    :param structures: by system, where its last MD began, or what the optimisation of its label came to.
    :param n_first_labels: how many labels of generation 0 gave frames, by system.
    """

    datasets: dict[str, DatasetData] = field(default_factory=dict)
    not_in_outputs: tuple[str, ...] = ()
    potential: PotentialData | None = None
    generation: int = 0
    passed: frozenset[int] = frozenset()
    structures: dict[str, orm.StructureData] = field(default_factory=dict)
    n_first_labels: dict[str, int] = field(default_factory=dict)


def what_is_left(run: orm.ProcessNode) -> Remains:
    """Collect what a run has computed.

    :param run: the node of a SIS run that has ended, in any way.
    """
    parts = _parts(run)
    given, returned = (
        dict(namespace.datasets) if 'datasets' in namespace else {} for namespace in (run.inputs, run.outputs)
    )
    datasets = {f'start_{name}': node for name, node in given.items()} | returned
    first: dict[str, int] = {}
    for call, node in parts:
        if call.kind not in (LABEL, VERIFY) or 'dataset' not in node.outputs:
            continue
        datasets[call.key] = node.outputs.dataset
        if call.kind == LABEL and call.generation == 0:
            system = node.inputs.parameters['label']
            first[system] = first.get(system, 0) + 1
    potential, generation = _last_potential(run, parts)
    stages = {call.stage or 0 for call, _ in parts if call.kind == EXPLORE and call.generation == generation}
    return Remains(
        datasets=datasets,
        not_in_outputs=tuple(sorted(set(datasets) - set(returned) - {f'start_{name}' for name in given})),
        potential=potential,
        generation=generation,
        # It went on to the next stage, and to no other potential.
        passed=frozenset(stage for stage in stages if stage < max(stages)),
        structures=_structures(run, parts),
        n_first_labels=first,
    )


def running_parts(run: orm.ProcessNode) -> list[orm.ProcessNode]:
    """Give the parts of a run that go on though the run itself has ended: an exception leaves its children alone.

    :param run: the node of the run.
    """
    return [node for _, node in _parts(run) if not node.is_terminated]


def _parts(run: orm.ProcessNode) -> list[tuple[Call, orm.ProcessNode]]:
    """The labels, trainings and explorations that a run called, in the order of their beginning."""
    links = run.base.links.get_outgoing(orm.WorkChainNode, link_type=LinkType.CALL_WORK).all()
    found: list[tuple[Call, orm.ProcessNode]] = [
        (call, link.node)
        for link in links
        if (call := read_call(link.link_label)) is not None and isinstance(link.node, orm.WorkChainNode)
    ]
    return sorted(found, key=lambda part: (part[1].ctime, part[0]))


def _last_potential(
    run: orm.ProcessNode, parts: list[tuple[Call, orm.ProcessNode]]
) -> tuple[PotentialData | None, int]:
    """The potential of the last training that went well, of a committee the first member, and its generation."""
    trained = {
        call.generation: node.outputs.potential
        for call, node in parts
        if call.kind == TRAIN and not call.number and node.is_finished_ok and 'potential' in node.outputs
    }
    if trained:
        return trained[max(trained)], max(trained)
    if 'potential' in run.outputs:
        numbers = [int(key[1:]) for key in run.outputs.potentials if key[1:].isdecimal()]
        return run.outputs.potential, max(numbers, default=0)
    explores = run.inputs.parameters.get_dict().get('start') == 'explore'
    return (run.inputs.potential if explores and 'potential' in run.inputs else None), 0


def _structures(run: orm.ProcessNode, parts: list[tuple[Call, orm.ProcessNode]]) -> dict[str, orm.StructureData]:
    """The structures that MD started from; before any MD those that the first labels optimised."""
    systems = list(run.inputs.systems)
    replicas = plan_replicas(read_settings(run.inputs.parameters.get_dict()), systems)
    found = {}
    for call, node in parts:
        if call.kind == EXPLORE and call.number < len(replicas):
            found[replicas[call.number].system] = node.inputs.md.structure
        elif call.kind == LABEL and call.generation == 0 and 'optimised_structure' in node.outputs:
            system = node.inputs.parameters['label']
            if system in systems and 'dataset' in node.outputs:
                found[system] = node.outputs.optimised_structure
    return found
