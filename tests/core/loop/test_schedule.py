"""Learning without forgetting."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_sis.core.loop.schedule import training_budget, training_parameters
from aiida_sis.core.settings.sis import LearningSchedule

BASE: dict[str, Any] = {
    'learning_rate': {'start_lr': 1e-3, 'stop_lr': 1e-5, 'decay_steps': 100},
    'loss': {'start_pref_f': 1000, 'limit_pref_f': 1},
    'training': {'numb_steps': 9000},
}


def test_first_generation_is_trained_as_asked() -> None:
    """Generation 0 has no parent, so nothing changes."""
    assert training_parameters(BASE, 0, LearningSchedule()) == BASE


def test_later_generations_learn_more_slowly() -> None:
    """The start learning rate falls by the decay, the steps and prefactors are those of fine-tuning."""
    before = copy.deepcopy(BASE)
    schedule = LearningSchedule(lr_decay=0.5, fine_tune_steps=2000, fine_tune_loss={'start_pref_f': 100})
    second = training_parameters(BASE, 2, schedule)
    assert second['learning_rate']['start_lr'] == 1e-3 * 0.25
    assert second['training']['numb_steps'] == 2000
    assert second['learning_rate']['decay_steps'] == 20
    assert second['loss'] == {'start_pref_f': 100, 'limit_pref_f': 1}
    assert before == BASE


def test_a_warm_up_keeps_its_share_of_a_shorter_training() -> None:
    """DeePMD-kit stops where it is as long as the training, and generation 1 would be the first to meet that."""
    base = copy.deepcopy(BASE)
    base['learning_rate']['warmup_steps'] = 4500
    assert training_parameters(base, 1, LearningSchedule(fine_tune_steps=4000))['learning_rate']['warmup_steps'] == 2000
    assert training_parameters(base, 1, LearningSchedule(fine_tune_steps=1))['learning_rate']['warmup_steps'] == 0
    longer = training_parameters(base, 1, LearningSchedule(fine_tune_steps=18000))
    assert longer['learning_rate']['warmup_steps'] == 4500
    assert 'warmup_steps' not in training_parameters(BASE, 1, LearningSchedule())['learning_rate']


def test_a_given_decay_rate_keeps_its_steps() -> None:
    """0.95 every 1000 steps is 0.95 every 1000 steps in a shorter training too: 8.1e-4 after 4000, not 5.9e-6."""
    base = copy.deepcopy(BASE)
    base['learning_rate'] |= {'decay_steps': 1000, 'decay_rate': 0.95}
    rate = training_parameters(base, 1, LearningSchedule(lr_decay=1.0, fine_tune_steps=4000))['learning_rate']
    assert rate['start_lr'] * rate['decay_rate'] ** (4000 / rate['decay_steps']) == pytest.approx(1e-3 * 0.95**4)


@pytest.mark.parametrize(
    'rate',
    [
        {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5},
        {'type': 'exp', 'start_lr': 1e-2, 'stop_lr': 1e-5, 'decay_steps': 20, 'warmup_steps': 100},
    ],
)
def test_fine_tuning_has_a_rate_of_its_own(rate: dict[str, Any]) -> None:
    """Generation 1 starts at it, later ones lower; generation 0 only where it goes on from a potential."""
    base = {**BASE, 'learning_rate': rate}
    schedule = LearningSchedule(lr_decay=0.5, fine_tune_lr=4e-3)
    starts = [training_parameters(base, number, schedule)['learning_rate']['start_lr'] for number in range(4)]
    assert starts == [1e-2, 4e-3, 2e-3, 1e-3]
    first = training_parameters(base, 0, schedule, given=True)
    assert first == {**base, 'learning_rate': rate | {'start_lr': 4e-3}}
    assert training_parameters(base, 0, LearningSchedule(), given=True) == base
    cosine = {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5}
    later = training_parameters({**BASE, 'learning_rate': cosine}, 1, schedule)['learning_rate']
    assert later == {'type': 'cosine', 'start_lr': 4e-3, 'stop_lr': 1e-5}


def test_a_fine_tuning_has_its_share_of_the_budget() -> None:
    """It costs as much less as its steps are fewer; a first training has all."""
    schedule = LearningSchedule(fine_tune_steps=3000)
    shares = [training_budget({'core_minutes': 30.0}, BASE, number, schedule) for number in range(3)]
    assert shares == [{'core_minutes': 30.0}, {'core_minutes': 10.0}, {'core_minutes': 10.0}]


@given(st.integers(0, 200))
def test_rate_never_falls_below_the_last_one(generation: int) -> None:
    """DeePMD-kit refuses a start learning rate below the stop learning rate."""
    rate = training_parameters(BASE, generation, LearningSchedule(lr_decay=0.5))['learning_rate']
    assert rate['start_lr'] >= rate['stop_lr']
