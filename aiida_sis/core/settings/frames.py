"""Which frames of a trajectory are kept, as a dataset or to be labelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from aiida_deepmd.frames import Limits
from aiida_deepmd.settings import StrictModel
from aiida_sis.core.frame_selection import BY_DESCRIPTOR, STRIDE
from aiida_sis.core.settings.base import Count, Flag, NotNegative, Number, Positive, Sites, Whole


def check_fractions(value: tuple[float, float, float]) -> tuple[float, float, float]:
    """Check the shares of a split.

    :param value: the three shares.
    :returns: the same.
    :raises ValueError: if they do not add up to 1.
    """
    if abs(sum(value) - 1) > 1e-6:
        raise ValueError('the three shares must add up to 1')
    return value


Fractions = Annotated[tuple[NotNegative, NotNegative, NotNegative], AfterValidator(check_fractions)]


class DatasetSettings(StrictModel):
    """How labelled frames are turned into a dataset."""

    fractions: Fractions = (0.6, 0.2, 0.2)
    """Shares of train, validation and test frames; they add up to 1."""
    split: Literal['shuffled', 'blocks'] = 'shuffled'
    """Whether the frames are shuffled before they are split, or split in blocks of time."""
    max_force: Positive = Limits().max_force
    """A frame with a larger force on an atom is refused, in eV/Å."""
    stride: Count = 1
    """Keep one frame in ``stride``; neighbouring frames are correlated."""
    max_frames: Count | None = None
    """Largest number of frames; None for all."""
    choice: Literal['every', 'stride', 'farthest_point', 'entropy'] = 'every'
    """Which frames are kept where there are more than ``max_frames``: ``every`` (evenly spread), ``stride`` (constant
    spacing), ``farthest_point`` or ``entropy``."""

    @model_validator(mode='after')
    def _choice_has_a_number(self) -> DatasetSettings:
        if self.choice in BY_DESCRIPTOR and self.max_frames is None:
            raise ValueError(f"choice '{self.choice}' needs the number of frames, so give max_frames")
        if self.choice == STRIDE and self.max_frames is None and self.stride == 1:
            raise ValueError("choice 'stride' needs a spacing, so give stride or max_frames")
        return self


class TrajectoryDatasetSettings(DatasetSettings):
    """How a trajectory of CP2K is turned into a dataset."""

    fixed_atoms: Sites = ()
    """Numbers of the sites, from 0, whose forces are no labels."""
    energy_outlier_sigmas: Positive = Limits().energy_outlier_sigmas
    """Robust standard deviations of the energy per atom beyond which a frame is flagged."""
    refuse_energy_outliers: Flag = False
    """Refuse the flagged frames too. A reaction is an outlier, so this is off."""
    unconverged_frames: tuple[Whole, ...] = ()
    """Numbers of the frames whose SCF did not converge."""
    label: str = ''
    """Name of the system."""


class ReplayFrameSettings(StrictModel):
    """Which frames of an MD are labelled by single points."""

    n_frames: Count
    """Most frames to take."""
    start_ps: Number | None = None
    """Begin of the window, in ps; None for no limit."""
    stop_ps: Number | None = None
    """End of the window, in ps; None for no limit."""
    choice: Literal['even', 'farthest_point', 'entropy'] = 'even'
    """``even`` in time, ``farthest_point`` or ``entropy``."""
    seed: Whole = 0
    """Decides between frames of equal worth."""

    @model_validator(mode='after')
    def _in_order(self) -> ReplayFrameSettings:
        if self.start_ps is not None and self.stop_ps is not None and self.start_ps > self.stop_ps:
            raise ValueError(f'`start_ps` is {self.start_ps:g}, after `stop_ps` {self.stop_ps:g}: swap them.')
        return self


def read_dataset_settings(values: Mapping[str, Any]) -> TrajectoryDatasetSettings:
    """Read how a trajectory is turned into a dataset.

    :param values: the plain dictionary.
    :returns: the settings, typed.
    :raises ValueError: in one sentence that names the key, the value and the remedy.
    """
    return TrajectoryDatasetSettings.read(values, 'dataset settings')


def read_replay_frame_settings(values: Mapping[str, Any]) -> ReplayFrameSettings:
    """Read which frames of an MD are labelled.

    :param values: the plain dictionary.
    :returns: the settings, typed.
    :raises ValueError: in one sentence that names the key, the value and the remedy.
    """
    return ReplayFrameSettings.read(values, 'replay settings')
