"""Sampling strategies: which frames a catastrophe gives to be labelled, and how.

A strategy is a function from one MD that met its catastrophic point to the labels that follow from it. It is chosen by
``sampling.strategy``; a new one is one more function in :data:`STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_deepmd.arrays import FloatArray
from aiida_sis.calculations.structure import symbols_of
from aiida_sis.calculations.trajectories import select_replay_frames, select_snapshot
from aiida_sis.calculations.trajectory_data import values_of
from aiida_sis.core.indicator import TIME_TOLERANCE_PS, canonical_band, degrees_of_freedom, kinetic_temperature
from aiida_sis.core.loop.record import MdResults
from aiida_sis.core.series import latest_at
from aiida_sis.core.settings.sis import Replica, SamplingSettings
from aiida_sis.workflows.cp2k_base import LabellingWorkChain
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.replay import ReplayWorkChain

#: How far before t_next the first retreat goes; a corruption that the temperature does not show can be 5 ps old.
RETREAT_PS = 1.0


@dataclass(frozen=True)
class FailedMd:
    """An MD that met its catastrophic point.

    :param node: the exploration; it has ``results`` and ``snapshots``.
    :param replica: the system it explored and its temperature.
    :param fixed_atoms: numbers of the sites that do not move.
    :param start_structure: where the MD began, before its potential minimised it.
    :param hot_sigmas: canonical standard deviations above which a snapshot gives its place, but not its velocities.
    :param retreats: how often what was taken of it could not be labelled; each time an earlier part of it is taken.
    :param rungs: its ladder, where it has one.
    :param right_rung: the number of the latest rung that is right, where one is.
    """

    node: orm.WorkChainNode
    replica: Replica
    fixed_atoms: tuple[int, ...]
    start_structure: orm.StructureData
    hot_sigmas: float
    retreats: int = 0
    rungs: orm.TrajectoryData | None = None
    right_rung: int | None = None

    @property
    def results(self) -> MdResults:
        """What the exploration gave."""
        return MdResults.model_validate(self.node.outputs.results.get_dict())

    def start_ps(self, fewer: int = 0) -> float:
        """Give the time in ps from which frames are taken: t_next, or :data:`RETREAT_PS` before it, then 4 times that.

        :param fewer: ask for this many retreats fewer.
        :returns: the time in ps, never before the start of the MD.
        """
        retreats = self.retreats - fewer
        t_next = self.results.t_next
        if t_next is None:
            raise ValueError(f'MD <{self.node.pk}> has no t_next: it met no catastrophe.')
        return t_next.time_ps if retreats <= 0 else max(0.0, t_next.time_ps - RETREAT_PS * 4 ** (retreats - 1))

    @property
    def is_exhausted(self) -> bool:
        """Whether there is nothing further back: the start structure was taken, or a committee was in doubt only."""
        if self.retreats == 0:
            return False
        if self.results.t_next is None:
            return True
        if self.rungs is not None:
            return self.retreats > 1
        return self.retreats > 1 and self.start_ps(fewer=2) <= 0

    @property
    def is_at_start_structure(self) -> bool:
        """Whether even the first frame of the MD gave nothing: the minimisation before it had spoilt it already.

        A ladder reaches back to the first frame at once.
        """
        return self.retreats > 0 and (self.rungs is not None or self.start_ps(fewer=1) <= 0)

    @property
    def frames(self) -> orm.TrajectoryData:
        """The frames to take from: the close ones before t_cp, or the whole MD where they do not reach so far back."""
        outputs = self.node.outputs
        far = self.start_ps() < times_of(outputs.snapshots)[0] - TIME_TOLERANCE_PS
        frames: orm.TrajectoryData = outputs.trajectory if far and 'trajectory' in outputs else outputs.snapshots
        return frames


@dataclass(frozen=True)
class LabelTask:
    """One label to be submitted.

    :param workchain: ``LabelWorkChain`` (an AIMD) or ``ReplayWorkChain`` (single points).
    :param replica: the system it belongs to and the temperature of its AIMD.
    :param inputs: what this label has for itself: a structure with velocities, or frames.
    """

    workchain: type[LabellingWorkChain]
    replica: Replica
    inputs: dict[str, orm.Data]


Strategy = Callable[[FailedMd, SamplingSettings], list[LabelTask]]


def burst(failed: FailedMd, _settings: SamplingSettings) -> list[LabelTask]:
    """Start a short AIMD from the snapshot at t_next: the paper's way.

    :param failed: the MD.
    :param _settings: unused.
    :returns: one label.
    """
    return [LabelTask(LabelWorkChain, failed.replica, next_start(failed))]


def next_start(failed: FailedMd) -> dict[str, orm.Data]:
    """Take the snapshot of an MD from which an AIMD starts: that at t_next, or an earlier one after a retreat.

    With a ladder it is the latest rung that is right, or the first one where none is.

    :param failed: the MD.
    :returns: ``structure``, and ``velocities`` where it is not too hot to go on with them.
    """
    if failed.rungs is not None:
        frames, index = failed.rungs, failed.right_rung or 0
    else:
        frames, index = failed.frames, latest_at(times_of(failed.frames), failed.start_ps()) or 0
    start: dict[str, Any] = dict(select_snapshot(frames, orm.Int(index)))
    if is_hot(failed, start['structure'], start['velocities']):
        del start['velocities']
    return start


def ladder(_failed: FailedMd, _settings: SamplingSettings) -> list[LabelTask]:
    """Start nothing: the rungs are labelled already, and are the data.

    :param _failed: unused.
    :param _settings: unused.
    :returns: no label.
    """
    return []


def replay(failed: FailedMd, settings: SamplingSettings) -> list[LabelTask]:
    """Label frames of the MD itself, between t_next and t_cp, by single points; after a retreat those before them.

    :param failed: the MD.
    :param settings: number and choice of the frames.
    :returns: one label.
    """
    point = failed.results.catastrophe
    wanted = {
        'n_frames': settings.replay_frames,
        'start_ps': failed.start_ps(),
        'stop_ps': failed.start_ps(fewer=1) if failed.retreats or point is None else point.time_ps,
        'choice': settings.replay_choice,
    }
    frames = select_replay_frames(failed.frames, orm.Dict(wanted))
    return [LabelTask(ReplayWorkChain, failed.replica, {'frames': frames})]


def burst_and_replay(failed: FailedMd, settings: SamplingSettings) -> list[LabelTask]:
    """Do both: the burst teaches what is right, the frames of the MD what is wrong.

    :param failed: the MD.
    :param settings: number and choice of the frames.
    :returns: two labels.
    """
    return burst(failed, settings) + replay(failed, settings)


def committee(failed: FailedMd, settings: SamplingSettings) -> list[LabelTask]:
    """Label the frames whose model deviation lies between the trust levels by single points: DP-GEN's way.

    An MD that went from known to unphysical between two looks has no such frame; its latest frames are then replayed,
    where DP-GEN would take nothing.

    :param failed: the MD.
    :param settings: number and choice of the frames.
    :returns: one label.
    """
    if 'candidates' in failed.node.outputs and not failed.retreats:
        return [LabelTask(ReplayWorkChain, failed.replica, {'frames': failed.node.outputs.candidates})]
    return replay(failed, settings)


STRATEGIES: dict[str, Strategy] = {
    'burst': burst,
    'replay': replay,
    'burst_and_replay': burst_and_replay,
    'ladder': ladder,
    'ladder_and_burst': burst,
    'committee': committee,
}
#: Strategies that begin with a ladder.
WITH_LADDER = ('ladder', 'ladder_and_burst')


def label_tasks(failed: FailedMd, settings: SamplingSettings) -> list[LabelTask]:
    """Give the labels of a catastrophe by the strategy of the run.

    Where even the first frame of the MD gave nothing, whatever the strategy, it is an AIMD from the start structure.

    :param failed: the MD.
    :param settings: the sampling settings.
    :returns: the labels.
    """
    if failed.is_at_start_structure:
        return [LabelTask(LabelWorkChain, failed.replica, {'structure': failed.start_structure})]
    return STRATEGIES[settings.strategy](failed, settings)


def times_of(frames: orm.TrajectoryData) -> FloatArray:
    """Give the times of the frames of an MD.

    :param frames: what an MD left.
    :returns: times in ps, shape (n_frames,).
    """
    return values_of(frames, 'times')


def is_hot(failed: FailedMd, structure: orm.StructureData, velocities: orm.ArrayData) -> bool:
    """Tell whether a snapshot is hotter than its AIMD may be: it then gives its place, and CP2K new velocities.

    The start of an MD is one, since its velocities are drawn at twice the temperature.

    :param failed: the MD.
    :param structure: the snapshot.
    :param velocities: array ``velocities`` (n_atoms, 3) in Å/ps.
    :returns: whether it is.
    """
    n_dof = degrees_of_freedom(len(structure.sites), len(failed.fixed_atoms))
    limit = canonical_band(failed.replica.temperature_k, n_dof, failed.hot_sigmas)[1]
    drawn = velocities.get_array('velocities')
    return kinetic_temperature(symbols_of(structure), drawn, failed.fixed_atoms) > limit


def tells_its_end(node: orm.WorkChainNode) -> bool:
    """Tell whether an MD says how it ended: at its length, or at a catastrophe with frames from before it.

    A log with a hole in it may leave neither; such an MD was not read, whatever its exit code says.

    :param node: the exploration.
    """
    if 'results' not in node.outputs:
        return False
    results = MdResults.model_validate(node.outputs.results.get_dict())
    if results.catastrophe is None:
        return bool(results.stable)
    return results.t_next is not None and 'snapshots' in node.outputs


def deviation_parameters(settings: SamplingSettings) -> dict[str, Any]:
    """Give what an MD must know to watch a committee.

    :param settings: the sampling settings.
    :returns: the keys of ``sis.lammps.md`` that say so; none without a committee.
    """
    if settings.strategy != 'committee':
        return {}
    low, high = settings.trust_levels
    return {
        'deviation': {
            'interval_fs': settings.deviation_interval_fs,
            'low_ev_per_angstrom': low,
            'high_ev_per_angstrom': high,
            'max_candidates': settings.max_candidates,
        }
    }


def is_in_doubt(node: orm.WorkChainNode, settings: SamplingSettings) -> bool:
    """Tell whether a committee knows too few frames of a stable MD, where the settings ask for that.

    :param node: the exploration.
    :param settings: the sampling settings.
    :returns: whether its candidates are labelled although it was stable.
    """
    counts = MdResults.model_validate(node.outputs.results.get_dict()).deviation
    if settings.accurate_share is None or not counts or 'candidates' not in node.outputs:
        return False
    total = sum(counts[f'n_{kind}'] for kind in ('accurate', 'candidate', 'failed'))
    return bool(total) and counts['n_accurate'] / total < settings.accurate_share
