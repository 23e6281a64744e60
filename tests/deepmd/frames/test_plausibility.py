"""The physics of a frame, on a real MD (copper, effective medium theory) and on the frames of a real AIMD."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase import units as ase_units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

from aiida_deepmd import frames as fr
from aiida_deepmd import units
from aiida_deepmd.frames import plausibility

TIMESTEP = 2.0


@cache
def _copper(temperature_k: float) -> tuple[np.ndarray, ...]:
    atoms = bulk('Cu', cubic=True) * (2, 2, 2)
    atoms.calc = EMT()
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature_k, rng=np.random.default_rng(0))
    md, rows = VelocityVerlet(atoms, TIMESTEP * ase_units.fs), []
    for _ in range(30):
        rows.append((atoms.get_positions(), atoms.cell.array, atoms.get_potential_energy(), atoms.get_forces()))
        md.run(1)
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def copper(temperature_k: float = 600.0) -> fr.Frames:
    """30 consecutive steps of 32 atoms; a fresh copy."""
    return fr.Frames(*(array.copy() for array in _copper(temperature_k)))


def aimd(deepmd_files: Path) -> tuple[fr.Frames, list[str]]:
    """30 frames of a Li-FSI ion pair, GFN1-xTB."""
    raw = np.load(deepmd_files / 'frames.npz')
    frames = fr.Frames(
        raw['coords'],
        raw['cells'],
        raw['energies_hartree'] * units.HARTREE_TO_EV,
        raw['forces_hartree_per_bohr'] * units.HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
    )
    return frames, raw['symbols'].tolist()


SYMBOLS = ['Cu'] * 32
SETTINGS = fr.Limits(timestep_fs=TIMESTEP)


@pytest.mark.parametrize('temperature_k', [300.0, 600.0, 6000.0])
def test_a_sound_md_passes_at_any_temperature(temperature_k: float) -> None:
    report = fr.examine(copper(temperature_k), SETTINGS, SYMBOLS)
    assert not any(report.found.values())
    assert len(report.kept) == 30


def test_a_real_aimd_passes(deepmd_files: Path) -> None:
    frames, symbols = aimd(deepmd_files)
    assert not any(fr.examine(frames, symbols=symbols).found.values())
    assert plausibility.time_step(frames.coords, frames.cells, frames.forces, symbols) is None, '20 fs apart'


def test_time_step_is_read_off_newtons_law() -> None:
    frames = copper()
    step = plausibility.time_step(frames.coords, frames.cells, frames.forces, SYMBOLS)
    assert step == pytest.approx(TIMESTEP, rel=1e-6)
    other = frames.take(np.arange(0, 30, 2))
    assert plausibility.time_step(other.coords, other.cells, other.forces, SYMBOLS) == pytest.approx(4.0, rel=0.02)


def test_time_step_does_not_mind_wrapped_coordinates() -> None:
    frames = copper()
    wrapped = frames.coords % frames.cells[0].diagonal()
    assert np.abs(wrapped - frames.coords).max() > 5
    assert plausibility.time_step(wrapped, frames.cells, frames.forces, SYMBOLS) == pytest.approx(TIMESTEP, rel=1e-6)


def test_shuffled_frames_have_no_time_step() -> None:
    frames = copper().take(np.random.default_rng(0).permutation(30))
    assert plausibility.time_step(frames.coords, frames.cells, frames.forces, SYMBOLS) is None
    assert plausibility.time_step(frames.coords[:2], frames.cells[:2], frames.forces[:2], SYMBOLS) is None


def test_work_ratio_sees_wrong_units() -> None:
    frames = copper()
    arrays = frames.coords, frames.cells
    assert plausibility.work_ratio(*arrays, frames.energies, frames.forces) == pytest.approx(1.0, abs=0.01)
    hartree = frames.energies / units.HARTREE_TO_EV
    assert plausibility.work_ratio(*arrays, hartree, frames.forces) == pytest.approx(1 / 27.2, rel=0.02)
    assert plausibility.work_ratio(np.zeros((3, 1, 3)), frames.cells[:3], np.zeros(3), np.zeros((3, 1, 3))) is None


def test_close_contact_by_covalent_radii() -> None:
    """C and O 0.8 Å apart are pressed into each other, 0.9 Å is a stretched vibration; H and H may come to 0.4 Å."""
    cell = np.eye(3) * 10.0
    for symbols, near, far in ((['C', 'O'], 0.8, 0.9), (['H', 'H'], 0.35, 0.4), (['Li', 'Li'], 1.5, 1.6)):
        coords = np.array([[[0, 0, 0], [0, 0, d]] for d in (near, far)], dtype=float)
        frames = fr.Frames(coords, np.array([cell] * 2), np.zeros(2), np.zeros((2, 2, 3)))
        assert fr.examine(frames, symbols=symbols).refused['close_contact'] == [0]
        assert fr.examine(frames).refused['close_contact'] == []


def test_closest_approach_across_a_skewed_boundary() -> None:
    cell = np.array([[10.0, 0, 0], [6.0, 8.0, 0], [0, 0, 10.0]])
    coords = np.array([[[0.1, 0.1, 0.1], cell[0] + cell[1] + [-0.4, 0.1, 0.1]]])
    assert plausibility.closest_approach(coords, cell[None], ['O', 'O'])[0] == pytest.approx(0.5 / 1.32)
    assert plausibility.closest_approach(coords[:, :1], cell[None], ['O'])[0] == np.inf


def test_energy_limit_spares_a_reaction() -> None:
    """A fall of 0.9 eV an atom for half of the trajectory is a combustion; 2 eV an atom is none."""
    for fall, refused in ((0.9 * 32, 0), (2.0 * 32, 5)):
        frames = copper()
        frames.energies[:5] += fall
        report = fr.examine(frames, SETTINGS, SYMBOLS)
        assert len(report.refused['energy_limit']) == refused
        assert report.energy_outliers == [0, 1, 2, 3, 4]
    off = fr.Limits(max_energy_per_atom=None)
    assert fr.examine(frames, off, SYMBOLS).refused['energy_limit'] == []


def test_frames_that_blew_up_are_not_the_usual_ones() -> None:
    """Of an MD on its way to a catastrophe most frames may be broken; the first, which is right, is kept."""
    frames = copper()
    late = np.arange(1, len(frames.energies))
    frames.forces[late, 0] = [80.0, 0.0, 0.0]
    frames.energies[late] += 500.0
    report = fr.examine(frames, symbols=['Cu'] * frames.coords.shape[1])
    assert report.kept.tolist() == [0]
    assert report.refused['force_limit'] == late.tolist()
    assert report.refused['energy_limit'] == []


def test_small_molecule_may_break_its_bond() -> None:
    frames = fr.Frames(
        np.random.default_rng(0).random((9, 2, 3)) * 5,
        np.tile(np.eye(3) * 10, (9, 1, 1)),
        np.zeros(9),
        np.ones((9, 2, 3)),
    )
    frames.energies[8] = 11.0
    assert fr.examine(frames).refused['energy_limit'] == []


def test_jump_names_where_the_atom_arrives() -> None:
    """A copper atom that moves 0.5 Å in 2 fs has 21 eV."""
    frames = copper()
    frames.coords[12, 3, 0] += 0.5
    report = fr.examine(frames, SETTINGS, SYMBOLS)
    assert report.refused['jump'] == [12, 13]
    assert fr.examine(frames, fr.Limits(timestep_fs=None), SYMBOLS).refused['jump'] == []
    assert fr.examine(frames, SETTINGS).refused['jump'] == []


def test_no_jump_across_a_frame_that_is_not_finite() -> None:
    frames = copper()
    frames.coords[12:, :, 0] += 1.0
    frames.forces[12] = np.nan
    report = fr.examine(frames, SETTINGS, SYMBOLS)
    assert (report.refused['non_finite'], report.refused['jump']) == ([12], [])


def test_every_reason_is_on_record_but_a_frame_is_refused_once() -> None:
    frames = copper()
    frames.coords[7, 0] = frames.coords[7, 1] + [0.3, 0, 0]
    frames.energies[7] += 500.0
    report = fr.examine(frames, SETTINGS, SYMBOLS)
    found = report.summary()['found_frames']
    assert found == {'close_contact': [7], 'energy_limit': [7], 'jump': [7, 8]}
    assert report.summary()['refused_frames'] == {'close_contact': [7], 'jump': [8]}


def test_zero_forces_throughout() -> None:
    frames = copper()
    frames.forces[:, [2, 5]] = 0.0
    frames.forces[3:, 4] = 0.0
    assert plausibility.zero_force_sites(frames.forces) == [2, 5]
    assert plausibility.zero_force_sites(frames.forces[:1]) == []


def test_directions_that_are_held() -> None:
    frames = copper()
    frames.forces[:, 2] = frames.forces[:, 3, 2] = frames.forces[:, 4, :2] = 0.0
    assert plausibility.zero_force_directions(frames.forces) == {3: 'z', 4: 'xy'}
    assert plausibility.zero_force_directions(frames.forces[:1]) == {}
    frames.forces[:, :, 2] = 0.0  # nothing leaves the plane: symmetry
    assert plausibility.zero_force_directions(frames.forces) == {}
    assert plausibility.zero_force_sites(frames.forces) == [2, 4]


def test_forces_of_the_wrong_sign() -> None:
    frames = copper()
    assert not plausibility.driven_backwards(frames.coords, frames.cells, frames.forces, SYMBOLS)
    assert plausibility.driven_backwards(frames.coords, frames.cells, -frames.forces, SYMBOLS)
    assert not plausibility.driven_backwards(frames.coords[::9], frames.cells[::9], -frames.forces[::9], SYMBOLS)


def test_the_pressure_works_too_where_the_cell_changes() -> None:
    frames = copper()
    assert plausibility.work_ratio(*vars(frames).values()) == pytest.approx(1.0, abs=0.01)
    frames.cells[10:20] *= 1.001
    frames.energies[10:20] += 50.0  # what the cell did
    assert plausibility.work_ratio(*vars(frames).values()) == pytest.approx(1.0, abs=0.01)
    frames.cells[:] *= 1 + 1e-4 * np.arange(30)[:, None, None]
    assert plausibility.work_ratio(*vars(frames).values()) is None


def test_mistakes_of_units_are_told_apart() -> None:
    assert plausibility.unit_mistakes(1 / 27.2114, 64) == ['energies in hartree']
    assert plausibility.unit_mistakes(51.422, 64) == ['forces in hartree/bohr']
    assert plausibility.unit_mistakes(1.01 / 96.485 * 964.85 / 10, 64) == []
    assert plausibility.unit_mistakes(1 / 64, 64) == ['energies for each atom']
    assert plausibility.unit_mistakes(1.0, 1) == plausibility.unit_mistakes(-3.0, 8) == []
