"""What single points are asked to tell: how wrong a stable MD is, and how far back a failed one was still right."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiida_deepmd.settings import StrictModel
from aiida_sis.core.settings.base import Count, Flag, Number, Positive


class VerificationSettings(StrictModel):
    """How a stable MD is verified: some of its frames are labelled by single points."""

    enabled: Flag = True
    """Whether it is verified at all; without it a run can only end ``stable``."""
    stages: Literal['every', 'last'] = 'every'
    """Which stages must be verified to be passed: a wrong potential is found out after a short stage, before the long
    one is run with it. What the run says of its MD is the verification of the last stage."""
    n_frames: Count = 24
    """Frames that are labelled each time, spread over all replicas and over their whole length after the grace time."""
    force_rmse_max: Positive = 0.15
    """Largest force error over these frames in eV/Å of a stage that is passed. Above it the frames join the data, the
    potential is fine-tuned, and the stage runs again."""
    max_verifications: Count = 4
    """How many verifications may fail in all: with the last of them the run ends ``stable, not verified``."""


class LadderSettings(StrictModel):
    """The ladder: frames of a failed MD, further and further before the catastrophe, labelled by single points."""

    first_rung_fs: Positive = 10.0
    """How far before t_cp the last rung lies, in fs; each further one lies twice as far, back to the start of the MD.
    A rung is the last stored frame up to that time."""
    force_rmse_max: Positive | None = None
    """Largest force error of a rung that is still right, in eV/Å, over its atoms; the latest such rung is t_next. None:
    twice that of the verification, since a single frame scatters about the error of many."""
    max_force_ratio: Number = Field(default=3.0, gt=1)
    """A frame of a failed MD is learnt from only where the teacher's largest force on an atom is at most this many
    times the largest in the frames of AIMD and of stable MD."""
