"""Settings of a SIS run: what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sis.core.settings.sis import SisSettings, check_systems, plan_replicas, read_settings, training_weights


def settings(**changes: Any) -> dict[str, Any]:
    """Give valid settings with changes."""
    values: dict[str, Any] = {
        'stages': [
            {'name': 'coarse', 'window_k': [0, 1000], 'length_ps': 2.0},
            {'name': 'fine', 'window_k': [200, 500], 'length_ps': 10.0},
        ],
        'initial_length_fs': 100.0,
    }
    return values | changes


def test_valid_settings_are_typed() -> None:
    """Stages keep their order and their numbers."""
    read = read_settings(settings())
    assert [stage.name for stage in read.stages] == ['coarse', 'fine']
    assert read.stages[1].window_k == (200, 500)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'replica': 3}, ("'replica'", "'replicas'")),
        ({'replicas': 0}, ("'replicas'", '0')),
        ({'initial_length_fs': -5.0}, ("'initial_length_fs'", '-5.0')),
        ({'learning': {'lr_decy': 0.5}}, ("'learning.lr_decy'", "'lr_decay'")),
        ({'stages': []}, ("'stages'",)),
        ({'temperature_k': '300'}, ("'300'", 'without quotes')),
        ({'temperature_k': float('inf')}, ("'temperature_k'", 'finite')),
        ({'initial_length_fs': float('inf')}, ("'initial_length_fs'", 'finite')),
        ({'replicas': True}, ("'replicas'", 'True', 'whole number')),
        ({'optimise_first': 'false'}, ("'optimise_first'", 'true or false')),
        ({'strategy': 'replay'}, ("'strategy'", "belongs into 'sampling'")),
        ({'sampling': {'accurate_share': 0.9}}, ('accurate_share', "'committee'")),
        ({'systems': {'a': {'temperatures_k': [0]}}}, ("'systems.a.temperatures_k.0'", 'above 0')),
        ({'systems': {'a': {'fixed_atoms': [True, False]}}}, ("'systems.a.fixed_atoms.0'", 'whole number')),
        ({'stages': [{'name': 'a', 'window_k': ['0', '500'], 'length_ps': 1}]}, ('window_k.0', 'without quotes')),
        ({'stages': [{'name': 'a', 'window_k': [0, 500], 'length_ns': 1}]}, ("'stages.0.length_ns'", "'length_ps'")),
        ({'stages': [{'name': 'a', 'window_k': [500, 200], 'length_ps': 1.0}]}, ('window_k', 'lower than the second')),
        (
            {'stages': [{'name': 'a', 'window_k': 'atuo', 'length_ps': 1.0}]},
            ("'atuo'", "two temperatures in K, or 'auto'"),
        ),
        (
            {'stages': [{'name': 'a', 'window_k': None, 'length_ps': 1.0}]},
            ("None of 'stages.0.window_k'", 'give a list'),
        ),
        (
            {'stages': [{'name': 'a', 'window_k': [0, 500], 'at_least_k': [0, 900], 'length_ps': 1.0}]},
            ("at_least_k of stage 'a' widens an automatic window",),
        ),
        ({'stages': [{'name': 'a', 'window_k': [0, 500], 'length_ps': 0}]}, ('length_ps', '0')),
        ({'stages': [{'name': 'a', 'windw_k': [0, 500], 'length_ps': 1}]}, ('window_k',)),
        (
            {
                'stages': [
                    {'name': 'fine', 'window_k': [200, 500], 'length_ps': 1.0},
                    {'name': 'coarse', 'window_k': [0, 1000], 'length_ps': 1.0},
                ]
            },
            ("'coarse'", 'coarse to fine'),
        ),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    """The sentence names the key, the value and the remedy."""
    with pytest.raises(ValueError, match=r'SIS parameters|stage') as error:
        read_settings(settings(**changes))
    message = str(error.value)
    assert '\n' not in message
    for word in words:
        assert word in message


SYSTEMS = {'interface': {'share': 0.474}, 'lithium': {'share': 0.263}, 'electrolyte': {'share': 0.263}}


def test_missing_key_is_named() -> None:
    """A key without a default must be given."""
    values = settings()
    del values['stages']
    with pytest.raises(ValueError, match=r"'stages'.*missing"):
        read_settings(values)


def settings_of(**changes: Any) -> SisSettings:
    """Give settings with one stage."""
    stage = {'name': 'only', 'window_k': [0, 1000], 'length_ps': 1.0}
    return read_settings({'stages': [stage], 'initial_length_fs': 100.0, **changes})


def test_system_takes_what_it_does_not_set_from_the_run() -> None:
    """Only what differs is written down."""
    settings = settings_of(replicas=3, systems={'melt': {'temperatures_k': [1200, 1400]}})
    assert settings.system('melt').replicas == 3
    assert settings.system('melt').initial_length_fs == 100.0
    assert settings.system('other').temperatures_k == (300.0,)


def test_every_system_is_explored_at_each_of_its_temperatures() -> None:
    """Replicas are numbered by system, then temperature."""
    settings = settings_of(replicas=2, systems={'b': {'temperatures_k': [300, 400], 'replicas': 1}})
    plan = [(replica.system, replica.temperature_k) for replica in plan_replicas(settings, ['b', 'a'])]
    assert plan == [('a', 300.0), ('a', 300.0), ('b', 300.0), ('b', 400.0)]


def test_shares_become_weights_of_datasets() -> None:
    """The paper's 52.6 % of bulk frames hold however many frames each system has."""
    groups = {'g0_0': 'interface', 'g0_1': 'lithium', 'g0_2': 'electrolyte', 'g1_0': 'interface'}
    frames = {'g0_0': 100, 'g0_1': 10, 'g0_2': 40, 'g1_0': 300}
    weights = training_weights(settings_of(systems=SYSTEMS), groups, frames)
    assert weights is not None
    assert sum(weights.values()) == pytest.approx(1)
    assert weights['g0_1'] + weights['g0_2'] == pytest.approx(0.526)
    assert weights['g1_0'] == pytest.approx(3 * weights['g0_0'])


def test_share_of_a_system_without_frames_falls_to_the_others() -> None:
    """A label that failed must not leave a training with shares that don't sum to one."""
    weights = training_weights(settings_of(systems=SYSTEMS), {'g0_0': 'interface', 'x': 'lithium'}, {'g0_0': 5, 'x': 0})
    assert weights == {'g0_0': 1.0}


def test_without_shares_there_are_no_weights() -> None:
    """Every frame counts the same then."""
    assert training_weights(settings_of(), {'g0_0': 'a'}, {'g0_0': 5}) is None


@pytest.mark.parametrize(
    ('systems', 'supporting', 'words'),
    [
        ({'a': {'share': 0.4}, 'b': {'share': 0.4}}, ['b'], ('0.8', 'sum to 1')),
        ({'a': {'share': 1.0}}, ['b'], ("'b'", 'every')),
        ({'aa': {}}, ['b'], ("'systems.aa'", "'a'")),
        ({}, ['a'], ("'a'", 'one role')),
    ],
)
def test_systems_that_do_not_fit(systems: dict[str, Any], supporting: list[str], words: tuple[str, ...]) -> None:
    """One sentence that names the system or the shares."""
    message = check_systems(settings_of(systems=systems), ['a'], supporting, [])
    assert message is not None
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'sampling': {'strategy': 'brust'}}, ('sampling.strategy', 'burst')),
        ({'sampling': {'trust_levels': [0.3, 0.1]}}, ('sampling.trust_levels',)),
        ({'sampling': {'replay_frame': 3}}, ("'sampling.replay_frame'", "'replay_frames'")),
        ({'systems': {'a': {'shares': 0.1}}}, ("'systems.a.shares'", "'share'")),
        ({'systems': {'a': {'temperatures_k': []}}}, ('systems.a.temperatures_k',)),
        ({'start': 'explor'}, ('start', 'explore')),
    ],
)
def test_bad_values_are_named(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    """The path to the key is in the sentence."""
    with pytest.raises(ValueError, match='SIS parameters') as error:
        settings_of(**changes)
    for word in words:
        assert word in str(error.value)
