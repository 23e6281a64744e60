"""The record of a run, read from its provenance graph.

The graph is the one place that holds for a running, a failed and a finished run alike, so everything that is shown
(the live progress, the tables, the figure) starts from the record that :func:`collect` makes of the children of the
SIS workchain. The labels of the call links carry the meaning (:mod:`aiida_sis.core.loop.call_labels`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from numpy.typing import NDArray

from aiida_sis.core.loop.call_labels import LABEL, LOOP, TRAIN, Call, read_call
from aiida_sis.run.clock import wall_time
from aiida_sis.run.loops import is_hybrid, settings_of

__all__ = (
    'GenerationRecord',
    'LabelRecord',
    'MdRecord',
    'RunRecord',
    'State',
    'TrainingRecord',
    'called',
    'collect',
    'input_of',
    'loop_of',
    'output_of',
    'parts_of',
)

FloatArray = NDArray[np.float64]
State = Literal['waiting', 'running', 'finished', 'failed']

_CALL_LINKS = (LinkType.CALL_WORK, LinkType.CALL_CALC)
#: Types of the links to the inputs of a process.
INPUT_LINKS = (LinkType.INPUT_CALC, LinkType.INPUT_WORK)


@dataclass(frozen=True)
class LabelRecord:
    """One labelled AIMD. Lengths in fs, temperatures in K, ``None`` where the graph does not say (yet)."""

    pk: int
    generation: int
    index: int
    state: State
    route: str | None = None
    aimd_fs: float | None = None
    asked_fs: float | None = None
    cut_short: bool = False
    n_frames: int | None = None
    max_temperature_k: float | None = None


@dataclass(frozen=True)
class TrainingRecord:
    """One training. Errors on held-out frames: force in eV/Å, energy in eV/atom; wall time in s."""

    pk: int
    generation: int
    state: State
    force_rmse: float | None = None
    energy_rmse: float | None = None
    n_steps: int | None = None
    seconds: float | None = None
    n_frames_total: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MdRecord:
    """One MD run with the potential of its generation. Times in ps, temperatures in K.

    ``times`` and ``temperatures`` are the series ``(n_samples,)``, empty until the run has been parsed.
    """

    pk: int
    generation: int
    stage: int
    replica: int
    state: State
    stable: bool | None = None
    length_ps: float | None = None
    length_requested_ps: float | None = None
    temperature_target_k: float | None = None
    window_k: tuple[float, float] | None = None
    t_cp_ps: float | None = None
    temperature_cp_k: float | None = None
    bound: str | None = None
    t_next_ps: float | None = None
    times: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)
    temperatures: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)


@dataclass(frozen=True)
class GenerationRecord:
    """What one generation labelled, trained and explored."""

    generation: int
    labels: tuple[LabelRecord, ...] = ()
    training: TrainingRecord | None = None
    md: tuple[MdRecord, ...] = ()

    @property
    def stages(self) -> tuple[int, ...]:
        """The stages that this generation's potential was tried in, in order."""
        return tuple(sorted({record.stage for record in self.md}))

    @property
    def n_frames(self) -> int:
        """The number of frames that this generation added to the data."""
        return sum(label.n_frames or 0 for label in self.labels)

    @property
    def stable_ps(self) -> dict[int, float]:
        """How long the MD of each replica was stable, in its longest stage, in ps."""
        lengths: dict[int, float] = {}
        for md in self.md:
            length = md.t_cp_ps if md.t_cp_ps is not None else md.length_ps
            if length is not None:
                lengths[md.replica] = max(lengths.get(md.replica, 0.0), length)
        return lengths


@dataclass(frozen=True)
class RunRecord:
    """The whole run.

    ``summary`` is the workchain's own output, empty until it has ended; ``code_seconds`` is the time in s during which
    at least one of the codes ran, known at the end; it is a lower limit where ``untimed_jobs`` did not say their end.
    """

    pk: int
    state: State
    generations: tuple[GenerationRecord, ...]
    started: datetime
    last_change: datetime
    summary: dict[str, Any] = field(default_factory=dict)
    stage_names: tuple[str, ...] = ()
    code_seconds: float | None = None
    untimed_jobs: int = 0
    is_hybrid: bool = False
    exit_status: int | None = None
    message: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether the run has not ended yet."""
        return self.state in ('waiting', 'running')

    @property
    def wall_seconds(self) -> float:
        """Seconds from the submission to the end, or until now while the run goes on."""
        end = datetime.now(timezone.utc) if self.is_running else self.last_change
        return max((end - self.started).total_seconds(), 0.0)

    @property
    def aimd_ps(self) -> float:
        """Total length of the labelled AIMD in ps, so far."""
        if 'aimd_ps' in self.summary:
            return float(self.summary['aimd_ps'])
        return sum(label.aimd_fs or 0.0 for generation in self.generations for label in generation.labels) / 1000.0

    @property
    def framework_share(self) -> float | None:
        """The part of the wall time, 0 to 1, during which no code ran; ``None`` before the end.

        With untimed jobs it is an upper limit.
        """
        if self.code_seconds is None or self.wall_seconds <= 0:
            return None
        return max(0.0, 1.0 - self.code_seconds / self.wall_seconds)

    @property
    def title(self) -> str:
        """What kind of run it is, and its PK."""
        return f'{"Hybrid" if self.is_hybrid else "SIS"} run {self.pk}'

    @property
    def ratio_of(self) -> str:
        """What its acceleration ratio is the ratio of."""
        return 'MD + AIMD over AIMD' if self.is_hybrid else 'MD / AIMD'

    @property
    def outcome(self) -> str:
        """How the run ended in the summary's words, else its state."""
        return str(self.summary.get('state') or self.summary.get('outcome') or self.state)

    def stage_name(self, stage: int) -> str:
        """Return the name of a stage, or its number where it has none."""
        return self.stage_names[stage] if stage < len(self.stage_names) else f'stage {stage}'

    @property
    def md_records(self) -> tuple[MdRecord, ...]:
        """Every MD run of every generation."""
        return tuple(record for generation in self.generations for record in generation.md)


def collect(node: orm.ProcessNode, with_series: bool = False) -> RunRecord:
    """Read the record of a run from its node, because the graph answers at any moment of the run.

    :param node: the node of a SIS or a hybrid run.
    :param with_series: also load the temperature series from the repository, which only the figure needs.
    """
    labels: dict[int, list[LabelRecord]] = {}
    trainings: dict[int, TrainingRecord] = {}
    explorations: dict[int, list[MdRecord]] = {}
    for child, call in parts_of(node):
        if call.kind == LABEL:
            labels.setdefault(call.generation, []).append(_label_record(child, call))
        elif call.kind == TRAIN:
            trainings[call.generation] = _training_record(child, call)
        else:
            explorations.setdefault(call.generation, []).append(_md_record(child, call, with_series))
    generations = tuple(
        GenerationRecord(
            generation=number,
            labels=tuple(sorted(labels.get(number, []), key=lambda label: label.index)),
            training=trainings.get(number),
            md=tuple(sorted(explorations.get(number, []), key=lambda md: (md.stage, md.replica))),
        )
        for number in sorted({*labels, *trainings, *explorations})
    )
    stages = settings_of(node).get('stages', [])
    clock = wall_time(node, (node.mtime - node.ctime).total_seconds()) if node.is_terminated else None
    return RunRecord(
        pk=_pk(node),
        state=process_state(node),
        generations=generations,
        started=node.ctime,
        last_change=node.mtime,
        summary=_dictionary(output_of(node, 'summary')),
        stage_names=tuple(str(stage.get('name', number)) for number, stage in enumerate(stages)),
        code_seconds=clock.codes if clock else None,
        untimed_jobs=clock.untimed if clock else 0,
        is_hybrid=is_hybrid(node),
        exit_status=node.exit_status,
        message=node.exit_message or (node.exception if node.is_excepted else None),
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
    """Give the labels, trainings and explorations of a run, oldest first; of a committee the first member only.

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


def _label_record(node: orm.ProcessNode, call: Call) -> LabelRecord:
    results = _dictionary(output_of(node, 'results'))
    dataset = output_of(node, 'dataset')
    n_frames = dataset.base.attributes.get('n_frames', None) if dataset is not None else None
    return LabelRecord(
        pk=_pk(node),
        generation=call.generation,
        index=call.number,
        state=process_state(node),
        route=results.get('route'),
        aimd_fs=_number(results.get('aimd_fs')),
        asked_fs=_number(results.get('asked_fs')),
        cut_short=results.get('cut_short', False),
        n_frames=n_frames,
        max_temperature_k=_number(results.get('max_temperature_k')),
    )


def _training_record(node: orm.ProcessNode, call: Call) -> TrainingRecord:
    results = _dictionary(output_of(node, 'results'))
    n_frames = [
        link.node.base.attributes.get('n_frames', 0)
        for link in node.base.links.get_incoming(link_type=INPUT_LINKS).all()
        if 'datasets__' in link.link_label
    ]
    return TrainingRecord(
        pk=_pk(node),
        generation=call.generation,
        state=process_state(node),
        force_rmse=_number(results.get('force_rmse_ev_per_angstrom')),
        energy_rmse=_number(results.get('energy_rmse_ev_per_atom')),
        n_steps=results.get('n_steps'),
        seconds=_number(results.get('wall_seconds')),
        n_frames_total=sum(n_frames) if n_frames else None,
        warnings=tuple(str(warning) for warning in results.get('warnings') or ()),
    )


def _md_record(node: orm.ProcessNode, call: Call, with_series: bool) -> MdRecord:
    parameters = _dictionary(input_of(node, 'parameters'))
    results = _dictionary(output_of(node, 'results'))
    catastrophe = results.get('catastrophe') or {}
    t_next = results.get('t_next') or {}
    window = parameters.get('window_k')
    times, temperatures = _series(output_of(node, 'series')) if with_series else (np.empty(0), np.empty(0))
    return MdRecord(
        pk=_pk(node),
        generation=call.generation,
        stage=call.stage or 0,
        replica=call.number,
        state=process_state(node),
        stable=results.get('stable'),
        length_ps=_number(results.get('length_ps_reached')),
        length_requested_ps=_number(parameters.get('length_ps', results.get('length_ps_requested'))),
        temperature_target_k=_number(parameters.get('temperature_k')),
        window_k=(float(window[0]), float(window[1])) if window else None,
        t_cp_ps=_number(catastrophe.get('time_ps')),
        temperature_cp_k=_number(catastrophe.get('temperature_k')),
        bound=catastrophe.get('bound'),
        t_next_ps=_number(t_next.get('time_ps')),
        times=times,
        temperatures=temperatures,
    )


def _series(node: orm.Node | None) -> tuple[FloatArray, FloatArray]:
    """Return times (n_samples,) in ps and temperatures (n_samples,) in K of a series node."""
    if not isinstance(node, orm.ArrayData):
        return np.empty(0), np.empty(0)
    times = np.asarray(node.get_array('time_ps'), dtype=float)
    temperatures = np.asarray(node.get_array('temperature'), dtype=float)
    return times, temperatures


def _dictionary(node: orm.Node | None) -> dict[str, Any]:
    if not isinstance(node, orm.Dict):
        return {}
    content: Mapping[str, Any] = node.get_dict()
    return dict(content)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _pk(node: orm.Node) -> int:
    return int(node.pk or 0)
