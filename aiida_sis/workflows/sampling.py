"""Sampling strategies: which frames a catastrophe gives to be labelled, and how.

A strategy is a function from one MD that met its catastrophic point to the labels that follow from it. It is chosen by
``sampling.strategy``; a new one is one more function in :data:`STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import WorkChain
from numpy.typing import NDArray

from aiida_sis.calculations.md import symbols_of
from aiida_sis.calculations.select import select_replay_frames, select_snapshot
from aiida_sis.core.settings import Replica, SamplingSettings
from aiida_sis.core.stability import TIME_TOLERANCE_PS, canonical_band, degrees_of_freedom, kinetic_temperature
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.replay import ReplayWorkChain

#: How far before t_next the first retreat goes; a corruption that the temperature does not show can be 5 ps old.
RETREAT_PS = 1.0

_WORKCHAINS: dict[str, type[WorkChain]] = {'label': LabelWorkChain, 'replay': ReplayWorkChain}


@dataclass(frozen=True)
class Catastrophe:
    """An MD that met its catastrophic point.

    :param node: the exploration; it has ``results`` and ``snapshots``.
    :param replica: the system it explored and its temperature.
    :param fixed_atoms: numbers of the sites that do not move.
    :param hot_sigmas: canonical standard deviations above which a snapshot gives its place, but not its velocities.
    :param retreats: how often what was taken of it could not be labelled; each time an earlier part of it is taken.
    """

    node: orm.WorkChainNode
    replica: Replica
    fixed_atoms: tuple[int, ...]
    hot_sigmas: float
    retreats: int = 0

    def start_ps(self, retreats: int) -> float:
        """Give the time in ps after which frames are taken: t_next, or :data:`RETREAT_PS` before it, 4 times that, …

        :param retreats: how often nothing could be labelled.
        :returns: the time in ps, never before the start of the MD.
        """
        t_next = float(self.node.outputs.results['t_next']['time_ps'])
        return t_next if retreats == 0 else max(0.0, t_next - RETREAT_PS * 4 ** (retreats - 1))

    @property
    def has_earlier_part(self) -> bool:
        """Whether there is something before what is taken now; a stable MD of a committee in doubt has no t_next."""
        return bool(self.node.outputs.results.get('t_next')) and self.start_ps(self.retreats) > 0

    @property
    def can_be_taken(self) -> bool:
        """Whether this retreat takes anything that the one before did not."""
        return self.retreats == 0 or replace(self, retreats=self.retreats - 1).has_earlier_part

    @property
    def frames(self) -> orm.TrajectoryData:
        """The frames to take from: the close ones before t_cp, or the whole MD where they do not reach so far back."""
        outputs = self.node.outputs
        far = self.start_ps(self.retreats) < times_of(outputs.snapshots)[0] - TIME_TOLERANCE_PS
        frames: orm.TrajectoryData = outputs.trajectory if far and 'trajectory' in outputs else outputs.snapshots
        return frames


@dataclass(frozen=True)
class LabelTask:
    """One label to be submitted.

    :param process: ``label`` (an AIMD) or ``replay`` (single points); a name, since a checkpoint holds no classes.
    :param replica: the system it belongs to and the temperature of its AIMD.
    :param inputs: what this label has for itself: a structure with velocities, or frames.
    """

    process: str
    replica: Replica
    inputs: dict[str, orm.Data] = field(default_factory=dict)

    @property
    def workchain(self) -> type[WorkChain]:
        """The workchain that makes it."""
        return _WORKCHAINS[self.process]

    def as_dict(self) -> dict[str, Any]:
        """Give the task as the context of a workchain can keep it: a dataclass there would copy its nodes."""
        replica = {'system': self.replica.system, 'temperature_k': self.replica.temperature_k}
        return {'process': self.process, 'replica': replica, 'inputs': self.inputs}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelTask:
        """Read a task from the context of a workchain.

        :param values: what :meth:`as_dict` gave.
        :returns: the task.
        """
        return cls(values['process'], Replica(**values['replica']), dict(values['inputs']))


Strategy = Callable[[Catastrophe, SamplingSettings], list[LabelTask]]


def burst(catastrophe: Catastrophe, _settings: SamplingSettings) -> list[LabelTask]:
    """Start a short AIMD from the snapshot at t_next: the paper's way.

    :param catastrophe: the MD.
    :param _settings: unused.
    :returns: one label.
    """
    index = catastrophe.node.outputs.results['t_next']['snapshot_index']
    if catastrophe.retreats:
        times = times_of(catastrophe.frames) - TIME_TOLERANCE_PS
        index = max(0, int(np.searchsorted(times, catastrophe.start_ps(catastrophe.retreats), side='right')) - 1)
    selected = select_snapshot(catastrophe.frames, orm.Int(index))
    inputs = {'structure': selected['structure']}
    if not is_hot(catastrophe, selected['structure'], selected['velocities']):
        inputs['velocities'] = selected['velocities']
    return [LabelTask('label', catastrophe.replica, inputs)]


def replay(catastrophe: Catastrophe, settings: SamplingSettings) -> list[LabelTask]:
    """Label frames of the MD itself, between t_next and t_cp, by single points; after a retreat those before them.

    :param catastrophe: the MD.
    :param settings: number and choice of the frames.
    :returns: one label.
    """
    point = catastrophe.node.outputs.results['catastrophe']['time_ps']
    retreats = catastrophe.retreats
    wanted = {
        'n_frames': settings.replay_frames,
        'start_ps': catastrophe.start_ps(retreats),
        'stop_ps': catastrophe.start_ps(retreats - 1) if retreats else point,
        'choice': settings.replay_choice,
    }
    frames = select_replay_frames(catastrophe.frames, orm.Dict(wanted))
    return [LabelTask('replay', catastrophe.replica, {'frames': frames})]


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
        return [LabelTask('replay', catastrophe.replica, {'frames': catastrophe.node.outputs.candidates})]
    return replay(catastrophe, settings)


STRATEGIES: dict[str, Strategy] = {
    'burst': burst,
    'replay': replay,
    'burst_and_replay': burst_and_replay,
    'committee': committee,
}


def times_of(frames: orm.TrajectoryData) -> NDArray[np.float64]:
    """Give the times of the frames of an MD.

    :param frames: what an MD left.
    :returns: times in ps, shape (n_frames,).
    """
    return np.asarray(frames.get_array('times'), dtype=np.float64)


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
