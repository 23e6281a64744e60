"""The elements of a LAMMPS dump, which numbers its atom types and need not say what they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols
from ase.io.formats import UnknownFileTypeError, filetype, open_with_compression

DUMP_FORMAT = 'lammps-dump-text'
#: By how much a mass may differ from that of the element that it names: people round, H to 1 and Li to 7 (0.9 %).
_ROUNDED = 0.02


def read_options(path: Path, type_map: Sequence[str] | None = None) -> dict[str, Any]:
    """Give what ASE needs to read a file with its right elements.

    :param path: an existing file.
    :param type_map: element of each atom type of a dump, from type 1; several types may be one element.
    :returns: keywords for ``ase.io.read`` and ``iread``; none where the file names its elements.
    :raises ValueError: in one sentence, if the elements are not known, or named twice.
    """
    check_elements(type_map or ())
    if not is_dump(path):
        if type_map:
            raise ValueError(f'{path} names its elements itself: leave `type_map` out.')
        return {}
    columns, rows = _first_snapshot(path)
    types = {int(row['type']) for row in rows if row.get('type', '').isdigit()}
    if 'element' in columns or 'mass' in columns:
        if type_map:
            raise ValueError(f'{path} has a column of elements or masses: leave `type_map` out.')
        if 'element' not in columns:
            _check_masses(path, {row['mass'] for row in rows if 'mass' in row})
        return {'format': DUMP_FORMAT}
    if 'type' not in columns:
        raise ValueError(f'{path} is a LAMMPS dump with neither elements nor types: dump it with a column `element`.')
    known = f'has {len(types)} atom types'
    if not type_map:
        example = ','.join(['Na', 'Cl', 'O', 'H'][: max(2, min(len(types), 4))])
        raise ValueError(
            f'{path} is a LAMMPS dump that {known} and no elements: give the element of each type in their order, '
            f'`type_map` {example} for example.'
        )
    if types and (min(types) < 1 or max(types) > len(type_map)):
        raise ValueError(
            f'{path} has atom type {max(types)}, but `type_map` {",".join(type_map)} names {len(type_map)}: '
            'give one element for each type.'
        )
    return {'format': DUMP_FORMAT, 'specorder': list(type_map)}


def is_dump(path: Path) -> bool:
    """Tell whether a file is a dump of LAMMPS.

    :param path: an existing file.
    """
    try:
        return bool(filetype(str(path)) == DUMP_FORMAT)
    except (UnknownFileTypeError, UnicodeDecodeError, OSError):
        return False


def check_elements(symbols: Sequence[str]) -> None:
    """Refuse what is no element.

    :param symbols: what a user gave as a type map.
    :raises ValueError: in one sentence.
    """
    for symbol in symbols:
        if atomic_numbers.get(symbol, 0) < 1:
            raise ValueError(f"'{symbol}' in `type_map` is no element: give symbols of the periodic table.")


def _check_masses(path: Path, masses: Iterable[str]) -> None:
    """Refuse masses that are not those of elements, since ASE takes the element with the nearest mass, however far."""
    for mass in sorted(masses):
        nearest = int(np.abs(atomic_masses[1:] - float(mass)).argmin()) + 1
        if abs(atomic_masses[nearest] - float(mass)) > _ROUNDED * atomic_masses[nearest]:
            raise ValueError(
                f'{path} has atoms of mass {mass}, which no element has (the nearest is {chemical_symbols[nearest]}, '
                f'{atomic_masses[nearest]:g}): dump it with a column `element`.'
            )


def _first_snapshot(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns of the first snapshot, and its atoms as words by column."""
    with open_with_compression(str(path), 'r') as lines:
        n_atoms = 0
        for line in lines:
            if line.startswith('ITEM: NUMBER OF ATOMS'):
                words = next(lines, '').split()
                n_atoms = int(words[0]) if words and words[0].isdigit() else 0
            elif line.startswith('ITEM: ATOMS'):
                columns = line.split()[2:]
                return columns, [dict(zip(columns, row.split(), strict=False)) for row in islice(lines, n_atoms)]
    return [], []
