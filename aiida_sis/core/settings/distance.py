"""Settings of the early sign: a pair of atoms nearer than any that the potential has learnt."""

from __future__ import annotations

from pydantic import Field

from aiida_deepmd.settings import StrictModel
from aiida_sis.core.settings.base import Number


class LeastDistance(StrictModel):
    """Stop an MD where two atoms come nearer than the training data ever showed, before its temperature tells."""

    factor: Number = Field(gt=0, le=1)
    """The limit of a pair of elements is this times its shortest distance in the training data. Pairs that the data
    never show within the cutoff of the potential are not watched."""
