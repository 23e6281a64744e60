"""The provenance of one generation: from the structures through labels, data and potential to t_next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, TRAIN, Call
from aiida_sis.run.record import INPUT_LINKS, input_of, output_of, parts_of

__all__ = ('Box', 'Lineage', 'read_lineage')

_Part = tuple[orm.ProcessNode, Call]


@dataclass(frozen=True)
class Box:
    """One node or several of a kind side by side, as they are drawn: a process is round, data are square."""

    title: str
    pks: tuple[int, ...]
    is_process: bool = False
    note: str = ''


@dataclass(frozen=True)
class Lineage:
    """The chain of one generation, from its first structure to its last, and what flows in from the one before.

    :param generation: its number.
    :param chain: the boxes in the order in which they came to be.
    :param inflow: data of earlier generations that the training took too.
    """

    generation: int
    chain: tuple[Box, ...]
    inflow: tuple[Box, ...] = ()


def read_lineage(node: orm.ProcessNode) -> Lineage | None:
    """Read the chain of the last generation that met a catastrophe, else of the last one that trained.

    :param node: the node of a ``SisWorkChain``.
    """
    parts = list(parts_of(node))
    trained = {call.generation: child for child, call in parts if call.kind == TRAIN}
    if not trained:
        return None
    generation = next((number for number in sorted(trained, reverse=True) if _snapshots(parts, number)), max(trained))
    training = trained[generation]
    labels = _of(parts, LABEL, generation)
    chain = [*_label_boxes(labels), Box('Training', (_pk(training),), True)]
    potential = output_of(training, 'potential')
    if potential is not None:
        chain.append(Box('Potential', (_pk(potential),)))
    runs = _of(parts, EXPLORE, generation)
    if runs:
        chain.append(Box('MD', _pks(runs), True))
        chain += _result_boxes(parts, generation, runs)
    return Lineage(generation, tuple(chain), tuple(_inflow(training, labels)))


def _label_boxes(labels: list[orm.ProcessNode]) -> Iterator[Box]:
    starts = [found for label in labels if (found := input_of(label, 'structure')) is not None]
    datasets = [found for label in labels if (found := output_of(label, 'dataset')) is not None]
    if starts:
        yield Box('Structure', _pks(starts))
    if labels:
        yield Box('AIMD', _pks(labels), True)
    if datasets:
        frames = sum(dataset.base.attributes.get('n_frames', 0) for dataset in datasets)
        yield Box('Dataset', _pks(datasets), note=f'{frames} frames')


def _inflow(training: orm.ProcessNode, labels: list[orm.ProcessNode]) -> Iterator[Box]:
    own = {_pk(found) for label in labels if (found := output_of(label, 'dataset')) is not None}
    links = training.base.links.get_incoming(link_type=INPUT_LINKS).all()
    earlier = [link.node for link in links if 'datasets__' in link.link_label and _pk(link.node) not in own]
    if earlier:
        frames = sum(dataset.base.attributes.get('n_frames', 0) for dataset in earlier)
        yield Box('Earlier data', _pks(earlier), note=f'{frames} frames')
    parent = input_of(training, 'parent')
    if parent is not None:
        yield Box('Earlier potential', (_pk(parent),))


def _result_boxes(parts: Sequence[_Part], generation: int, runs: list[orm.ProcessNode]) -> Iterator[Box]:
    snapshots = _snapshots(parts, generation)
    if not snapshots:
        trajectories = [found for run in runs if (found := output_of(run, 'trajectory')) is not None]
        if trajectories:
            yield Box('Trajectory', _pks(trajectories), note='no catastrophe')
        return
    yield Box('Snapshots', _pks(snapshots), note='before $t_{cp}$')
    # After a retreat the start is a frame of the MD's whole trajectory.
    wholes = [found for run in _of(parts, EXPLORE, generation) if (found := output_of(run, 'trajectory')) is not None]
    selections = [
        link.node
        for snapshot in (*snapshots, *wholes)
        for link in snapshot.base.links.get_outgoing(link_type=LinkType.INPUT_CALC).all()
        if link.node.process_label in ('select_snapshot', 'select_replay_frames')
    ]
    chosen = [
        link.node
        for selection in selections
        for link in selection.base.links.get_outgoing(link_type=LinkType.CREATE).all()
        if isinstance(link.node, orm.StructureData | orm.TrajectoryData)
    ]
    if chosen:
        yield Box('Choice', _pks(selections), True)
        yield Box('t_next', _pks(chosen), note=f'starts generation {generation + 1}')


def _of(parts: Sequence[_Part], kind: str, generation: int) -> list[orm.ProcessNode]:
    return [child for child, call in parts if (call.kind, call.generation) == (kind, generation)]


def _snapshots(parts: Sequence[_Part], generation: int) -> list[orm.Node]:
    found = [output_of(child, 'snapshots') for child in _of(parts, EXPLORE, generation)]
    return [node for node in found if node is not None]


def _pks(nodes: Sequence[orm.Node]) -> tuple[int, ...]:
    return tuple(sorted({_pk(node) for node in nodes}))


def _pk(node: orm.Node) -> int:
    return int(node.pk or 0)
