"""One sentence for what is wrong with settings: which key, which value, what to do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ValidationError

__all__ = ('at_least', 'at_most', 'nearest_key', 'one_sentence')


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


def nearest_key(key: str, valid: Iterable[str]) -> str:
    """Name the valid key that a misspelt one was probably meant to be.

    :param key: what the user wrote.
    :param valid: the keys that exist.
    :returns: the end of a sentence: a guess where one is near, else the list of keys.
    """
    known = sorted(valid)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f'valid keys are {", ".join(known)}.'


def one_sentence(
    exception: ValidationError, model: type[BaseModel], what: str, parts: Mapping[str, type[BaseModel]] | None = None
) -> str:
    """Say in one sentence what the first error of a validation is.

    :param exception: what Pydantic raised.
    :param model: the model that was read.
    :param what: what the values are, such as ``SIS parameters``.
    :param parts: the models of the keys that have keys themselves.
    :returns: the sentence.
    """
    error = exception.errors()[0]
    if not error['loc']:  # of a check of the whole model, which is a sentence itself
        return str(error['ctx']['error']) if error['type'] == 'value_error' else error['msg']
    path = '.'.join(str(part) for part in error['loc'])
    if error['type'] == 'extra_forbidden':
        parent = (parts or {}).get(str(error['loc'][0]), model) if len(error['loc']) > 1 else model
        return f"The key '{path}' of the {what} is unknown: {nearest_key(str(error['loc'][-1]), parent.model_fields)}"
    if error['type'] == 'missing':
        return f"The key '{path}' of the {what} is missing: there is no default, so give it."
    message = error['msg'].removeprefix('Value error, ').replace('Tuple', 'List').replace('a valid tuple', 'a list')
    return f"The value {error['input']!r} of '{path}' in the {what} is not valid: {message}."
