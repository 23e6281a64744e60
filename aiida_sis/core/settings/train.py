"""What a protocol says of a training beside DeePMD-kit's own input."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiida_deepmd.files.budget import TrainBudget
from aiida_deepmd.settings import StrictModel
from aiida_sis.core.settings.base import Flag, Number, Positive, Whole


class TrainJobSettings(StrictModel):
    """What trains and what is done after it; the run itself sets the other settings of the job."""

    backend: Literal['tensorflow', 'pytorch'] = 'tensorflow'
    """Backend of DeePMD-kit for every training of the run; a `potential` to start from must be one of its own."""
    model_branch: str | None = None
    """Branch of a `potential` of several tasks that the first training fine-tunes."""
    compress: Flag = False
    """Compress the model, which makes MD faster."""


class TrainSettings(StrictModel):
    """When a training is good enough."""

    budget: TrainBudget | None = None
    """What a training may cost, in place of a number of steps; None: `numb_steps` of the training input decides. A
    fine-tuning has the share ``fine_tune_steps / numb_steps`` of it."""
    force_rmse_max: Positive | None = None
    """Force RMSE on held-out frames above which a training is continued, in eV/Å; None: never."""
    max_extensions: Whole | None = None
    """How many times a training may be continued to get there; None: twice."""
    min_improvement: Number | None = Field(default=None, ge=0, lt=1)
    """Share by which a continuation must lower the held-out force RMSE for another one to follow; None: 0.1."""
    settings: TrainJobSettings = Field(default_factory=TrainJobSettings)
    """What trains and what is done after it."""
