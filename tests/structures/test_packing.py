"""Packing by the real packmol, checked against every image."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms

from aiida_sis.structures.molecules import dioxolane, lifsi
from aiida_sis.structures.packing import PackingError, pack, packmol_input, shortest_between


def brute_force(atoms: Atoms, molecules: np.ndarray, images: tuple[int, int, int]) -> float:
    """Look through all pairs and 27 images, without any of the package's or ASE's minimum images."""
    shortest = np.inf
    ranges = [(-1, 0, 1) if periodic else (0,) for periodic in images]
    for shift in itertools.product(*ranges):
        moved = atoms.positions + np.array(shift) @ atoms.cell.array
        distances = np.linalg.norm(atoms.positions[:, None] - moved[None], axis=2)
        if shift == (0, 0, 0):
            distances[molecules[:, None] == molecules[None, :]] = np.inf
        shortest = min(shortest, distances.min())
    return float(shortest)


@pytest.mark.parametrize('seed', [0, 1, 7])
def test_no_two_nearer_than_two(seed: int) -> None:
    """A dense box: not even across the boundary, nor a molecule and its own image."""
    atoms, molecules = pack([(lifsi(), 2), (dioxolane(), 5)], (10.5, 10.5, 10.5), seed)
    assert len(atoms) == 75
    assert brute_force(atoms, molecules, (1, 1, 1)) >= 2.0
    assert shortest_between(atoms, molecules) == pytest.approx(brute_force(atoms, molecules, (1, 1, 1)))


def test_molecules_stay_whole() -> None:
    """Each molecule keeps its geometry and its order of atoms."""
    atoms, molecules = pack([(lifsi(), 1), (dioxolane(), 4)], (11.0, 11.0, 11.0), 3)
    assert list(np.bincount(molecules)) == [10, 11, 11, 11, 11]
    for number, template in enumerate([lifsi()] + [dioxolane()] * 4):
        part = atoms[molecules == number]
        assert part.get_chemical_symbols() == template.get_chemical_symbols()
        np.testing.assert_allclose(part.get_all_distances(), template.get_all_distances(), atol=2e-3)


def test_open_z_keeps_inside() -> None:
    """Between two faces nothing leaves the room, and the images along z do not count."""
    atoms, molecules = pack([(dioxolane(), 4)], (9.0, 9.0, 8.0), 1, open_z=True)
    assert atoms.positions[:, 2].min() >= -0.2
    assert atoms.positions[:, 2].max() <= 8.2
    assert brute_force(atoms, molecules, (1, 1, 0)) >= 2.0


def test_seed() -> None:
    """The same seed gives the same cell, another gives another."""
    first, second, other = (pack([(dioxolane(), 3)], (10.0, 10.0, 10.0), seed)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.positions, second.positions)
    assert np.abs(first.positions - other.positions).max() > 0.5


def test_heavy_atoms_are_kept_farther() -> None:
    """In a liquid of normal density no two heavy atoms of different molecules are nearer than 2.9 Å."""
    atoms, molecules = pack([(lifsi(), 1), (dioxolane(), 7)], (11.0, 11.0, 11.0), 2)
    heavy = ~np.isin(atoms.get_chemical_symbols(), ['H', 'Li'])
    assert shortest_between(atoms[heavy], molecules[heavy]) > 2.9


def test_too_much_is_refused() -> None:
    """What has no packing is refused with what was asked for."""
    with pytest.raises(PackingError, match=r'no room for 5 C3H6O2 in 7 × 7 × 7 Å .*enlarge the cell'):
        pack([(dioxolane(), 5)], (7.0, 7.0, 7.0), 1)


def test_own_image_is_refused() -> None:
    """Packmol does not look at a molecule's own image; the package does."""
    with pytest.raises(PackingError, match='F2LiNO4S2 would touch its own image in a cell of 5 Å'):
        pack([(lifsi(), 1)], (5.0, 20.0, 20.0), 1)


def test_nothing_is_refused() -> None:
    """An empty box is no box."""
    with pytest.raises(PackingError, match='no molecule to pack'):
        pack([(lifsi(), 0)], (10.0, 10.0, 10.0), 1)


def test_packmol_missing(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Without packmol the remedy is named."""
    monkeypatch.setattr('sys.executable', str(tmp_path / 'python'))
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(FileNotFoundError, match='pip install packmol'):
        pack([(lifsi(), 1)], (10.0, 10.0, 10.0), 1)


def test_input_text() -> None:
    """H and Li keep the tolerance, the rest a radius of its own."""
    text = packmol_input([('0.xyz', lifsi(), 2)], (10.0, 11.0, 12.0), 4, 1.4, open_z=True)
    assert 'pbc 0. 0. 0. 10.0 11.0 22.0' in text
    assert 'inside box 0. 0. 0. 10.0 11.0 12.0' in text
    assert 'atoms 1 2 3 4 5 6 7 8 9\n    radius 1.4' in text
    assert 'seed 4\n' in text
