"""What a label is asked for, checked before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from aiida_deepmd.settings import StrictModel
from aiida_sis.core.settings.base import ROOM_TEMPERATURE_K, Count, Flag, Positive, Sites, refusal
from aiida_sis.core.settings.frames import DatasetSettings

#: Time in s that CP2K is given to start before its budget a step counts.
START_ALLOWANCE_S = 120.0


class OptimisationSettings(StrictModel):
    """Limits of the geometry optimisation; reaching ``max_steps`` is no error, the last structure is used."""

    max_steps: Count = 100
    """Largest number of steps."""
    max_force: Positive = 0.05
    """Largest force component of a converged structure, in eV/Å."""


class LabelSettings(StrictModel):
    """Everything a label is asked for."""

    length_fs: Positive = 500.0
    """Length of an AIMD, in fs."""
    timestep_fs: Positive = 0.5
    """Timestep, in fs (0.5 with hydrogen, 1.0 without)."""
    temperature_k: Positive = ROOM_TEMPERATURE_K
    """Temperature of the AIMD, in K."""
    thermostat_time_constant_fs: Positive = 50.0
    """Time constant of the CSVR thermostat, in fs."""
    optimise_first: Flag = False
    """Optimise the geometry before the first AIMD (start structures that were built, not sampled)."""
    hot_sigmas: Positive = 5.0
    """Canonical standard deviations of the temperature above which an AIMD has left its ensemble."""
    max_seconds_per_step: Positive | None = None
    """Budget of a step, in s; None for no budget."""
    optimisation: OptimisationSettings = Field(default_factory=OptimisationSettings)
    """Limits of the geometry optimisation."""
    dataset: DatasetSettings = Field(default_factory=DatasetSettings)
    """How the labelled frames are turned into a dataset."""
    stop_at_failed_frame: Flag = False
    """Of single points: leave out all frames behind one that CP2K can't treat, as on the way to a catastrophe."""
    fixed_atoms: Sites = ()
    """Numbers of the sites that are held where they are, from 0."""
    label: str = ''
    """Name of the system."""

    @model_validator(mode='after')
    def _at_least_a_step(self) -> LabelSettings:
        if self.length_fs < self.timestep_fs:
            raise ValueError(
                f'`length_fs` of the label parameters is {self.length_fs:g}, shorter than one timestep of '
                f'{self.timestep_fs:g} fs: make it longer.'
            )
        return self

    @property
    def n_steps(self) -> int:
        """Number of MD steps of an AIMD."""
        return max(1, round(self.length_fs / self.timestep_fs))

    @property
    def walltime_s(self) -> float | None:
        """Time in s after which CP2K is told to stop, None without a budget."""
        if self.max_seconds_per_step is None:
            return None
        return START_ALLOWANCE_S + self.max_seconds_per_step * self.n_steps


def read_label_settings(parameters: Mapping[str, Any]) -> LabelSettings:
    """Read the parameters of a label.

    :param parameters: the plain dictionary; what is left out has its default.
    :returns: the settings, typed.
    :raises ValueError: in one sentence that names the key, the value and the remedy.
    """
    return LabelSettings.read(parameters, 'label parameters')


def check_label_parameters(parameters: Mapping[str, Any]) -> str | None:
    """Find what is wrong with the parameters of a label before anything runs.

    :param parameters: the plain dictionary.
    :returns: one sentence, or None.
    """
    return refusal(read_label_settings, parameters)


def check_start(
    elements: Collection[str],
    n_atoms: int,
    type_map: Sequence[str],
    velocities: Mapping[str, tuple[int, ...]] | None = None,
    fixed_atoms: Sequence[int] = (),
) -> str | None:
    """Find what does not fit together in the start of a label.

    :param elements: elements of the structure.
    :param n_atoms: number of atoms of the structure.
    :param type_map: elements of the whole run.
    :param velocities: shapes of the arrays given as velocities, None where there are none.
    :param fixed_atoms: numbers of the sites that are held.
    :returns: one sentence, or None.
    """
    foreign = sorted(set(elements) - set(type_map))
    if foreign:
        return (
            f'The structure holds {", ".join(foreign)}, which type_map {list(type_map)} lacks: '
            'add it for the whole run.'
        )
    if velocities is not None and velocities.get('velocities') != (n_atoms, 3):
        return f'velocities has the arrays {dict(velocities)}, but needs `velocities` of shape {(n_atoms, 3)} in Å/ps.'
    outside = [number for number in fixed_atoms if number >= n_atoms]
    if outside:
        return (
            f'parameters.fixed_atoms holds {", ".join(map(str, outside))}, but the structure has the sites 0 to '
            f'{n_atoms - 1}: leave out what is not there.'
        )
    if n_atoms - len(set(fixed_atoms)) < 2:
        return (
            f'parameters.fixed_atoms holds {len(set(fixed_atoms))} of the {n_atoms} atoms, but a temperature needs at '
            'least two that move: fix fewer.'
        )
    return None
