"""Settings of a hybrid run."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sis.core.settings.hybrid import read_hybrid_settings
from aiida_sis.core.settings.sis import read_settings


def test_defaults_are_those_of_hair() -> None:
    settings = read_hybrid_settings({'window_k': [0, 1000]})
    assert settings.md_length_ps / (settings.aimd_length(1) * 1e-3) == pytest.approx(10)
    assert settings.aimd_length(0) == 500
    longer = read_hybrid_settings({'window_k': [0, 1000], 'first_aimd_length_fs': 2000})
    assert (longer.aimd_length(0), longer.aimd_length(1)) == (2000, 500)
    assert read_settings(longer.as_sis()).stages[0].length_ps == 5.0
    assert longer.md_changes()['minimise'] == {'enabled': False}


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'aimd_lenght_fs': 1}, "'aimd_lenght_fs' of the hybrid parameters is unknown: did you mean 'aimd_length_fs'"),
        ({'learning': {'lr_decy': 1}}, "'learning.lr_decy' .* did you mean 'lr_decay'"),
        ({'cycles': 0}, "The value 0 of 'cycles' in the hybrid parameters is not valid"),
        ({'md_length_ps': -1}, "The value -1 of 'md_length_ps'"),
    ],
)
def test_refusals(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_hybrid_settings({'window_k': [0, 1000]} | change)


def test_missing_window() -> None:
    with pytest.raises(ValueError, match="'window_k' of the hybrid parameters is missing"):
        read_hybrid_settings({})
