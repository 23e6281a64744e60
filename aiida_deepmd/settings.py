"""One sentence for what is wrong with settings: which key, which value, what to do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ('Flag', 'Integer', 'Number', 'StrictModel', 'at_least', 'at_most', 'nearest_key', 'parts')

# Text that looks like a number is not taken for one: it would stay text wherever the values are kept.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Integer = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class StrictModel(BaseModel):
    """The base of all settings: a key that it does not know is refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra='forbid', frozen=True, use_attribute_docstrings=True)

    @classmethod
    def read(cls, mapping: Mapping[str, Any], where: str) -> Self:
        """Read plain values into the model.

        :param mapping: the values.
        :param where: what they are, for the sentence, such as ``import settings``.
        :returns: the settings.
        :raises ValueError: in one sentence that names the key, the value and the remedy.
        """
        try:
            return cls.model_validate(dict(mapping))
        except ValidationError as exception:
            raise ValueError(_one_sentence(exception, cls, where)) from None


def parts(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Give the model of each key whose value, or whose values, have keys themselves.

    :param model: the settings.
    :returns: the models by key.
    """
    found = {name: next(_models(field.annotation), None) for name, field in model.model_fields.items()}
    return {name: part for name, part in found.items() if part is not None}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in a type, however deep: of ``dict[str, Part] | None`` the part."""
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def at_least(value: float, digits: int) -> str:
    """Write the least value of a remedy, rounded up: one that is rounded down would be refused again.

    :param value: what is needed.
    :param digits: digits after the point.
    """
    scale = 10**digits
    return f'{math.ceil(value * scale - 1e-9) / scale:.12g}'


def at_most(value: float, digits: int) -> str:
    """Write the largest value of a remedy, rounded down.

    :param value: what is allowed.
    :param digits: digits after the point.
    """
    scale = 10**digits
    return f'{math.floor(value * scale + 1e-9) / scale:.12g}'


#: What to give instead, by the type of Pydantic's error up to its first underscore; its own words name Python's types.
_REMEDIES = {
    'float': 'give a number, without quotes and without a unit',
    'finite': 'give a finite number',
    'int': 'give a whole number, without quotes',
    'bool': 'give true or false, without quotes',
    'string': 'give text',
    'tuple': 'give a list',
    'list': 'give a list',
    'dict': 'give a dictionary of settings',
    'model': 'give a dictionary of settings',
}


def nearest_key(key: str, valid: Iterable[str]) -> str:
    """Name the valid key that a misspelt one was probably meant to be.

    :param key: what the user wrote.
    :param valid: the keys that exist.
    :returns: the end of a sentence: a guess where one is near, else the list of keys.
    """
    known = sorted(valid)
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower(), lower, n=1, cutoff=0.6)
    return f"did you mean '{lower[close[0]]}'?" if close else f'valid keys are {", ".join(known)}.'


def _one_sentence(exception: ValidationError, model: type[BaseModel], what: str) -> str:
    """Say in one sentence what the first error of a validation is; a key that is unknown comes before one that lacks.

    :param exception: what Pydantic raised.
    :param model: the model that was read.
    :param what: what the values are, such as ``import settings``.
    :returns: the sentence.
    """
    errors = exception.errors()
    error = next((one for one in errors if one['type'] == 'extra_forbidden'), errors[0])
    if not error['loc']:  # of a check of the whole model, which is a sentence itself
        return str(error['ctx']['error']) if error['type'] == 'value_error' else error['msg']
    path = '.'.join(str(part) for part in error['loc'] if part != '[key]')
    if error['type'] == 'extra_forbidden':
        below = parts(model)
        parent = below.get(str(error['loc'][0]), model) if len(error['loc']) > 1 else model
        key = str(error['loc'][-1])
        place = next((name for name, part in below.items() if key in part.model_fields), None)
        if place is not None and parent is model:
            return f"The key '{path}' of the {what} is in the wrong place: it belongs into '{place}'."
        return f"The key '{path}' of the {what} is unknown: {nearest_key(key, parent.model_fields)}"
    if error['type'] == 'missing':
        return f"The key '{path}' of the {what} is missing: there is no default, so give it."
    return f"The value {error['input']!r} of '{path}' in the {what} is not valid: {_remedy(error)}."


def _remedy(error: Any) -> str:
    """What to give instead of a value, without the names of Python's types."""
    kind, limits = error['type'], error.get('ctx', {})
    if kind == 'value_error':  # a check of our own, which says it
        return str(limits['error'])
    if kind == 'literal_error':
        return f'give {limits["expected"]}'
    if kind in ('too_short', 'too_long'):
        least = limits.get('min_length')
        return f'give at least {least} of them' if least is not None else f'give at most {limits["max_length"]} of them'
    if limits.keys() & {'gt', 'ge', 'lt', 'le'}:
        words = {'gt': 'above', 'ge': 'at least', 'lt': 'below', 'le': 'at most'}
        return 'it must be ' + ' and '.join(f'{words[name]} {limit:.12g}' for name, limit in limits.items())
    remedy: str = _REMEDIES.get(kind.partition('_')[0], error['msg'])
    return remedy
