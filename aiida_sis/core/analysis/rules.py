"""When two atoms count as bonded: cutoffs, and the names of bonds and molecules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.formula import Formula

from aiida_deepmd.arrays import BoolArray, FloatArray

#: Largest lengths of bonds in Å, tried on DFT frames of LiFSI in DOL on lithium.
COVALENT_CUTOFFS: Mapping[str, float] = {
    'S–F': 2.0,
    'N–S': 2.1,
    'S–O': 1.9,
    'C–O': 1.8,
    'C–H': 1.3,
    'C–C': 1.9,
    'S–S': 2.35,  # the two S of FSI are 2.6 Å apart
}
#: Largest distances in Å at which a lithium ion counts as held by an atom: about the first minimum of g(r).
CONTACT_CUTOFFS: Mapping[str, float] = {'Li–F': 2.5, 'Li–O': 2.7, 'Li–N': 2.7, 'Li–S': 3.1, 'Li–C': 2.7}
#: Metals whose atoms are ions or a slab here: they make contacts, no bonds.
METALS = ('Li', 'Na', 'K', 'Rb', 'Cs', 'Mg', 'Ca', 'Zn', 'Al')
#: Bonds of other elements: this factor times the sum of their covalent radii.
RADII_FACTOR = 1.25
#: The order in which the two elements of a bond are named.
_ORDER = (*METALS, 'B', 'Si', 'P', 'C', 'N', 'S', 'O', 'H', 'I', 'Br', 'Cl', 'F')
#: Names by Hill formula and number of rings: the common ones (a ring-opened DOL is none), and fragments of FSI in the
#: usual order of their atoms.
_NAMES = {
    ('C3H6O2', 1): 'DOL',
    ('F2NO4S2', 0): 'FSI',
    ('C2F6NO4S2', 0): 'TFSI',
    ('F6P', 0): 'PF6',
    ('BF4', 0): 'BF4',
    ('C4H10O2', 0): 'DME',
    ('C3H4O3', 1): 'EC',
    ('C3H6O3', 0): 'DMC',
    ('C4H6O3', 1): 'PC',
    ('HO', 0): 'OH',
    ('O2S', 0): 'SO2',
    ('O3S', 0): 'SO3',
    ('NO2S', 0): 'NSO2',
    ('NOS', 0): 'NSO',
    ('NO4S2', 0): 'N(SO2)2',
    ('FNO4S2', 0): 'N(SO2)2F',
    ('FO2S', 0): 'SO2F',
    ('FNO2S', 0): 'NSO2F',
}
#: What an anion is called once lithium holds it.
SALTS: Mapping[str, str] = {
    'F': 'LiF',
    'Cl': 'LiCl',
    'O': 'Li2O',
    'S': 'Li2S',
    'N': 'Li3N',
    'H': 'LiH',
    'OH': 'LiOH',
    'HS': 'LiHS',
    'C2': 'Li2C2',
    'CO3': 'Li2CO3',
    'SO3': 'Li2SO3',
    'O4S': 'Li2SO4',
    'FSI': 'LiFSI',
    'TFSI': 'LiTFSI',
    'PF6': 'LiPF6',
}


@dataclass(frozen=True)
class BondRules:
    """Distances that make and break bonds and contacts.

    A pair is bonded at the start if it is nearer than its cutoff. Later it forms below ``form`` × cutoff and breaks
    above ``break_`` × cutoff; between the two it stays what it was.

    :param covalent: largest length of a bond by pair, such as ``{'S–F': 2.0}``, Å; other pairs take
        ``RADII_FACTOR`` times the sum of their covalent radii.
    :param contacts: largest distance of a contact of a metal by pair, Å; other pairs of a metal have none.
    :param form: factor below which a pair forms.
    :param break_: factor above which it breaks.
    :param metals: elements left out of the bonds.
    """

    covalent: Mapping[str, float] = field(default_factory=lambda: dict(COVALENT_CUTOFFS))
    contacts: Mapping[str, float] = field(default_factory=lambda: dict(CONTACT_CUTOFFS))
    form: float = 0.95
    break_: float = 1.2
    metals: tuple[str, ...] = METALS

    def __post_init__(self) -> None:
        if not 0.0 < self.form <= 1.0 <= self.break_:
            raise ValueError(
                f'The factors are {self.form:g} (form) and {self.break_:g} (break): take 0 < form ≤ 1 ≤ break.'
            )
        for name in (*self.covalent, *self.contacts):
            parts = name.replace('-', '–').split('–')
            if len(parts) != 2 or not all(part in atomic_numbers for part in parts):
                raise ValueError(f"'{name}' is no pair of elements: write it like S–F.")

    def cutoffs(self, elements: Sequence[str]) -> tuple[FloatArray, BoolArray]:
        """Tabulate the cutoffs of some elements.

        :param elements: symbols, (n_elements,).
        :returns: the cutoff of each pair in Å, zero where it has none, and whether it is a contact; both (n, n).
        """
        covalent = {pair_name(*_split(name)): value for name, value in self.covalent.items()}
        contacts = {pair_name(*_split(name)): value for name, value in self.contacts.items()}
        table = np.zeros((len(elements), len(elements)))
        is_contact = np.zeros_like(table, dtype=bool)
        for row, first in enumerate(elements):
            for column, second in enumerate(elements):
                name = pair_name(first, second)
                n_metals = (first in self.metals) + (second in self.metals)
                is_contact[row, column] = n_metals > 0
                if n_metals == 0:
                    radii = covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]]
                    table[row, column] = covalent.get(name, RADII_FACTOR * radii)
                elif n_metals == 1:
                    table[row, column] = contacts.get(name, 0.0)
        return table, is_contact


def pair_name(first: str, second: str) -> str:
    """Name a bond as chemists do: N–S, S–F, C–O, Li–F.

    :param first: an element.
    :param second: an element.
    """
    return '–'.join(sorted((first, second), key=_rank))


def hill(symbols: Sequence[str]) -> str:
    """Give the Hill formula: C, H, then the alphabet.

    :param symbols: elements of the atoms.
    """
    return _hill(tuple(sorted(symbols)))


@lru_cache(maxsize=4096)
def _hill(symbols: tuple[str, ...]) -> str:
    return str(Formula.from_list(list(symbols)).format('hill'))


def common_name(formula: str, n_rings: int) -> str:
    """Give the name by which a molecule is known, or its formula.

    :param formula: Hill formula.
    :param n_rings: independent rings of its bonds.
    """
    return _NAMES.get((formula, n_rings), formula)


def _split(name: str) -> tuple[str, str]:
    first, second = name.replace('-', '–').split('–')
    return first, second


def _rank(element: str) -> tuple[int, str]:
    return (_ORDER.index(element), '') if element in _ORDER else (len(_ORDER), element)
