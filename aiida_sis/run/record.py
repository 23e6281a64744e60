"""The record of a run, read from its provenance graph.

The graph is the one place that holds for a running, a failed and a finished run alike, so everything that is shown
(the live progress, the tables, the figure) starts from the record that :func:`collect` makes of the children of the
SIS workchain. The labels of the call links carry the meaning (:mod:`aiida_sis.core.loop.call_labels`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.core.indicator import TemperatureSeries
from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, LADDER, LOOP, TRAIN, VERDICT, VERIFY, Call, read_call
from aiida_sis.core.loop.record import (
    Generation,
    Label,
    Ladder,
    Md,
    MdResults,
    Run,
    State,
    Training,
    Verification,
)
from aiida_sis.run.clock import wall_time
from aiida_sis.run.graph import EXPLORE as EXPLORE_TYPE
from aiida_sis.run.graph import REPLAY
from aiida_sis.run.loops import is_hybrid, settings_of

__all__ = (
    'called',
    'collect',
    'dictionary',
    'input_of',
    'label_kind',
    'loop_of',
    'output_of',
    'parts_of',
    'read_md',
    'results_of',
)

_CALL_LINKS = (LinkType.CALL_WORK, LinkType.CALL_CALC)
#: Types of the links to the inputs of a process.
INPUT_LINKS = (LinkType.INPUT_CALC, LinkType.INPUT_WORK)


def collect(node: orm.ProcessNode, with_series: bool = False) -> Run:
    """Read the record of a run from its node, because the graph answers at any moment of the run.

    :param node: the node of a SIS or a hybrid run.
    :param with_series: also load the temperature series from the repository, which only the figure needs.
    """
    parts: dict[int, list[tuple[orm.ProcessNode, Call]]] = {}
    for child, call in parts_of(node):
        parts.setdefault(call.generation, []).append((child, call))
    generations = _with_measured([_generation(number, parts[number], with_series) for number in sorted(parts)])
    settings, summary = settings_of(node), dictionary(output_of(node, 'summary'))
    clock = wall_time(node, (node.mtime - node.ctime).total_seconds()) if node.is_terminated else None
    state = process_state(node)
    end = node.mtime if node.is_terminated else datetime.now(timezone.utc)
    aimd_fs = sum(label.aimd_fs or 0.0 for generation in generations for label in generation.labels)
    return Run(
        pk=_pk(node),
        uuid=str(node.uuid),
        label=node.label,
        state=state,
        outcome=str(summary.get('state') or summary.get('outcome') or state),
        exit_status=node.exit_status,
        message=node.exit_message or (node.exception if node.is_excepted else 'killed' if node.is_killed else None),
        started=node.ctime,
        wall_seconds=max((end - node.ctime).total_seconds(), 0.0),
        generation=generations[-1].generation if generations else None,
        max_generations=settings.get('max_generations'),
        aimd_ps=summary.get('aimd_ps', aimd_fs / 1000.0),
        md_ps=summary.get('md_ps'),
        acceleration_ratio=summary.get('acceleration_ratio'),
        generations=generations,
        stages=tuple(settings.get('stages', ())),
        summary=summary,
        code_seconds=clock.codes if clock else None,
        untimed_jobs=clock.untimed if clock else 0,
        is_hybrid=is_hybrid(node),
    )


def called(node: orm.Node) -> list[tuple[orm.ProcessNode, str]]:
    """Return the processes that ``node`` called with their call link labels, oldest first.

    Their age is that of the node, not its PK: an import deals out PKs anew.

    :param node: the node of a workflow.
    """
    links = node.base.links.get_outgoing(link_type=_CALL_LINKS).all()
    found = [(link.node, link.link_label) for link in links if isinstance(link.node, orm.ProcessNode)]
    return sorted(found, key=lambda item: (item[0].ctime, _pk(item[0])))


def parts_of(node: orm.ProcessNode) -> Iterator[tuple[orm.ProcessNode, Call]]:
    """Give the parts of a run, oldest first; of a committee the first member only.

    :param node: the node of a ``SisWorkChain``.
    """
    for child, label in called(node):
        call = read_call(label)
        if call is not None and (call.kind != TRAIN or call.number == 0):
            yield child, call


def loop_of(node: orm.ProcessNode) -> orm.ProcessNode:
    """Give the SIS run inside a run that contains one, such as a rehearsal; else the run itself.

    :param node: the node of a run.
    """
    return next((child for child, label in called(node) if label == LOOP), node)


def label_kind(node: orm.ProcessNode) -> str:
    """Say how a label gets its frames: ``AIMD``, ``ladder`` or ``single points``.

    :param node: the node of the label.
    """
    if node.process_type != REPLAY:
        return 'AIMD'
    frames = input_of(node, 'frames')
    maker = frames.creator if frames is not None else None
    return 'ladder' if maker is not None and maker.process_label == 'select_rungs' else 'single points'


def process_state(node: orm.ProcessNode) -> State:
    """Put AiiDA's process state into one of four words: waiting, running, finished, failed.

    :param node: the node of any process.
    """
    if node.is_finished_ok:
        return 'finished'
    if node.is_terminated:
        return 'failed'
    value = node.process_state.value if node.process_state else 'created'
    return 'waiting' if value == 'created' else 'running'


def output_of(node: orm.ProcessNode, name: str) -> orm.Node | None:
    """Return an output of a workchain, or of the last job it called where the workchain has not passed it on.

    :param node: the process node.
    :param name: the output's port name, at any depth of namespaces.
    """
    links = node.base.links.get_outgoing(link_type=(LinkType.CREATE, LinkType.RETURN)).all()
    for link in links:
        if link.link_label == name or link.link_label.endswith(f'__{name}'):
            found: orm.Node = link.node
            return found
    for child, _ in reversed(called(node)):
        if isinstance(child, orm.CalcJobNode):
            return output_of(child, name)
    return None


def input_of(node: orm.ProcessNode, name: str) -> orm.Node | None:
    """Return an input of a process by the last part of its port name, such as ``md.parameters`` for ``parameters``.

    :param node: the process node.
    :param name: the input's port name, at any depth of namespaces.
    """
    links = node.base.links.get_incoming(link_type=INPUT_LINKS).all()
    matches = [link for link in links if link.link_label == name or link.link_label.endswith(f'__{name}')]
    if not matches:
        return None
    nearest: orm.Node = min(matches, key=lambda link: link.link_label.count('__')).node
    return nearest


def dictionary(node: orm.Node | None) -> dict[str, Any]:
    """Return the content of a dictionary node, nothing of any other.

    :param node: the node, where there is one.
    """
    return dict(node.get_dict()) if isinstance(node, orm.Dict) else {}


def results_of(node: orm.ProcessNode) -> dict[str, Any]:
    """Return the results of a part of a run, for one of the models of :mod:`aiida_sis.core.loop.record`.

    :param node: its node, in any state.
    """
    return dictionary(output_of(node, 'results'))


def read_md(node: orm.ProcessNode, call: Call, with_series: bool = False) -> Md:
    """Read the record of an MD.

    :param node: the node of an ``ExploreWorkChain``.
    :param call: which part of the run it was.
    :param with_series: also load its temperature series from the repository.
    """
    parameters = dictionary(input_of(node, 'parameters'))
    results = MdResults.model_validate(results_of(node))
    series = output_of(node, 'series') if with_series else None
    own: dict[str, Any] = {}
    if isinstance(series, orm.ArrayData):
        own['series'] = TemperatureSeries.from_values(series.get_array('time_ps'), series.get_array('temperature'))
    return Md(
        pk=_pk(node),
        generation=call.generation,
        stage=call.stage or 0,
        replica=call.number,
        state=process_state(node),
        length_ps_requested=parameters.get('length_ps', results.length_ps_requested),
        temperature_target_k=parameters.get('temperature_k'),
        window_k=parameters.get('window_k'),
        **own,
        **results.outcome,
    )


def _generation(number: int, parts: list[tuple[orm.ProcessNode, Call]], with_series: bool) -> Generation:
    """What one generation did, from its parts."""

    def of(kind: str) -> list[tuple[orm.ProcessNode, Call]]:
        found = [part for part in parts if part[1].kind == kind]
        return sorted(found, key=lambda part: (part[1].stage or 0, part[1].number))

    trainings = [_training(child) for child, _ in of(TRAIN)]
    verdicts = [results for child, _ in of(VERDICT) if (results := results_of(child))]
    md = [read_md(child, call, with_series) for child, call in of(EXPLORE)]
    return Generation(
        generation=number,
        labels=tuple(_label(child, call) for child, call in of(LABEL)),
        training=trainings[-1] if trainings else None,
        md=tuple(md),
        ladders=tuple(ladder for child, call in of(LADDER) if (ladder := _ladder(child, call)) is not None),
        stable_labels=tuple(_label(child, call) for child, call in of(VERIFY)),
        verification=Verification.model_validate(verdicts[-1]) if verdicts else None,
    )


def _with_measured(generations: list[Generation]) -> tuple[Generation, ...]:
    """Let t_next of an MD with a ladder be the one that was measured, rather than that of the rule."""
    measured = {ladder.md: ladder.t_next_ps for generation in generations for ladder in generation.ladders}

    def mend(md: Md) -> Md:
        return md.model_copy(update={'t_next_ps': measured[md.pk]}) if md.pk in measured else md

    return tuple(one.model_copy(update={'md': tuple(mend(md) for md in one.md)}) for one in generations)


def _ladder(node: orm.ProcessNode, call: Call) -> Ladder | None:
    """What a ladder came to, and the MD that it leads back along; nothing where it gave no result."""
    found = dictionary(output_of(node, 'result'))
    failed = input_of(node, 'results')
    links = [] if failed is None else failed.base.links.get_incoming(link_type=LinkType.RETURN).all()
    explored = [_pk(link.node) for link in links if link.node.process_type == EXPLORE_TYPE]
    return Ladder.model_validate(found | {'index': call.number, 'md': min(explored, default=None)}) if found else None


def _label(node: orm.ProcessNode, call: Call) -> Label:
    dataset = output_of(node, 'dataset')
    kept = {} if dataset is None else {'n_frames': dataset.base.attributes.get('n_frames', None)}
    own = {'pk': _pk(node), 'index': call.number, 'stage': call.stage, 'state': process_state(node)}
    return Label.model_validate(results_of(node) | kept | own)


def _training(node: orm.ProcessNode) -> Training:
    n_frames = [
        link.node.base.attributes.get('n_frames', 0)
        for link in node.base.links.get_incoming(link_type=INPUT_LINKS).all()
        if 'datasets__' in link.link_label
    ]
    own = {'pk': _pk(node), 'state': process_state(node), 'n_frames_total': sum(n_frames) if n_frames else None}
    return Training.model_validate(results_of(node) | own)


def _pk(node: orm.Node) -> int:
    return int(node.pk or 0)
