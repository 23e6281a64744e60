"""The kinds of values that settings are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

from aiida_deepmd.settings import Flag, Integer, Number

__all__ = (
    'ROOM_TEMPERATURE_K',
    'Cleaning',
    'Count',
    'Flag',
    'Integer',
    'NotNegative',
    'Number',
    'Positive',
    'Sites',
    'Whole',
    'Window',
    'WindowOrAuto',
    'check_window',
    'refusal',
    'sort_sites',
)

#: What a run, a label or a hybrid run is at unless it is told otherwise, in K.
ROOM_TEMPERATURE_K = 300.0

Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Whole = Annotated[Integer, Field(ge=0)]
Count = Annotated[Integer, Field(gt=0)]
#: Of which parts of a run the work directories of the jobs are emptied.
Cleaning = Literal['never', 'finished_ok', 'all']


def check_window(value: tuple[float, float]) -> tuple[float, float]:
    """Check a window of temperatures.

    :param value: lower and upper edge in K.
    :returns: the same.
    :raises ValueError: if they are not in order.
    """
    if not 0 <= value[0] < value[1]:
        raise ValueError('the first temperature must be at least 0 and lower than the second')
    return value


def sort_sites(value: tuple[int, ...]) -> tuple[int, ...]:
    """Put the numbers of sites in order.

    :param value: the numbers.
    :returns: the same, ascending.
    :raises ValueError: if one of them is there twice.
    """
    if len(set(value)) < len(value):
        raise ValueError('a site is named more than once, so leave the repetition out')
    return tuple(sorted(value))


def _or_auto(value: Any, read: Callable[[Any], Any]) -> Any:
    if isinstance(value, str) and value != 'auto':
        raise ValueError("give two temperatures in K, or 'auto'")
    return value if value == 'auto' else read(value)


Window = Annotated[tuple[Number, Number], AfterValidator(check_window)]
# Not a plain union: its errors would name both branches in the path of the key.
WindowOrAuto = Annotated[
    tuple[float, float] | Literal['auto'],
    GetPydanticSchema(lambda _, read: core_schema.no_info_wrap_validator_function(_or_auto, read(Window))),
    WithJsonSchema({'anyOf': [{'type': 'array', 'prefixItems': [{'type': 'number'}] * 2}, {'enum': ['auto']}]}),
]
Sites = Annotated[tuple[Whole, ...], AfterValidator(sort_sites)]


def refusal(read: Callable[[Mapping[str, Any]], object], values: Mapping[str, Any]) -> str | None:
    """Say what is wrong with some values, as the validator of a port has to.

    :param read: what reads them, and raises a ``ValueError`` of one sentence.
    :param values: the plain dictionary.
    :returns: the sentence, or None.
    """
    try:
        read(values)
    except ValueError as exception:
        return str(exception)
    return None
