"""Settings of a watched molecular dynamics, checked before anything is submitted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from aiida_deepmd.settings import at_least, nearest_key
from aiida_sis.core.indicator import GUARD_FACTOR, T_NEXT_RULES, TNextRule
from aiida_sis.core.lammps.deviation import MAX_FRAMES, DeviationSettings

THERMOSTATS = ('csvr', 'nose_hoover', 'none')
AUTOMATIC_GRACE = 5.0
"""Grace time in units of the thermostat's time constant, where the start lies outside the window."""
LAMMPS_INTEGER = 2**31 - 1
"""The largest number of steps that LAMMPS takes in one run, and of files in the ring."""
START_MARGIN = 0.05
"""How far from the window's edges the start must be to count as inside, in units of its temperature: the first steps
release what a minimisation has left."""


class SettingsError(ValueError):
    """A setting that cannot be used; the message is one sentence for the user."""


@dataclass(frozen=True)
class Thermostat:
    """How heat is exchanged with the bath.

    :param style: ``csvr`` (stochastic velocity rescaling), ``nose_hoover`` or ``none`` (constant energy).
    :param time_constant_fs: Coupling time in fs.
    """

    style: str = 'csvr'
    time_constant_fs: float = 100.0


@dataclass(frozen=True)
class Minimisation:
    """Energy minimisation before the dynamics.

    :param enabled: Whether there is one; never where velocities are given.
    :param etol: Relative change of the energy at which it stops.
    :param ftol: Norm of the force in eV/Å at which it stops.
    :param maxiter: Most iterations.
    """

    enabled: bool = True
    etol: float = 1e-4
    ftol: float = 1e-6
    maxiter: int = 1000


@dataclass(frozen=True)
class MdSettings:
    """A dynamics at constant volume that ends itself where its temperature leaves the window.

    :param temperature_k: Target in K.
    :param window_k: Lower and upper edge in K.
    :param length_ps: Length in ps.
    :param elapsed_ps: How much of the length had been run when the time of an earlier job was up, in ps.
    :param timestep_fs: Timestep in fs; 1 fs is sound without hydrogen.
    :param thermo_interval_fs: Spacing of the series in fs.
    :param trajectory_interval_ps: Spacing of the trajectory that is kept in ps.
    :param ring_interval_fs: Spacing of the latest snapshots in fs.
    :param ring_size: How many of the latest snapshots are kept.
    :param grace_ps: Time before which the window does not count; nothing: 0 where the start lies inside the window,
        else five time constants of the thermostat.
    :param thermostat: How heat is exchanged.
    :param minimise: Minimisation before the dynamics.
    :param t_next: How far to go back from a catastrophe.
    :param fixed_atoms: Numbers of the atoms that never move, counted from 0, ascending.
    :param deviation: How a committee is listened to, where there is one.
    """

    temperature_k: float
    window_k: tuple[float, float]
    length_ps: float
    timestep_fs: float = 0.5
    thermo_interval_fs: float = 10.0
    trajectory_interval_ps: float = 1.0
    ring_interval_fs: float = 10.0
    ring_size: int = 60
    grace_ps: float | None = None
    elapsed_ps: float = 0.0
    thermostat: Thermostat = field(default_factory=Thermostat)
    minimise: Minimisation = field(default_factory=Minimisation)
    t_next: TNextRule = field(default_factory=TNextRule)
    fixed_atoms: tuple[int, ...] = ()
    deviation: DeviationSettings | None = None

    @classmethod
    def from_dict(cls, parameters: Mapping[str, Any]) -> MdSettings:
        """Read and check the settings of an input node.

        :param parameters: Keys as the fields of this class; ``t_next`` takes ``rule``, ``margin_fs`` and ``offset_fs``.
        :return: The settings.
        :raises SettingsError: If a key is unknown or missing, or a value cannot be used.
        """
        check_keys(parameters, (item.name for item in fields(cls)), '')
        missing = [key for key in ('temperature_k', 'window_k', 'length_ps') if key not in parameters]
        if missing:
            raise SettingsError(f'`parameters` lacks {", ".join(missing)}; there is no default, so give a value.')
        values = dict(parameters)
        window = values['window_k']
        if not isinstance(window, Sequence) or isinstance(window, str) or len(window) != 2:
            raise SettingsError(f'`window_k` must be two temperatures, [low, high] in K, but is {window!r}.')
        values['window_k'] = tuple(number(edge, 'window_k', allow_zero=True) for edge in window)
        for key in ('temperature_k', 'length_ps', 'timestep_fs', 'thermo_interval_fs', 'trajectory_interval_ps',
                    'ring_interval_fs'):  # fmt: skip
            if key in values:
                values[key] = number(values[key], key)
        if 'elapsed_ps' in values:
            values['elapsed_ps'] = number(values['elapsed_ps'], 'elapsed_ps', allow_zero=True)
        if values.get('grace_ps') is not None:
            values['grace_ps'] = number(values['grace_ps'], 'grace_ps', allow_zero=True)
        if 'ring_size' in values:
            values['ring_size'] = whole(values['ring_size'], 'ring_size', least=2)
            if values['ring_size'] > LAMMPS_INTEGER:
                raise SettingsError(f'`ring_size` must be at most {LAMMPS_INTEGER}, but is {values["ring_size"]}.')
        values['thermostat'] = _thermostat(section(values, 'thermostat'))
        values['minimise'] = _minimisation(section(values, 'minimise'))
        values['t_next'] = _t_next(section(values, 't_next'))
        values['fixed_atoms'] = _fixed_atoms(values.get('fixed_atoms', ()))
        given = section(values, 'deviation')
        values['deviation'] = _deviation(given) if given else None
        settings = cls(**values)
        settings._check_intervals()
        return settings

    def _check_intervals(self) -> None:
        """Refuse lengths that do not fit into each other.

        :raises SettingsError: If an interval is shorter than a step, or nothing is left after the grace time.
        """
        for key, value in (
            ('length_ps', self.length_ps * 1e3),
            ('thermo_interval_fs', self.thermo_interval_fs),
            ('ring_interval_fs', self.ring_interval_fs),
            ('trajectory_interval_ps', self.trajectory_interval_ps * 1e3),
        ):
            if value < self.timestep_fs * (1 - 1e-9):
                raise SettingsError(f'`{key}` ({value:g} fs) is shorter than `timestep_fs` ({self.timestep_fs:g} fs).')
        if self.n_steps > LAMMPS_INTEGER:
            raise SettingsError(
                f'`length_ps` ({self.length_ps:g}) is {self.length_ps * 1e3 / self.timestep_fs:.3g} steps of '
                f'`timestep_fs` ({self.timestep_fs:g}), but LAMMPS counts to {LAMMPS_INTEGER}: make it at most '
                f'{math.floor(LAMMPS_INTEGER * self.timestep_fs * 1e-3)} ps, or the timestep longer.'
            )
        self._check_deviation()
        if self.elapsed_ps >= self.length_ps:
            raise SettingsError(
                f'`elapsed_ps` ({self.elapsed_ps:g}) must be shorter than `length_ps` ({self.length_ps:g}): '
                'nothing would be left to run.'
            )
        if self.grace_ps is not None and self.grace_ps >= self.length_ps:
            raise SettingsError(
                f'`grace_ps` ({self.grace_ps:g}) must be shorter than `length_ps` ({self.length_ps:g}): '
                'nothing would be watched.'
            )

    def _check_deviation(self) -> None:
        """Refuse frames for a committee that are too dense or too many.

        :raises SettingsError: If they are.
        """
        if self.deviation is None:
            return
        interval = self.deviation.interval_fs
        if interval < self.timestep_fs * (1 - 1e-9):
            raise SettingsError(
                f'`deviation.interval_fs` ({interval:g} fs) is shorter than `timestep_fs` ({self.timestep_fs:g} fs).'
            )
        n_frames = self.length_ps * 1e3 / interval
        if n_frames > MAX_FRAMES:
            raise SettingsError(
                f'`deviation.interval_fs` ({interval:g} fs) would write {n_frames:.0f} frames in `length_ps` '
                f'({self.length_ps:g}): make it at least {at_least(self.length_ps * 1e3 / MAX_FRAMES, 2)} fs.'
            )

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


def check_keys(given: Mapping[str, Any], valid: Iterable[str], where: str) -> None:
    """Refuse unknown keys, and name the nearest valid one.

    :param given: What the user wrote.
    :param valid: The keys there are.
    :param where: Name of the section, empty for the top level.
    :raises SettingsError: If a key is unknown.
    """
    known = list(valid)
    for key in given:
        if key not in known:
            raise SettingsError(f'`parameters` has the unknown key `{where}{key}`; {nearest_key(str(key), known)}')


def number(value: Any, name: str, allow_zero: bool = False) -> float:
    """Check that a value is a positive number.

    :param value: What the user wrote.
    :param name: Name of the setting.
    :param allow_zero: Whether 0 is allowed.
    :return: The number.
    :raises SettingsError: If it is not.
    """
    least = '>= 0' if allow_zero else '> 0'
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SettingsError(f'`{name}` must be a number {least}, but is {value!r}.')
    if value < 0 or (value == 0 and not allow_zero):
        raise SettingsError(f'`{name}` must be {least}, but is {value!r}.')
    return float(value)


def whole(value: Any, name: str, least: int) -> int:
    """Check that a value is a whole number.

    :param value: What the user wrote.
    :param name: Name of the setting.
    :param least: Smallest allowed value.
    :return: The number.
    :raises SettingsError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f'`{name}` must be a whole number >= {least}, but is {value!r}.')
    return value


def section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a nested section, empty if it is not given.

    :param values: All settings.
    :param name: Name of the section.
    :return: A copy of it.
    :raises SettingsError: If it is not a mapping.
    """
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingsError(f'`{name}` must be a dictionary of settings, but is {value!r}.')
    return dict(value)


def _thermostat(given: dict[str, Any]) -> Thermostat:
    """Read the thermostat.

    :param given: What the user wrote.
    :return: The settings.
    :raises SettingsError: If they cannot be used.
    """
    check_keys(given, ('style', 'time_constant_fs'), 'thermostat.')
    style = given.get('style', 'csvr')
    if style not in THERMOSTATS:
        raise SettingsError(f'`thermostat.style` must be one of {", ".join(THERMOSTATS)}, but is {style!r}.')
    return Thermostat(style, number(given.get('time_constant_fs', 100.0), 'thermostat.time_constant_fs'))


def _minimisation(given: dict[str, Any]) -> Minimisation:
    """Read the minimisation.

    :param given: What the user wrote.
    :return: The settings.
    :raises SettingsError: If they cannot be used.
    """
    check_keys(given, ('enabled', 'etol', 'ftol', 'maxiter'), 'minimise.')
    enabled = given.get('enabled', True)
    if not isinstance(enabled, bool):
        raise SettingsError(f'`minimise.enabled` must be true or false, but is {enabled!r}.')
    return Minimisation(
        enabled,
        number(given.get('etol', 1e-4), 'minimise.etol', allow_zero=True),
        number(given.get('ftol', 1e-6), 'minimise.ftol', allow_zero=True),
        whole(given.get('maxiter', 1000), 'minimise.maxiter', least=1),
    )


def _t_next(given: dict[str, Any]) -> TNextRule:
    """Read the rule that goes back from a catastrophe.

    :param given: What the user wrote.
    :return: The rule.
    :raises SettingsError: If it cannot be used.
    """
    check_keys(given, ('rule', 'margin_fs', 'offset_fs'), 't_next.')
    rule = given.get('rule', 'band')
    if rule not in T_NEXT_RULES:
        raise SettingsError(f'`t_next.rule` must be one of {", ".join(T_NEXT_RULES)}, but is {rule!r}.')
    return TNextRule(
        rule,
        number(given.get('margin_fs', TNextRule.margin_fs), 't_next.margin_fs', allow_zero=True),
        number(given.get('offset_fs', TNextRule.offset_fs), 't_next.offset_fs'),
    )


def _fixed_atoms(given: Any) -> tuple[int, ...]:
    """Read the atoms that never move.

    :param given: What the user wrote.
    :return: Numbers, ascending.
    :raises SettingsError: If they are no distinct numbers of atoms.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise SettingsError(f'`fixed_atoms` must be a list of atom numbers, counted from 0, but is {given!r}.')
    numbers = sorted(whole(entry, 'fixed_atoms', least=0) for entry in given)
    if len(set(numbers)) < len(numbers):
        raise SettingsError(f'`fixed_atoms` names an atom more than once: {numbers}.')
    return tuple(numbers)


def _deviation(given: dict[str, Any]) -> DeviationSettings:
    """Read the trust levels of a committee.

    :param given: What the user wrote.
    :return: The settings.
    :raises SettingsError: If they cannot be used.
    """
    check_keys(given, (item.name for item in fields(DeviationSettings)), 'deviation.')
    levels = ('low_ev_per_angstrom', 'high_ev_per_angstrom')
    missing = [key for key in levels if key not in given]
    if missing:
        raise SettingsError(
            f'`deviation` lacks {", ".join(missing)}; the trust levels depend on the system (DP-GEN often takes 0.05 '
            'and 0.2), so give both.'
        )
    low, high = (number(given[key], f'deviation.{key}', allow_zero=True) for key in levels)
    if low >= high:
        raise SettingsError(
            f'`deviation.low_ev_per_angstrom` ({low:g}) must be lower than `deviation.high_ev_per_angstrom` ({high:g}).'
        )
    return DeviationSettings(
        low,
        high,
        number(given.get('interval_fs', DeviationSettings.interval_fs), 'deviation.interval_fs'),
        whole(given.get('max_candidates', DeviationSettings.max_candidates), 'deviation.max_candidates', least=1),
    )
