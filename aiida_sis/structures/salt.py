"""Sodium chloride, whose classical teacher costs almost nothing."""

from __future__ import annotations

from ase import Atoms
from ase.build import bulk

from aiida_sis.structures.composition import GRAM_PER_CM3_PER_DALTON_PER_ANGSTROM3
from aiida_sis.structures.lithium import rattled

LATTICE_PARAMETER = 5.64  # Å, at 25 °C


def sodium_chloride_cell(repeat: int, lattice_parameter: float, rattle: float, seed: int) -> Atoms:
    """Build a supercell of rock salt.

    :param repeat: number of cubic cells along each edge, of eight atoms each.
    :param lattice_parameter: in Å.
    :param rattle: standard deviation of a random displacement, in Å; 0 leaves the crystal.
    :param seed: seed of the displacement.
    :returns: the periodic cell.
    """
    atoms = bulk('NaCl', 'rocksalt', a=lattice_parameter, cubic=True) * (repeat, repeat, repeat)
    return rattled(atoms, rattle, seed)


def lattice_parameter_at(density: float) -> float:
    """Give the lattice parameter of rock salt at a density.

    :param density: in g/cm³; the melt at 1200 K has about 1.5.
    :returns: in Å.
    """
    mass = float(bulk('NaCl', 'rocksalt', a=LATTICE_PARAMETER, cubic=True).get_masses().sum())
    return float((mass * GRAM_PER_CM3_PER_DALTON_PER_ANGSTROM3 / density) ** (1 / 3))
