"""Snapshots of LAMMPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_sis.core.lammps.dump import merge_frames, parse_dump, parse_dump_at

FILES = Path(__file__).parents[2] / 'files' / 'lammps'

TRICLINIC = """ITEM: TIMESTEP
4
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS xy xz yz pp pp pp
-2.0 11.0 1.0
0.0 11.0 -2.0
0.0 7.0 3.0
ITEM: ATOMS id type xu yu zu vx vy vz fx fy fz
2 1 1 2 3 4 5 6 7 8 9
1 2 0 0 0 0 0 0 0 0 0
"""


def test_trajectory() -> None:
    frames = parse_dump((FILES / 'stable' / 'trajectory.lammpstrj').read_text())
    assert [frame.step for frame in frames] == [0, 100, 200]
    assert frames[0].positions.shape == (10, 3)
    assert frames[0].cell == pytest.approx(np.eye(3) * 9.0)
    assert frames[0].types.tolist() == [1, 2, 2, 3, 3, 3, 3, 4, 4, 5]
    assert all(frame.finite for frame in frames)
    assert np.abs(frames[0].velocities.T @ [14.007, 32.06, 32.06, *[15.999] * 4, *[18.998] * 2, 6.94]).max() < 0.1


def test_a_triclinic_box_is_rebuilt_from_its_bounds_and_atoms_are_put_in_order() -> None:
    (frame,) = parse_dump(TRICLINIC)
    assert frame.cell == pytest.approx(np.array([[10.0, 0, 0], [1, 8, 0], [-2, 3, 7]]))
    assert frame.types.tolist() == [2, 1]
    assert frame.velocities[1].tolist() == [4.0, 5.0, 6.0]


def test_a_frame_that_was_cut_off_is_left_out() -> None:
    text = (FILES / 'stable' / 'trajectory.lammpstrj').read_text()
    whole = parse_dump(text)
    for length in range(0, len(text), 61):
        frames = parse_dump(text[:length])
        for cut, full in zip(frames, whole, strict=False):
            assert np.array_equal(cut.forces, full.forces)
    assert len(parse_dump(text[:-2])) == 2


def test_some_frames_of_a_long_file() -> None:
    path = FILES / 'committee' / 'candidates.lammpstrj'
    with path.open() as lines:
        some = parse_dump_at(lines, [50, 10, 13])
    assert [frame.step for frame in some] == [10, 50]
    whole = {frame.step: frame for frame in parse_dump(path.read_text())}
    assert all(np.array_equal(frame.forces, whole[frame.step].forces) for frame in some)
    cut = path.read_text()[:-2].splitlines(keepends=True)
    assert [frame.step for frame in parse_dump_at(cut, [55, 60])] == [55]


def test_frames_with_nan_or_too_few_atoms_are_dropped() -> None:
    spoilt = parse_dump((FILES / 'nan' / 'final.lammpstrj').read_text())
    assert not spoilt[0].finite
    good = parse_dump((FILES / 'nan' / 'ring' / 'snap.10.lammpstrj').read_text())
    few = parse_dump(TRICLINIC)
    assert [frame.step for frame in merge_frames([*spoilt, *good, *good, *few], 10)] == [10]
