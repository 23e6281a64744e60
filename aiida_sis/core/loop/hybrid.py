"""The hybrid run: AIMD bursts and MD with a potential alternate along one trajectory.

This is the scheme of HAIR (Liu et al. 2021, J. Phys. Chem. Lett. 12, 2922), with a Deep Potential that learns from
every burst in the place of its reactive force field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiida_deepmd.settings import one_sentence
from aiida_deepmd.units import ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS
from aiida_sis.core.settings.sis import Flag, LearningSchedule, Number, Whole, Window

Floats = NDArray[np.float64]
TIME_TOLERANCE_PS = 1e-7


class HybridSettings(BaseModel):
    """The settings of a hybrid run; the defaults are HAIR's lengths.

    :param cycles: how often AIMD, training and MD follow each other.
    :param temperature_k: the target temperature of AIMD and MD, in K.
    :param window_k: the lowest and the highest temperature that an MD may reach, in K.
    :param aimd_length_fs: length of an AIMD burst, in fs.
    :param first_aimd_length_fs: length of the first one, which has to teach a potential from nothing, in fs.
    :param md_length_ps: length of an MD, in ps.
    :param frame_interval_fs: spacing of the frames of the joined trajectory, in fs.
    :param optimise_first: whether the run starts from a geometry optimisation.
    :param fixed_atoms: numbers of the sites that are held where they are, from 0.
    :param learning: the schedule of the fine-tunings; a cycle is a generation.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)

    cycles: Whole = Field(default=10, gt=0)
    temperature_k: Number = Field(default=300.0, gt=0)
    window_k: Window
    aimd_length_fs: Number = Field(default=500.0, gt=0)
    first_aimd_length_fs: Number | None = Field(default=None, gt=0)
    md_length_ps: Number = Field(default=5.0, gt=0)
    frame_interval_fs: Number = Field(default=50.0, gt=0)
    optimise_first: Flag = True
    fixed_atoms: tuple[Whole, ...] = ()
    learning: LearningSchedule = Field(default_factory=LearningSchedule)

    def aimd_length(self, cycle: int) -> float:
        """Give the length of an AIMD burst.

        :param cycle: the cycle, from 0.
        :returns: length in fs.
        """
        return self.first_aimd_length_fs or self.aimd_length_fs if cycle == 0 else self.aimd_length_fs

    def md_changes(self) -> dict[str, Any]:
        """Give what the run itself says to an MD.

        :returns: keys of the parameters of `sis.lammps.md`.
        """
        changes: dict[str, Any] = {
            'temperature_k': self.temperature_k,
            'window_k': list(self.window_k),
            'length_ps': self.md_length_ps,
            'trajectory_interval_ps': self.frame_interval_fs * 1e-3,
            # The trajectory goes on: a minimisation would be a break in it.
            'minimise': {'enabled': False},
        }
        return changes | ({'fixed_atoms': list(self.fixed_atoms)} if self.fixed_atoms else {})

    def as_sis(self) -> dict[str, Any]:
        """Give the parameters of a SIS run of one system that asks the same of its codes, so that its checks hold here.

        :returns: keys of `SisSettings`; the system is called ``structure``.
        """
        return {
            'temperature_k': self.temperature_k,
            'stages': [{'name': 'hybrid', 'window_k': list(self.window_k), 'length_ps': self.md_length_ps}],
            'replicas': 1,
            'initial_length_fs': self.aimd_length(0),
            'learning': self.learning.model_dump(),
            'systems': {
                'structure': {'fixed_atoms': list(self.fixed_atoms), 'label_length_fs': self.aimd_length_fs},
            },
        }


def read_hybrid_settings(values: Mapping[str, Any]) -> HybridSettings:
    """Read the settings of a hybrid run.

    :param values: the plain dictionary.
    :returns: the settings, typed.
    :raises ValueError: in one sentence that names the key, the value and the remedy.
    """
    try:
        return HybridSettings.model_validate(dict(values))
    except ValidationError as exception:
        parts = {'learning': LearningSchedule}
        raise ValueError(one_sentence(exception, HybridSettings, 'hybrid parameters', parts)) from None


# ------------------------------------------------------------------------------------------------ the end of an AIMD


@dataclass(frozen=True)
class RestartState:
    """Where CP2K left its atoms.

    :param positions: Å (n_atoms, 3).
    :param velocities: Å/ps (n_atoms, 3).
    """

    positions: Floats
    velocities: Floats


def read_restart(text: str) -> RestartState | None:
    """Read positions and velocities from CP2K's restart file, the one place where it leaves velocities unasked.

    :param text: content of `PROJECT-1.restart`, which is CP2K input.
    :returns: the state, or None where the file lacks one of the sections or was cut off.
    """
    coordinates, velocities = _section(text, 'COORD'), _section(text, 'VELOCITY')
    if not coordinates or len(coordinates) != len(velocities):
        return None
    try:
        positions = np.array([[float(word) for word in line[1:4]] for line in coordinates])
        speeds = np.array([[float(word) for word in line[:3]] for line in velocities])
    except ValueError:
        return None
    if positions.shape != speeds.shape or positions.shape[1:] != (3,):
        return None
    return RestartState(positions, speeds * ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS)


def _section(text: str, name: str) -> list[list[str]]:
    """Give the words of the lines of a section of CP2K input, none where it is not whole or has a unit of its own."""
    match = re.search(rf'^\s*&{name}[ \t]*\n(.*?)^\s*&END {name}\b', text, re.M | re.S)
    lines = [line.split() for line in match.group(1).splitlines() if line.strip()] if match else []
    # CP2K writes the unit and scaling of positions as keywords if they are not its defaults.
    return [] if any(line[0] in ('UNIT', 'SCALED') for line in lines) else lines


# ------------------------------------------------------------------------------------------------ the one trajectory


@dataclass(frozen=True)
class Piece:
    """One AIMD or MD as a part of the trajectory.

    :param times_ps: times from its own start, (n_frames,), ascending.
    :param duration_ps: how much of it belongs to the trajectory; the next piece starts there.
    """

    times_ps: Floats
    duration_ps: float


def place_pieces(pieces: Sequence[Piece], interval_ps: float) -> list[tuple[NDArray[np.int64], Floats]]:
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
    if results.get('catastrophe') is None:
        return float(results['length_ps_reached'])
    return float((results.get('t_next') or {}).get('time_ps', 0.0))


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
    """Summarise a hybrid run.

    The acceleration ratio is HAIR's, (MD + AIMD) / AIMD: 11 for 0.5 ps of AIMD before every 5 ps of MD. MD after t_next
    of a catastrophe does not count; AIMD that was run counts, whether it was kept or not.

    :param outcome: how the run ended.
    :param parameters: the settings of the run.
    :param results: the results dictionaries under ``label_c{c}``, ``train_c{c}`` and ``explore_c{c}``.
    :param continued: for every MD, whether it started with the velocities of the AIMD.
    :returns: ``outcome``, ``temperature_k``, ``cycles``, ``aimd_ps``, ``md_ps``, ``catastrophes`` and
        ``acceleration_ratio``.
    """
    cycles = [_cycle(number, results, continued) for number in range(int(parameters.get('cycles', 10)))]
    cycles = [cycle for cycle in cycles if f'label_c{cycle["cycle"]}' in results]
    aimd_ps = sum(cycle['aimd_fs'] for cycle in cycles) / 1000
    md_ps = sum(cycle['md_ps'] or 0.0 for cycle in cycles)
    return {
        'outcome': outcome,
        'temperature_k': parameters.get('temperature_k', 300.0),
        'cycles': cycles,
        'aimd_ps': aimd_ps,
        'md_ps': md_ps,
        'catastrophes': sum(cycle['t_cp_ps'] is not None for cycle in cycles),
        'acceleration_ratio': (md_ps + aimd_ps) / aimd_ps if aimd_ps else None,
    }


def _cycle(number: int, results: Mapping[str, Mapping[str, Any]], continued: Sequence[bool]) -> dict[str, Any]:
    label, training, md = (results.get(f'{kind}_c{number}', {}) for kind in ('label', 'train', 'explore'))
    point, start = md.get('catastrophe') or {}, md.get('t_next') or {}
    return {
        'cycle': number,
        'aimd_fs': label.get('aimd_fs') or 0.0,
        'route': label.get('route'),
        'max_temperature_k': label.get('max_temperature_k'),
        'possible_exotherm': label.get('possible_exotherm'),
        'force_rmse_ev_per_angstrom': training.get('force_rmse_ev_per_angstrom'),
        'md_ps': counted_md_ps(md) if md else None,
        'md_velocities': None if number >= len(continued) else 'of the AIMD' if continued[number] else 'drawn',
        't_cp_ps': point.get('time_ps'),
        'bound': point.get('bound'),
        't_next_ps': start.get('time_ps'),
    }
