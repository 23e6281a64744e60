"""The molecules of the electrolyte, at their GFN1-xTB geometries."""

from __future__ import annotations

from importlib import resources

from ase import Atoms
from ase.io import read

from aiida_sis.structures.composition import Solution


def read_geometry(filename: str) -> Atoms:
    """Read a geometry that the package carries.

    :param filename: its name in this folder.
    :returns: the atoms as they are in the file.
    """
    with resources.as_file(resources.files(__package__).joinpath(filename)) as path:
        atoms = read(path, format='extxyz')
    assert isinstance(atoms, Atoms)
    return atoms


def lifsi() -> Atoms:
    """Give LiFSI as a contact ion pair: Li+ on two oxygens and one fluorine of FSI-.

    In an ether of low polarity the ions are found side by side, and a pair that is packed whole is neutral wherever it
    lies.

    :returns: 10 atoms without a cell, their centre at the origin; Å.
    """
    return _free(read_geometry('lifsi_ion_pair.xyz'))


def dioxolane() -> Atoms:
    """Give 1,3-dioxolane (DOL), C3H6O2.

    :returns: 11 atoms without a cell, their centre at the origin; Å.
    """
    return _free(read_geometry('dioxolane.xyz'))


def _free(atoms: Atoms) -> Atoms:
    free = Atoms(atoms.get_chemical_symbols(), atoms.get_positions())
    free.positions -= free.positions.mean(axis=0)
    return free


# 1.06 g/cm³ is the density of DOL at 25 °C. 85 cm³/mol is an estimate; with it the numbers of the paper's interfaces at
# 1 M and 10 M follow from their concentrations.
LIFSI_DOL = Solution(
    salt_mass=float(lifsi().get_masses().sum()),
    solvent_mass=float(dioxolane().get_masses().sum()),
    solvent_density=1.06,
    salt_volume=85.0,
)
