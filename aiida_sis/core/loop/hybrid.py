"""The hybrid run: AIMD bursts and MD with a potential alternate along one trajectory.

This is the scheme of HAIR (Liu et al. 2021, J. Phys. Chem. Lett. 12, 2922), with a Deep Potential that learns from
every burst in the place of its reactive force field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_sis.core.loop.call_labels import EXPLORE, Call
from aiida_sis.core.loop.record import MdResults
from aiida_sis.core.loop.summary import cost_of, forgetting, generations_of, trainings_of
from aiida_sis.core.settings.hybrid import HybridSettings

TIME_TOLERANCE_PS = 1e-7


# ------------------------------------------------------------------------------------------------ the one trajectory


@dataclass(frozen=True)
class Piece:
    """One AIMD or MD as a part of the trajectory.

    :param times_ps: times from its own start, (n_frames,), ascending.
    :param duration_ps: how much of it belongs to the trajectory; the next piece starts there.
    """

    times_ps: FloatArray
    duration_ps: float


def place_pieces(pieces: Sequence[Piece], interval_ps: float) -> list[tuple[IntArray, FloatArray]]:
    """Lay the pieces one behind the other, and thin their frames to one spacing.

    The first frame of a piece is the last one of the piece before it, so only the first piece keeps its own.

    :param pieces: the pieces, in their order.
    :param interval_ps: smallest spacing of the frames that are kept, in ps.
    :returns: for each piece the indices of the frames that are kept, and their times along the trajectory in ps.
    """
    placed = []
    offset, last = 0.0, -np.inf
    for piece in pieces:
        kept, times = [], []
        for index, time in enumerate(piece.times_ps):
            here = offset + float(time)
            if time <= piece.duration_ps + TIME_TOLERANCE_PS and here >= last + interval_ps - TIME_TOLERANCE_PS:
                kept.append(index)
                times.append(here)
                last = here
        placed.append((np.array(kept, dtype=np.int64), np.array(times, dtype=np.float64)))
        offset += piece.duration_ps
    return placed


def counted_md_ps(results: Mapping[str, Any]) -> float:
    """Give how much of an MD belongs to the trajectory: what comes after t_next is forgotten.

    :param results: results of the exploration.
    :returns: time in ps.
    """
    md = MdResults.model_validate(results)
    if md.catastrophe is None:
        return md.length_ps_reached or 0.0
    return md.t_next.time_ps if md.t_next else 0.0


def on_trajectory_fs(results: Mapping[str, Any], timestep_fs: float) -> float:
    """Give how much of the AIMD of a label belongs to the trajectory: its last run, up to its last good frame.

    :param results: results of the label.
    :param timestep_fs: timestep of the AIMD in fs.
    :returns: time in fs.
    """
    runs = results.get('aimds') or []
    return max(int(runs[-1]['n_good_frames']) - 1, 0) * timestep_fs if runs else 0.0


# ------------------------------------------------------------------------------------------------------- the summary


def make_hybrid_summary(
    outcome: str, parameters: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]], continued: Sequence[bool]
) -> dict[str, Any]:
    """Summarise a hybrid run: a cycle is a generation with one label and one MD.

    The acceleration ratio is HAIR's, (MD + AIMD) / AIMD: 11 for 0.5 ps of AIMD before every 5 ps of MD. MD after t_next
    of a catastrophe does not count; AIMD that was run counts, whether it was kept or not.

    :param outcome: how the run ended.
    :param parameters: the settings of the run.
    :param results: the results dictionaries under the labels of the call links.
    :param continued: for every MD, whether it started with the velocities of the AIMD.
    :returns: ``outcome``, ``temperature_k``, ``cycles``, ``aimd_ps``, ``md_ps``, ``catastrophes``,
        ``acceleration_ratio``, ``cost`` and ``forgetting``.
    """
    cycles = [
        _cycle(generation, results, continued)
        for generation in generations_of(results, ['structure'])
        if generation['labels']
    ]
    aimd_ps = sum(cycle['aimd_fs'] for cycle in cycles) / 1000
    md_ps = sum(cycle['md_ps'] or 0.0 for cycle in cycles)
    return {
        'outcome': outcome,
        'temperature_k': parameters.get('temperature_k', HybridSettings.model_fields['temperature_k'].default),
        'cycles': cycles,
        'aimd_ps': aimd_ps,
        'md_ps': md_ps,
        'catastrophes': sum(cycle['t_cp_ps'] is not None for cycle in cycles),
        'acceleration_ratio': (md_ps + aimd_ps) / aimd_ps if aimd_ps else None,
        'cost': cost_of(results),
        'forgetting': forgetting(trainings_of(results)),
    }


def _cycle(
    generation: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]], continued: Sequence[bool]
) -> dict[str, Any]:
    """Lay the parts of a generation side by side: it has one of each kind."""
    number = generation['generation']
    label, training, md = generation['labels'][0], generation['training'] or {}, (generation['md'] or [{}])[0]
    whole = results.get(str(Call(number, EXPLORE, stage=0)))
    return {
        'cycle': number,
        **{key: label[key] for key in ('aimd_fs', 'route', 'max_temperature_k', 'possible_exotherm')},
        'force_rmse_ev_per_angstrom': training.get('force_rmse_ev_per_angstrom'),
        'md_ps': counted_md_ps(whole) if whole else None,
        'md_velocities': None if number >= len(continued) else 'of the AIMD' if continued[number] else 'drawn',
        **{key: md.get(key) for key in ('t_cp_ps', 'bound', 't_next_ps')},
    }
