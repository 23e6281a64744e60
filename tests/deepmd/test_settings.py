"""One sentence for a wrong key or value."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from aiida_deepmd.settings import StrictModel, nearest_key


class Inner(StrictModel):
    """A part."""

    depth: int = 1


class Outer(StrictModel):
    """A whole with parts."""

    length: float
    inner: Inner = Inner()
    layers: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] | None = None
    names: tuple[str, ...] = Field(default=('a',), min_length=1, max_length=3)
    kind: Literal['a', 'b'] = 'a'
    share: float = Field(default=0.5, ge=0, le=1)

    @model_validator(mode='after')
    def _short(self) -> Outer:
        if self.length > 10:
            raise ValueError('It is too long: make it 10 or less.')
        return self


def test_nearest_key_lists_all_where_none_is_near() -> None:
    """Without a near match the valid keys are listed."""
    assert nearest_key('xyz', ['alpha', 'beta']) == 'valid keys are alpha, beta.'
    assert nearest_key('walltime_s', ['optimise_first', 'length_fs']) == 'valid keys are length_fs, optimise_first.'


def test_capitals_are_a_near_match() -> None:
    """A code key in capitals is a slip, not another word."""
    assert nearest_key('CP2K', ['cp2k', 'dp', 'lmp']) == "did you mean 'cp2k'?"


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ({'lenght': 1, 'length': 1}, "The key 'lenght' of the settings is unknown: did you mean 'length'?"),
        ({'length': 1, 'inner': {'deph': 1}}, "The key 'inner.deph' of the settings is unknown: did you mean 'depth'?"),
        ({}, "The key 'length' of the settings is missing: there is no default, so give it."),
        ({'length': 'x'}, "The value 'x' of 'length' in the settings is not valid: give a number, without quotes"),
        (
            {'length': 1, 'inner': {'depth': 1.5}},
            "The value 1.5 of 'inner.depth' in the settings is not valid: give a w",
        ),
        (
            {'length': 1, 'inner': 3},
            "The value 3 of 'inner' in the settings is not valid: give a dictionary of settings",
        ),
        ({'length': 1, 'names': 'a'}, "The value 'a' of 'names' in the settings is not valid: give a list."),
        ({'length': 1, 'names': []}, "The value [] of 'names' in the settings is not valid: give at least 1 of them."),
        (
            {'length': 1, 'names': ['a'] * 4},
            "The value ['a', 'a', 'a', 'a'] of 'names' in the settings is not valid: giv",
        ),
        ({'length': 1, 'kind': 'C'}, "The value 'C' of 'kind' in the settings is not valid: give 'a' or 'b'."),
        ({'length': 1, 'share': 2}, "The value 2 of 'share' in the settings is not valid: it must be at most 1."),
        ({'inner': {}, 'lengths': 1}, "The key 'lengths' of the settings is unknown: did you mean 'length'?"),
        ({'length': 1, 'depth': 2}, "The key 'depth' of the settings is in the wrong place: it belongs into 'inner'."),
        ({'length': 1, 'layers': [{'deph': 2}]}, "The key 'layers.0.deph' of the settings is unknown: did you mean 'd"),
        (
            {'length': 1, 'by_name': {'a': {'deph': 2}}},
            "The key 'by_name.a.deph' of the settings is unknown: did you m",
        ),
        ({'length': 11}, 'It is too long: make it 10 or less.'),
    ],
)
def test_the_first_error_becomes_one_sentence(values: dict[str, object], expected: str) -> None:
    """The sentence names the key, the value and the remedy."""
    with pytest.raises(ValueError, match=f'^{re.escape(expected)}'):
        Outer.read(values, 'settings')


def test_what_was_read_is_typed_and_does_not_change() -> None:
    """Plain values become the models of the parts; nothing can be set afterwards."""
    settings = Outer.read({'length': 1, 'layers': [{'depth': 2}], 'by_name': {'a': {}}}, 'settings')
    assert (settings.length, settings.layers, settings.by_name) == (1.0, (Inner(depth=2),), {'a': Inner()})
    with pytest.raises(ValidationError, match='frozen'):
        settings.length = 2.0
