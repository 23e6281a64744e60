"""The schedule of learning without forgetting.

It is a pure function of the generation, so a run can be repeated, continued and explained from its inputs alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from aiida_sis.core.settings.sis import LearningSchedule


def training_parameters(base: Mapping[str, Any], generation: int, schedule: LearningSchedule) -> dict[str, Any]:
    """Give the training input of one generation.

    Generation 0 is trained as asked. Later ones continue from their parent's weights with a start learning rate of
    ``start_lr * lr_decay**generation``, their own number of steps and, if given, their own loss prefactors. In a
    shorter training the steps of decay and of warm-up are shorter too; a given ``decay_rate`` says how fast the rate
    falls by itself, so ``decay_steps`` stays beside it.

    :param base: the DeePMD-kit input of generation 0, without systems and seeds.
    :param generation: the generation, counted from 0.
    :param schedule: how fine-tunings differ.
    :returns: the input of this generation; ``base`` is not changed.
    """
    parameters: dict[str, Any] = copy.deepcopy(dict(base))
    if generation == 0:
        return parameters
    rate = parameters['learning_rate']
    rate['start_lr'] = max(rate['start_lr'] * schedule.lr_decay**generation, rate['stop_lr'])
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
