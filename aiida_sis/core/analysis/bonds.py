"""Bonds that break and form along a trajectory, with hysteresis in distance and in time.

A pair forms below one distance and breaks above a longer one, and either counts only if it lasts: a vibration is no
reaction. The event is dated to the frame at which the pair crossed the distance, not to the one at which that was
confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aiida_deepmd.arrays import BoolArray, FloatArray, IntArray
from aiida_sis.core.analysis.neighbours import Frames, NeighbourSearch
from aiida_sis.core.analysis.rules import BondRules, pair_name
from aiida_sis.core.analysis.topology import Topology, topology_of

#: A change must last this long in fs to count.
PERSISTENCE_FS = 20.0


@dataclass(frozen=True)
class BondEvent:
    """A bond, or a contact of a metal, that broke or formed.

    :param time_fs: when the pair crossed the distance, fs.
    :param frame: the frame of that, from 0.
    :param change: ``broken`` or ``formed``.
    :param i: an atom, the smaller index.
    :param j: the other atom.
    :param pair: the elements, such as ``S–F``.
    :param molecule: the molecule of the start to which the atoms belong, such as ``FSI 1``; ``FSI 1 + Li 3`` for two.
    """

    time_fs: float
    frame: int
    change: str
    i: int
    j: int
    pair: str
    molecule: str


@dataclass(frozen=True)
class BondHistory:
    """Bonds at the start, and every event after it.

    :param symbols: element of each atom, (n_atoms,).
    :param times_fs: time of each frame, (n_frames,), fs.
    :param topology: bonds and molecules of the first frame.
    :param events: bonds between non-metals, by time.
    :param initial_contacts: contacts of metals in the first frame, (n_contacts, 2).
    :param contact_events: contacts of metals, by time.
    :param unconfirmed: changes that had not lasted long enough when the trajectory ended.
    """

    symbols: tuple[str, ...]
    times_fs: FloatArray
    topology: Topology
    events: tuple[BondEvent, ...]
    initial_contacts: IntArray
    contact_events: tuple[BondEvent, ...]
    unconfirmed: tuple[BondEvent, ...]

    @property
    def initial_bonds(self) -> IntArray:
        """Bonds of the first frame, smaller index first, (n_bonds, 2)."""
        return self.topology.bonds

    def bonds_at(self, frame: int) -> IntArray:
        """Give the bonds in a frame, (n_bonds, 2).

        :param frame: from 0.
        """
        bonds = {(int(i), int(j)) for i, j in self.initial_bonds}
        for event in self.events:
            if event.frame <= frame:
                (bonds.add if event.change == 'formed' else bonds.discard)((event.i, event.j))
        return np.array(sorted(bonds), dtype=np.int64).reshape(-1, 2)

    def first_broken(self) -> dict[str, dict[str, float]]:
        """Tell for each molecule of the start when its first bond of each pair broke.

        :returns: for each molecule such as ``FSI 1`` that lost a bond it had at the start, pairs and times in fs,
            earliest first: ``{'FSI 1': {'S–F': 22.0, 'N–S': 310.0}}``.
        """
        start = {(int(i), int(j)) for i, j in self.initial_bonds}
        found: dict[str, dict[str, float]] = {}
        for event in self.events:
            if event.change == 'broken' and (event.i, event.j) in start:
                found.setdefault(event.molecule, {}).setdefault(event.pair, event.time_fs)
        return found


class BondTracker:
    """Follow bonds and contacts frame by frame.

    :param symbols: element of each atom, (n_atoms,).
    :param rules: distances that make and break bonds.
    :param persistence_fs: how long a change must last to count, fs.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        rules: BondRules | None = None,
        persistence_fs: float = PERSISTENCE_FS,
    ) -> None:
        if persistence_fs < 0:
            raise ValueError(f'The persistence is {persistence_fs:g} fs: it cannot be negative.')
        self.rules = rules or BondRules()
        self.symbols = tuple(symbols)
        self.persistence_fs = float(persistence_fs)
        elements = sorted(set(symbols))
        self._n_elements = len(elements)
        self._species = np.array([elements.index(symbol) for symbol in symbols])
        cutoffs, is_contact = self.rules.cutoffs(elements)
        self._cutoffs, self._is_contact = cutoffs.ravel(), is_contact.ravel()
        #: Distance in Å beyond which no pair can matter.
        self.reach = float(cutoffs.max()) * self.rules.break_
        self._keys: IntArray = np.empty(0, dtype=np.int64)
        self._bonded: BoolArray = np.empty(0, dtype=bool)
        self._seen: BoolArray = np.empty(0, dtype=bool)
        self._since: IntArray = np.empty(0, dtype=np.int64)
        self._times: list[float] = []
        self._initial: IntArray = np.empty(0, dtype=np.int64)
        self._found: list[tuple[int, int, bool]] = []

    def add(self, time_fs: float, first: IntArray, second: IntArray, distance: FloatArray) -> None:
        """Add one frame.

        :param time_fs: fs, later than the frame before.
        :param first: the atom of smaller index of each pair, (n_pairs,); at least all pairs nearer than ``reach``.
        :param second: the other atom.
        :param distance: (n_pairs,), Å.
        :raises ValueError: if the time does not rise.
        """
        frame = len(self._times)
        if frame and time_fs <= self._times[-1]:
            raise ValueError(f'Frame {frame} is at {time_fs:g} fs, not after the one before: times must rise.')
        self._times.append(float(time_fs))
        near = distance < self.reach
        first, second, distance = first[near], second[near], distance[near]
        cutoff = self._cutoffs[self._species[first] * self._n_elements + self._species[second]]
        ratio = distance / np.where(cutoff > 0.0, cutoff, 1e-9)
        held = ratio <= self.rules.break_
        keys, ratio = first[held] * len(self.symbols) + second[held], ratio[held]
        if frame == 0:
            self._initial = np.unique(keys[ratio < 1.0])
            self._know(self._initial, bonded=True)
            return
        self._know(np.setdiff1d(keys[ratio < self.rules.form], self._keys), bonded=False)
        now = np.zeros(len(self._keys), dtype=bool)  # beyond the distance at which a pair breaks
        place = np.searchsorted(self._keys, keys)
        known = place < len(self._keys)
        known[known] = self._keys[place[known]] == keys[known]
        place, ratio = place[known], ratio[known]
        now[place] = self._seen[place]  # between the two distances: as before
        now[place[ratio < self.rules.form]] = True
        self._since[now != self._seen] = frame
        self._seen = now
        self._confirm(frame)

    def result(self) -> BondHistory:
        """Give the history of what was added.

        :raises ValueError: if there was no frame.
        """
        if not self._times:
            raise ValueError('There is no frame: bonds need one at least.')
        pairs = self._pairs(self._initial)
        is_contact = self._are_contacts(pairs)
        topology = topology_of(self.symbols, pairs[~is_contact])
        events: list[BondEvent] = []
        contact_events: list[BondEvent] = []
        for event in self._events(self._found, topology):
            metal = self.symbols[event.i] in self.rules.metals or self.symbols[event.j] in self.rules.metals
            (contact_events if metal else events).append(event)
        open_ = np.flatnonzero(self._seen != self._bonded)
        waiting = [(int(self._since[k]), int(self._keys[k]), bool(self._seen[k])) for k in open_]
        return BondHistory(
            symbols=self.symbols,
            times_fs=np.array(self._times),
            topology=topology,
            events=tuple(events),
            initial_contacts=pairs[is_contact],
            contact_events=tuple(contact_events),
            unconfirmed=tuple(self._events(waiting, topology)),
        )

    def _know(self, keys: IntArray, bonded: bool) -> None:
        """Add pairs that are near for the first time."""
        if len(keys) == 0:
            return
        order = np.argsort(np.concatenate([self._keys, keys]), kind='stable')
        for name, values in (('_keys', keys), ('_bonded', bonded), ('_seen', bonded), ('_since', 0)):
            old = getattr(self, name)
            new = np.full(len(keys), values, dtype=old.dtype) if np.isscalar(values) else np.asarray(values)
            setattr(self, name, np.concatenate([old, new])[order])

    def _confirm(self, frame: int) -> None:
        """Turn changes that have lasted into events."""
        changed = np.flatnonzero(self._seen != self._bonded)
        if len(changed) == 0:
            return
        times = np.array([self._times[since] for since in self._since[changed]])
        for place in changed[self._times[frame] - times >= self.persistence_fs - 1e-9]:
            self._bonded[place] = self._seen[place]
            self._found.append((int(self._since[place]), int(self._keys[place]), bool(self._seen[place])))

    def _pairs(self, keys: IntArray) -> IntArray:
        return np.stack(np.divmod(keys, len(self.symbols)), axis=1).reshape(-1, 2)

    def _are_contacts(self, pairs: IntArray) -> BoolArray:
        species = self._species[pairs]
        found: BoolArray = self._is_contact[species[:, 0] * self._n_elements + species[:, 1]]
        return found

    def _events(self, found: Iterable[tuple[int, int, bool]], topology: Topology) -> Iterator[BondEvent]:
        for frame, key, formed in sorted(found):
            i, j = divmod(key, len(self.symbols))
            labels = list(dict.fromkeys(topology.molecules[topology.molecule_of[k]].label for k in (i, j)))
            yield BondEvent(
                time_fs=self._times[frame],
                frame=frame,
                change='formed' if formed else 'broken',
                i=i,
                j=j,
                pair=pair_name(self.symbols[i], self.symbols[j]),
                molecule=' + '.join(labels),
            )


def bond_history(
    frames: Frames,
    times_fs: Iterable[float],
    symbols: Sequence[str],
    *,
    rules: BondRules | None = None,
    persistence_fs: float = PERSISTENCE_FS,
) -> BondHistory:
    """Follow every bond along a trajectory.

    :param frames: positions (n_atoms, 3) and cell (3, 3) of each frame, Å; read once.
    :param times_fs: time of each frame, (n_frames,), fs, rising.
    :param symbols: element of each atom, (n_atoms,).
    :param rules: cutoffs and the factors at which bonds form and break.
    :param persistence_fs: how long a change must last to count, fs; a change that is undone earlier is none.
    :raises ValueError: if there is no frame, the times do not rise, or their number is not that of the frames.
    """
    tracker = BondTracker(symbols, rules, persistence_fs)
    search = NeighbourSearch(max(tracker.reach, 0.5))
    for (positions, cell), time_fs in zip(frames, times_fs, strict=True):
        tracker.add(time_fs, *search.pairs(positions, cell))
    return tracker.result()
