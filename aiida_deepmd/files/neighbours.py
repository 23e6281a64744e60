"""How many neighbours a descriptor must have room for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list


def suggest_sel(structures: Sequence[Atoms], type_map: Sequence[str], rcut: float, margin: float = 1.5) -> list[int]:
    """Suggest the `sel` of a smooth-edition descriptor, one number for each element.

    It must stay the same for a whole SIS run, since the weights of a parent potential are laid out by it, so it is
    taken from the start structures with room to spare instead of from data that does not exist yet.

    :param structures: the start structures.
    :param type_map: the elements in the order of the potential.
    :param rcut: cutoff radius in Å.
    :param margin: factor on the largest number of neighbours found.
    :returns: the largest number of neighbours of each element, times ``margin``, rounded up to a multiple of four.
    """
    largest = np.zeros(len(type_map))
    for atoms in structures:
        centre, neighbour = neighbor_list('ij', atoms, rcut)
        symbols = np.array(atoms.get_chemical_symbols())
        for index, element in enumerate(type_map):
            counts = np.bincount(centre[symbols[neighbour] == element], minlength=len(atoms))
            largest[index] = max(largest[index], counts.max(initial=0))
    return [max(4, math.ceil(count * margin / 4) * 4) for count in largest]
