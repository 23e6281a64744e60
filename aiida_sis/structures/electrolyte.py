"""LiFSI in DOL, alone in a cube or between the faces of a lithium slab."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_sis.structures.molecules import LIFSI_DOL, dioxolane, lifsi
from aiida_sis.structures.packing import PackingError, pack, shortest_between

# A liquid is not to be squeezed by more than this; the paper's 10 M interface is by 4 %.
HIGHEST_COMPRESSION = 1.15


@dataclass(frozen=True)
class Packed:
    """Molecules in a cell.

    :param atoms: the periodic cell.
    :param molecules: number of its molecule for each atom, shape ``(n_atoms,)``; a slab is one molecule.
    :param n_lifsi: number of LiFSI.
    :param n_dol: number of DOL.
    :param volume: the volume that the electrolyte takes, in Å³.
    """

    atoms: Atoms
    molecules: NDArray[np.int_]
    n_lifsi: int
    n_dol: int
    volume: float

    @property
    def molarity(self) -> float:
        """Concentration of the salt, in mol/L."""
        return LIFSI_DOL.molarity(self.n_lifsi, self.volume)

    @property
    def density(self) -> float:
        """Density of the electrolyte, in g/cm³."""
        return LIFSI_DOL.density(self.n_lifsi, self.n_dol, self.volume)

    def report(self) -> dict[str, float]:
        """Tell numbers, concentration, density and the shortest distance, units in the names."""
        return {
            'n_lifsi': self.n_lifsi,
            'n_dol': self.n_dol,
            'molarity_mol_l': self.molarity,
            'density_g_cm3': self.density,
            'shortest_between_molecules_angstrom': shortest_between(self.atoms, self.molecules),
        }


def electrolyte_box(n_lifsi: int, n_dol: int, cell: float, seed: int) -> Packed:
    """Pack LiFSI and DOL into a cube.

    :param n_lifsi: number of ion pairs.
    :param n_dol: number of solvent molecules.
    :param cell: edge of the cube, in Å.
    :param seed: seed of the packing.
    :returns: the packed cell; LiFSI first.
    :raises PackingError: if they do not fit.
    """
    refuse_density(n_lifsi, n_dol, cell**3)
    atoms, molecules = pack([(lifsi(), n_lifsi), (dioxolane(), n_dol)], (cell, cell, cell), seed)
    return Packed(atoms, molecules, n_lifsi, n_dol, cell**3)


def slab_with_electrolyte(slab: Atoms, spacing: float, gap: float, n_lifsi: int, n_dol: int, seed: int) -> Packed:
    """Pack LiFSI and DOL between the upper face of a slab and the lower face of its image.

    Each face of the slab and the electrolyte share the gap between them evenly: that is the volume of the electrolyte.

    :param slab: a slab made by :func:`~aiida_sis.structures.lithium.lithium_100`.
    :param spacing: distance between the two faces, in Å.
    :param gap: distance that the electrolyte keeps from each face, in Å.
    :param n_lifsi: number of ion pairs.
    :param n_dol: number of solvent molecules.
    :param seed: seed of the packing.
    :returns: the packed cell: the slab at the bottom and first in the order of atoms, then LiFSI, then DOL.
    :raises PackingError: if they do not fit.
    """
    x, y = (float(length) for length in slab.cell.lengths()[:2])
    volume = x * y * (spacing - gap)
    refuse_density(n_lifsi, n_dol, volume)
    filling, molecules = pack([(lifsi(), n_lifsi), (dioxolane(), n_dol)], (x, y, spacing - 2 * gap), seed, open_z=True)
    atoms = slab.copy()
    atoms.positions[:, 2] += gap / 2 - atoms.positions[:, 2].min()
    filling.positions[:, 2] += atoms.positions[:, 2].max() + gap
    filling.set_cell(atoms.cell)
    filling.set_pbc(True)
    together = np.concatenate([np.zeros(len(atoms), dtype=int), molecules + 1])
    return Packed(atoms + filling, together, n_lifsi, n_dol, volume)


def refuse_density(n_lifsi: int, n_dol: int, volume: float) -> None:
    """Refuse more molecules than the volume holds as a liquid.

    :param n_lifsi: number of ion pairs.
    :param n_dol: number of solvent molecules.
    :param volume: in Å³.
    :raises PackingError: if they are squeezed by more than :data:`HIGHEST_COMPRESSION`.
    """
    needed = LIFSI_DOL.room(n_lifsi, n_dol)
    if needed > HIGHEST_COMPRESSION * volume:
        raise PackingError(
            f'{n_lifsi} LiFSI and {n_dol} DOL do not fit into {volume:.0f} Å³, where they would have '
            f'{LIFSI_DOL.density(n_lifsi, n_dol, volume):.2f} g/cm³: as a liquid they take {needed:.0f} Å³. Enlarge '
            'the cell, lower the density, or pack fewer.'
        )
