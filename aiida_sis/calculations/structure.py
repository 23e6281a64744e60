"""What LAMMPS and CP2K are given of a structure, and what they ask of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from ase.data import atomic_numbers

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.core.start_structure import check_masses


def symbols_of(structure: orm.StructureData) -> list[str]:
    """Return the element of each atom.

    :param structure: The structure.
    :return: Symbols, shape ``(n_atoms,)``.
    """
    kinds = {kind.name: kind.symbol for kind in structure.kinds}
    return [kinds[site.kind_name] for site in structure.sites]


def positions_of(structure: orm.StructureData) -> FloatArray:
    """Return the positions.

    :param structure: The structure.
    :return: Shape ``(n_atoms, 3)``, in Å.
    """
    return np.array([site.position for site in structure.sites], dtype=np.float64)


def validate_masses(node: orm.StructureData | None, _: Any) -> str | None:
    """Refuse masses that are not those of the elements, for a structure that needs no more checks.

    :param node: The input.
    :return: One sentence, or nothing if they are.
    """
    if node is None:
        return None
    kinds = [kind for kind in node.kinds if len(kind.symbols) == 1]
    problem = check_masses([kind.symbol for kind in kinds], [kind.mass for kind in kinds])
    return None if problem is None else f'In `structure` {problem}'


def check_structure(structure: orm.StructureData, potential: PotentialData | None = None) -> str | None:
    """Check what LAMMPS and the potential ask of a structure.

    :param structure: The structure.
    :param potential: The potential, if known.
    :return: One sentence, or nothing.
    """
    if not all(structure.pbc):
        return (
            f'`structure` must be periodic in three directions, but its pbc is {tuple(structure.pbc)}: set pbc to '
            '(True, True, True); across a surface the cell must have room for the vacuum.'
        )
    if len(structure.sites) < 2:
        return '`structure` must have at least two atoms: the temperature of one is not defined.'
    if structure.get_cell_volume() < 1e-6:
        return '`structure` must have a cell with a volume; give it three independent cell vectors.'
    symbols = set(symbols_of(structure))
    odd = sorted(symbol for symbol in symbols if symbol not in atomic_numbers or symbol == 'X')
    if odd or structure.has_vacancies:
        return f'`structure` must consist of whole atoms of known elements, but has {", ".join(odd) or "vacancies"}.'
    problem = validate_masses(structure, None)
    missing = sorted(symbols - set(potential.type_map)) if potential is not None and problem is None else []
    if missing and potential is not None:
        return (
            f'`structure` has {", ".join(missing)}, which `potential` does not know (its type_map is '
            f'{", ".join(potential.type_map)}); train it with all elements of the run.'
        )
    return problem
