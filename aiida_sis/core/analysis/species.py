"""Which molecules there are at each time, and clusters of a salt with their lifetimes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_sis.core.analysis.bonds import BondEvent, BondHistory
from aiida_sis.core.analysis.rules import METALS, SALTS, common_name, hill, pair_name
from aiida_sis.core.analysis.topology import fragments

Bonds = set[tuple[int, int]]
#: Name and Hill formula.
Species = tuple[str, str]


@dataclass(frozen=True)
class Census:
    """Number of molecules of each species over time.

    :param times_fs: time of each frame, (n_frames,), fs.
    :param names: common name of each species, otherwise its formula; the most frequent at the start first.
    :param formulas: Hill formula of each species.
    :param counts: (n_frames, n_species).
    """

    times_fs: FloatArray
    names: tuple[str, ...]
    formulas: tuple[str, ...]
    counts: IntArray

    def at(self, frame: int) -> dict[str, int]:
        """Give the species that are there in a frame, with their numbers.

        :param frame: from 0; −1 is the last.
        """
        return {name: int(n) for name, n in zip(self.names, self.counts[frame], strict=True) if n}

    def of(self, name: str) -> IntArray:
        """Give the number of one species over time, (n_frames,); zeros if it never was there.

        :param name: its name or its formula.
        """
        columns = [k for k, names in enumerate(zip(self.names, self.formulas, strict=True)) if name in names]
        total: IntArray = self.counts[:, columns].sum(axis=1)
        return total


@dataclass(frozen=True)
class Cluster:
    """Anions that share metal ions, followed as long as more than half of them stay together.

    :param formula: at its largest, such as ``Li2F2``.
    :param anions: their atoms at its largest.
    :param born_fs: when it was first there, fs.
    :param died_fs: when it was first not there any more; None if it is there at the end.
    :param lifetime_fs: how long it was seen, fs; a lower bound if it was there at the start or at the end.
    :param from_start: whether it was there in the first frame.
    """

    formula: str
    anions: tuple[int, ...]
    born_fs: float
    died_fs: float | None
    lifetime_fs: float
    from_start: bool


@dataclass(frozen=True)
class Aggregates:
    """Clusters of a salt.

    :param times_fs: time of each frame, (n_frames,), fs.
    :param formulas: every formula that was there; ``F`` alone is an anion without a metal in contact.
    :param counts: number of clusters of each formula over time, (n_frames, n_formulas).
    :param clusters: those of at least the asked size, by birth.
    """

    times_fs: FloatArray
    formulas: tuple[str, ...]
    counts: IntArray
    clusters: tuple[Cluster, ...]

    def at(self, frame: int) -> dict[str, int]:
        """Give the clusters that are there in a frame, with their numbers.

        :param frame: from 0; −1 is the last.
        """
        return {name: int(n) for name, n in zip(self.formulas, self.counts[frame], strict=True) if n}


def census(history: BondHistory, *, lithium: bool = False) -> Census:
    """Count the molecules of each species over time.

    Without lithium each metal atom is one molecule. With it, an anion that lithium holds is named as its salt: a bare F
    is LiF, a bare O Li2O, OH is LiOH, a bare S Li2S, FSI is LiFSI; a metal atom then is ``Li`` if it touches no
    non-metal, and ``Li (in contact)`` otherwise. Only salts are renamed: DOL and C2H4 stay what they are.

    :param history: bonds over time, with contacts if ``lithium``.
    :param lithium: whether contacts with lithium name the salts.
    """
    rows: list[tuple[int, Counter[Species]]] = []
    parts: _Parts | None = None
    for frame, bonds, contacts, bonds_changed in _intervals(history, with_contacts=lithium):
        if parts is None or bonds_changed:
            parts = _Parts(history.symbols, bonds)
        rows.append((frame, parts.count(contacts if lithium else None)))
    return Census(history.times_fs, *_table(rows, len(history.times_fs)))


def aggregates(history: BondHistory, cation: str = 'Li', anion: str = 'F', min_size: int = 2) -> Aggregates:
    """Follow clusters of a salt, such as Li2F2 and larger ones of LiF.

    A cluster is made of bare anions (bonded to nothing) that share a metal ion in contact; its formula counts the ions
    that touch one of them. At a lithium slab these ions belong to the slab too.

    :param history: bonds over time, with contacts.
    :param cation: element of the ions.
    :param anion: element of the anions.
    :param min_size: smallest number of anions, and of ions, in the clusters that are followed.
    """
    rows: list[tuple[int, Counter[Species]]] = []
    seen: list[tuple[int, dict[frozenset[int], str]]] = []
    for frame, bonds, contacts, _ in _intervals(_only(history, cation, anion), with_contacts=True):
        found = _clusters(history.symbols, bonds, contacts, cation, anion)
        rows.append((frame, Counter((formula, formula) for formula, _, _ in found)))
        seen.append((frame, {anions: name for name, anions, n in found if min(len(anions), n) >= min_size}))
    formulas, _, counts = _table(rows, len(history.times_fs))
    return Aggregates(history.times_fs, formulas, counts, _follow(seen, history.times_fs))


def _only(history: BondHistory, cation: str, anion: str) -> BondHistory:
    """Leave out the events that no cluster of a salt feels."""
    pair, symbols = pair_name(cation, anion), history.symbols
    bonds = (event for event in history.events if anion in (symbols[event.i], symbols[event.j]))
    contacts = (event for event in history.contact_events if event.pair == pair)
    return replace(history, events=tuple(bonds), contact_events=tuple(contacts))


def _intervals(history: BondHistory, with_contacts: bool) -> Iterator[tuple[int, Bonds, Bonds, bool]]:
    """Bonds and contacts at the start and after each frame with an event, and whether the bonds are others."""
    bonds = {(int(i), int(j)) for i, j in history.initial_bonds}
    contacts = {(int(i), int(j)) for i, j in history.initial_contacts}
    by_frame: dict[int, list[tuple[Bonds, BondEvent]]] = {0: []}
    for target, events in ((bonds, history.events), (contacts, history.contact_events if with_contacts else ())):
        for event in events:
            by_frame.setdefault(event.frame, []).append((target, event))
    for frame in sorted(by_frame):
        for target, event in by_frame[frame]:
            (target.add if event.change == 'formed' else target.discard)((event.i, event.j))
        yield frame, bonds, contacts, any(target is bonds for target, _ in by_frame[frame])


def _as_array(bonds: Bonds) -> IntArray:
    return np.array(list(bonds), dtype=np.int64).reshape(-1, 2)


class _Parts:
    """Molecules of one set of bonds, counted again for every set of contacts, which changes more often."""

    def __init__(self, symbols: tuple[str, ...], bonds: Bonds) -> None:
        self._species: list[Species] = []
        self._part_of = np.empty(len(symbols), dtype=np.int64)
        for number, (members, n_bonds) in enumerate(fragments(len(symbols), _as_array(bonds))):
            formula = hill([symbols[index] for index in members])
            self._species.append((common_name(formula, n_bonds - len(members) + 1), formula))
            self._part_of[members] = number
        self._free = Counter(self._species)

    def count(self, contacts: Bonds | None) -> Counter[Species]:
        """Number of molecules of each species; those in contact with a metal as its salts."""
        found = self._free.copy()
        if contacts:
            for part in np.unique(self._part_of[_as_array(contacts)]):
                name, formula = self._species[part]
                found[name, formula] -= 1
                found[f'{name} (in contact)' if name in METALS else SALTS.get(name, name), formula] += 1
        return +found


def _table(
    rows: list[tuple[int, Counter[Species]]], n_frames: int
) -> tuple[tuple[str, ...], tuple[str, ...], IntArray]:
    """Names, formulas and counts in every frame, from counts that hold until the next ones."""
    order: dict[tuple[str, str], int] = {}
    for _, row in rows:
        for species, _ in sorted(row.items(), key=lambda item: (-item[1], item[0])):
            order.setdefault(species, len(order))
    counts = np.zeros((n_frames, len(order)), dtype=np.int64)
    ends = [frame for frame, _ in rows[1:]] + [n_frames]
    for (frame, row), end in zip(rows, ends, strict=True):
        for species, number in row.items():
            counts[frame:end, order[species]] = number
    return tuple(name for name, _ in order), tuple(formula for _, formula in order), counts


def _clusters(
    symbols: tuple[str, ...], bonds: Bonds, contacts: Bonds, cation: str, anion: str
) -> list[tuple[str, frozenset[int], int]]:
    """Formula, anions and number of ions of each cluster."""
    bonded = {atom for pair in bonds for atom in pair}
    bare = [index for index, symbol in enumerate(symbols) if symbol == anion and index not in bonded]
    links = [pair for pair in contacts if {symbols[pair[0]], symbols[pair[1]]} == {cation, anion}]
    links = [pair for pair in links if bonded.isdisjoint(pair)]
    members = sorted({*bare, *(atom for pair in links for atom in pair)})
    place = {atom: number for number, atom in enumerate(members)}
    joined = np.array([(place[i], place[j]) for i, j in links], dtype=np.int64).reshape(-1, 2)
    found = []
    for part, _ in fragments(len(members), joined) if members else ():
        atoms = [members[index] for index in part]
        anions = frozenset(atom for atom in atoms if symbols[atom] == anion)
        n_ions = len(atoms) - len(anions)
        found.append((_salt(cation, n_ions, anion, len(anions)), anions, n_ions))
    return found


def _salt(cation: str, n_cations: int, anion: str, n_anions: int) -> str:
    parts = ((cation, n_cations), (anion, n_anions))
    return ''.join(f'{symbol}{n if n > 1 else ""}' for symbol, n in parts if n)


@dataclass
class _Life:
    """A cluster that is being followed."""

    now: frozenset[int]
    largest: frozenset[int]
    formula: str
    born: int


def _follow(seen: list[tuple[int, dict[frozenset[int], str]]], times_fs: FloatArray) -> tuple[Cluster, ...]:
    """Join the clusters of successive intervals into lives."""
    alive: list[_Life] = []
    ended: list[Cluster] = []
    for frame, clusters in seen:
        free = dict(clusters)
        still: list[_Life] = []
        for life in sorted(alive, key=lambda one: (-len(one.now), one.born)):
            heir = max(free, key=lambda anions: len(anions & life.now), default=frozenset[int]())
            if 2 * len(heir & life.now) > len(life.now):
                life.now = heir
                if len(heir) > len(life.largest):
                    life.largest, life.formula = heir, free[heir]
                del free[heir]
                still.append(life)
            else:
                ended.append(_cluster(life, times_fs, float(times_fs[frame])))
        alive = still + [_Life(anions, anions, formula, frame) for anions, formula in free.items()]
    ended += [_cluster(life, times_fs, None) for life in alive]
    return tuple(sorted(ended, key=lambda one: (one.born_fs, one.anions)))


def _cluster(life: _Life, times_fs: FloatArray, died_fs: float | None) -> Cluster:
    born_fs = float(times_fs[life.born])
    lifetime = (float(times_fs[-1]) if died_fs is None else died_fs) - born_fs
    return Cluster(life.formula, tuple(sorted(life.largest)), born_fs, died_fs, lifetime, life.born == 0)
