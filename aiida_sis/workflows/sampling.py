"""Sampling strategies: which frames a catastrophe gives to be labelled, and how.

A strategy is a function from one MD that met its catastrophic point to the labels that follow from it. It is chosen by
``sampling.strategy``; a new one is one more function in :data:`STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_sis.calculations.structure import symbols_of
from aiida_sis.calculations.trajectories import select_replay_frames, select_snapshot
from aiida_sis.calculations.trajectory_data import values_of
from aiida_sis.core.indicator import TIME_TOLERANCE_PS, canonical_band, degrees_of_freedom, kinetic_temperature
from aiida_sis.core.series import latest_at
from aiida_sis.core.settings.sis import Replica, SamplingSettings
from aiida_sis.workflows.cp2k_base import LabellingWorkChain
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.replay import ReplayWorkChain

#: How far before t_next the first retreat goes; a corruption that the temperature does not show can be 5 ps old.
RETREAT_PS = 1.0


@dataclass(frozen=True)
class Catastrophe:
    """An MD that met its catastrophic point.

    :param node: the exploration; it has ``results`` and ``snapshots``.
    :param replica: the system it explored and its temperature.
    :param fixed_atoms: numbers of the sites that do not move.
    :param start_structure: where the MD began, before its potential minimised it.
    :param hot_sigmas: canonical standard deviations above which a snapshot gives its place, but not its velocities.
    :param retreats: how often what was taken of it could not be labelled; each time an earlier part of it is taken.
    """

    node: orm.WorkChainNode
    replica: Replica
    fixed_atoms: tuple[int, ...]
    start_structure: orm.StructureData
    hot_sigmas: float
    retreats: int = 0

    def start_ps(self, fewer: int = 0) -> float:
        """Give the time in ps from which frames are taken: t_next, or :data:`RETREAT_PS` before it, 4 times that, …

        :param fewer: ask for this many retreats fewer.
        :returns: the time in ps, never before the start of the MD.
        """
        retreats = self.retreats - fewer
        t_next = float(self.node.outputs.results['t_next']['time_ps'])
        return t_next if retreats <= 0 else max(0.0, t_next - RETREAT_PS * 4 ** (retreats - 1))

    @property
    def is_exhausted(self) -> bool:
        """Whether there is nothing further back: the start structure was taken, or a committee was in doubt only."""
        if self.retreats == 0:
            return False
        if not self.node.outputs.results.get('t_next'):
            return True
        return self.retreats > 1 and self.start_ps(fewer=2) <= 0

    @property
    def is_at_start_structure(self) -> bool:
        """Whether even the first frame of the MD gave nothing: the minimisation before it had spoilt it already."""
        return self.retreats > 0 and self.start_ps(fewer=1) <= 0

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


Strategy = Callable[[Catastrophe, SamplingSettings], list[LabelTask]]


def burst(catastrophe: Catastrophe, _settings: SamplingSettings) -> list[LabelTask]:
    """Start a short AIMD from the snapshot at t_next: the paper's way.

    :param catastrophe: the MD.
    :param _settings: unused.
    :returns: one label.
    """
    return [LabelTask(LabelWorkChain, catastrophe.replica, next_start(catastrophe))]


def next_start(catastrophe: Catastrophe) -> dict[str, orm.Data]:
    """Take the snapshot of an MD from which an AIMD starts: that at t_next, or an earlier one after a retreat.

    :param catastrophe: the MD.
    :returns: ``structure``, and ``velocities`` where it is not too hot to go on with them.
    """
    index = latest_at(times_of(catastrophe.frames), catastrophe.start_ps()) or 0
    start: dict[str, Any] = dict(select_snapshot(catastrophe.frames, orm.Int(index)))
    if is_hot(catastrophe, start['structure'], start['velocities']):
        del start['velocities']
    return start


def replay(catastrophe: Catastrophe, settings: SamplingSettings) -> list[LabelTask]:
    """Label frames of the MD itself, between t_next and t_cp, by single points; after a retreat those before them.

    :param catastrophe: the MD.
    :param settings: number and choice of the frames.
    :returns: one label.
    """
    point = catastrophe.node.outputs.results['catastrophe']['time_ps']
    wanted = {
        'n_frames': settings.replay_frames,
        'start_ps': catastrophe.start_ps(),
        'stop_ps': catastrophe.start_ps(fewer=1) if catastrophe.retreats else point,
        'choice': settings.replay_choice,
    }
    frames = select_replay_frames(catastrophe.frames, orm.Dict(wanted))
    return [LabelTask(ReplayWorkChain, catastrophe.replica, {'frames': frames})]


def burst_and_replay(catastrophe: Catastrophe, settings: SamplingSettings) -> list[LabelTask]:
    """Do both: the burst teaches what is right, the frames of the MD what is wrong.

    :param catastrophe: the MD.
    :param settings: number and choice of the frames.
    :returns: two labels.
    """
    return burst(catastrophe, settings) + replay(catastrophe, settings)


def committee(catastrophe: Catastrophe, settings: SamplingSettings) -> list[LabelTask]:
    """Label the frames whose model deviation lies between the trust levels by single points: DP-GEN's way.

    An MD that went from known to unphysical between two looks has no such frame; its latest frames are then replayed,
    where DP-GEN would take nothing.

    :param catastrophe: the MD.
    :param settings: number and choice of the frames.
    :returns: one label.
    """
    if 'candidates' in catastrophe.node.outputs and not catastrophe.retreats:
        return [LabelTask(ReplayWorkChain, catastrophe.replica, {'frames': catastrophe.node.outputs.candidates})]
    return replay(catastrophe, settings)


STRATEGIES: dict[str, Strategy] = {
    'burst': burst,
    'replay': replay,
    'burst_and_replay': burst_and_replay,
    'committee': committee,
}


def label_tasks(catastrophe: Catastrophe, settings: SamplingSettings) -> list[LabelTask]:
    """Give the labels of a catastrophe by the strategy of the run.

    Where even the first frame of the MD gave nothing, whatever the strategy, it is an AIMD from the start structure.

    :param catastrophe: the MD.
    :param settings: the sampling settings.
    :returns: the labels.
    """
    if catastrophe.is_at_start_structure:
        return [LabelTask(LabelWorkChain, catastrophe.replica, {'structure': catastrophe.start_structure})]
    return STRATEGIES[settings.strategy](catastrophe, settings)


def times_of(frames: orm.TrajectoryData) -> NDArray[np.float64]:
    """Give the times of the frames of an MD.

    :param frames: what an MD left.
    :returns: times in ps, shape (n_frames,).
    """
    return values_of(frames, 'times')


def is_hot(catastrophe: Catastrophe, structure: orm.StructureData, velocities: orm.ArrayData) -> bool:
    """Tell whether a snapshot is hotter than its AIMD may be: it then gives its place, and CP2K new velocities.

    The start of an MD is one, since its velocities are drawn at twice the temperature.

    :param catastrophe: the MD.
    :param structure: the snapshot.
    :param velocities: array ``velocities`` (n_atoms, 3) in Å/ps.
    :returns: whether it is.
    """
    n_dof = degrees_of_freedom(len(structure.sites), len(catastrophe.fixed_atoms))
    limit = canonical_band(catastrophe.replica.temperature_k, n_dof, catastrophe.hot_sigmas)[1]
    drawn = velocities.get_array('velocities')
    return kinetic_temperature(symbols_of(structure), drawn, catastrophe.fixed_atoms) > limit


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
    counts = node.outputs.results.get_dict().get('deviation')
    if settings.accurate_share is None or not counts or 'candidates' not in node.outputs:
        return False
    total = sum(counts[f'n_{kind}'] for kind in ('accurate', 'candidate', 'failed'))
    return bool(total) and counts['n_accurate'] / total < settings.accurate_share
