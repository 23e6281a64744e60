"""What a label is asked for, checked before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from aiida_deepmd.settings import nearest_key
from aiida_sis.core.frame_selection import BY_DESCRIPTOR, DATASET_CHOICES, EVERY, STRIDE

#: Time in s that CP2K is given to start before its budget a step counts.
START_ALLOWANCE_S = 120.0


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
    :param choice: which frames to keep where there are more than `max_frames`: `every` (evenly spread), `stride`
        (constant spacing), `farthest_point` or `entropy`, see :mod:`aiida_sis.core.frame_selection`.
    """

    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    stride: int = 1
    split: str = 'shuffled'
    max_frames: int | None = None
    choice: str = EVERY


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
    :param fixed_atoms: numbers of the sites that are held where they are, from 0.
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
    fixed_atoms: tuple[int, ...] = ()
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
    return _check_dataset(parameters.get('dataset', {})) or _check_fixed(parameters.get('fixed_atoms', []))


def _check_dataset(given: Mapping[str, Any]) -> str | None:
    split = given.get('split', _SPLITS[0])
    if split not in _SPLITS:
        return f'parameters.dataset.split is {split!r}, but it must be one of {", ".join(_SPLITS)}.'
    choice, most = given.get('choice', EVERY), given.get('max_frames')
    if choice not in DATASET_CHOICES:
        return f'parameters.dataset.choice is {choice!r}, but it must be one of {", ".join(DATASET_CHOICES)}.'
    if choice in BY_DESCRIPTOR and most is None:
        return f'parameters.dataset.choice is {choice!r}, which needs the number of frames: give dataset.max_frames.'
    if choice == STRIDE and most is None and given.get('stride', 1) == 1:
        return "parameters.dataset.choice is 'stride', which needs a spacing: give dataset.stride or .max_frames."
    return _check_fractions(given.get('fractions', DatasetSettings.fractions))


def _check_fixed(given: Any) -> str | None:
    numbers = list(given) if isinstance(given, (list, tuple)) else [None]
    whole = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)
    if not whole or len(set(numbers)) != len(numbers):
        return f'parameters.fixed_atoms is {given!r}, but it must be a list of different site numbers, counted from 0.'
    return None


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
            return f'parameters.{prefix}{key} is not known: {nearest_key(str(key), known)}'
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
    values['fixed_atoms'] = tuple(sorted(values.get('fixed_atoms', ())))
    return LabelSettings(**values)


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
