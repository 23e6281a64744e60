"""Sampling strategies: which frames a catastrophe gives to be labelled, and how.

A strategy is a function from one MD that met its catastrophic point to the labels that follow from it. It is chosen by
``sampling.strategy``; a new one is one more function in :data:`STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.engine import WorkChain

from aiida_sis.calculations.md import symbols_of
from aiida_sis.calculations.select import select_replay_frames, select_snapshot
from aiida_sis.core.settings import Replica, SamplingSettings
from aiida_sis.core.stability import canonical_band, degrees_of_freedom, kinetic_temperature
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.replay import ReplayWorkChain

_WORKCHAINS: dict[str, type[WorkChain]] = {'label': LabelWorkChain, 'replay': ReplayWorkChain}


@dataclass(frozen=True)
class Catastrophe:
    """An MD that met its catastrophic point.

    :param node: the exploration; it has ``results`` and ``snapshots``.
    :param replica: the system it explored and its temperature.
    :param fixed_atoms: numbers of the sites that do not move.
    :param hot_sigmas: canonical standard deviations above which a snapshot gives its place, but not its velocities.
    """

    node: orm.WorkChainNode
    replica: Replica
    fixed_atoms: tuple[int, ...]
    hot_sigmas: float


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
    outputs = catastrophe.node.outputs
    selected = select_snapshot(outputs.snapshots, orm.Int(outputs.results['t_next']['snapshot_index']))
    inputs = {'structure': selected['structure']}
    if not is_hot(catastrophe, selected['structure'], selected['velocities']):
        inputs['velocities'] = selected['velocities']
    return [LabelTask('label', catastrophe.replica, inputs)]


def replay(catastrophe: Catastrophe, settings: SamplingSettings) -> list[LabelTask]:
    """Label frames of the MD itself, between t_next and t_cp, by single points.

    :param catastrophe: the MD.
    :param settings: number and choice of the frames.
    :returns: one label.
    """
    results = catastrophe.node.outputs.results
    wanted = {
        'n_frames': settings.replay_frames,
        'start_ps': results['t_next']['time_ps'],
        'stop_ps': results['catastrophe']['time_ps'],
        'choice': settings.replay_choice,
    }
    frames = select_replay_frames(catastrophe.node.outputs.snapshots, orm.Dict(wanted))
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
    if 'candidates' in catastrophe.node.outputs:
        return [LabelTask('replay', catastrophe.replica, {'frames': catastrophe.node.outputs.candidates})]
    return replay(catastrophe, settings)


STRATEGIES: dict[str, Strategy] = {
    'burst': burst,
    'replay': replay,
    'burst_and_replay': burst_and_replay,
    'committee': committee,
}


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
