"""Events on trajectories whose events are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_sis.core.analysis.bonds import BondHistory, bond_history
from aiida_sis.core.analysis.rules import BondRules
from aiida_sis.core.analysis.topology import topology_of
from aiida_sis.structures.molecules import lifsi

CELL = 14.0 * np.eye(3)
# S–F: below 1.9 Å it forms, above 2.4 Å it breaks.
FORM, BREAK = 1.9, 2.4


def stretched(distances: Sequence[float], timestep: float = 1.0, persistence: float = 20.0) -> BondHistory:
    """Follow an S–F pair through distances."""
    frames = [(np.array([[0.0, 0.0, 0.0], [d, 0.0, 0.0]]), CELL) for d in distances]
    times = timestep * np.arange(len(frames))
    return bond_history(frames, times, ['S', 'F'], persistence_fs=persistence)


def changes(history: BondHistory) -> list[tuple[str, int]]:
    """Tell what happened in which frame."""
    return [(event.change, event.frame) for event in history.events]


def test_a_vibration_is_no_reaction() -> None:
    """Far beyond the cutoff of 2.0 Å, for less than the persistence, again and again."""
    t = np.arange(400)
    assert changes(stretched(1.6 + 0.25 * np.sin(2 * np.pi * t / 40))) == []
    wide = 1.75 + 0.75 * np.sin(2 * np.pi * t / 40)
    assert wide.max() > BREAK
    assert changes(stretched(wide)) == []


def test_a_bond_breaks_at_the_frame_it_is_stretched_in() -> None:
    """Not at the one where that was certain."""
    history = stretched([1.6] * 50 + [2.2] * 10 + [2.45, 2.6, 2.8] + [3.0] * 40)
    (event,) = history.events
    assert (event.change, event.frame, event.time_fs) == ('broken', 60, 60.0)
    assert (event.i, event.j, event.pair, event.molecule) == (0, 1, 'S–F', 'FS 1')
    assert history.bonds_at(59).tolist() == [[0, 1]]
    assert history.bonds_at(60).size == 0
    assert history.first_broken() == {'FS 1': {'S–F': 60.0}}


@pytest.mark.parametrize(('away', 'expected'), [(20, []), (21, [('broken', 30), ('formed', 51)])])
def test_a_bond_that_returns_in_time_was_never_broken(away: int, expected: list[tuple[str, int]]) -> None:
    """Gone for 20 frames of 1 fs its absence spans 19 fs; one frame longer makes it 20."""
    assert changes(stretched([1.6] * 30 + [3.0] * away + [1.6] * 40)) == expected


def test_between_the_two_distances_nothing_changes() -> None:
    """Neither for a bond nor for a pair that has none."""
    assert changes(stretched([1.6] + [2.3] * 100)) == []
    assert changes(stretched([3.0] + [1.95] * 100)) == []
    assert changes(stretched([3.0] + [1.85] * 100)) == [('formed', 1)]


def test_what_cannot_be_confirmed_any_more_is_no_event_but_is_told() -> None:
    """The trajectory ends 10 fs after the stretch."""
    history = stretched([1.6] * 30 + [3.0] * 11)
    assert history.events == ()
    assert [(event.change, event.frame) for event in history.unconfirmed] == [('broken', 30)]


def test_frames_far_apart_need_two_of_them() -> None:
    """1 ps between frames: one odd frame is no reaction."""
    assert changes(stretched([1.6, 1.6, 3.0, 1.6, 1.6], timestep=1000.0)) == []
    assert changes(stretched([1.6, 1.6, 3.0, 3.0], timestep=1000.0)) == [('broken', 2)]
    assert changes(stretched([1.6, 1.6, 3.0, 1.6], timestep=1000.0, persistence=0.0)) == [('broken', 2), ('formed', 3)]


def test_which_bond_of_fsi_breaks_first() -> None:
    """F leaves at 40 fs, the N–S bond opens at 90 fs, and Li takes the F."""
    pair = lifsi()
    molecule = pair[[atom.symbol != 'Li' for atom in pair]]
    symbols = [*molecule.get_chemical_symbols(), 'Li']
    start = np.concatenate([molecule.positions, [[6.0, 6.0, 6.0]]])
    fluorine = symbols.index('F')
    sulphur = min(
        (k for k, s in enumerate(symbols) if s == 'S'), key=lambda k: np.linalg.norm(start[k] - start[fluorine])
    )
    side = [k for k in range(9) if symbols[k] in 'OF' and np.linalg.norm(start[k] - start[sulphur]) < 1.9]
    away = start[sulphur] - start[symbols.index('N')]
    away /= np.linalg.norm(away)
    frames = []
    for frame in range(150):
        positions = start.copy()
        if frame >= 90:
            positions[[sulphur, *(k for k in side if k != fluorine)]] += 2.0 * away
        if frame >= 40:
            positions[fluorine] = [6.0, 6.0, 4.2]
        frames.append((positions, CELL))
    history = bond_history(frames, np.arange(150.0), symbols)
    assert history.first_broken() == {'FSI 1': {'S–F': 40.0, 'N–S': 90.0}}
    assert [(e.change, e.pair, e.time_fs) for e in history.contact_events] == [('formed', 'Li–F', 40.0)]
    assert history.contact_events[0].molecule == 'FSI 1 + Li 1'
    end = topology_of(symbols, history.bonds_at(149))
    assert sorted(one.name for one in end.molecules) == ['F', 'Li', 'NSO2F', 'SO2']
    assert len(history.bonds_at(0)) == 8
    assert len(history.bonds_at(149)) == 6
    assert history.initial_contacts.size == 0
    assert [(e.i, e.j) for e in history.contact_events] == [(fluorine, 9)]


def expected_changes(distances: Sequence[float], persistence: int) -> list[tuple[str, int]]:
    """Say the same as plainly as can be, for frames 1 fs apart."""
    state = distances[0] < 2.0
    seen, found, since = state, [], 0
    for frame, distance in enumerate(distances[1:], start=1):
        now = True if distance < FORM else False if distance > BREAK else seen
        if now != seen:
            seen, since = now, frame
        if seen != state and frame - since >= persistence:
            state = seen
            found.append(('formed' if state else 'broken', since))
    return found


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1.5, 1.85, 1.95, 2.2, 2.35, 2.5, 4.0]), st.integers(1, 9)), max_size=14),
    st.integers(0, 12),
)
def test_any_course_of_a_distance(pieces: list[tuple[float, int]], persistence: int) -> None:
    """The tables of pairs say what a loop over one pair says."""
    distances = [1.6] + [d for d, n in pieces for _ in range(n)]
    assert changes(stretched(distances, persistence=float(persistence))) == expected_changes(distances, persistence)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000), shift=st.lists(st.floats(-30, 30), min_size=3, max_size=3), skew=st.floats(-4.0, 4.0)
)
def test_order_origin_and_wrapping_do_not_matter(seed: int, shift: list[float], skew: float) -> None:
    """Random flights of atoms in a skewed cell: the same pairs at the same times, under their new numbers."""
    rng = np.random.default_rng(seed)
    cell = np.array([[8.0, 0.0, 0.0], [skew, 8.0, 0.0], [0.5 * skew, skew, 9.0]])
    symbols = np.array(['Li', 'Li', 'S', 'S', 'F', 'F', 'O', 'O', 'C', 'H'])
    path = rng.random((1, 10, 3)) @ cell + np.cumsum(0.25 * rng.normal(size=(60, 10, 3)), axis=0)
    order = rng.permutation(10)
    moved = path + shift + rng.integers(-2, 3, size=(60, 10, 3)) @ cell
    first, second = (
        bond_history([(x, cell) for x in frames], np.arange(60.0), list(names), persistence_fs=3.0)
        for frames, names in ((path, symbols), (moved[:, order], symbols[order]))
    )
    place = np.argsort(order)

    def told(history: BondHistory, renamed: bool) -> list[tuple[float, str, str, tuple[int, ...]]]:
        events = (*history.events, *history.contact_events, *history.unconfirmed)
        names = [tuple(sorted(int(place[k]) for k in (e.i, e.j))) if renamed else (e.i, e.j) for e in events]
        return sorted((e.time_fs, e.change, e.pair, name) for e, name in zip(events, names, strict=True))

    assert told(first, renamed=True) == told(second, renamed=False)
    assert len(first.initial_bonds) == len(second.initial_bonds)


def test_own_cutoffs_of_contacts() -> None:
    """A contact is one up to the cutoff that was given."""
    frames = [(np.array([[0.0, 0.0, 0.0], [d, 0.0, 0.0]]), CELL) for d in [1.8] * 30 + [4.0] * 30]
    times = np.arange(60.0)
    assert len(bond_history(frames, times, ['Li', 'F']).contact_events) == 1
    assert bond_history(frames, times, ['Li', 'F'], rules=BondRules(contacts={'Li–F': 1.0})).contact_events == ()


def test_what_cannot_be_followed_is_refused() -> None:
    """No frame, times that do not fit or do not rise."""
    frame = (np.zeros((1, 3)), CELL)
    with pytest.raises(ValueError, match='no frame'):
        bond_history([], [], ['F'])
    with pytest.raises(ValueError, match='times must rise'):
        bond_history([frame, frame], [0.0, 0.0], ['F'])
    with pytest.raises(ValueError, match='shorter'):
        bond_history([frame, frame], [0.0], ['F'])
    with pytest.raises(ValueError, match='negative'):
        bond_history([frame], [0.0], ['F'], persistence_fs=-1.0)


def test_a_bond_through_two_images_is_one() -> None:
    """In a cell so small that both images of the neighbour are near."""
    frames = [(np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0]]), np.diag([3.1, 8.0, 8.0]))] * 3
    history = bond_history(frames, range(3), ['S', 'F'])
    assert history.initial_bonds.tolist() == [[0, 1]]
    assert history.events == ()
