"""Census and clusters of boxes whose content is known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from aiida_sis.core.analysis.bonds import BondHistory, bond_history
from aiida_sis.core.analysis.species import aggregates, census
from aiida_sis.structures.molecules import dioxolane, lifsi

CELL = 30.0 * np.eye(3)
LIF = 1.8


def history_of(atoms: Atoms, moves: dict[int, dict[int, list[float]]], n_frames: int) -> BondHistory:
    """Move atoms to new places from some frames on."""
    path = np.tile(atoms.positions, (n_frames, 1, 1))
    for frame, places in moves.items():
        for atom, place in places.items():
            path[frame:, atom] = place
    return bond_history(((x, CELL) for x in path), np.arange(float(n_frames)), atoms.get_chemical_symbols())


def test_census_of_a_known_box() -> None:
    """Molecules by name, and with lithium the salts by theirs."""
    parts = [
        (dioxolane(), [4.0, 4.0, 4.0]),
        (dioxolane(), [12.0, 4.0, 4.0]),
        (lifsi(), [20.0, 4.0, 4.0]),
        (molecule('C2H4'), [4.0, 12.0, 4.0]),
        (Atoms('Li2O', [[-1.7, 0, 0], [1.7, 0, 0], [0, 0, 0]]), [12.0, 12.0, 4.0]),
        (Atoms('LiOH', [[-1.7, 0, 0], [0, 0, 0], [0.96, 0, 0]]), [20.0, 12.0, 4.0]),
        (Atoms('Li2S', [[-2.2, 0, 0], [2.2, 0, 0], [0, 0, 0]]), [4.0, 20.0, 4.0]),
        (Atoms('LiF', [[-1.6, 0, 0], [0, 0, 0]]), [12.0, 20.0, 4.0]),
        (Atoms('F'), [20.0, 20.0, 4.0]),
        (Atoms('Li2', [[0, 0, 0], [3.0, 0, 0]]), [4.0, 4.0, 14.0]),
    ]
    atoms = Atoms()
    for part, place in parts:
        part.translate(np.array(place))
        atoms += part
    history = history_of(atoms, {}, 3)
    assert census(history).at(-1) == {'Li': 9, 'DOL': 2, 'F': 2, 'FSI': 1, 'C2H4': 1, 'O': 1, 'OH': 1, 'S': 1}
    named = {'DOL': 2, 'LiFSI': 1, 'C2H4': 1, 'Li2O': 1, 'LiOH': 1, 'Li2S': 1, 'LiF': 1, 'F': 1, 'Li': 2}
    counted = census(history, lithium=True)
    assert counted.at(0) == {**named, 'Li (in contact)': 7}
    assert counted.of('F').tolist() == [2, 2, 2]  # by formula: the held and the free one
    assert counted.of('LiF').tolist() == [1, 1, 1]
    assert counted.of('Li2CO3').tolist() == [0, 0, 0]
    n_atoms = {'Li': 1, 'DOL': 11, 'F': 1, 'FSI': 9, 'C2H4': 6, 'O': 1, 'OH': 2, 'S': 1}
    assert sum(n_atoms[name] * number for name, number in census(history).at(0).items()) == len(atoms)


def test_census_follows_a_reaction() -> None:
    """H2O loses an H at frame 40; the fragments are there from that frame on."""
    atoms = molecule('H2O')
    far = [20.0, 20.0, 20.0]
    counted = census(history_of(atoms, {40: {1: far}}, 90))
    assert counted.of('H2O').tolist() == [1] * 40 + [0] * 50
    assert counted.of('OH').tolist() == [0] * 40 + [1] * 50
    assert counted.of('H').tolist() == [0] * 40 + [1] * 50


def ions() -> Atoms:
    """Three LiF molecules in a row, 8 Å apart."""
    places = [[x, 0.0, 0.0] for x in (0.0, 8.0, 16.0)] + [[x + LIF, 0.0, 0.0] for x in (0.0, 8.0, 16.0)]
    return Atoms('Li3F3', places)


def test_clusters_are_born_grow_and_die() -> None:
    """Li2F2 from 30 to 100 fs, joined by a third LiF from 60 fs on."""
    atoms = ions()
    ring = {1: [LIF, LIF, 0.0], 4: [0.0, LIF, 0.0]}
    third = {2: [2 * LIF, 0.0, 0.0], 5: [2 * LIF, LIF, 0.0]}
    apart = {k: atoms.positions[k].tolist() for k in (1, 2, 4, 5)}
    found = aggregates(history_of(atoms, {30: ring, 60: third, 100: apart}, 200))
    (cluster,) = found.clusters
    assert (cluster.formula, cluster.born_fs, cluster.died_fs, cluster.lifetime_fs) == ('Li3F3', 30.0, 100.0, 70.0)
    assert cluster.anions == (3, 4, 5)
    assert not cluster.from_start
    assert found.at(0) == found.at(-1) == {'LiF': 3}
    assert found.at(45) == {'Li2F2': 1, 'LiF': 1}
    assert found.at(80) == {'Li3F3': 1}


def test_a_cluster_that_is_there_throughout_has_a_lower_bound() -> None:
    """And one whose smaller part goes is the same one."""
    atoms = ions()
    atoms.positions = [[0, 0, 0], [LIF, LIF, 0], [2 * LIF, 0, 0], [LIF, 0, 0], [0, LIF, 0], [2 * LIF, LIF, 0]]
    found = aggregates(history_of(atoms, {50: {2: [20.0, 0.0, 0.0], 5: [20.0, LIF, 0.0]}}, 100))
    (cluster,) = found.clusters
    assert cluster.formula == 'Li3F3'
    assert cluster.from_start
    assert cluster.died_fs is None
    assert cluster.lifetime_fs == 99.0


def test_a_bonded_fluorine_is_in_no_cluster() -> None:
    """Li at the F of an FSI makes no LiF."""
    pair = lifsi()
    assert aggregates(history_of(pair, {}, 2)).at(0) == {}


@pytest.mark.parametrize('size', [2, 3])
def test_smallest_size(size: int) -> None:
    """Smaller clusters are counted and not followed."""
    atoms = ions()[[0, 1, 3, 4]]
    atoms.positions = [[0, 0, 0], [LIF, LIF, 0], [LIF, 0, 0], [0, LIF, 0]]
    found = aggregates(history_of(atoms, {}, 2), min_size=size)
    assert found.at(0) == {'Li2F2': 1}
    assert len(found.clusters) == (1 if size == 2 else 0)
