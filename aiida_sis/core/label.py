"""What a label is asked for, and the verdict on each AIMD: is it worth learning from, and how far?"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from aiida_sis.core.cp2k_output import EnergySeries
from aiida_sis.core.stability import degrees_of_freedom, judge_aimd

NORMAL, HOT, SLOW, FAILED = 'normal', 'hot', 'slow', 'failed'
#: Time in s that CP2K is given to start before its budget a step counts.
START_ALLOWANCE_S = 120.0
#: Share of frames without a converged SCF above which an AIMD has failed; below it only the frames are left out. One
#: frame alone is never a failure: it is the first SCF, which has no wavefunction to start from.
MAX_UNCONVERGED_SHARE = 0.05


@dataclass(frozen=True)
class OptimisationSettings:
    """Limits of the geometry optimisation; reaching `max_steps` is no error, the last structure is used.

    :param max_steps: largest number of steps.
    :param max_force: largest force component of a converged structure in eV/Å.
    """

    max_steps: int = 100
    max_force: float = 0.05


@dataclass(frozen=True)
class DatasetSettings:
    """How the labelled frames are turned into a dataset.

    :param fractions: shares of train, validation and test frames; they add up to 1.
    :param stride: keep one frame in `stride`; neighbouring frames are correlated.
    :param split: `shuffled` or `blocks`.
    :param max_frames: largest number of frames; None for all.
    """

    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    stride: int = 1
    split: str = 'shuffled'
    max_frames: int | None = None


@dataclass(frozen=True)
class LabelSettings:
    """Everything a label is asked for.

    :param length_fs: length of an AIMD in fs.
    :param timestep_fs: timestep in fs (0.5 with hydrogen, 1.0 without).
    :param temperature_k: temperature of the AIMD in K.
    :param thermostat_time_constant_fs: time constant of the CSVR thermostat in fs.
    :param optimise_first: optimise the geometry before the first AIMD (start structures that were built, not sampled).
    :param hot_sigmas: canonical standard deviations of the temperature above which an AIMD has left its ensemble.
    :param max_seconds_per_step: budget of a step in s; None for no budget.
    :param optimisation: limits of the geometry optimisation.
    :param dataset: how the labelled frames are turned into a dataset.
    :param generation: generation of the sampling loop the label belongs to.
    :param label: name of the system.
    """

    length_fs: float = 500.0
    timestep_fs: float = 0.5
    temperature_k: float = 300.0
    thermostat_time_constant_fs: float = 50.0
    optimise_first: bool = False
    hot_sigmas: float = 5.0
    max_seconds_per_step: float | None = None
    optimisation: OptimisationSettings = field(default_factory=OptimisationSettings)
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    generation: int = 0
    label: str = ''

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


_GROUPS = {'optimisation': OptimisationSettings, 'dataset': DatasetSettings}
_POSITIVE = (
    ('length_fs', float),
    ('timestep_fs', float),
    ('temperature_k', float),
    ('thermostat_time_constant_fs', float),
    ('hot_sigmas', float),
    ('max_seconds_per_step', float),
    ('optimisation.max_steps', int),
    ('optimisation.max_force', float),
    ('dataset.stride', int),
    ('dataset.max_frames', int),
)
_MAY_BE_NONE = ('max_seconds_per_step', 'dataset.max_frames')
_SPLITS = ('shuffled', 'blocks')


def check_label_parameters(parameters: Mapping[str, Any]) -> str | None:
    """Find what is wrong with the parameters of a label before anything runs.

    :param parameters: the fields of :class:`LabelSettings` as plain data; what is left out has its default.
    :returns: one sentence that names the parameter, its value and the remedy, or None.
    """
    unknown = _unknown_key(parameters, LabelSettings, '')
    if unknown:
        return unknown
    for name, kind in _POSITIVE:
        problem = _check_positive(name, kind, parameters)
        if problem:
            return problem
    settings = {'length_fs': LabelSettings.length_fs, 'timestep_fs': LabelSettings.timestep_fs} | dict(parameters)
    if settings['length_fs'] < settings['timestep_fs']:
        return (
            f'parameters.length_fs is {settings["length_fs"]}, shorter than one timestep of '
            f'{settings["timestep_fs"]} fs: make it longer.'
        )
    split = parameters.get('dataset', {}).get('split', _SPLITS[0])
    if split not in _SPLITS:
        return f'parameters.dataset.split is {split!r}, but it must be one of {", ".join(_SPLITS)}.'
    return _check_fractions(parameters.get('dataset', {}).get('fractions', DatasetSettings.fractions))


def _check_positive(name: str, kind: type, parameters: Mapping[str, Any]) -> str | None:
    group, _, key = name.rpartition('.')
    given = parameters.get(group, {}) if group else parameters
    value = given.get(key)
    if key not in given or (value is None and name in _MAY_BE_NONE):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value) or value <= 0:
        return f'parameters.{name} is {value!r}, but it must be a number above 0.'
    if kind is int and value != int(value):
        return f'parameters.{name} is {value!r}, but it must be a whole number above 0.'
    return None


def _unknown_key(given: Mapping[str, Any], schema: type, prefix: str) -> str | None:
    known = [entry.name for entry in fields(schema)]
    for key, value in given.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            return f'parameters.{prefix}{key} is not known: did you mean {prefix}{near[0]}?'
        if key in _GROUPS:
            if not isinstance(value, Mapping):
                return f'parameters.{key} is {value!r}, but it must be a dictionary.'
            nested = _unknown_key(value, _GROUPS[key], f'{key}.')
            if nested:
                return nested
    return None


def _check_fractions(fractions: Any) -> str | None:
    shares = list(fractions) if isinstance(fractions, (list, tuple)) else []
    numbers = [share for share in shares if isinstance(share, (int, float)) and not isinstance(share, bool)]
    if len(shares) != 3 or len(numbers) != 3 or min(numbers) < 0 or abs(sum(numbers) - 1) > 1e-6:
        return f'parameters.dataset.fractions is {fractions!r}, but it must be three shares that add up to 1.'
    return None


def read_label_settings(parameters: Mapping[str, Any]) -> LabelSettings:
    """Turn checked parameters into typed settings.

    :param parameters: the fields of :class:`LabelSettings` as plain data.
    :returns: the settings, defaults filled in.
    :raises ValueError: with one sentence, for parameters that :func:`check_label_parameters` refuses.
    """
    problem = check_label_parameters(parameters)
    if problem:
        raise ValueError(problem)
    values = dict(parameters)
    for name, group in _GROUPS.items():
        values[name] = group(**values.get(name, {}))
    return LabelSettings(**values)


def check_start(
    elements: Collection[str], n_atoms: int, type_map: Sequence[str], velocities: Mapping[str, tuple[int, ...]] | None
) -> str | None:
    """Find what does not fit together in the start of a label.

    :param elements: elements of the structure.
    :param n_atoms: number of atoms of the structure.
    :param type_map: elements of the whole run.
    :param velocities: shapes of the arrays given as velocities, None where there are none.
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
    return None


@dataclass(frozen=True)
class AimdVerdict:
    """What became of one AIMD.

    :param name: which AIMD.
    :param verdict: `normal`, `hot` (left its ensemble upwards), `slow` (over budget) or `failed`.
    :param reason: one sentence for everything but `normal`, empty otherwise.
    :param aimd_fs: AIMD time computed in fs, whether its frames are kept or not.
    :param n_frames: frames computed, the initial one included.
    :param n_unconverged: frames whose SCF did not converge; they are never learnt.
    :param n_good_frames: leading frames inside the ensemble, the unconverged ones among them included.
    :param last_good_step: CP2K's number of the last of them, -1 where there is none.
    :param max_temperature_k: highest temperature in K, None without a frame.
    :param mean_last_half_k: mean temperature of the second half in K, None without a frame.
    :param seconds_per_step: median wall time of a step in s, None without a step.
    :param from_optimised: whether the AIMD began from an optimised structure.
    """

    name: str
    verdict: str
    reason: str
    aimd_fs: float
    n_frames: int
    n_unconverged: int
    n_good_frames: int
    last_good_step: int
    max_temperature_k: float | None
    mean_last_half_k: float | None
    seconds_per_step: float | None
    from_optimised: bool

    def as_dict(self) -> dict[str, Any]:
        """Give the verdict as plain data."""
        return asdict(self)


def judge(
    name: str,
    series: EnergySeries,
    settings: LabelSettings,
    n_atoms: int,
    *,
    n_unconverged: int = 0,
    failure: str | None = None,
    ran_out_of_time: bool = False,
    from_optimised: bool = False,
) -> AimdVerdict:
    """Judge one AIMD by its own temperature and time, the same indicator that watches the long MD.

    :param name: which AIMD.
    :param series: its energies and temperatures.
    :param settings: what was asked for.
    :param n_atoms: number of atoms.
    :param n_unconverged: number of frames whose SCF did not converge.
    :param failure: why CP2K stopped early, None where it did not.
    :param ran_out_of_time: whether CP2K stopped early because its time was up; without a budget that is the queue's
        limit, which says nothing of the structure: the frames are as good as any.
    :param from_optimised: whether the AIMD began from an optimised structure.
    :returns: the verdict.
    """
    pace = series.seconds_per_step
    verdict, reason, n_good = NORMAL, '', len(series.steps)
    maximum = mean = None
    budget = settings.max_seconds_per_step
    if budget is not None and (ran_out_of_time or (pace is not None and pace > budget)):
        verdict = SLOW
        reason = f'The AIMD took {pace if pace is not None else float("nan"):.3g} s a step, its budget is {budget:g} s.'
    if n_unconverged > max(1, MAX_UNCONVERGED_SHARE * n_good):
        verdict, reason = FAILED, f'The SCF of {n_unconverged} of {n_good} frames did not converge.'
    if ran_out_of_time and budget is None and verdict == NORMAL:
        reason = f'The time of the job was up after {n_good} of {settings.n_steps + 1} frames.'
    elif failure and verdict != SLOW:
        verdict, reason = FAILED, failure
    if n_good:
        ensemble = judge_aimd(
            series.temperatures, settings.temperature_k, degrees_of_freedom(n_atoms), sigmas=settings.hot_sigmas
        )
        n_good, maximum, mean = ensemble.n_good_frames, ensemble.max_temperature, ensemble.mean_last_half
        if ensemble.verdict == HOT and verdict in (NORMAL, SLOW):
            verdict = HOT
            reason = (
                f'The AIMD reached {maximum:.0f} K, more than {settings.hot_sigmas:g} standard deviations above '
                f'{settings.temperature_k:g} K.'
            )
    return AimdVerdict(
        name=name,
        verdict=verdict,
        reason=reason,
        aimd_fs=float(np.count_nonzero(series.steps > 0) * settings.timestep_fs),
        n_frames=len(series.steps),
        n_unconverged=n_unconverged,
        n_good_frames=n_good,
        last_good_step=int(series.steps[n_good - 1]) if n_good else -1,
        max_temperature_k=None if maximum is None else float(maximum),
        mean_last_half_k=None if mean is None else float(mean),
        seconds_per_step=pace,
        from_optimised=from_optimised,
    )


def describe(
    verdicts: Sequence[AimdVerdict], *, optimise_first: bool, optimisation: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Write down how a label went, as plain data.

    :param verdicts: of the AIMD runs, in their order.
    :param optimise_first: whether the geometry was optimised before the first AIMD.
    :param optimisation: `converged` and `reason` of the optimisation, None where there was none.
    :returns: route, reason of the fallback, verdicts, cost.
    """
    fallback = optimisation is not None and not optimise_first
    last = verdicts[-1] if verdicts else None
    return {
        'route': 'fallback' if fallback else 'optimised_first' if optimise_first else 'direct',
        'reason': verdicts[0].reason if fallback and verdicts else '',
        'aimds': [verdict.as_dict() for verdict in verdicts],
        'optimisation': None if optimisation is None else dict(optimisation),
        'aimd_fs': sum(verdict.aimd_fs for verdict in verdicts),
        'max_temperature_k': max(
            (v.max_temperature_k for v in verdicts if v.max_temperature_k is not None), default=None
        ),
        'seconds_per_step': None if last is None else last.seconds_per_step,
        'possible_exotherm': last is not None and last.from_optimised and last.verdict == HOT,
    }
