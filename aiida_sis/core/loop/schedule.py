"""The schedule of learning without forgetting.

It is a pure function of the generation, so a run can be repeated, continued and explained from its inputs alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from aiida_sis.core.settings.sis import LearningSchedule


def training_parameters(
    base: Mapping[str, Any], generation: int, schedule: LearningSchedule, *, given: bool = False
) -> dict[str, Any]:
    """Give the training input of one generation.

    Generation 0 is trained as asked; from a potential that was given it starts at the rate of a first fine-tuning,
    since the full rate would undo what that potential knows. Later ones continue from their parent's weights at a rate
    that is lower from one to the next, with their own number of steps and, if given, their own loss prefactors. In a
    shorter training the steps of decay and of warm-up are shorter too; a given ``decay_rate`` says how fast the rate
    falls by itself, so ``decay_steps`` stays beside it.

    :param base: the DeePMD-kit input of generation 0, without systems and seeds.
    :param generation: the generation, counted from 0.
    :param schedule: how fine-tunings differ.
    :param given: whether generation 0 starts from a potential that was given.
    :returns: the input of this generation; ``base`` is not changed.
    """
    parameters: dict[str, Any] = copy.deepcopy(dict(base))
    rate = parameters['learning_rate']
    if generation > 0 or given:
        rate['start_lr'] = _start_rate(rate, generation, schedule)
    if generation == 0:
        return parameters
    steps = schedule.fine_tune_steps
    shorter = min(steps / parameters['training']['numb_steps'], 1)
    parameters['training']['numb_steps'] = steps
    if 'decay_steps' in rate and rate.get('decay_rate') is None:
        rate['decay_steps'] = min(rate['decay_steps'], max(steps // 100, 1))
    if rate.get('warmup_steps'):
        rate['warmup_steps'] = int(rate['warmup_steps'] * shorter)
    loss = parameters.setdefault('loss', {})
    loss.update(schedule.fine_tune_loss)
    for _, prefactors in sorted(item for item in schedule.loss_by_generation.items() if item[0] <= generation):
        loss.update(prefactors)
    return parameters


def training_budget(
    budget: Mapping[str, float], base: Mapping[str, Any], generation: int, schedule: LearningSchedule
) -> dict[str, float]:
    """Give the budget of one generation: a fine-tuning is as much cheaper as its steps are fewer.

    :param budget: that of generation 0.
    :param base: the DeePMD-kit input of generation 0.
    :param generation: the generation, counted from 0.
    :param schedule: how fine-tunings differ.
    """
    share = schedule.fine_tune_steps / base['training']['numb_steps'] if generation > 0 else 1.0
    return {name: value * share for name, value in budget.items()}


def _start_rate(rate: Mapping[str, Any], generation: int, schedule: LearningSchedule) -> float:
    """The start learning rate of a training that has a parent; DeePMD-kit has none below ``stop_lr``."""
    start: float = rate['start_lr'] * schedule.lr_decay**generation
    if schedule.fine_tune_lr is not None:
        start = schedule.fine_tune_lr * schedule.lr_decay ** max(generation - 1, 0)
    return max(start, float(rate['stop_lr']))
