"""Settings of a SIS run: what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sis.core.settings import nearest_key, read_settings


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
        ({'stages': [{'name': 'a', 'window_k': [500, 200], 'length_ps': 1.0}]}, ('window_k', 'lower than the second')),
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


def test_missing_key_is_named() -> None:
    """A key without a default must be given."""
    values = settings()
    del values['stages']
    with pytest.raises(ValueError, match=r"'stages'.*missing"):
        read_settings(values)


def test_nearest_key_lists_all_where_none_is_near() -> None:
    """Without a near match the valid keys are listed."""
    assert nearest_key('xyz', ['alpha', 'beta']) == 'valid keys are alpha, beta.'
