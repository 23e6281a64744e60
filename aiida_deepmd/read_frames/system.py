"""What every reader gives: the frames of one composition, what is wrong with some of them, and what was left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.formula import Formula

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_deepmd.elements import ELEMENTS
from aiida_deepmd.frames import Frames


class ReadError(ValueError):
    """A file holds no labelled frames that can be used; the message names it and the remedy."""


@dataclass(frozen=True)
class Hints:
    """What the user knows and a file doesn't say.

    :param energy_key: name of the energy in a file of ASE's; None: ASE's own.
    :param forces_key: name of the forces there.
    :param elements: (name, element) of atoms or types whose names are no elements.
    :param type_map: element of each type number, where nothing beside the frames names the types.
    """

    energy_key: str | None = None
    forces_key: str | None = None
    elements: tuple[tuple[str, str], ...] = ()
    type_map: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """Labelled frames of one composition, read from a file.

    :param name: tells the systems of one path apart: the folder below it, the formula, or both.
    :param frames: the frames in eV, Å, eV/Å; NaN where the file has no number.
    :param symbols: element of each atom, (n_atoms,).
    :param files: the files that it was read from.
    :param flaws: reason -> numbers of the frames that cannot be used for it, as the reader knows.
    :param notes: what was left out or put in another way, one sentence each.
    :param weights: (n_atoms,) 1 or 0, weight of each atom's force in a loss, where the file says it.
    """

    name: str
    frames: Frames
    symbols: list[str]
    files: tuple[Path, ...] = ()
    flaws: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    weights: FloatArray | None = None

    def usable(self) -> IntArray:
        """Numbers of the frames without a flaw, ascending."""
        flawed = {number for numbers in self.flaws.values() for number in numbers}
        return np.array([number for number in range(len(self.frames)) if number not in flawed], dtype=np.int64)


@dataclass(frozen=True)
class Sample:
    """One frame on its own, with whatever atoms it has; NaN stands for a number that is not there.

    :param symbols: element of each atom.
    :param coords: (n_atoms, 3), Å.
    :param cell: (3, 3), Å.
    :param energy: eV.
    :param forces: (n_atoms, 3), eV/Å.
    :param flaw: why it cannot be used, empty if it can.
    """

    symbols: tuple[str, ...]
    coords: FloatArray
    cell: FloatArray
    energy: float
    forces: FloatArray
    flaw: str = ''


def gather(samples: Iterable[Sample], name: str, files: tuple[Path, ...], notes: Sequence[str] = ()) -> list[System]:
    """Put samples of one composition together, in their order.

    Where the same atoms come in different orders (an alloy whose sites were drawn anew), they are sorted by element:
    else each frame would be a system of its own, with nothing to hold out.

    :param samples: the frames.
    :param name: name of what they were read from; the formula follows it where there is more than one composition.
    :param files: the files that they were read from.
    :param notes: what to say about all of them.
    """
    groups: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        groups.setdefault(tuple(sorted(sample.symbols)), []).append(sample)
    systems = []
    for composition, members in groups.items():
        formula = Formula.from_dict(Counter(composition)).format('hill')
        told = list(notes)
        symbols = members[0].symbols
        orders = [np.arange(len(symbols))] * len(members)
        if any(member.symbols != symbols for member in members):
            told.append('The atoms come in different orders from frame to frame: they were sorted by element.')
            orders = [np.array(sorted(range(len(symbols)), key=m.symbols.__getitem__), dtype=np.int64) for m in members]
            symbols = composition
        frames = Frames(
            coords=np.array([m.coords[order] for m, order in zip(members, orders, strict=True)]),
            cells=np.array([m.cell for m in members]),
            energies=np.array([m.energy for m in members]),
            forces=np.array([m.forces[order] for m, order in zip(members, orders, strict=True)]),
        )
        parts = [name, formula if len(groups) > 1 else '']
        systems.append(
            System(
                ' '.join(part for part in parts if part),
                frames,
                list(symbols),
                files,
                by_reason([member.flaw for member in members]),
                tuple(told),
            )
        )
    return systems


def by_reason(flaws: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Sort the numbers of frames by why they cannot be used.

    :param flaws: of each frame, empty where it can.
    """
    reasons = dict.fromkeys(flaw for flaw in flaws if flaw)
    return {reason: tuple(number for number, flaw in enumerate(flaws) if flaw == reason) for reason in reasons}


def as_elements(names: Sequence[str], hints: Hints, where: str) -> tuple[dict[str, str], list[str]]:
    """Say which element each name of an atom or a type is.

    A name that begins with an element and goes on with anything but a letter is that element (``Na_bulk``, ``O-w``,
    ``H1``): the types of one element that a force field tells apart are one type here.

    :param names: names of the atoms that are there.
    :param hints: the elements of names that do not say it.
    :param where: the file, for the sentence.
    :return: name -> element, and what to say about it.
    :raises ReadError: if a name can be no element's, or is said to be none.
    """
    told = dict(hints.elements)
    wrong = [f'{name}={element}' for name, element in told.items() if element not in ELEMENTS]
    if wrong:
        raise ReadError(f'--elements {",".join(wrong)} names no element: give the symbol behind the sign, as in Hw=H.')
    found: dict[str, str] = {}
    unknown = []
    for name in dict.fromkeys(names):
        begin = re.match(r'([A-Z][a-z]?)(?![A-Za-z])', name)
        element = told.get(name) or (begin.group(1) if begin else name)
        if element not in ELEMENTS:
            unknown.append(name)
        found[name] = element
    if unknown:
        example = ','.join(f'{name}={element}' for name, element in zip(unknown, ('Na', 'Cl', 'O'), strict=False))
        raise ReadError(
            f"'{where}' has atoms called {', '.join(unknown)}, which are no elements: say what they are, for example "
            f'--elements {example}.'
        )
    taken = [f'{name} as {element}' for name, element in found.items() if name != element]
    return found, [f'Atoms called {", ".join(taken)}.'] if taken else []


def check_type_map(type_map: Sequence[str]) -> None:
    """Refuse a type map that is no list of different elements.

    :param type_map: element of each type, in the order of the potential.
    :raises ReadError: if a name is no element, or an element is named twice.
    """
    foreign = [name for name in type_map if name not in ELEMENTS]
    twice = sorted({name for name in type_map if type_map.count(name) > 1})
    if foreign:
        raise ReadError(f'type_map {list(type_map)} names {", ".join(map(repr, foreign))}, no element: give symbols.')
    if twice:
        raise ReadError(
            f'type_map {list(type_map)} names {", ".join(twice)} more than once: give each element once. Types of one '
            'element are told apart by nothing here; where a file numbers several, say --elements Type_0=Na,Type_1=Na.'
        )
