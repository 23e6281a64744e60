"""Settings of a watched molecular dynamics, checked before anything is submitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from ase.data import chemical_symbols
from pydantic import Field, field_validator, model_validator

from aiida_deepmd.settings import StrictModel, at_least
from aiida_sis.core.indicator import GUARD_FACTOR, TNextRule
from aiida_sis.core.settings.base import Count, Flag, Integer, NotNegative, Positive, Sites, Window

AUTOMATIC_GRACE = 5.0
"""Grace time in units of the thermostat's time constant, where the start lies outside the window."""
LAMMPS_INTEGER = 2**31 - 1
"""The largest number of steps that LAMMPS takes in one run, and of files in the ring."""
MAX_FRAMES = 100_000
"""Most frames that may be written for the candidates to be chosen from; 200 atoms are about 30 kB a frame."""
START_MARGIN = 0.05
"""How far from the window's edges the start must be to count as inside, in units of its temperature: the first steps
release what a minimisation has left."""


class Thermostat(StrictModel):
    """How heat is exchanged with the bath."""

    style: Literal['csvr', 'nose_hoover', 'none'] = 'csvr'
    """``csvr`` (stochastic velocity rescaling), ``nose_hoover`` or ``none`` (constant energy)."""
    time_constant_fs: Positive = 100.0
    """Coupling time in fs."""


class Minimisation(StrictModel):
    """Energy minimisation before the dynamics."""

    enabled: Flag = True
    """Whether there is one; never where velocities are given."""
    etol: NotNegative = 1e-4
    """Relative change of the energy at which it stops."""
    ftol: NotNegative = 1e-6
    """Norm of the force in eV/Å at which it stops."""
    maxiter: Count = 1000
    """Most iterations."""


class DeviationSettings(StrictModel):
    """How a committee is listened to."""

    low_ev_per_angstrom: NotNegative
    """Lower trust level of the largest force deviation, in eV/Å; it depends on the system (DP-GEN often takes 0.05)."""
    high_ev_per_angstrom: NotNegative
    """Upper trust level, in eV/Å (DP-GEN often takes 0.2)."""
    interval_fs: Positive = 50.0
    """Spacing of the frames that are judged, in fs."""
    max_candidates: Count = 20
    """Most frames that are kept, evenly chosen in time."""

    @model_validator(mode='after')
    def _ordered(self) -> DeviationSettings:
        if self.low_ev_per_angstrom >= self.high_ev_per_angstrom:
            raise ValueError('low_ev_per_angstrom must be lower than high_ev_per_angstrom')
        return self


class MdSettings(StrictModel):
    """A dynamics at constant volume that ends itself where its temperature leaves the window."""

    temperature_k: Positive
    """Target in K."""
    window_k: Window
    """Lower and upper edge in K."""
    length_ps: Positive
    """Length in ps."""
    timestep_fs: Positive = 0.5
    """Timestep in fs; 1 fs is sound without hydrogen."""
    thermo_interval_fs: Positive = 10.0
    """Spacing of the series in fs."""
    trajectory_interval_ps: Positive = 1.0
    """Spacing of the trajectory that is kept in ps."""
    ring_interval_fs: Positive = 10.0
    """Spacing of the latest snapshots in fs."""
    ring_size: Integer = Field(default=60, ge=2, le=LAMMPS_INTEGER)
    """How many of the latest snapshots are kept."""
    grace_ps: NotNegative | None = None
    """Time before which the window does not count, in ps; None: 0 where the start lies inside the window, else five
    time constants of the thermostat."""
    elapsed_ps: NotNegative = 0.0
    """How much of the length had been run when the time of an earlier job was up, in ps."""
    thermostat: Thermostat = Field(default_factory=Thermostat)
    """How heat is exchanged."""
    minimise: Minimisation = Field(default_factory=Minimisation)
    """Minimisation before the dynamics."""
    t_next: TNextRule = Field(default_factory=TNextRule)
    """How far to go back from a catastrophe."""
    fixed_atoms: Sites = ()
    """Numbers of the atoms that never move, counted from 0."""
    deviation: DeviationSettings | None = None
    """How a committee is listened to, where there is one."""
    least_distances: dict[str, Positive] = Field(default_factory=dict)
    """How near two atoms may come, in Å, by their elements in alphabetical order, as in ``F-Li``; looked at with the
    spacing of the series. A pair that is nearer already at the start is not watched in that MD, and a warning says
    so."""

    @field_validator('least_distances')
    @classmethod
    def _pairs_of_elements(cls, value: dict[str, float]) -> dict[str, float]:
        for pair in value:
            elements = pair.split('-')
            if len(elements) != 2 or elements != sorted(elements) or not set(elements) <= set(chemical_symbols[1:]):
                raise ValueError(f"'{pair}' must name two elements in alphabetical order, as in 'F-Li'")
        return value

    @model_validator(mode='after')
    def _lengths_fit(self) -> MdSettings:
        intervals = {
            'length_ps': self.length_ps * 1e3,
            'thermo_interval_fs': self.thermo_interval_fs,
            'ring_interval_fs': self.ring_interval_fs,
            'trajectory_interval_ps': self.trajectory_interval_ps * 1e3,
        }
        if self.deviation is not None:
            intervals['deviation.interval_fs'] = self.deviation.interval_fs
        for key, value in intervals.items():
            if value < self.timestep_fs * (1 - 1e-9):
                raise ValueError(f'`{key}` ({value:g} fs) is shorter than `timestep_fs` ({self.timestep_fs:g} fs).')
        if self.n_steps > LAMMPS_INTEGER:
            raise ValueError(
                f'`length_ps` ({self.length_ps:g}) is {self.length_ps * 1e3 / self.timestep_fs:.3g} steps of '
                f'`timestep_fs` ({self.timestep_fs:g}), but LAMMPS counts to {LAMMPS_INTEGER}: make it at most '
                f'{math.floor(LAMMPS_INTEGER * self.timestep_fs * 1e-3)} ps, or the timestep longer.'
            )
        for key, nothing in (('elapsed_ps', 'left to run'), ('grace_ps', 'watched')):
            value = getattr(self, key)
            if value is not None and value >= self.length_ps:
                raise ValueError(
                    f'`{key}` ({value:g}) must be shorter than `length_ps` ({self.length_ps:g}): nothing would be '
                    f'{nothing}.'
                )
        return self

    @model_validator(mode='after')
    def _few_frames_of_a_committee(self) -> MdSettings:
        n_frames = 0.0 if self.deviation is None else self.length_ps * 1e3 / self.deviation.interval_fs
        if self.deviation is not None and n_frames > MAX_FRAMES:
            raise ValueError(
                f'`deviation.interval_fs` ({self.deviation.interval_fs:g} fs) would write {n_frames:.0f} frames in '
                f'`length_ps` ({self.length_ps:g}): make it at least '
                f'{at_least(self.length_ps * 1e3 / MAX_FRAMES, 2)} fs.'
            )
        return self

    def steps(self, time_fs: float) -> int:
        """Convert a time to the nearest number of steps, at least one.

        :param time_fs: Time in fs.
        :return: Number of steps.
        """
        return max(1, round(time_fs / self.timestep_fs))

    @property
    def n_steps(self) -> int:
        """Number of steps of the whole dynamics."""
        return self.steps(self.length_ps * 1e3)

    @property
    def first_step(self) -> int:
        """Number of the step that the dynamics starts at."""
        return round(self.elapsed_ps * 1e3 / self.timestep_fs)

    @property
    def guard_k(self) -> float:
        """Temperature in K above which even the grace time ends."""
        return GUARD_FACTOR * self.window_k[1]

    def start_temperature(self, given: float | None) -> float:
        """Return the temperature of the first step.

        On a minimised structure half of the kinetic energy turns into potential energy within a vibration
        (equipartition), so velocities are drawn at twice the target there.

        :param given: Temperature of given velocities in K, if there are any.
        :return: Temperature in K.
        """
        if given is not None:
            return given
        return 2 * self.temperature_k if self.minimise.enabled else self.temperature_k

    def grace(self, given: float | None) -> float:
        """Return the time before which the window does not count.

        :param given: Temperature of given velocities in K, if there are any.
        :return: The stated grace time in ps, or the automatic one.
        """
        if self.grace_ps is not None:
            return self.grace_ps
        start = self.start_temperature(given)
        if self.window_k[0] <= (1 - START_MARGIN) * start and (1 + START_MARGIN) * start <= self.window_k[1]:
            return 0.0
        return min(AUTOMATIC_GRACE * self.thermostat.time_constant_fs * 1e-3, 0.5 * self.length_ps)

    def check_start(self, given: float | None) -> str | None:
        """Say whether the first step itself would be taken for a catastrophe.

        :param given: Temperature of given velocities in K, if there are any.
        :return: One sentence, or nothing.
        """
        start = self.start_temperature(given)
        if self.grace(given) > 0 or self.window_k[0] <= start <= self.window_k[1]:
            return None
        low, high = self.window_k
        return (
            f'the dynamics starts at {start:.0f} K, outside `window_k` [{low:g}, {high:g}] K, while `grace_ps` is 0: '
            f'give a grace time ({min(0.5, 0.5 * self.length_ps):g} ps, say) or leave it out, then one is chosen.'
        )


def read_md_settings(parameters: Mapping[str, Any]) -> MdSettings:
    """Read the parameters of an MD.

    :param parameters: The plain dictionary; what is left out has its default.
    :return: The settings, typed.
    :raises ValueError: In one sentence that names the key, the value and the remedy.
    """
    return MdSettings.read(parameters, 'MD parameters')
