"""Displacements and densities that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sis.core.analysis.transport import density_profile, diffusion_coefficient, mean_square_displacement, unwrap


def test_equal_to_the_definition() -> None:
    """The Fourier transform gives what the double loop over origins and lags gives."""
    path = np.cumsum(np.random.default_rng(0).normal(size=(40, 5, 3)), axis=0) + 100.0
    plain = [np.mean([((path[t + lag] - path[t]) ** 2).sum(axis=1) for t in range(40 - lag)]) for lag in range(40)]
    assert mean_square_displacement(path) == pytest.approx(np.array(plain), abs=1e-8)


def test_ballistic_motion() -> None:
    """A flight at v is v² t² at every lag, and no diffusion."""
    velocities = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    times = 0.1 * np.arange(200)
    path = times[:, None, None] * velocities
    assert mean_square_displacement(path) == pytest.approx(2.5 * times**2, abs=1e-6)
    found = diffusion_coefficient(path, 0.1)
    assert found.exponent == pytest.approx(2.0, abs=0.01)
    assert not found.is_diffusive


def test_random_walk() -> None:
    """D is that of the steps, the error covers the deviation, and wrapping changes nothing."""
    rng = np.random.default_rng(7)
    sigma, timestep = 0.3, 0.02
    path = np.cumsum(sigma * rng.normal(size=(5000, 60, 3)), axis=0)
    expected = sigma**2 / (2 * timestep)
    found = diffusion_coefficient(path, timestep, fit=(0.02, 0.2))
    assert found.value == pytest.approx(expected, rel=0.05)
    assert abs(found.value - expected) < 4 * found.error
    assert 0.0 < found.error < 0.05 * expected
    assert found.is_diffusive
    cells = np.tile(np.array([[9.0, 0.0, 0.0], [3.0, 9.0, 0.0], [-2.0, 1.0, 9.5]]), (5000, 1, 1))
    inverse = np.linalg.inv(cells[0])
    wrapped = (path @ inverse - np.floor(path @ inverse)) @ cells[0]
    again = unwrap(wrapped, cells)
    np.testing.assert_allclose(again - again[0], path - path[0], rtol=0, atol=1e-7)


def test_a_jitter_of_some_tenths_is_no_diffusion() -> None:
    """A hundred femtoseconds of AIMD may grow as t^1 by chance, yet no atom has gone anywhere."""
    rng = np.random.default_rng(7)
    found = diffusion_coefficient(np.cumsum(0.03 * rng.normal(size=(100, 60, 3)), axis=0), 0.001)
    assert found.exponent == pytest.approx(1.0, abs=0.2)
    assert found.reached < 0.1
    assert not found.is_diffusive


def test_errors_are_those_of_repeated_runs() -> None:
    """Over many short walks the values scatter as their errors say."""
    rng = np.random.default_rng(3)
    runs = [
        diffusion_coefficient(np.cumsum(rng.normal(size=(400, 5, 3)), axis=0), 1.0, fit=(0.05, 0.25)) for _ in range(60)
    ]
    scatter = np.std([run.value for run in runs])
    assert np.mean([run.error for run in runs]) == pytest.approx(scatter, rel=0.35)
    assert np.mean([run.value for run in runs]) == pytest.approx(0.5, abs=4 * scatter / np.sqrt(60))


def test_too_short_for_a_diffusion_coefficient() -> None:
    """In one sentence."""
    with pytest.raises(ValueError, match='49 frames make no 5 blocks'):
        diffusion_coefficient(np.zeros((49, 1, 3)), 1.0)
    with pytest.raises(ValueError, match='too few to fit'):
        diffusion_coefficient(np.zeros((50, 1, 3)), 1.0, fit=(0.4, 0.5))


def slab(n_frames: int, drift: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """A slab of 300 Li, 4 Å thick, and 100 O anywhere, drifting along the third axis of a skewed cell."""
    rng = np.random.default_rng(5)
    cell = np.array([[10.0, 0.0, 0.0], [2.0, 9.0, 0.0], [3.0, -2.0, 20.0]])
    frames = []
    for frame in range(n_frames):
        s = rng.random((400, 3))
        s[:300, 2] = 0.9 + 0.2 * s[:300, 2]  # across the edge of the cell
        s[:, 2] += drift * frame
        frames.append((s @ cell, cell))
    return frames


def test_density_across_a_drifting_slab() -> None:
    """Between the faces the density is known; the reference holds the slab at zero, edge of the cell or not."""
    kinds = ['Li'] * 300 + ['O'] * 100
    profile = density_profile(slab(60, 0.013), kinds, n_bins=40, reference='Li')
    inside, outside = np.abs(profile.z) < 1.7, np.abs(profile.z) > 2.3
    assert profile.density['Li'][inside] == pytest.approx(300 / (90.0 * 4.0), rel=0.08)
    assert profile.density['Li'][outside].max() == 0.0
    assert profile.density['O'].mean() == pytest.approx(100 / 1800.0)
    assert profile.z[[0, -1]] == pytest.approx([-9.75, 9.75])
    volume = 90.0 * (profile.z[1] - profile.z[0])
    assert profile.density['Li'].sum() * volume == pytest.approx(300.0)


def test_density_without_a_reference_is_that_of_the_cell() -> None:
    """From the cell's own origin; a reference that is not there is refused."""
    kinds = ['Li'] * 300 + ['O'] * 100
    profile = density_profile(slab(20, 0.0), kinds, n_bins=20)
    assert profile.z[0] == pytest.approx(0.5)
    assert profile.density['Li'][3:17].max() == 0.0
    with pytest.raises(ValueError, match='no F among'):
        density_profile(slab(1, 0.0), kinds, reference='F')
    with pytest.raises(ValueError, match='no frame'):
        density_profile([], kinds)
