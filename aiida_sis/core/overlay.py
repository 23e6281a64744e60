"""One tree of settings laid over another: the overrides over a protocol, a system's level of theory over the run's."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

__all__ = ('VARIANT_KEYS', 'is_other_variant', 'merge')

#: The keys that say which of several kinds a dictionary is (a learning rate, a thermostat, a rule for t_next). What
#: stands beside them belongs to that kind. CP2K's keywords are in capitals, so none of them is meant.
VARIANT_KEYS = ('type', 'style', 'rule')


def is_other_variant(base: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    """Tell whether changes choose another kind than the one that is there, whose other keys then mean nothing.

    :param base: the dictionary that is changed.
    :param changes: what is laid over it.
    """
    return any(base.get(key) is not None and changes.get(key) not in (None, base[key]) for key in VARIANT_KEYS)


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], *, keep_nulls: bool = False) -> dict[str, Any]:
    """Lay changes over a tree: dictionaries are merged, None takes a key out, and everything else replaces.

    A dictionary of another kind replaces the whole one (see :data:`VARIANT_KEYS`).

    :param base: the tree that gives way.
    :param changes: the tree that wins where both set the same key.
    :param keep_nulls: keep None as the value, for a tree that is laid over another one later.
    :returns: a new tree; neither argument is changed.
    """
    merged: dict[str, Any] = {} if is_other_variant(base, changes) else deepcopy(dict(base))
    for key, value in changes.items():
        if isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value, keep_nulls=keep_nulls)
        elif value is None and not keep_nulls:
            merged.pop(key, None)
        else:
            merged[key] = deepcopy(value)
    return merged
