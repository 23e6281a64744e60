"""The record of a run: one shape for what a label, a training and an MD gave, for a generation and for the run.

The parsers write these models into the nodes `results`; the loop, the status, the report and the queries read them from
there. What is not known (yet) is ``None``, so a running or a failed part has a record too. The fields of
:class:`Label`, :class:`Training`, :class:`Md`, :class:`Generation` and :class:`Run` are the keys of
``aiida-sis status --json``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, Field, InstanceOf
from pydantic.json_schema import SkipJsonSchema

from aiida_sis.core.indicator import Bound, Catastrophe, TemperatureSeries
from aiida_sis.core.loop.record_single_points import Ladder, Record, Verification
from aiida_sis.core.single_points import Rung

__all__ = (
    'Catastrophe',
    'Generation',
    'Label',
    'LabelResults',
    'Ladder',
    'Md',
    'MdResults',
    'NextStart',
    'Record',
    'Run',
    'Rung',
    'State',
    'Training',
    'TrainingResults',
    'Verification',
)

_NO_SERIES = TemperatureSeries.from_values((), ())
State = Literal['waiting', 'running', 'finished', 'failed']


# ------------------------------------------------------------------------------------------------ what the parts gave


class NextStart(Record):
    """Where to go back to from a catastrophe: the snapshot at t_next."""

    time_ps: float
    """Its time in ps."""
    requested_time_ps: float | None = None
    """The time that the rule chose, in ps; the snapshot is the last one before it."""
    snapshot_index: int | None = None
    """Its number among the snapshots, from 0."""
    rule: str | None = None
    """The rule that chose it."""


class MdResults(Record):
    """The results of an MD, as its parser writes them."""

    stable: bool | None = None
    """Whether it reached its length inside the window."""
    length_ps_requested: float | None = None
    """Length that was asked for in ps."""
    length_ps_reached: float | None = None
    """Length reached in ps."""
    catastrophe: Catastrophe | None = None
    """Where it left its window."""
    t_next: NextStart | None = None
    """Where to go back to from there."""
    steps_past_t_cp: int | None = None
    """Steps that it ran after the catastrophe."""
    n_steps_run: int | None = None
    """Steps in all."""
    steps_per_second: float | None = None
    """Pace of LAMMPS."""
    wall_seconds: float | None = None
    """Wall time of LAMMPS in s."""
    lammps_version: str | None = None
    """Version of LAMMPS."""
    symptoms: dict[str, float | None] | None = None
    """What else the log tells of its health."""
    lammps_error: str | None = None
    """The error that LAMMPS ended with."""
    warnings: tuple[str, ...] = ()
    """What the reading of its files warned of."""
    deviation: dict[str, Any] | None = None
    """How many frames a committee knew: ``n_accurate``, ``n_candidate``, ``n_failed``, and the largest deviation."""

    @property
    def points(self) -> dict[str, Any]:
        """The catastrophe and t_next under the keys of :class:`Md`."""
        point, start = self.catastrophe, self.t_next
        return {
            't_cp_ps': point and point.time_ps,
            'temperature_cp_k': point and point.temperature_k,
            'bound': point and point.bound,
            'pair_cp': point and point.pair,
            'distance_cp_angstrom': point and point.distance_angstrom,
            't_next_ps': start and start.time_ps,
        }

    @property
    def outcome(self) -> dict[str, Any]:
        """What became of the MD under the keys of :class:`Md`."""
        known = {'stable': self.stable, 'length_ps': self.length_ps_reached, 'steps_past_t_cp': self.steps_past_t_cp}
        return known | self.points


class LabelResults(Record):
    """The results of a label: an AIMD, or single points on the frames of an MD."""

    route: str | None = None
    """``direct``, ``optimised_first``, ``replay``, or ``fallback`` where the snapshot had to be optimised first."""
    aimd_fs: float | None = None
    """Length of the AIMD in fs."""
    asked_fs: float | None = None
    """Length that was asked for in fs; ``null`` for a replay."""
    cut_short: bool = False
    """Whether the time of the job was up before the AIMD had that length."""
    max_temperature_k: float | None = None
    """The highest temperature in K."""
    possible_exotherm: bool | None = None
    """Whether it heated although it began from an optimised structure."""
    n_frames: int | None = Field(None, validation_alias=AliasChoices('n_frames', 'kept_frames'))
    """Frames that were kept (``kept_frames`` in the node)."""
    n_single_points: int | None = None
    """Frames that were labelled by single points."""
    timestep_fs: SkipJsonSchema[float | None] = Field(None, exclude=True)
    """Timestep of an AIMD at this level in fs, which is what a single point counts in the labelled time."""
    aimds: SkipJsonSchema[tuple[dict[str, Any], ...]] = Field((), exclude=True)
    """The verdict on each AIMD, see :class:`aiida_sis.core.cp2k.verdict.AimdVerdict`."""


class TrainingResults(Record):
    """The results of a training that its readers need; aiida-deepmd writes them. Errors are on held-out frames."""

    force_rmse_ev_per_angstrom: float | None = None
    """Force error on held-out frames in eV/Å."""
    energy_rmse_ev_per_atom: float | None = None
    """Energy error on held-out frames in eV/atom."""
    n_steps: int | None = None
    """Training steps."""
    seconds: float | None = Field(None, validation_alias=AliasChoices('seconds', 'wall_seconds'))
    """Wall time in s (``wall_seconds`` in the node)."""
    warnings: tuple[str, ...] = ()
    """What DeePMD-kit and the reading of its output warned of, such as a ``sel`` that is too small."""
    per_element: dict[str, float | None] | None = None
    """Force error of each element in eV/Å."""
    per_dataset: dict[str, dict[str, Any]] | None = None
    """Errors of each dataset under these keys."""
    n_train_frames: int | None = None
    """Frames that it learnt from."""
    n_test_frames: int | None = None
    """Frames that were held out."""
    test_force_rms_ev_per_angstrom: float | None = None
    """RMS of the forces of the frames that were held out, in eV/Å."""
    deepmd_version: str | None = None
    """Version of DeePMD-kit."""


# ------------------------------------------------------------------------------------------------ the parts of a run


class Label(LabelResults):
    """One labelled AIMD."""

    pk: int
    """The label workchain."""
    index: int
    """Its number in the generation; of frames of a stable MD the number of the replica."""
    stage: int | None = None
    """The stage of the stable MD whose frames it labels."""
    state: State
    """How far it is."""


class Training(TrainingResults):
    """One training."""

    pk: int
    """The training workchain."""
    state: State
    """How far it is."""
    n_frames_total: int | None = None
    """Frames in all its data."""


class Md(Record):
    """One MD run of one replica in one stage."""

    pk: int
    """The exploration workchain."""
    generation: int
    """The generation of its potential."""
    stage: int
    """Number of the stage."""
    replica: int
    """Number of the replica."""
    state: State
    """How far it is."""
    stable: bool | None = None
    """Whether it reached its length inside the window."""
    length_ps: float | None = None
    """Length reached in ps."""
    length_ps_requested: float | None = None
    """Length that was asked for in ps."""
    temperature_target_k: float | None = None
    """The temperature that its thermostat holds, in K."""
    window_k: tuple[float, float] | None = None
    """Lower and upper edge of its window in K."""
    t_cp_ps: float | None = None
    """The catastrophic point in ps."""
    temperature_cp_k: float | None = None
    """The temperature there in K; ``null`` also where it is no number."""
    bound: Bound | None = None
    """What was crossed: ``low``, ``high``, ``crash``, ``lost_atoms``, ``non_finite``, ``distance``."""
    pair_cp: str | None = None
    """Elements of the two atoms that came too near, where the bound is ``distance``."""
    distance_cp_angstrom: float | None = None
    """Their distance in Å."""
    t_next_ps: float | None = None
    """The snapshot that starts the next AIMD, in ps."""
    steps_past_t_cp: int | None = None
    """Steps that it ran after the catastrophic point."""
    series: SkipJsonSchema[InstanceOf[TemperatureSeries]] = Field(_NO_SERIES, exclude=True, repr=False)
    """Its temperature over time, empty unless it was asked for."""


class Generation(Record):
    """What one generation labelled, trained and explored."""

    generation: int
    """Its number, from 0."""
    labels: tuple[Label, ...] = ()
    """Its AIMD."""
    training: Training | None = None
    """Its training."""
    md: tuple[Md, ...] = ()
    """Its MD runs."""
    ladders: tuple[Ladder, ...] = ()
    """The ladders that were labelled at its begin, of the catastrophes of the generation before."""
    stable_labels: tuple[Label, ...] = ()
    """Labels of frames of its stable MD."""
    verification: Verification | None = None
    """What they say of the error along it."""

    @property
    def force_rmse_ev_per_angstrom(self) -> float | None:
        """The force error of its potential in eV/Å."""
        return None if self.training is None else self.training.force_rmse_ev_per_angstrom

    @property
    def stages(self) -> tuple[int, ...]:
        """The stages that this generation's potential was tried in, in order."""
        return tuple(sorted({md.stage for md in self.md}))

    @property
    def n_frames(self) -> int:
        """The number of frames that this generation added to the data before its training."""
        return sum(label.n_frames or 0 for label in self.labels)

    @property
    def n_stable_frames(self) -> int:
        """The number of frames of its stable MD that were labelled."""
        return sum(label.n_frames or 0 for label in self.stable_labels)

    @property
    def stable_ps(self) -> dict[int, float]:
        """How long the MD of each replica was stable, in its longest stage, in ps."""
        lengths: dict[int, float] = {}
        for md in self.md:
            length = md.t_cp_ps if md.t_cp_ps is not None else md.length_ps
            if length is not None:
                lengths[md.replica] = max(lengths.get(md.replica, 0.0), length)
        return lengths


class Run(Record):
    """A run, SIS or hybrid, at the moment of reading: running, failed or finished.

    A cycle of a hybrid run is a generation with one system and one stage.
    """

    pk: int
    """The workchain of the run."""
    uuid: str
    """Its UUID, the same in every database."""
    label: str
    """Its label, empty if it has none."""
    state: State
    """``waiting`` or ``running``; ``finished`` if it ended stable, or after the last cycle of a
    hybrid run; else ``failed``."""
    outcome: str
    """How it ended in the words of its summary, else its state."""
    exit_status: int | None = None
    """Exit code of the workchain."""
    message: str | None = None
    """What it says about its end, if it failed."""
    started: datetime
    """When it was submitted, ISO 8601."""
    wall_seconds: float
    """From then to its end, or until now, in s."""
    generation: int | None = None
    """The generation it is in, or ended in; ``null`` before the first."""
    max_generations: int | None = None
    """The last generation that is allowed."""
    aimd_ps: float
    """AIMD labelled so far, in ps."""
    md_ps: float | None = None
    """Stable MD in ps, of a hybrid run all MD that counts; known at the end."""
    acceleration_ratio: float | None = None
    """``md_ps / aimd_ps``, of a hybrid run ``(md_ps + aimd_ps) / aimd_ps``; known at the end."""
    generations: tuple[Generation, ...] = ()
    """All generations, oldest first."""
    stages: SkipJsonSchema[tuple[dict[str, Any], ...]] = Field((), exclude=True)
    """The stages as they were asked for, see :class:`aiida_sis.core.settings.sis.Stage`."""
    summary: SkipJsonSchema[dict[str, Any]] = Field(default_factory=dict, exclude=True)
    """Its output `summary`, empty until it has ended."""
    code_seconds: SkipJsonSchema[float | None] = Field(None, exclude=True)
    """Time in s during which at least one of the codes ran, known at the end."""
    untimed_jobs: SkipJsonSchema[int] = Field(0, exclude=True)
    """Jobs that did not say their end: then ``code_seconds`` is a lower limit."""

    is_hybrid: SkipJsonSchema[bool] = Field(False, exclude=True)
    """Whether AIMD and MD alternate along one trajectory."""

    @property
    def title(self) -> str:
        """What kind of run it is, and its PK."""
        return f'{"Hybrid" if self.is_hybrid else "SIS"} run {self.pk}'

    @property
    def ratio_of(self) -> str:
        """What its acceleration ratio is the ratio of."""
        return 'MD + AIMD over AIMD' if self.is_hybrid else 'stable MD over labelled time'

    @property
    def n_single_points(self) -> int:
        """Frames that were labelled by single points, those of stable MD included."""
        labels = [label for one in self.generations for label in (*one.labels, *one.stable_labels)]
        return sum(label.n_single_points or 0 for label in labels)

    @property
    def labelled(self) -> str:
        """What the teacher labelled: the length of AIMD, and single points where there are any."""
        points = f' and {self.n_single_points} single points' if self.n_single_points else ''
        return f'{self.aimd_ps:.3g} ps of AIMD{points}'

    @property
    def is_running(self) -> bool:
        """Whether the run has not ended yet."""
        return self.state in ('waiting', 'running')

    @property
    def framework_share(self) -> float | None:
        """The part of the wall time, 0 to 1, during which no code ran; ``None`` before the end.

        With untimed jobs it is an upper limit.
        """
        if self.code_seconds is None or self.wall_seconds <= 0:
            return None
        return max(0.0, 1.0 - self.code_seconds / self.wall_seconds)

    def stage_name(self, stage: int) -> str:
        """Return the name of a stage, or its number where it has none.

        :param stage: the number of the stage, from 0.
        """
        return str(self.stages[stage].get('name', stage)) if stage < len(self.stages) else f'stage {stage}'

    def stage_window(self, stage: int) -> tuple[float, float] | None:
        """Return the temperatures in K that the MD runs of a stage may have, of several windows the widest span.

        :param stage: the number of the stage, from 0.
        """
        windows = [md.window_k for md in self.all_md if md.stage == stage and md.window_k is not None]
        if not windows and stage < len(self.stages):
            asked = self.stages[stage].get('window_k')
            windows = [] if asked is None or isinstance(asked, str) else [(asked[0], asked[1])]
        return (min(low for low, _ in windows), max(high for _, high in windows)) if windows else None

    @property
    def all_md(self) -> tuple[Md, ...]:
        """Every MD run of every generation."""
        return tuple(md for generation in self.generations for md in generation.md)
