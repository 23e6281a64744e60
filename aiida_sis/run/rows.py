"""The rows that the queries give: one dataclass for each question, units in the names of the fields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, get_type_hints

__all__ = (
    'CatastropheRow',
    'Column',
    'CostRow',
    'FramesRow',
    'ModelRow',
    'NodeRef',
    'OriginRow',
    'Row',
    'RunRow',
    'UseRow',
)


@dataclass(frozen=True, order=True)
class NodeRef:
    """A node: its PK in this profile, and the UUID that it has in every profile."""

    pk: int
    uuid: str

    def __str__(self) -> str:
        """Its PK, as the tables show it."""
        return str(self.pk)


@dataclass(frozen=True)
class Column:
    """How a table shows a field of a row; CSV and JSON have every field in full.

    :param title: heading; a line break in it is one there.
    :param digits: digits after the decimal point.
    :param table: whether a table has it.
    """

    title: str
    digits: int | None = None
    table: bool = True


class Row:
    """What every row can do; the rows are frozen dataclasses whose fields are annotated with their columns."""

    @classmethod
    def columns(cls) -> dict[str, Column]:
        """Give the columns by the names of the fields, in order."""
        hints = get_type_hints(cls, include_extras=True)
        return {name: hint.__metadata__[0] for name, hint in hints.items()}

    def values(self) -> dict[str, Any]:
        """Give the values by the names of the fields, in order."""
        return {name: getattr(self, name) for name in self.columns()}


@dataclass(frozen=True)
class RunRow(Row):
    """A run and how it ended. ``None`` where the run has not said (yet)."""

    run: Annotated[NodeRef, Column('Run')]
    label: Annotated[str, Column('Label', table=False)]
    created: Annotated[datetime, Column('Submitted')]
    state: Annotated[str, Column('State')]
    exit_status: Annotated[int | None, Column('Exit\nstatus', table=False)]
    outcome: Annotated[str | None, Column('Outcome')]
    systems: Annotated[tuple[str, ...], Column('Systems')]
    n_generations: Annotated[int, Column('Gene-\nrations')]
    aimd_ps: Annotated[float | None, Column('AIMD\n(ps)', 3)]
    md_ps: Annotated[float | None, Column('MD\n(ps)', 1)]
    acceleration_ratio: Annotated[float | None, Column('AR', 1)]
    true_force_rmse_ev_per_angstrom: Annotated[float | None, Column('True force\nRMSE (eV/Å)', 4)]
    potential: Annotated[NodeRef | None, Column('Potential')]


@dataclass(frozen=True)
class CatastropheRow(Row):
    """A catastrophic point: where the MD left its window. Times in ps from the start of the MD, temperatures in K."""

    run: Annotated[NodeRef | None, Column('Run')]
    place: Annotated[str, Column('Place', table=False)]
    generation: Annotated[int | None, Column('Gen.')]
    stage: Annotated[int | None, Column('Stage')]
    replica: Annotated[int | None, Column('Re-\nplica')]
    exploration: Annotated[NodeRef, Column('MD')]
    potential: Annotated[NodeRef | None, Column('Poten-\ntial')]
    structure: Annotated[NodeRef | None, Column('Struc-\nture', table=False)]
    composition: Annotated[str, Column('Composition')]
    n_atoms: Annotated[int | None, Column('Atoms')]
    temperature_target_k: Annotated[float | None, Column('T set\n(K)', 0)]
    window_low_k: Annotated[float | None, Column('Window\nlow (K)', 0)]
    window_high_k: Annotated[float | None, Column('Window\nhigh (K)', 0)]
    t_cp_ps: Annotated[float | None, Column('t_cp\n(ps)', 3)]
    temperature_cp_k: Annotated[float | None, Column('T at\nt_cp (K)', 0)]
    bound: Annotated[str | None, Column('Bound')]
    pair_cp: Annotated[str | None, Column('Pair', table=False)]
    distance_cp_angstrom: Annotated[float | None, Column('Distance\n(Å)', 2, table=False)]
    t_next_ps: Annotated[float | None, Column('t_next\n(ps)', 3)]


@dataclass(frozen=True)
class FramesRow(Row):
    """A dataset that a model was trained on, and where its frames are from.

    ``trainings_back`` is 0 where the dataset was an input of the model's own training, 1 where only the potential that
    this training started from had seen it, and so on.
    """

    dataset: Annotated[NodeRef, Column('Data-\nset')]
    system: Annotated[str, Column('System')]
    generation: Annotated[int | None, Column('Gen.')]
    n_frames: Annotated[int | None, Column('Frames')]
    n_train: Annotated[int | None, Column('Train')]
    n_validation: Annotated[int | None, Column('Vali-\ndation', table=False)]
    n_test: Annotated[int | None, Column('Test')]
    source: Annotated[str, Column('Source')]
    label: Annotated[NodeRef | None, Column('Label')]
    jobs: Annotated[tuple[NodeRef, ...], Column('CP2K jobs')]
    trajectory: Annotated[NodeRef | None, Column('Trajec-\ntory')]
    run: Annotated[NodeRef | None, Column('Run')]
    trainings_back: Annotated[int, Column('Trainings\nback')]
    sha256: Annotated[str, Column('SHA-256', table=False)]


@dataclass(frozen=True)
class OriginRow(Row):
    """What led to a dataset: the catastrophe, the MD that met it, and the snapshot that was labelled.

    ``kind`` is ``snapshot`` (an AIMD from t_next), ``frames`` (single points on frames of the MD), ``start`` (a start
    structure), ``file`` (an import) or ``unknown``.
    """

    dataset: Annotated[NodeRef, Column('Data-\nset')]
    run: Annotated[NodeRef | None, Column('Run')]
    place: Annotated[str, Column('Label as')]
    kind: Annotated[str, Column('From')]
    route: Annotated[str | None, Column('Route')]
    label: Annotated[NodeRef | None, Column('Label\nwork-\nchain')]
    start: Annotated[NodeRef | None, Column('Struc-\nture')]
    exploration: Annotated[NodeRef | None, Column('MD')] = None
    explored_as: Annotated[str | None, Column('MD as')] = None
    potential: Annotated[NodeRef | None, Column('MD with\npotential')] = None
    t_cp_ps: Annotated[float | None, Column('t_cp\n(ps)', 3)] = None
    temperature_cp_k: Annotated[float | None, Column('T at\nt_cp (K)', 0)] = None
    bound: Annotated[str | None, Column('Bound')] = None
    pair_cp: Annotated[str | None, Column('Pair', table=False)] = None
    distance_cp_angstrom: Annotated[float | None, Column('Distance\n(Å)', 2, table=False)] = None
    t_next_ps: Annotated[float | None, Column('t_next\n(ps)', 3)] = None
    snapshot_index: Annotated[int | None, Column('Snap-\nshot', table=False)] = None
    file: Annotated[str | None, Column('File', table=False)] = None


@dataclass(frozen=True)
class ModelRow(Row):
    """A potential and how good it is.

    Errors are on held-out frames, but for the true one, which is along its stable MD where that was labelled. The
    stable length is that of its longest MD.
    """

    potential: Annotated[NodeRef, Column('Potential')]
    run: Annotated[NodeRef | None, Column('Run')]
    place: Annotated[str, Column('Trained as')]
    training: Annotated[NodeRef, Column('Job')]
    elements: Annotated[str, Column('Elements')]
    descriptor: Annotated[str | None, Column('Descriptor')]
    force_rmse_ev_per_angstrom: Annotated[float, Column('Force RMSE\n(eV/Å)', 4)]
    energy_rmse_ev_per_atom: Annotated[float | None, Column('Energy RMSE\n(eV/atom)', 5)]
    true_force_rmse_ev_per_angstrom: Annotated[float | None, Column('True force\nRMSE (eV/Å)', 4)]
    n_train_frames: Annotated[int | None, Column('Training\nframes')]
    longest_stable_ps: Annotated[float | None, Column('Longest\nstable (ps)', 2)]
    deepmd_version: Annotated[str | None, Column('DeePMD-kit', table=False)]
    sha256: Annotated[str | None, Column('SHA-256', table=False)]


@dataclass(frozen=True)
class UseRow(Row):
    """A run that used a structure, and what for: the port of the run, or the label of the child that took it."""

    run: Annotated[NodeRef, Column('Run')]
    run_label: Annotated[str, Column('Label', table=False)]
    state: Annotated[str, Column('State')]
    used_as: Annotated[str, Column('Used as')]
    process: Annotated[NodeRef, Column('By process')]
    structure: Annotated[NodeRef, Column('Structure')]


@dataclass(frozen=True)
class CostRow(Row):
    """What a run, or one generation of it, cost.

    Core hours are the time between the clock marks that each job writes, times its ranks and threads;
    ``n_untimed_jobs`` counts the jobs without them, whose time is missing.
    """

    run: Annotated[NodeRef, Column('Run')]
    generation: Annotated[int | None, Column('Gen.')]
    aimd_ps: Annotated[float, Column('AIMD\n(ps)', 3)]
    kept_frames: Annotated[int, Column('Frames\nkept')]
    md_ps: Annotated[float, Column('MD\n(ps)', 2)]
    core_hours_cp2k: Annotated[float, Column('CP2K\n(core h)', 4)]
    core_hours_dp: Annotated[float, Column('DeePMD\n(core h)', 4)]
    core_hours_lmp: Annotated[float, Column('LAMMPS\n(core h)', 4)]
    core_hours: Annotated[float, Column('All\n(core h)', 4)]
    n_jobs: Annotated[int, Column('Jobs')]
    n_untimed_jobs: Annotated[int, Column('Not\ntimed')]
