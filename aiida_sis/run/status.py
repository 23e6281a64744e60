"""The state of a run under keys that stay: what ``aiida-sis status --json`` prints and ``aiida-sis watch`` shows.

Times are in fs or ps, temperatures in K, energies in eV, forces in eV/Å, as the keys say. A key whose value is not
known (yet) is there with ``null``. Keys may be added within :data:`SCHEMA_VERSION`; none is renamed or removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aiida import orm
from pydantic import BaseModel, ConfigDict

from aiida_sis.command_lines import verdi
from aiida_sis.run.job_readings import JobReading
from aiida_sis.run.loops import settings_of
from aiida_sis.run.record import (
    GenerationRecord,
    LabelRecord,
    MdRecord,
    RunRecord,
    State,
    TrainingRecord,
    collect,
    loop_of,
)
from aiida_sis.run.running_jobs import LiveReader, daemon_problem

__all__ = (
    'SCHEMA_VERSION',
    'GenerationStatus',
    'JobStatus',
    'LabelStatus',
    'MdStatus',
    'RunStatus',
    'StageStatus',
    'TrainingStatus',
    'current_status',
    'run_status',
)

SCHEMA_VERSION = 1


class _Keys(BaseModel):
    model_config = ConfigDict(frozen=True, extra='forbid', use_attribute_docstrings=True)


class StageStatus(_Keys):
    """The stage that the MD has to pass now; at the end, the last one that it tried."""

    index: int
    """Number of the stage, from 0."""
    n_stages: int
    """How many there are."""
    name: str
    """Its name."""
    window_k: tuple[float, float]
    """Lower and upper edge of the window in K."""
    length_ps: float
    """Length in ps that every replica must survive."""


class JobStatus(_Keys):
    """One part of the run that has not ended: an AIMD, a training, an MD."""

    what: str
    """What it does, in words."""
    generation: int
    """Its generation."""
    system: str | None
    """The system it belongs to; ``null`` for a training."""
    pk: int | None
    """The calculation job; ``null`` where there is none yet."""
    state: str
    """``starting``, ``sending files``, ``submitting``, ``queued``, ``running``, ``fetching results``, …"""
    done: float | None
    """How much is done, in ``unit``."""
    total: float | None
    """How much there is to do."""
    unit: str | None
    """``fs`` for AIMD, ``steps`` for training, ``ps`` for MD."""
    temperature_k: float | None
    """The temperature now in K."""
    temperatures_k: tuple[float, ...]
    """The latest temperatures in K, at most 48; ``null`` where one is no number."""
    window_k: tuple[float, float] | None
    """The window of an MD in K."""
    detail: str | None
    """What else is worth a glance, in words."""
    waits_for: str | None
    """What holds it up, with the remedy, in one sentence."""


class LabelStatus(_Keys):
    """One labelled AIMD."""

    pk: int
    """The label workchain."""
    index: int
    """Its number in the generation."""
    state: State
    """How far it is."""
    route: str | None
    """``direct``, or ``fallback`` where the snapshot had to be optimised first."""
    aimd_fs: float | None
    """Length of the AIMD in fs."""
    asked_fs: float | None
    """Length that was asked for in fs; ``null`` for a replay."""
    cut_short: bool
    """Whether the time of the job was up before the AIMD had that length."""
    n_frames: int | None
    """Frames that were kept."""
    max_temperature_k: float | None
    """The highest temperature in K."""


class TrainingStatus(_Keys):
    """One training."""

    pk: int
    """The training workchain."""
    state: State
    """How far it is."""
    n_frames_total: int | None
    """Frames in all its data."""
    force_rmse_ev_per_angstrom: float | None
    """Force error on held-out frames in eV/Å."""
    energy_rmse_ev_per_atom: float | None
    """Energy error on held-out frames in eV/atom."""
    n_steps: int | None
    """Training steps."""
    seconds: float | None
    """Wall time in s."""
    warnings: tuple[str, ...]
    """What DeePMD-kit and the reading of its output warned of, such as a ``sel`` that is too small."""


class MdStatus(_Keys):
    """One MD run of one replica in one stage."""

    pk: int
    """The exploration workchain."""
    stage: int
    """Number of the stage."""
    replica: int
    """Number of the replica."""
    state: State
    """How far it is."""
    stable: bool | None
    """Whether it reached its length inside the window."""
    length_ps: float | None
    """Length reached in ps."""
    t_cp_ps: float | None
    """The catastrophic point in ps."""
    temperature_cp_k: float | None
    """The temperature there in K; ``null`` also where it is no number."""
    bound: str | None
    """What was crossed: ``low``, ``high``, ``crash``, ``lost_atoms``, ``non_finite``."""
    t_next_ps: float | None
    """The snapshot that starts the next AIMD, in ps."""


class GenerationStatus(_Keys):
    """What one generation labelled, trained and explored."""

    generation: int
    """Its number, from 0."""
    labels: tuple[LabelStatus, ...]
    """Its AIMD."""
    training: TrainingStatus | None
    """Its training."""
    md: tuple[MdStatus, ...]
    """Its MD runs."""


class RunStatus(_Keys):
    """A run of stability-indicated sampling, running, failed or finished."""

    schema_version: int
    """Version of these keys."""
    pk: int
    """The SIS workchain."""
    uuid: str
    """Its UUID, the same in every database."""
    label: str
    """Its label, empty if it has none."""
    state: State
    """``waiting`` or ``running``; ``finished`` if it ended stable, else ``failed``."""
    outcome: str
    """How it ended in the words of its summary, else its state."""
    exit_status: int | None
    """Exit code of the workchain."""
    message: str | None
    """What it says about its end, if that was not the stable one."""
    started: datetime
    """When it was submitted, ISO 8601."""
    wall_seconds: float
    """From then to its end, or until now, in s."""
    generation: int | None
    """The generation it is in, or ended in; ``null`` before the first."""
    max_generations: int | None
    """The last generation that is allowed."""
    stage: StageStatus | None
    """The stage it is in."""
    aimd_ps: float
    """AIMD labelled so far, in ps."""
    md_ps: float | None
    """Stable MD in ps, known at the end."""
    acceleration_ratio: float | None
    """``md_ps / aimd_ps``, known at the end."""
    jobs: tuple[JobStatus, ...]
    """What runs now; empty at the end."""
    waits_for: tuple[str, ...]
    """What holds the run up, each with its remedy, in one sentence; empty while it advances."""
    generations: tuple[GenerationStatus, ...]
    """All generations, oldest first."""


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


def run_status(node: orm.ProcessNode, record: RunRecord, readings: Sequence[JobReading] = ()) -> RunStatus:
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
    settings = settings_of(node)
    return RunStatus(
        schema_version=SCHEMA_VERSION,
        pk=record.pk,
        uuid=str(node.uuid),
        label=node.label,
        state=record.state,
        outcome=record.outcome,
        exit_status=record.exit_status,
        message=record.message,
        started=record.started,
        wall_seconds=record.wall_seconds,
        generation=record.generations[-1].generation if record.generations else None,
        max_generations=settings.get('max_generations'),
        stage=_stage(record, settings.get('stages', [])),
        aimd_ps=record.aimd_ps,
        md_ps=record.summary.get('md_ps'),
        acceleration_ratio=record.summary.get('acceleration_ratio'),
        jobs=tuple(_job(reading) for reading in readings),
        waits_for=tuple(dict.fromkeys(waits)),
        generations=tuple(_generation(generation) for generation in record.generations),
    )


def _stage(record: RunRecord, stages: list[dict[str, Any]]) -> StageStatus | None:
    """Find the stage of the newest MD, or the one after it where every replica of that was stable."""
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
        window_k=stage['window_k'],
        length_ps=stage['length_ps'],
    )


def _job(reading: JobReading) -> JobStatus:
    return JobStatus(
        what=reading.what,
        generation=reading.generation,
        system=reading.system or None,
        pk=reading.pk,
        state=reading.state,
        done=reading.done if reading.unit else None,
        total=reading.total,
        unit=reading.unit or None,
        temperature_k=None if reading.temperature_k is None else round(reading.temperature_k, 2),
        temperatures_k=tuple(round(temperature, 2) for temperature in reading.temperatures_k),
        window_k=reading.window_k,
        detail=reading.detail or None,
        waits_for=reading.waits_for or None,
    )


def _generation(record: GenerationRecord) -> GenerationStatus:
    return GenerationStatus(
        generation=record.generation,
        labels=tuple(_label(label) for label in record.labels),
        training=_training(record.training) if record.training is not None else None,
        md=tuple(_md(md) for md in record.md),
    )


def _label(record: LabelRecord) -> LabelStatus:
    return LabelStatus.model_validate({key: getattr(record, key) for key in LabelStatus.model_fields})


def _training(record: TrainingRecord) -> TrainingStatus:
    return TrainingStatus(
        pk=record.pk,
        state=record.state,
        n_frames_total=record.n_frames_total,
        force_rmse_ev_per_angstrom=record.force_rmse,
        energy_rmse_ev_per_atom=record.energy_rmse,
        n_steps=record.n_steps,
        seconds=record.seconds,
        warnings=record.warnings,
    )


def _md(record: MdRecord) -> MdStatus:
    return MdStatus.model_validate({key: getattr(record, key) for key in MdStatus.model_fields})
