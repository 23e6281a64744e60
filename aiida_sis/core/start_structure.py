"""What a start structure must not have, or what a file must say of it, before anything is computed from it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.frames.plausibility import MIN_DISTANCE

#: Shortest distance, in units of the sum of the covalent radii, of a start that is optimised before its AIMD. Half of
#: what a labelled frame may have: an optimiser pushes apart what a packing left too near (two K at 2 Å: 0.49), and
#: nothing untangles atoms that lie on top of each other.
LEAST_OPTIMISED = 0.5 * MIN_DISTANCE
#: Height of a cell, Å, below which no atom of it can stand beside its own image: the unit of the cell is wrong.
LEAST_HEIGHT = 0.5
#: By how much a mass may differ from that of the element: the tables of ASE and AiiDA do by 0.1 %, ⁷Li by 1.1 %.
MASS_TOLERANCE = 0.005

_NAME = re.compile(r'[A-Za-z0-9]+(_[A-Za-z0-9]+)*')
_LONGEST_NAME = 64


def check_distances(
    symbols: Sequence[str], positions: FloatArray, cell: FloatArray, least: float = LEAST_OPTIMISED
) -> str | None:
    """Say which atoms are nearer to each other than those of any matter, periodic images counted.

    :param symbols: element of each atom, (n_atoms,).
    :param positions: (n_atoms, 3), Å.
    :param cell: (3, 3), Å, with a volume; periodic in three directions.
    :param least: shortest distance in units of the sum of the two covalent radii.
    :returns: one clause that names them and the remedy, or nothing.
    """
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(np.cross(np.roll(cell, -1, 0), np.roll(cell, -2, 0)), axis=1)
    if heights.min() < LEAST_HEIGHT:
        return f'the cell is {heights.min():.3g} Å thick, so that atoms lie on their own images: give it in Å.'
    radii = np.array([covalent_radii[atomic_numbers[symbol]] for symbol in symbols])
    atoms = Atoms(symbols, positions, cell=cell, pbc=True)
    first, second, distance = neighbor_list('ijd', atoms, 2 * least * radii.max())
    ratio = distance / (radii[first] + radii[second])
    if not len(ratio) or ratio.min() >= least:
        return None
    nearest = int(ratio.argmin())
    i, j = int(first[nearest]), int(second[nearest])
    other = 'its own image' if i == j else f'atom {j} ({symbols[j]})'
    return (
        f'atom {i} ({symbols[i]}) and {other} are {distance[nearest]:.3g} Å apart, periodic images counted, less than '
        f'{least:g} of the sum of their covalent radii: move or remove one of them, or mend the cell.'
    )


def check_masses(symbols: Sequence[str], masses: Sequence[float]) -> str | None:
    """Say which atom has a mass that AIMD and MD would not use: both take that of the element.

    :param symbols: element of each atom, or of each kind, (n,).
    :param masses: (n,), u.
    :returns: one clause that names the mass and the remedy, or nothing.
    """
    for symbol, mass in zip(symbols, masses, strict=True):
        number = atomic_numbers.get(symbol, 0)
        # Of the elements without a stable isotope each table names another one.
        if 0 < number <= 92 and not abs(mass - atomic_masses[number]) <= MASS_TOLERANCE * atomic_masses[number]:
            return (
                f'{symbol} has the mass {mass:g} u, but AIMD and MD take that of the element, '
                f'{atomic_masses[number]:g} u: leave the mass out. The potential does not depend on it and serves '
                'for the isotope too, in an MD of your own.'
            )
    return None


def check_names(names: Iterable[str], role: str) -> str | None:
    """Say which name can't be part of a label in the provenance graph.

    :param names: names of systems or datasets.
    :param role: what they name, ``system`` or ``dataset``.
    :returns: one sentence that gives the rule and a name that is possible, or nothing.
    """
    for name in names:
        if isinstance(name, str) and _NAME.fullmatch(name) and len(name) <= _LONGEST_NAME:
            continue
        plain = unicodedata.normalize('NFKD', str(name)).encode('ascii', 'ignore').decode()
        possible = re.sub('[^A-Za-z0-9]+', '_', plain)[:_LONGEST_NAME].strip('_') or f'{role}_1'
        shown = name if len(str(name)) <= _LONGEST_NAME else f'{str(name)[:20]}…'
        return (
            f'The {role} name {shown!r} is not possible: take letters a to z, digits and single underscores between '
            f"them, {_LONGEST_NAME} characters at most, such as '{possible}'."
        )
    return None
