"""What single points say of the frames of an MD: how wrong the potential was there, and where it was still right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_sis.core.series import latest_at

__all__ = ('Rung', 'drift_of', 'force_errors', 'judge_rungs', 'largest_forces', 'latest_right', 'match', 'rung_times')

#: What a rung of the ladder turned out to be.
RungState = Literal['right', 'wrong', 'unphysical', 'failed']
#: Frames that differ by less than this, in Å, are one frame: a teacher's file has fewer digits.
SAME_FRAME = 1e-3


class Rung(BaseModel):
    """One frame of a failed MD and what its single point says of it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    time_ps: float
    """Its time in ps."""
    before_t_cp_fs: float
    """How far it lies before the catastrophe, in fs."""
    state: RungState
    """``right``: the force error is still that of a good potential; ``wrong``: it is not, but the frame can be learnt
    from; ``unphysical``: its forces are beyond the limit; ``failed``: CP2K gave nothing for it."""
    force_rmse_ev_per_angstrom: float | None = None
    """Force error of the potential that drove the MD, over its atoms, in eV/Å."""
    largest_force_ev_per_angstrom: float | None = None
    """The teacher's largest force on an atom, in eV/Å."""


def rung_times(t_cp_ps: float, first_rung_fs: float, start_ps: float = 0.0) -> list[float]:
    """Give the times of the rungs of a ladder.

    :param t_cp_ps: the catastrophe, in ps.
    :param first_rung_fs: how far before it the last rung lies, in fs; each further one lies twice as far.
    :param start_ps: the first frame of the MD, which ends the ladder, in ps.
    :returns: times in ps, ascending.
    """
    times, back = [], first_rung_fs * 1e-3
    while t_cp_ps - back > start_ps:
        times.append(t_cp_ps - back)
        back *= 2
    return [start_ps, *reversed(times)]


def rung_frames(frame_times: FloatArray, wanted: Sequence[float]) -> list[int]:
    """Find the latest stored frame up to each time, every frame once.

    :param frame_times: times of the frames in ps, ascending, (n_frames,).
    :param wanted: times in ps.
    :returns: numbers of the frames, ascending.
    """
    found = {latest_at(frame_times, time) for time in wanted}
    return sorted(number for number in found if number is not None)


def match(positions: FloatArray, labelled: FloatArray) -> IntArray:
    """Find which frames of an MD the labelled ones are.

    :param positions: of the MD in Å, (n_frames, n_atoms, 3).
    :param labelled: of the labelled frames in Å, in the same order, (n_labelled, n_atoms, 3); frames may be missing.
    :returns: their numbers, (n_labelled,).
    :raises ValueError: if a labelled frame is not in the MD.
    """
    found: list[int] = []
    for coords in labelled:
        begin = found[-1] + 1 if found else 0
        near = [i for i in range(begin, len(positions)) if np.abs(positions[i] - coords).max() < SAME_FRAME]
        if not near:
            raise ValueError('A labelled frame is not among the frames of the MD: label the frames of this trajectory.')
        found.append(near[0])
    return np.array(found, dtype=np.int64)


def force_errors(forces: FloatArray, teacher: FloatArray) -> FloatArray:
    """Give the force error of each frame.

    :param forces: of the potential in eV/Å, (n_frames, n_atoms, 3).
    :param teacher: of its teacher, the same shape.
    :returns: root mean square over the components of all atoms, in eV/Å, (n_frames,).
    """
    rmse: FloatArray = np.sqrt(((forces - teacher) ** 2).mean(axis=(1, 2)))
    return rmse


def largest_forces(forces: FloatArray) -> FloatArray:
    """Give the largest force on an atom in each frame.

    :param forces: in eV/Å, (n_frames, n_atoms, 3).
    :returns: in eV/Å, (n_frames,).
    """
    largest: FloatArray = np.linalg.norm(forces, axis=2).max(axis=1)
    return largest


def drift_of(times_ps: FloatArray, errors: FloatArray) -> float | None:
    """Give the slope of errors over time, by least squares.

    :param times_ps: in ps, (n,).
    :param errors: (n,).
    :returns: the slope in units of the errors a ps; nothing for fewer than two times.
    """
    if len(times_ps) < 2 or np.ptp(times_ps) == 0:
        return None
    return float(np.polyfit(times_ps, errors, 1)[0])


def judge_rungs(
    times_ps: FloatArray,
    t_cp_ps: float,
    errors: dict[int, float],
    forces: dict[int, float],
    force_rmse_max: float,
    max_force: float,
) -> list[Rung]:
    """Judge the rungs of a ladder.

    :param times_ps: their times in ps, ascending, (n_rungs,).
    :param t_cp_ps: the catastrophe, in ps.
    :param errors: force error of those that were labelled, by number, in eV/Å.
    :param forces: the teacher's largest force in them, by number, in eV/Å.
    :param force_rmse_max: largest error of one that is right, in eV/Å.
    :param max_force: largest force of one that is physical, in eV/Å.
    :returns: the rungs, in their order.
    """

    def state(number: int) -> RungState:
        if number not in errors:
            return 'failed'
        if forces[number] > max_force:
            return 'unphysical'
        return 'right' if errors[number] <= force_rmse_max else 'wrong'

    return [
        Rung(
            time_ps=float(time),
            before_t_cp_fs=round((t_cp_ps - float(time)) * 1e3, 6),
            state=state(number),
            force_rmse_ev_per_angstrom=errors.get(number),
            largest_force_ev_per_angstrom=forces.get(number),
        )
        for number, time in enumerate(times_ps)
    ]


def latest_right(rungs: Sequence[Rung]) -> int | None:
    """Find the latest rung that is still right, which is the measured t_next.

    :param rungs: in the order of time.
    :returns: its number, or nothing where none is right.
    """
    right = [number for number, rung in enumerate(rungs) if rung.state == 'right']
    return right[-1] if right else None
