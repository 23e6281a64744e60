"""The chemical elements, by which the types of a potential and of its data are named."""

from __future__ import annotations

from collections.abc import Iterable

from ase.data import chemical_symbols

__all__ = ('ELEMENTS', 'check_elements')

#: The symbols of all elements.
ELEMENTS = frozenset(chemical_symbols[1:])


def check_elements(type_map: Iterable[str]) -> None:
    """Refuse names that are no elements: they would be written into the inputs of the codes.

    :param type_map: element of each type.
    :raises ValueError: in one sentence that shows the first of them.
    """
    for name in type_map:
        if name not in ELEMENTS:
            raise ValueError(f'type_map has {name!r}, which is no chemical element: give symbols such as Li, in order.')
