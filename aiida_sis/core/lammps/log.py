"""Output of LAMMPS: the log of a watched dynamics, read into arrays and facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiida_deepmd.arrays import FloatArray
from aiida_sis.core.indicator import Bound, Catastrophe, TemperatureSeries, find_catastrophe, last_finite
from aiida_sis.core.lammps.nearness import NEAR_FIX, NEAR_START_MARK
from aiida_sis.core.lammps.script import BAD_START_MARK, BEGIN_MARK, FINAL_KEYWORDS, FINAL_MARK

COLUMNS = {
    'step': 'Step',
    'temperature': 'Temp',
    'potential_energy': 'PotEng',
    'total_energy': 'TotEng',
    'pressure': 'Press',
    'conserved': 'Econserve',
    'max_force': 'Fmax',
    'min_distance': 'c_sis_shortest',
}
"""Name of each array and of its column in the log."""

_FINAL_COLUMNS = {
    'step': 'step',
    'temp': 'temperature',
    'pe': 'potential_energy',
    'etotal': 'total_energy',
    'econserve': 'conserved',
    'fmax': 'max_force',
}
_NO_PAIR = 1e19
"""LAMMPS reports 1e20 as the shortest distance where no pair lies within the cutoff."""
_MAX_STEP = 2**53
"""No step is larger; a damaged line may hold any number."""
_MAX_WARNINGS = 20
_EXPECTED = 'is not for group all'
"""End of a warning that comes with every temperature of the mobile atoms alone."""

# What a wrong potential does to a dynamics, as opposed to what a wrong input does.
_PHYSICS: tuple[tuple[re.Pattern[str], Bound], ...] = (
    (re.compile(r'lost atoms|atoms? .*missing', re.I), 'lost_atoms'),
    (re.compile(r'non-numeric (atom coords|positions|pressure|box)|\bnan\b', re.I), 'non_finite'),
    (re.compile(r'simulation unstable|list overflow|out of range atoms|too many neighbor bins', re.I), 'crash'),
)


@dataclass(frozen=True)
class LammpsLog:
    """What a log says.

    :param series: Arrays of the dynamics, each of shape ``(n_samples,)``; see :data:`COLUMNS` for the names. Units: K,
        eV, bar, eV/Å, Å. Values that LAMMPS did not compute on the halting step are NaN.
    :param version: Version of LAMMPS, empty if unknown.
    :param began: Whether the dynamics was reached.
    :param halted_at_step: Step at which the watch stopped the dynamics.
    :param too_near: Whether that was the watch of the distances, and not that of the temperature.
    :param near_at_start: Pairs of elements that were too near when the dynamics began, and were not watched.
    :param error: Text of the error, empty if there was none.
    :param error_bound: What the error means for the dynamics, if it comes from the physics.
    :param timed_out: Whether LAMMPS ended the dynamics because its time was up.
    :param complete: Whether the log ends in good order.
    :param loop_seconds: Time of the dynamics alone.
    :param n_steps_run: Number of steps of the dynamics.
    :param wall_seconds: Time of the whole run.
    :param warnings: Distinct warnings, the first few.
    """

    series: dict[str, FloatArray]
    version: str = ''
    began: bool = False
    halted_at_step: int | None = None
    too_near: bool = False
    near_at_start: tuple[str, ...] = ()
    error: str = ''
    error_bound: Bound | None = None
    timed_out: bool = False
    complete: bool = False
    loop_seconds: float | None = None
    n_steps_run: int = 0
    wall_seconds: float | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def n_samples(self) -> int:
        """Number of samples of the dynamics."""
        return int(self.series['step'].size)

    @property
    def truncated(self) -> bool:
        """Whether the log stops in the middle, as it does when the process was killed."""
        return not self.complete and not self.error

    def watched(self, timestep_fs: float) -> TemperatureSeries:
        """Return the series that the indicator watches.

        :param timestep_fs: Timestep in fs.
        :return: Time in ps, temperature and potential energy.
        """
        time_ps = self.series['step'] * (timestep_fs * 1e-3)
        return TemperatureSeries(time_ps, self.series['temperature'], self.series['potential_energy'])


def parse_log(text: str) -> LammpsLog:
    """Read a log, whole or cut off.

    :param text: Content of the log.
    :return: What it says; the series is empty if the dynamics was never reached.
    """
    # A last line without its newline may be half a number.
    text = text[: text.rfind('\n') + 1]
    lines = text.split('\n')[:-1]
    begin = next((index for index, line in enumerate(lines) if line.strip() == BEGIN_MARK), None)
    dynamics = [] if begin is None else lines[begin + 1 :]
    rows = _rows(dynamics)
    body = '\n'.join(dynamics)
    loop = re.search(r'^Loop time of (\d+(?:\.\d*)?(?:e[-+]?\d+)?) on .* for (\d{1,15}) steps', body, re.M)
    halt = re.search(r'^Fix halt condition for fix-id (\S+) met on step (\d{1,15})', body, re.M)
    error, bound = _error(lines)
    series = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in COLUMNS}
    last_step = int(series['step'][-1]) if rows else 0
    return LammpsLog(
        series=series,
        version=_first(r'^LAMMPS \((.+?)\)', text),
        began=begin is not None,
        halted_at_step=int(halt.group(2)) if halt else None,
        too_near=halt is not None and halt.group(1) == NEAR_FIX,
        near_at_start=tuple(dict.fromkeys(re.findall(rf'^{NEAR_START_MARK} (\S+)$', text, re.M))),
        error=error,
        error_bound=bound,
        timed_out='Wall time limit reached' in text,
        complete=bool(_first(r'^Total wall time: (\S+)', text)),
        loop_seconds=float(loop.group(1)) if loop else None,
        n_steps_run=int(loop.group(2)) if loop else last_step,
        wall_seconds=_seconds(_first(r'^Total wall time: (\S+)', text)),
        warnings=_warnings(text),
    )


def diagnose(log: LammpsLog, timestep_fs: float, window: Sequence[float], grace_ps: float) -> Catastrophe | None:
    """Find the catastrophe of a dynamics in its series, or else in the way it ended.

    :param log: What the log says.
    :param timestep_fs: Timestep in fs.
    :param window: Lower and upper edge in K.
    :param grace_ps: Time before which the window does not count.
    :return: The catastrophe, or nothing.
    """
    watched = log.watched(timestep_fs)
    found = find_catastrophe(watched, window, grace_ps)
    if found is not None:
        return found
    if log.error_bound is not None and log.n_samples:
        return last_finite(watched, log.error_bound)
    if log.halted_at_step is not None:
        return last_finite(watched, 'distance' if log.too_near else 'non_finite')
    return None


def symptoms(log: LammpsLog, timestep_fs: float, minimised: bool) -> dict[str, float | None]:
    """Collect what helps to judge how far before the alarm a potential was wrong already.

    A potential energy below that of the minimised start means that the dynamics fell into a deeper well: a hole of the
    potential, or a reaction. It was seen up to 125 fs before the temperature told.

    :param log: What the log says.
    :param timestep_fs: Timestep in fs.
    :param minimised: Whether the dynamics started from an energy minimum.
    :return: ``below_minimum_ps``, the first such time; the largest force in eV/Å, the shortest distance in Å and the
        largest change of the conserved energy in eV; nothing where unknown.
    """
    energy = log.series['potential_energy']
    below = np.flatnonzero(energy < energy[0]) if minimised and energy.size else np.array([], dtype=np.int64)
    drift = np.abs(log.series['conserved'] - log.series['conserved'][:1])
    return {
        'below_minimum_ps': float(log.series['step'][below[0]]) * timestep_fs * 1e-3 if below.size else None,
        'max_force_ev_per_angstrom': _extreme(log.series['max_force'], np.max),
        'min_distance_angstrom': _extreme(log.series['min_distance'], np.min),
        'max_drift_ev': _extreme(drift, np.max),
    }


def _warnings(text: str) -> list[str]:
    """Collect the warnings that tell something.

    :param text: Content of the log.
    :return: Distinct warnings, the first few.
    """
    found = dict.fromkeys(re.findall(r'^WARNING: (.+)$', text, re.M))
    return [warning for warning in found if _EXPECTED not in warning][:_MAX_WARNINGS]


def _extreme(values: FloatArray, choose: Callable[[FloatArray], Any]) -> float | None:
    """Return an extreme of the finite values.

    :param values: Values.
    :param choose: Maximum or minimum.
    :return: The extreme, or nothing if no value is finite.
    """
    finite = values[np.isfinite(values)]
    return float(choose(finite)) if finite.size else None


def _rows(lines: Sequence[str]) -> list[dict[str, float]]:
    """Read the tables of the dynamics and the values of its last step.

    :param lines: Lines after the mark of the dynamics.
    :return: One mapping per sample, steps strictly ascending.
    """
    rows: list[dict[str, float]] = []
    header: list[str] = []
    for line in lines:
        words = line.split()
        if not words:
            continue
        if words[0] == 'Step':
            header = words
        elif words[0] == FINAL_MARK and len(words) == len(FINAL_KEYWORDS) + 1:
            values = _numbers(words[1:])
            if values is not None:
                names = [_FINAL_COLUMNS[keyword] for keyword in FINAL_KEYWORDS]
                _append(rows, dict(zip(names, values, strict=True)))
        elif words[0] == 'Loop':
            header = []
        elif header and len(words) == len(header):
            values = _numbers(words)
            if values is not None:
                named = dict(zip(header, values, strict=True))
                _append(rows, {name: named[column] for name, column in COLUMNS.items() if column in named})
    return rows


def _append(rows: list[dict[str, float]], row: dict[str, float]) -> None:
    """Add a sample unless its step is known already.

    :param rows: Samples so far.
    :param row: The new one.
    """
    if not 0 <= row['step'] <= _MAX_STEP or (rows and not row['step'] > rows[-1]['step']):
        return
    full = dict.fromkeys(COLUMNS, float('nan')) | row
    if full['min_distance'] > _NO_PAIR:
        full['min_distance'] = float('nan')
    rows.append(full)


def _numbers(words: Sequence[str]) -> list[float] | None:
    """Convert words to numbers.

    :param words: Words.
    :return: Numbers, or nothing if one is not.
    """
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _error(lines: Sequence[str]) -> tuple[str, Bound | None]:
    """Find the error message and what it means.

    :param lines: Lines of the log.
    :return: Text without the place in the source, and the bound if the physics is at fault.
    """
    for line in lines:
        if line.strip() == BAD_START_MARK:
            return 'the energy of the start structure is not a number', 'non_finite'
        match = re.match(r'ERROR(?: on proc \d+)?: (.+?)(?: \(\S+:\d+\))?$', line.strip())
        if match:
            text = match.group(1)
            return text, next((bound for pattern, bound in _PHYSICS if pattern.search(text)), None)
    return '', None


def _first(pattern: str, text: str) -> str:
    """Return the first group of the first match.

    :param pattern: Regular expression, matched line by line.
    :param text: Where to look.
    :return: The group, empty if there is none.
    """
    match = re.search(pattern, text, re.M)
    return match.group(1) if match else ''


def _seconds(clock: str) -> float | None:
    """Convert hours, minutes and seconds.

    :param clock: As ``1:02:03``.
    :return: Seconds, or nothing where it is no time.
    """
    if not clock:
        return None
    found = re.fullmatch(r'(\d{1,7}):(\d{1,2}):(\d{1,2}(?:\.\d+)?)', clock)
    return int(found[1]) * 3600.0 + int(found[2]) * 60.0 + float(found[3]) if found else None
