"""What a SIS run is asked to do, checked before anything is submitted.

The settings arrive as one plain dictionary (a protocol plus the user's overrides). They are read into typed models
here so that a misspelt key or an impossible value becomes one sentence instead of a job that fails an hour later.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator


class _Strict(BaseModel):
    """A model that refuses keys it does not know."""

    model_config = ConfigDict(extra='forbid', frozen=True)


class Stage(_Strict):
    """One stage of the coarse-to-fine schedule: it is passed when every replica survives its whole length.

    :param name: the name that reports use, for example ``low-fidelity``.
    :param window_k: the lowest and the highest temperature allowed, in K.
    :param length_ps: the MD length asked for, in ps.
    """

    name: str
    window_k: tuple[float, float]
    length_ps: float = Field(gt=0)

    @field_validator('window_k')
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1]:
            raise ValueError('the first temperature must be at least 0 and lower than the second')
        return value


class LearningSchedule(_Strict):
    """Learning without forgetting: how a fine-tuning differs from the first training.

    :param lr_decay: the start learning rate of generation g is ``start_lr * lr_decay**g``.
    :param fine_tune_steps: number of training steps of every generation after the first.
    :param fine_tune_loss: loss prefactors that replace those of the first training, for example ``start_pref_f``; the
        prefactors of DeePMD-kit follow lr/start_lr, so a lower learning rate alone would not lower them.
    """

    lr_decay: float = Field(default=0.9, gt=0, le=1)
    fine_tune_steps: int = Field(default=4000, gt=0)
    fine_tune_loss: dict[str, float] = Field(default_factory=dict)


class SisSettings(_Strict):
    """The settings of one SIS run.

    :param temperature_k: the target temperature of MD and AIMD, in K.
    :param stages: the windows and lengths, coarse to fine.
    :param replicas: number of MD runs side by side, each with its own seed, for each system.
    :param max_generations: the number of the last generation that may be trained (the first is 0).
    :param initial_labels: number of independent AIMD runs of generation 0 for each system.
    :param initial_length_fs: length of each of them, in fs.
    :param optimise_first: whether generation 0 starts from a geometry optimisation.
    :param learning: the schedule of the fine-tunings.
    """

    temperature_k: float = Field(default=300.0, gt=0)
    stages: tuple[Stage, ...] = Field(min_length=1)
    replicas: int = Field(default=2, gt=0)
    max_generations: int = Field(default=10, ge=0)
    initial_labels: int = Field(default=1, gt=0)
    initial_length_fs: float = Field(gt=0)
    optimise_first: bool = True
    learning: LearningSchedule = Field(default_factory=LearningSchedule)


def read_settings(values: Mapping[str, Any]) -> SisSettings:
    """Read the settings of a SIS run.

    :param values: the plain dictionary.
    :returns: the settings, typed.
    :raises ValueError: in one sentence that names the key, the value and the remedy.
    """
    try:
        settings = SisSettings.model_validate(dict(values))
    except ValidationError as exception:
        raise ValueError(_one_sentence(exception)) from None
    problem = _widening_stage(settings.stages)
    if problem:
        raise ValueError(problem)
    return settings


def nearest_key(key: str, valid: list[str]) -> str:
    """Name the valid key that a misspelt one was probably meant to be.

    :param key: what the user wrote.
    :param valid: the keys that exist.
    :returns: the end of a sentence: a guess where one is near, else the list of keys.
    """
    close = difflib.get_close_matches(key, valid, n=1)
    return f"did you mean '{close[0]}'?" if close else f'valid keys are {", ".join(sorted(valid))}.'


def _one_sentence(exception: ValidationError) -> str:
    error = exception.errors()[0]
    path = '.'.join(str(part) for part in error['loc'])
    if error['type'] == 'extra_forbidden':
        parent: type[BaseModel] = SisSettings
        if error['loc'][0] == 'stages':
            parent = Stage
        elif error['loc'][0] == 'learning' and len(error['loc']) > 1:
            parent = LearningSchedule
        remedy = nearest_key(str(error['loc'][-1]), list(parent.model_fields))
        return f"The key '{path}' of the SIS parameters is unknown: {remedy}"
    if error['type'] == 'missing':
        return f"The key '{path}' of the SIS parameters is missing: give it in the protocol or in the overrides."
    return f"The value {error['input']!r} of '{path}' in the SIS parameters is not valid: {error['msg']}."


def _widening_stage(stages: tuple[Stage, ...]) -> str | None:
    for before, after in itertools.pairwise(stages):
        if after.window_k[0] < before.window_k[0] or after.window_k[1] > before.window_k[1]:
            return (
                f"The window {list(after.window_k)} K of stage '{after.name}' is wider than {list(before.window_k)} K "
                f"of stage '{before.name}' before it: order the stages from coarse to fine."
            )
    return None
