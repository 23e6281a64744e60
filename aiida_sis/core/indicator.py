"""The indicator of the method: where a temperature series leaves its window, and where to go back to.

A potential that is asked about a structure it does not know may return any energy. The molecular dynamics then gains or
loses kinetic energy that no thermostat explains, and its temperature leaves a window around the target: the potential
is certainly wrong there. That instant is the catastrophic point ``t_cp``; a time shortly before it, from which a new
ab initio trajectory starts, is ``t_next``.

The kinetic temperature of ``n_dof`` degrees of freedom at ``T`` follows a chi-square law, ``T·χ²(n_dof)/n_dof``, with
the standard deviation ``T·sqrt(2/n_dof)``. Small systems fluctuate: a window must be wider than that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import ArrayLike
from scipy.special import chdtr, chdtrc, chdtri, gammaincinv

from aiida_deepmd.arrays import BoolArray, FloatArray
from aiida_deepmd.settings import StrictModel
from aiida_deepmd.units import AMU_A2_PS2_TO_EV, BOLTZMANN_EV
from aiida_sis.core.settings.base import NotNegative, Positive

Bound = Literal['low', 'high', 'crash', 'lost_atoms', 'non_finite', 'distance']

SIGMAS = 3.0
MAX_FALSE_ALARMS = 0.05
CORRELATION_TIME_PS = 0.005
"""Time after which a new extreme of the kinetic temperature may come: measured on an ion pair, the temperature is
correlated by 0.7 after 5 fs, and every step is watched. With 20 fs, one false alarm came where 0.15 were expected."""
GUARD_FACTOR = 10.0
"""During the grace time only a temperature above this many times the highest allowed one counts."""
TIME_TOLERANCE_PS = 1e-7


@dataclass(frozen=True)
class TemperatureSeries:
    """What the indicator watches.

    :param time_ps: Times, shape ``(n_samples,)``, ascending, in ps.
    :param temperature: Kinetic temperatures, shape ``(n_samples,)``, in K; a value may be NaN.
    :param energy: Potential energies, shape ``(n_samples,)``, in eV, where known: a NaN there is a catastrophe too.
    """

    time_ps: FloatArray
    temperature: FloatArray
    energy: FloatArray | None = None

    def __post_init__(self) -> None:
        """Refuse arrays of unequal length.

        :raises ValueError: If they are.
        """
        shapes = {self.time_ps.shape, self.temperature.shape}
        if self.energy is not None:
            shapes.add(self.energy.shape)
        if len(shapes) != 1 or self.time_ps.ndim != 1:
            raise ValueError(f'time, temperature and energy must be flat arrays of one length, found {sorted(shapes)}.')

    @classmethod
    def from_values(cls, time_ps: ArrayLike, temperature: ArrayLike) -> TemperatureSeries:
        """Build from anything that numpy takes.

        :param time_ps: Times in ps.
        :param temperature: Temperatures in K.
        :return: The series.
        """
        return cls(np.asarray(time_ps, dtype=np.float64), np.asarray(temperature, dtype=np.float64))

    @property
    def finite(self) -> BoolArray:
        """Which samples are numbers, shape ``(n_samples,)``."""
        flags = np.isfinite(self.temperature)
        return flags if self.energy is None else flags & np.isfinite(self.energy)


@dataclass(frozen=True)
class Catastrophe:
    """The instant at which the potential is known to be wrong.

    :param time_ps: Time of the first sample outside the window, or of the last one that could be read.
    :param temperature_k: Temperature of that sample, or nothing where it is no number.
    :param bound: Which edge was crossed, or what else ended the dynamics.
    :param pair: Elements of the two atoms that came too near, as in ``Na-Na``, where that ended it.
    :param distance_angstrom: Their distance in Å.
    """

    time_ps: float
    temperature_k: float | None
    bound: Bound
    pair: str | None = None
    distance_angstrom: float | None = None

    @property
    def how(self) -> str:
        """The bound in words, for a report."""
        if self.pair is None or self.distance_angstrom is None:
            return self.bound
        return f'{self.pair} {self.distance_angstrom:.2f} Å'


class TNextRule(StrictModel):
    """How far to go back from a catastrophe."""

    rule: Literal['band', 'mean', 'offset'] = 'band'
    """``band``: the last sample inside the canonical band before the excursion, minus the margin. ``mean``: the last
    time the temperature crossed its target on the way to the excursion, minus the margin. ``offset``: a fixed time
    before the catastrophe."""
    margin_fs: NotNegative = 250.0
    """Margin of the first two rules, in fs. A potential was seen to be wrong 250 fs before its alarm."""
    offset_fs: Positive = 100.0
    """Time of the third rule, in fs."""


@dataclass(frozen=True)
class Ensemble:
    """Whether an ab initio trajectory itself ran away, and how much of it is worth keeping.

    :param verdict: ``hot`` if a temperature exceeded the limit or was no number.
    :param max_temperature_k: Highest finite temperature in K.
    :param mean_last_half_k: Mean over the second half in K.
    :param n_good_frames: Number of leading frames before the first one beyond the limit.
    :param limit_k: The limit that was applied.
    """

    verdict: Literal['normal', 'hot']
    max_temperature_k: float
    mean_last_half_k: float
    n_good_frames: int
    limit_k: float


def degrees_of_freedom(n_atoms: int, n_fixed: int = 0) -> int:
    """Count the degrees of freedom of a periodic system whose centre of mass rests, or of its mobile part.

    Beside fixed atoms the momentum of the others is not conserved, so all three directions of each count.

    :param n_atoms: Number of atoms.
    :param n_fixed: Number of those that never move.
    :return: ``3·n_atoms − 3`` where all move, else ``3·(n_atoms − n_fixed)``.
    :raises ValueError: For fewer than two atoms or none that moves: their temperature is not defined.
    """
    if n_fixed:
        if n_fixed >= n_atoms:
            raise ValueError(f'a temperature needs an atom that moves, but {n_fixed} of {n_atoms} are fixed.')
        return 3 * (n_atoms - n_fixed)
    if n_atoms < 2:
        raise ValueError(f'a temperature needs at least two atoms, the structure has {n_atoms}.')
    return 3 * n_atoms - 3


def kinetic_temperature(symbols: Sequence[str], velocities: ArrayLike, fixed_atoms: Sequence[int] = ()) -> float:
    """Return the temperature that LAMMPS gives to velocities.

    :param symbols: Chemical symbols, shape ``(n_atoms,)``.
    :param velocities: Shape ``(n_atoms, 3)``, in Å/ps.
    :param fixed_atoms: Numbers of the atoms that do not count, from 0.
    :return: ``Σ m·v² / (n_dof·k_B)`` in K.
    """
    masses = np.array([atomic_masses[atomic_numbers[symbol]] for symbol in symbols])
    masses[list(fixed_atoms)] = 0.0
    twice_kinetic = float(np.sum(masses[:, None] * np.asarray(velocities, dtype=np.float64) ** 2)) * AMU_A2_PS2_TO_EV
    return twice_kinetic / (degrees_of_freedom(len(symbols), len(fixed_atoms)) * BOLTZMANN_EV)


def canonical_sigma(temperature: float, n_dof: int) -> float:
    """Return the standard deviation of the kinetic temperature in the canonical ensemble.

    :param temperature: Target in K.
    :param n_dof: Degrees of freedom.
    :return: ``T·sqrt(2/n_dof)`` in K.
    """
    return temperature * math.sqrt(2.0 / n_dof)


def canonical_band(temperature: float, n_dof: int, sigmas: float = SIGMAS) -> tuple[float, float]:
    """Return the band in which a healthy dynamics spends nearly all its time.

    :param temperature: Target in K.
    :param n_dof: Degrees of freedom.
    :param sigmas: Half width in standard deviations.
    :return: Lower edge (never below 0) and upper edge in K.
    """
    half = sigmas * canonical_sigma(temperature, n_dof)
    return max(0.0, temperature - half), temperature + half


def expected_false_alarms(
    window: Sequence[float],
    temperature: float,
    n_dof: int,
    length_ps: float,
    correlation_time_ps: float = CORRELATION_TIME_PS,
) -> float:
    """Return how often a perfect potential would leave the window by chance.

    :param window: Lower and upper edge in K.
    :param temperature: Target in K.
    :param n_dof: Degrees of freedom.
    :param length_ps: Length of the dynamics in ps.
    :param correlation_time_ps: Time between two independent temperatures in ps.
    :return: Probability outside the window by the chi-square law times the number of independent samples.
    """
    scale = n_dof / temperature
    outside = float(chdtr(n_dof, window[0] * scale)) + float(chdtrc(n_dof, window[1] * scale))
    return outside * max(1.0, length_ps / correlation_time_ps)


def narrowest_window(
    temperature: float, n_dof: int, length_ps: float, n_replicas: int = 1, false_alarms: float = MAX_FALSE_ALARMS
) -> tuple[float, float]:
    """Return the narrowest window that perfect dynamics leave seldom enough, all of them together.

    For one dynamics it is the narrowest that :func:`validate_window` accepts, which looks at each by itself.

    :param temperature: Target in K.
    :param n_dof: Degrees of freedom of each.
    :param length_ps: Length of each in ps.
    :param n_replicas: How many dynamics there are.
    :param false_alarms: How often they may leave it.
    :return: Lower and upper edge in K.
    """
    tail = 0.5 * false_alarms / (n_replicas * max(1.0, length_ps / CORRELATION_TIME_PS))
    low, high = canonical_band(temperature, n_dof)
    scale = temperature / n_dof
    # The quantiles of the chi-square law as `scipy.stats` computes them, whose import takes a second.
    lowest, highest = 2 * float(gammaincinv(n_dof / 2, tail)), float(chdtri(n_dof, tail))
    return min(low, lowest * scale), max(high, highest * scale)


def validate_window(window: Sequence[float], temperature: float, n_dof: int, length_ps: float) -> str | None:
    """Say why a window cannot be used, before a dynamics is wasted on it.

    :param window: Lower and upper edge in K.
    :param temperature: Target in K.
    :param n_dof: Degrees of freedom.
    :param length_ps: Length of the dynamics in ps.
    :return: One sentence that names the value and the remedy, or nothing if the window is sound.
    """
    if len(window) != 2 or not all(math.isfinite(edge) for edge in window) or window[0] < 0 or window[0] >= window[1]:
        return f'`window_k` must be two temperatures, [low, high] with 0 <= low < high, but is {list(window)}.'
    low, high = window
    if not low < temperature < high:
        return f'`window_k` [{low:g}, {high:g}] K does not contain the target `temperature_k` of {temperature:g} K.'
    least_low, least_high = narrowest_window(temperature, n_dof, length_ps)
    remedy = (
        f'the narrowest window that {n_dof} degrees of freedom at {temperature:g} K allow over {length_ps:g} ps is '
        f'[{math.floor(least_low)}, {math.ceil(least_high)}] K.'
    )
    band = canonical_band(temperature, n_dof)
    if low > band[0] or high < band[1]:
        return (
            f'`window_k` [{low:g}, {high:g}] K is narrower than the thermal fluctuation of ±{SIGMAS:g} standard '
            f'deviations, [{band[0]:.0f}, {band[1]:.0f}] K; {remedy}'
        )
    alarms = expected_false_alarms(window, temperature, n_dof, length_ps)
    if alarms > MAX_FALSE_ALARMS:
        return (
            f'`window_k` [{low:g}, {high:g}] K would be left {alarms:.2g} times by chance alone in {length_ps:g} ps '
            f'(allowed: {MAX_FALSE_ALARMS:g}); {remedy}'
        )
    return None


def find_catastrophe(series: TemperatureSeries, window: Sequence[float], grace_ps: float = 0.0) -> Catastrophe | None:
    """Find the first sample that no sound potential would have produced.

    Within the grace time only a value that is no number, or a temperature far above the window, counts: a start from a
    minimised structure is out of equilibrium without any fault of the potential.

    :param series: What was watched.
    :param window: Lower and upper edge in K.
    :param grace_ps: Time before which the window does not count.
    :return: The catastrophe, or nothing.
    """
    finite = series.finite
    temperature = np.where(finite, series.temperature, 0.0)
    counted = series.time_ps >= grace_ps - TIME_TOLERANCE_PS
    low = finite & counted & (temperature < window[0])
    high = finite & (temperature > np.where(counted, window[1], GUARD_FACTOR * window[1]))
    alarms = np.flatnonzero(low | high | ~finite)
    if alarms.size == 0:
        return None
    first = int(alarms[0])
    if not finite[first]:
        return last_finite(series, 'non_finite', first)
    return Catastrophe(float(series.time_ps[first]), float(series.temperature[first]), 'low' if low[first] else 'high')


def last_finite(series: TemperatureSeries, bound: Bound, before: int | None = None) -> Catastrophe:
    """Place a catastrophe that left no temperature of its own at the last sample that is a number.

    :param series: What was watched.
    :param bound: What ended the dynamics.
    :param before: Only samples with a lower index are looked at.
    :return: The catastrophe; at time 0 and 0 K if there is no such sample.
    """
    usable = np.flatnonzero(series.finite[:before])
    if usable.size == 0:
        return Catastrophe(0.0, 0.0, bound)
    return Catastrophe(float(series.time_ps[usable[-1]]), float(series.temperature[usable[-1]]), bound)


def choose_t_next(
    series: TemperatureSeries, catastrophe: Catastrophe, temperature: float, n_dof: int, rule: TNextRule
) -> float:
    """Choose the time at which the next ab initio trajectory starts.

    The snapshot has to come from before the corruption, not from before the alarm, hence the margin.

    :param series: What was watched.
    :param catastrophe: What was found in it.
    :param temperature: Target in K.
    :param n_dof: Degrees of freedom.
    :param rule: How far to go back.
    :return: Time in ps, never negative and never after the catastrophe.
    """
    if rule.rule == 'offset':
        return max(0.0, catastrophe.time_ps - rule.offset_fs * 1e-3)
    before = series.finite & (series.time_ps <= catastrophe.time_ps + TIME_TOLERANCE_PS)
    times, values = series.time_ps[before], series.temperature[before]
    if rule.rule == 'band':
        low, high = canonical_band(temperature, n_dof)
        healthy = (values >= low) & (values <= high)
    else:
        healthy = values >= temperature if catastrophe.bound == 'low' else values <= temperature
    indices = np.flatnonzero(healthy)
    start = float(times[indices[-1]]) if indices.size else 0.0
    return max(0.0, start - rule.margin_fs * 1e-3)


def judge_aimd(temperatures: ArrayLike, target: float, n_dof: int, sigmas: float = 5.0) -> Ensemble:
    """Judge the temperature of an ab initio trajectory that started from a snapshot of a failed dynamics.

    A spoilt snapshot releases its energy as heat. Cold excursions are not judged: a start from a minimised structure
    falls to half its temperature at once.

    :param temperatures: Temperatures of the frames, shape ``(n_frames,)``, in K.
    :param target: Target in K.
    :param n_dof: Degrees of freedom.
    :param sigmas: Limit in canonical standard deviations above the target.
    :return: The verdict.
    """
    values = np.asarray(temperatures, dtype=np.float64)
    limit = canonical_band(target, n_dof, sigmas)[1]
    bad = np.flatnonzero(~(values <= limit))
    finite = values[np.isfinite(values)]
    half = values[values.size // 2 :]
    half = half[np.isfinite(half)]
    return Ensemble(
        verdict='hot' if bad.size else 'normal',
        max_temperature_k=float(finite.max()) if finite.size else 0.0,
        mean_last_half_k=float(half.mean()) if half.size else 0.0,
        n_good_frames=int(bad[0]) if bad.size else int(values.size),
        limit_k=limit,
    )
