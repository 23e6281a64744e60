"""Molecules of a structure, by its bonds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import Atoms
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from aiida_deepmd.arrays import IntArray
from aiida_sis.core.analysis.neighbours import NeighbourSearch
from aiida_sis.core.analysis.rules import BondRules, common_name, hill


@dataclass(frozen=True)
class Molecule:
    """Atoms that are bonded to each other.

    :param indices: its atoms, ascending.
    :param formula: Hill formula, such as ``C3H6O2``.
    :param name: common name where there is one, such as ``DOL`` or ``FSI``, otherwise the formula.
    :param number: counts the molecules of one name, from 1.
    """

    indices: tuple[int, ...]
    formula: str
    name: str
    number: int = 1

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def label(self) -> str:
        """The name and the number, such as ``FSI 1``."""
        return f'{self.name} {self.number}'


@dataclass(frozen=True)
class Topology:
    """Molecules of a structure; a metal atom is one of its own.

    :param symbols: element of each atom, (n_atoms,).
    :param bonds: bonded pairs, smaller index first, (n_bonds, 2).
    :param molecules: in the order of their first atoms.
    """

    symbols: tuple[str, ...]
    bonds: IntArray
    molecules: tuple[Molecule, ...]

    @cached_property
    def molecule_of(self) -> IntArray:
        """Index of the molecule of each atom, (n_atoms,)."""
        found = np.empty(len(self.symbols), dtype=np.int64)
        for number, molecule in enumerate(self.molecules):
            found[list(molecule.indices)] = number
        return found

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Label of each atom, (n_atoms,): ``O(DOL)``, ``O(FSI)``; an atom alone is its element: ``Li``, ``F``."""
        labels = []
        for symbol, number in zip(self.symbols, self.molecule_of, strict=True):
            molecule = self.molecules[number]
            labels.append(symbol if len(molecule) == 1 else f'{symbol}({molecule.name})')
        return tuple(labels)

    @property
    def counts(self) -> dict[str, int]:
        """Number of molecules by name."""
        return dict(Counter(molecule.name for molecule in self.molecules))


def find_molecules(atoms: Atoms, rules: BondRules | None = None) -> Topology:
    """Find the molecules of a structure by the lengths of its bonds, through the periodic images.

    Metals such as Li are left out of the bonds: a Li at an oxygen makes no molecule.

    :param atoms: the structure, with its cell; wrapped or not.
    :param rules: cutoffs; the usual ones if None.
    :raises ValueError: if the cell has no volume.
    """
    rules = rules or BondRules()
    symbols = atoms.get_chemical_symbols()
    elements = sorted(set(symbols))
    cutoffs, is_contact = rules.cutoffs(elements)
    cutoffs[is_contact] = 0.0
    species = np.array([elements.index(symbol) for symbol in symbols])
    if cutoffs.max() == 0.0:
        return topology_of(symbols, np.empty((0, 2), dtype=np.int64))
    first, second, distance = NeighbourSearch(float(cutoffs.max())).pairs(atoms.positions, atoms.cell.array)
    bonded = distance < cutoffs[species[first], species[second]]
    return topology_of(symbols, np.unique(np.stack([first[bonded], second[bonded]], axis=1), axis=0))


def topology_of(symbols: Sequence[str], bonds: IntArray) -> Topology:
    """Group atoms by bonds that are known.

    :param symbols: element of each atom, (n_atoms,).
    :param bonds: bonded pairs, (n_bonds, 2), each once.
    """
    molecules, seen = [], Counter[str]()
    for members, n_bonds in fragments(len(symbols), bonds):
        formula = hill([symbols[index] for index in members])
        name = common_name(formula, n_bonds - len(members) + 1)
        seen[name] += 1
        molecules.append(Molecule(tuple(int(index) for index in members), formula, name, seen[name]))
    return Topology(tuple(symbols), bonds, tuple(molecules))


def fragments(n_atoms: int, bonds: IntArray) -> list[tuple[IntArray, int]]:
    """Split atoms into connected groups.

    :param n_atoms: number of atoms.
    :param bonds: bonded pairs, (n_bonds, 2), each once.
    :returns: the atoms of each group, ascending, with the number of its bonds; ordered by the first atom.
    """
    n_groups, group = components(n_atoms, bonds)
    n_bonds = np.bincount(group[bonds[:, 0]], minlength=n_groups)
    order = np.argsort(group, kind='stable')
    parts = np.split(order, np.cumsum(np.bincount(group, minlength=n_groups))[:-1])
    return sorted(((part, int(n_bonds[index])) for index, part in enumerate(parts)), key=lambda one: one[0][0])


def components(n_atoms: int, bonds: IntArray) -> tuple[int, IntArray]:
    """Number the connected groups of atoms.

    :param n_atoms: number of atoms.
    :param bonds: bonded pairs, (n_bonds, 2).
    :returns: the number of groups and the group of each atom, (n_atoms,).
    """
    graph = coo_array((np.ones(len(bonds), dtype=np.int8), (bonds[:, 0], bonds[:, 1])), shape=(n_atoms, n_atoms))
    n_groups, group = connected_components(graph, directed=False)
    return int(n_groups), group.astype(np.int64)
