"""A null in the overrides takes a key out of the protocol; refused where there is nothing to take out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_origin

from pydantic import BaseModel

from aiida_deepmd.settings import nearest_key, parts
from aiida_sis.core.overlay import merge
from aiida_sis.core.settings.label import LabelSettings
from aiida_sis.core.settings.md import MdSettings
from aiida_sis.core.settings.sis import SisSettings
from aiida_sis.core.settings.train import TrainSettings

#: The sections of a protocol that are read into settings of this package.
SETTINGS: dict[str, type[BaseModel]] = {
    'sis': SisSettings,
    'label': LabelSettings,
    'md': MdSettings,
    'train': TrainSettings,
}
#: What no run can do without, and nothing has a default for.
_NEEDED = ('cp2k.FORCE_EVAL', 'dp.model', 'dp.model.descriptor', 'dp.training', 'dp.learning_rate', 'dp.loss')


def check_removal(overrides: Mapping[str, Any], protocol: Mapping[str, Any]) -> None:
    """Refuse a null for a key that the protocol does not have, or that a run needs.

    A null that is the default of a setting means that default, whether or not the protocol has the key.

    :param overrides: what the user wrote; its shape was checked.
    :param protocol: what it is laid over.
    :raises ValueError: in one sentence that names the nearest key.
    """
    _check(overrides, protocol, ())
    level = merge(protocol.get('cp2k', {}), overrides.get('cp2k', {}))
    theirs = protocol['sis'].get('systems', {})
    for name, own in (overrides.get('sis', {}).get('systems') or {}).items():
        if isinstance(own, Mapping) and isinstance(own.get('cp2k'), Mapping):
            whole = merge(level, theirs.get(name, {}).get('cp2k', {}))
            _check(own['cp2k'], whole, ('sis', 'systems', name, 'cp2k'))


def _check(changes: Mapping[str, Any], base: Mapping[str, Any], where: Sequence[str]) -> None:
    for key, value in changes.items():
        path = (*where, key)
        name = '.'.join(map(str, path))
        if isinstance(value, Mapping):
            below = base.get(key)
            # The level of theory of one system is laid over that of the run, which has the keys.
            if not (len(path) == 4 and path[:2] == ('sis', 'systems') and key == 'cp2k'):
                _check(value, below if isinstance(below, Mapping) else {}, path)
        elif value is None and name in _NEEDED:
            raise ValueError(f"The override '{name}' is null, but no run can do without it: leave the override out.")
        elif value is None and key not in base and not _default_is_none(SETTINGS.get(path[0]), path[1:]):
            remedy = nearest_key(str(key), base) if base else 'it has none there, so leave this out.'
            raise ValueError(
                f"The override '{name}' is null, which removes a key, but the protocol has no such key: {remedy}"
            )


def _default_is_none(model: type[BaseModel] | None, keys: Sequence[str]) -> bool:
    """Tell whether keys, from the outside in, lead to a setting whose default is None."""
    field = model.model_fields.get(keys[0]) if model is not None and keys else None
    if model is None or field is None:
        return False
    if len(keys) == 1:
        return field.default is None
    by_name = get_origin(field.annotation) is dict
    return _default_is_none(parts(model).get(keys[0]), keys[2 if by_name else 1 :])
