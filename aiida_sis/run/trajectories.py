"""What the report shows beyond the table of generations, read from the provenance graph.

Each part is read by itself, so that a run which goes on, has failed or was imported gives what it has. A part that is
not there is empty here and a sentence in the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np
from aiida import orm
from ase import Atoms

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.data.dataset import DatasetData
from aiida_sis.calculations.trajectory_data import values_of
from aiida_sis.core.analysis.bonds import BondHistory, bond_history
from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, TRAIN, VERDICT, VERIFY, Call
from aiida_sis.core.loop.record import Md, MdResults, Run
from aiida_sis.core.loop.summary import forgetting
from aiida_sis.core.series import evenly
from aiida_sis.run import graph
from aiida_sis.run.clock import cores_of, job_interval
from aiida_sis.run.inputs import Facts, read_facts
from aiida_sis.run.loops import systems_of
from aiida_sis.run.parity import Parity, read_parity
from aiida_sis.run.record import collect, dictionary, input_of, output_of, parts_of, results_of

__all__ = ('Details', 'JobCost', 'Motion', 'Observation', 'Snapshots', 'read_details')

#: Most frames of one trajectory that a report looks at.
MOST_FRAMES = 300
_KINDS = {LABEL: 'AIMD', TRAIN: 'training', EXPLORE: 'MD', VERIFY: 'verification'}


@dataclass(frozen=True)
class JobCost:
    """One job that has run: ``seconds`` of wall time, on ``cores``."""

    generation: int
    kind: str
    start: float
    seconds: float
    cores: int


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of an MD that left its window: t_next, and the last one before t_cp."""

    md: Md
    start: Atoms
    last: Atoms
    last_ps: float


@dataclass(frozen=True)
class Motion:
    """A trajectory, evenly thinned; times (n_frames,) in fs."""

    title: str
    frames: list[Atoms] = field(repr=False)
    times_fs: FloatArray = field(repr=False)
    is_md: bool

    @property
    def symbols(self) -> list[str]:
        """The element of each atom, (n_atoms,)."""
        return list(self.frames[0].get_chemical_symbols())

    @property
    def is_periodic(self) -> bool:
        """Whether its cell has a volume."""
        return abs(float(self.frames[0].cell.volume)) > 1e-6


@dataclass(frozen=True)
class Observation:
    """A trajectory with its bonds over time."""

    motion: Motion
    history: BondHistory


@dataclass(frozen=True)
class Details:
    """All that the page of a run is made from.

    ``curves`` are columns (n_rows,) by name, by generation. ``true_errors`` are columns (n_frames,) by generation and
    stage: ``replica``, ``time_ps``, and ``force_rmse`` in eV/Å.
    """

    run: Run
    facts: Facts
    curves: dict[int, dict[str, FloatArray]] = field(default_factory=dict, repr=False)
    true_errors: dict[tuple[int, int], dict[str, FloatArray]] = field(default_factory=dict, repr=False)
    parities: tuple[Parity, ...] = ()
    forgetting: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: tuple[JobCost, ...] = ()
    starts: dict[str, Atoms] = field(default_factory=dict)
    catastrophes: tuple[Snapshots, ...] = ()
    motions: tuple[Motion, ...] = ()
    labelled: tuple[Motion, ...] = ()
    aimds: tuple[Motion, ...] = ()

    @cached_property
    def observations(self) -> list[Observation]:
        """The trajectories of MD and AIMD with their bonds; one without a periodic cell, or too short, is left out."""
        found = []
        for motion in (*self.motions, *self.aimds):
            rising = np.flatnonzero(np.diff(motion.times_fs, prepend=-np.inf) > 0)
            if len(rising) < 2 or not motion.is_periodic:
                continue
            frames = [(motion.frames[index].positions, motion.frames[index].cell.array) for index in rising]
            found.append(Observation(motion, bond_history(frames, motion.times_fs[rising], motion.symbols)))
        return found


def read_details(node: orm.ProcessNode) -> Details:
    """Read everything that the report of a run shows.

    :param node: the node of a ``SisWorkChain``, in any state.
    """
    parts = list(parts_of(node))
    run = collect(node, with_series=True)
    return Details(
        run=run,
        facts=read_facts(node),
        curves={call.generation: curve for child, call in parts if (curve := _columns(child, call, TRAIN))},
        true_errors={
            (call.generation, call.stage or 0): found
            for child, call in sorted(parts, key=lambda part: (part[1].generation, part[1].stage or 0))
            if (found := _columns(child, call, VERDICT))
        },
        parities=tuple(
            parity
            for child, call in parts
            if call.kind == TRAIN and (parity := read_parity(child, call.generation)) is not None
        ),
        forgetting=forgetting({one.generation: one.training for one in run.generations if one.training}),
        jobs=tuple(cost for child, call in parts for cost in _costs(child, call)),
        starts={name: structure.get_ase() for name, structure in systems_of(node).items()},
        catastrophes=tuple(_snapshots(run, {child.pk: child for child, _ in parts})),
        motions=tuple(_motions(parts)),
        labelled=tuple(_labelled(parts)),
        aimds=tuple(_aimds(parts)),
    )


_Part = tuple[orm.ProcessNode, Call]


def _columns(node: orm.ProcessNode, call: Call, kind: str) -> dict[str, FloatArray]:
    """The learning curve of a training, or the errors along a stable MD, where the part is of that kind."""
    found = output_of(node, {TRAIN: 'learning_curve', VERDICT: 'errors'}[kind]) if call.kind == kind else None
    return {name: found.get_array(name) for name in found.get_arraynames()} if isinstance(found, orm.ArrayData) else {}


def _costs(child: orm.ProcessNode, call: Call) -> Iterator[JobCost]:
    for job in child.called_descendants:
        interval = job_interval(job)
        if interval is not None:
            code = input_of(job, 'code')
            prepended = code.prepend_text if isinstance(code, orm.AbstractCode) else None
            cores = cores_of(job.get_option('resources'), prepended)
            yield JobCost(call.generation, _KINDS[call.kind], interval[0], interval[1] - interval[0], cores)


def _snapshots(run: Run, nodes: dict[int | None, orm.ProcessNode]) -> Iterator[Snapshots]:
    for md in run.all_md:
        start = MdResults.model_validate(results_of(nodes[md.pk])).t_next
        snapshots = output_of(nodes[md.pk], 'snapshots')
        if md.t_cp_ps is None or start is None or start.snapshot_index is None or not _has_frames(snapshots):
            continue
        whole = np.flatnonzero(np.isfinite(values_of(snapshots, 'positions')).all(axis=(1, 2)))
        times = _times_ps(snapshots)
        if whole.size == 0 or not 0 <= start.snapshot_index < snapshots.numsteps:
            continue
        last = int(whole[-1])
        yield Snapshots(
            md=md,
            start=_frame(snapshots, start.snapshot_index),
            last=_frame(snapshots, last),
            last_ps=float(times[last]) if times is not None else md.t_cp_ps,
        )


def _motions(parts: list[_Part]) -> Iterator[Motion]:
    """Give the MD runs of the last stage of the last generation that have come to their end."""
    runs = [part for part in parts if part[1].kind == EXPLORE and output_of(part[0], 'trajectory') is not None]
    for node, call in runs:
        if (call.generation, call.stage) != max((run.generation, run.stage) for _, run in runs):
            continue
        trajectory = output_of(node, 'trajectory')
        if _has_frames(trajectory):
            times = _times_ps(trajectory)
            fs = 1000.0 * (np.arange(trajectory.numsteps, dtype=float) if times is None else times)
            yield from _motion(f'generation {call.generation}, replica {call.number}', trajectory, fs, is_md=True)


def _labelled(parts: list[_Part]) -> Iterator[Motion]:
    """Give the labelled frames of every AIMD, thinned, oldest first."""
    labels = [part for part in parts if part[1].kind == LABEL]
    for node, call in labels:
        dataset = output_of(node, 'dataset')
        if not isinstance(dataset, DatasetData):
            continue
        coords, cells, symbols = dataset.get_array('coords'), dataset.get_array('cells'), dataset.symbols
        chosen = evenly(len(coords), max(20, MOST_FRAMES // len(labels)))
        frames = [Atoms(symbols, coords[index], cell=cells[index], pbc=True) for index in chosen]
        if frames:
            title = f'AIMD {call.number} of generation {call.generation}'
            yield Motion(title, frames, np.array(chosen, dtype=float), is_md=False)


def _aimds(parts: list[_Part]) -> Iterator[Motion]:
    """Give the trajectory of every AIMD, spoilt frames included, in its own time."""
    for node, call in parts:
        is_aimd = call.kind == LABEL and node.process_type != graph.REPLAY
        trajectory = output_of(node, 'trajectory') if is_aimd else None
        step = dictionary(input_of(node, 'parameters')).get('timestep_fs')
        if _has_frames(trajectory) and trajectory.get_cells() is not None and step:
            fs = float(step) * np.arange(trajectory.numsteps, dtype=float)
            yield from _motion(f'AIMD {call.number} of generation {call.generation}', trajectory, fs, is_md=False)


def _motion(title: str, trajectory: orm.TrajectoryData, times_fs: FloatArray, is_md: bool) -> Iterator[Motion]:
    """Give the finite frames of a trajectory, thinned, where there are any."""
    whole = np.flatnonzero(np.isfinite(values_of(trajectory, 'positions')).all(axis=(1, 2)))
    chosen = [int(whole[index]) for index in evenly(whole.size, MOST_FRAMES)]
    if chosen:
        yield Motion(title, [_frame(trajectory, index) for index in chosen], times_fs[chosen], is_md)


def _has_frames(node: Any) -> TypeGuard[orm.TrajectoryData]:
    """Whether it is a trajectory with its arrays: an archive may have been written without them."""
    return isinstance(node, orm.TrajectoryData) and 'positions.npy' in node.base.repository.list_object_names()


def _times_ps(trajectory: orm.TrajectoryData) -> FloatArray | None:
    return values_of(trajectory, 'times') if 'times' in trajectory.get_arraynames() else None


def _frame(trajectory: orm.TrajectoryData, index: int) -> Atoms:
    cells = values_of(trajectory, 'cells') if 'cells' in trajectory.get_arraynames() else None
    return Atoms(
        trajectory.symbols,
        values_of(trajectory, 'positions')[index],
        cell=None if cells is None else cells[index],
        pbc=cells is not None and (trajectory.pbc or True),
    )
