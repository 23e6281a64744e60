"""A frame that is there twice, with other digits, in another image, or among thousands that are like it."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_deepmd.frames.duplicates import TOLERANCE, find_duplicates

CELL = np.array([[15.0, 0.0, 0.0], [1.0, 14.0, 0.0], [0.5, 0.3, 27.0]])


def found(coords: np.ndarray, cells: np.ndarray | None = None) -> list[int]:
    """Numbers of the repeated frames."""
    cells = np.tile(CELL, (len(coords), 1, 1)) if cells is None else cells
    return np.flatnonzero(find_duplicates(coords, cells, np.ones(len(coords), dtype=bool))).tolist()


@pytest.mark.parametrize('difference', [0.0, 1e-8, 1e-7, 1e-6, 9e-6])
def test_a_repeat_is_found_whatever_the_digits(difference: float) -> None:
    """A grid of that width parted 38 of 50 frames from their repeats at 1e-8 Å."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        coords = rng.random((1, 100, 3)) * 30 - 5
        again = coords + rng.uniform(-difference, difference, coords.shape)
        assert found(np.concatenate([coords, again])) == [1]


def test_a_single_coordinate_makes_another_frame() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        coords = np.repeat(rng.random((1, 100, 3)) * 20, 2, axis=0)
        coords[1, 7, 2] += 1.01 * TOLERANCE
        assert found(coords) == []


def test_single_precision_and_the_five_digits_of_an_outcar() -> None:
    coords = np.random.default_rng(0).random((3, 60, 3)) * 27
    copies = [coords, coords.astype(np.float32).astype(np.float64), np.round(coords, 5)]
    assert found(np.concatenate(copies), np.tile(CELL.astype(np.float32), (9, 1, 1)).astype(np.float64)) == [
        *range(3, 9)
    ]
    cells = np.concatenate([np.tile(CELL / 3, (3, 1, 1)), np.tile((CELL / 3).astype(np.float32), (3, 1, 1))])
    assert found(np.concatenate(copies[:2]), cells) == [3, 4, 5]


def test_an_image_of_an_atom_is_that_atom() -> None:
    rng = np.random.default_rng(1)
    coords = np.repeat(rng.random((1, 40, 3)) * 14, 3, axis=0)
    coords[1] += rng.integers(-3, 4, (40, 3)) @ CELL
    coords[2] = (coords[2] @ np.linalg.inv(CELL) % 1.0) @ CELL
    assert found(coords) == [1, 2]


def test_another_cell_is_another_frame() -> None:
    coords = np.repeat(np.random.default_rng(2).random((1, 20, 3)) * 14, 2, axis=0)
    cells = np.tile(CELL, (2, 1, 1))
    cells[1, 2, 2] += 1e-3
    assert found(coords, cells) == []


def test_left_handed_cells() -> None:
    coords = np.repeat(np.random.default_rng(2).random((2, 20, 3)) * 14, 2, axis=0)
    assert found(coords, np.tile(CELL[[1, 0, 2]], (4, 1, 1))) == [1, 3]


def test_all_frames_of_a_cold_crystal_are_compared() -> None:
    """Sites of a crystal are where waves of the cell are flat; a thousand frames are all near to each other."""
    sites = np.stack(np.meshgrid(*[np.arange(4) / 4.0] * 3, indexing='ij'), -1).reshape(-1, 3) * 11.28
    coords = sites + np.random.default_rng(3).normal(0, 1e-3, (1000, 64, 3))
    coords[900], coords[333] = coords[20] + 1e-6, coords[999]
    assert found(coords, np.tile(np.eye(3) * 11.28, (1000, 1, 1))) == [900, 999]
    assert found(np.repeat(coords[:1], 500, axis=0), np.tile(np.eye(3) * 11.28, (500, 1, 1))) == [*range(1, 500)]


def test_only_candidates_are_compared() -> None:
    coords = np.repeat(np.random.default_rng(4).random((1, 5, 3)), 4, axis=0)
    coords[0] = np.nan
    candidates = np.array([False, False, True, True])
    cells = np.tile(CELL, (4, 1, 1))
    cells[1] = 0.0
    assert np.flatnonzero(find_duplicates(coords, cells, candidates)).tolist() == [3]
