"""How the stable MD of a rehearsal is compared with its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from aiida_deepmd.settings import StrictModel
from aiida_sis.core.settings.base import Count, Integer, NotNegative, Number


class RdfSettings(StrictModel):
    """How radial distribution functions are compared."""

    r_max: Number = Field(default=6.0, ge=0.1)
    """Longest distance, in Å."""
    n_bins: Integer = Field(default=60, ge=2)
    """Number of bins."""
    skip_ps: NotNegative = 10.0
    """Start of the MD runs that is left out, in ps."""
    n_frames: Count = 200
    """Most frames of each trajectory, evenly chosen."""
    reference_skip: Number = Field(default=0.1, ge=0, lt=1)
    """Share of the teacher's MD that is left out at its start."""


class ComparisonSettings(StrictModel):
    """How the MD is compared with the teacher."""

    teacher_length_ps: Number = Field(default=10.0, ge=0.01)
    """Length of the teacher's own MD, in ps."""
    rdf: RdfSettings = Field(default_factory=RdfSettings)
    """How radial distribution functions are compared."""


def read_comparison_settings(values: Mapping[str, Any]) -> ComparisonSettings:
    """Read how the MD is compared with the teacher.

    :param values: the plain dictionary.
    :returns: the settings, typed.
    :raises ValueError: in one sentence that names the key, the value and the remedy.
    """
    return ComparisonSettings.read(values, 'comparison')
