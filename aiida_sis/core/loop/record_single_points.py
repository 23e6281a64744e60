"""The record of what single points have shown: the ladder of a catastrophe, the true error along a stable MD."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from aiida_sis.core.single_points import Rung

__all__ = ('Ladder', 'Record', 'Verification')


class Record(BaseModel):
    """Something that a run did; keys that it does not know are left out."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Ladder(Record):
    """The ladder of one catastrophe: frames of the MD before it, labelled by single points."""

    index: int
    """Number of its label in the generation."""
    t_cp_ps: float
    """The catastrophe in ps."""
    t_next_ps: float | None = None
    """The measured t_next, which is the latest rung that is right, in ps; ``null`` where none is."""
    force_rmse_max: float
    """Largest force error of a rung that is right, in eV/Å."""
    n_learnt: int
    """Rungs that joined the data."""
    md: int | None = None
    """The exploration that met the catastrophe."""
    rungs: tuple[Rung, ...] = ()
    """The rungs in the order of time."""

    @property
    def is_right_to_the_last(self) -> bool:
        """Whether every rung is right: then the window was left by chance, or by heat that is real."""
        return bool(self.rungs) and all(rung.state == 'right' for rung in self.rungs)


class Verification(Record):
    """How wrong a potential is along its own stable MD, from frames labelled by single points."""

    verified: bool
    """Whether the force error is within the limit, and at least half of the frames could be labelled."""
    n_offered: int
    """Frames that were to be labelled."""
    n_frames: int
    """Frames that could be labelled."""
    force_rmse_max: float
    """The limit in eV/Å."""
    force_rmse_ev_per_angstrom: float | None = None
    """Force error over these frames in eV/Å: the true error of the stable MD."""
    largest_force_rmse_ev_per_angstrom: float | None = None
    """That of the worst frame in eV/Å."""
    worst_replica: int | None = None
    """The replica of the worst frame."""
    worst_time_ps: float | None = None
    """The time of the worst frame in ps."""
    teacher_force_ev_per_angstrom: float | None = None
    """RMS of the teacher's forces in these frames, in eV/Å."""
    energy_rmse_ev_per_atom: float | None = None
    """Energy error in eV/atom."""
    energy_drift_ev_per_atom_per_ps: float | None = None
    """How the energy error changes along the MD, in eV/atom a ps."""
