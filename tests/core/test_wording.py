"""One sentence for a wrong key or value."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from aiida_sis.core.wording import nearest_key, one_sentence


class Inner(BaseModel):
    """A part."""

    model_config = ConfigDict(extra='forbid')
    depth: int = 1


class Outer(BaseModel):
    """A whole with one part."""

    model_config = ConfigDict(extra='forbid')
    length: float
    inner: Inner = Inner()

    @model_validator(mode='after')
    def _short(self) -> Outer:
        if self.length > 10:
            raise ValueError('It is too long: make it 10 or less.')
        return self


def test_nearest_key_lists_all_where_none_is_near() -> None:
    """Without a near match the valid keys are listed."""
    assert nearest_key('xyz', ['alpha', 'beta']) == 'valid keys are alpha, beta.'


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ({'lenght': 1, 'length': 1}, "The key 'lenght' of the settings is unknown: did you mean 'length'?"),
        ({'length': 1, 'inner': {'deph': 1}}, "The key 'inner.deph' of the settings is unknown: did you mean 'depth'?"),
        ({}, "The key 'length' of the settings is missing: there is no default, so give it."),
        ({'length': 'x'}, "The value 'x' of 'length' in the settings is not valid: "),
        ({'length': 11}, 'It is too long: make it 10 or less.'),
    ],
)
def test_the_first_error_becomes_one_sentence(values: dict[str, object], expected: str) -> None:
    """The sentence names the key, the value and the remedy."""
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    assert one_sentence(caught.value, Outer, 'settings', {'inner': Inner}).startswith(expected)
