"""What a hybrid run is asked to do; the defaults are HAIR's lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from aiida_deepmd.settings import StrictModel
from aiida_sis.core.settings.base import ROOM_TEMPERATURE_K, Cleaning, Count, Flag, Positive, Sites, Window
from aiida_sis.core.settings.sis import LearningSchedule


class HybridSettings(StrictModel):
    """The settings of a hybrid run; the defaults are HAIR's lengths."""

    cycles: Count = 10
    """How often AIMD, training and MD follow each other."""
    temperature_k: Positive = ROOM_TEMPERATURE_K
    """The target temperature of AIMD and MD, in K."""
    window_k: Window
    """The lowest and the highest temperature that an MD may reach, in K."""
    aimd_length_fs: Positive = 500.0
    """Length of an AIMD burst, in fs."""
    first_aimd_length_fs: Positive | None = None
    """Length of the first one, which has to teach a potential from nothing, in fs."""
    md_length_ps: Positive = 5.0
    """Length of an MD, in ps."""
    frame_interval_fs: Positive = 50.0
    """Spacing of the frames of the joined trajectory, in fs."""
    optimise_first: Flag = True
    """Whether the run starts from a geometry optimisation."""
    fixed_atoms: Sites = ()
    """Numbers of the sites that are held where they are, from 0."""
    learning: LearningSchedule = Field(default_factory=LearningSchedule)
    """The schedule of the fine-tunings; a cycle is a generation."""
    clean_workdir: Cleaning = 'finished_ok'
    """Of which parts (label, training, MD) the work directories on the computer are emptied when they have ended:
    ``never``, ``finished_ok`` or ``all``. What was retrieved stays in the repository."""

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
    return HybridSettings.read(values, 'hybrid parameters')
