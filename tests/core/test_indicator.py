"""The indicator: bands, windows, catastrophes and how far to go back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from aiida_sis.core.indicator import (
    Catastrophe,
    TemperatureSeries,
    TNextRule,
    canonical_band,
    canonical_sigma,
    choose_t_next,
    degrees_of_freedom,
    expected_false_alarms,
    find_catastrophe,
    judge_aimd,
    kinetic_temperature,
    narrowest_window,
    validate_window,
)

TEMPERATURES = st.lists(st.one_of(st.floats(0, 3000), st.just(math.nan), st.just(math.inf)), min_size=1, max_size=60)


def series(*temperatures: float, spacing_ps: float = 0.01) -> TemperatureSeries:
    """A series with an even spacing."""
    return TemperatureSeries.from_values(spacing_ps * np.arange(len(temperatures)), temperatures)


@pytest.mark.parametrize(('n_atoms', 'relative'), [(4, 0.47), (10, 0.27), (400, 0.041)])
def test_small_systems_fluctuate(n_atoms: int, relative: float) -> None:
    assert canonical_sigma(300.0, degrees_of_freedom(n_atoms)) / 300.0 == pytest.approx(relative, rel=0.02)


def test_the_standard_deviation_is_that_of_maxwell_boltzmann_velocities() -> None:
    n_atoms, target = 20, 300.0
    n_dof = degrees_of_freedom(n_atoms)
    samples = target * chi2.rvs(n_dof, size=20000, random_state=1) / n_dof
    assert samples.std() == pytest.approx(canonical_sigma(target, n_dof), rel=0.03)


def test_one_atom_has_no_temperature() -> None:
    with pytest.raises(ValueError, match='at least two atoms'):
        degrees_of_freedom(1)


def test_fixed_atoms_take_no_part() -> None:
    """Nothing conserves the momentum of the others, so all of their directions count."""
    assert degrees_of_freedom(10, 4) == 18
    velocities = np.random.default_rng(2).normal(0, 3, (5, 3))
    moving = kinetic_temperature(['Li'] * 3, velocities[2:])
    assert kinetic_temperature(['Li'] * 5, velocities, [0, 1]) == pytest.approx(moving * 6 / 9)
    with pytest.raises(ValueError, match='4 of 4 are fixed'):
        degrees_of_freedom(4, 4)


def test_kinetic_temperature_of_equipartition() -> None:
    rng = np.random.default_rng(0)
    masses, n_atoms = 6.94, 5000
    # k_B T / m in Å²/ps²: 1 u·Å²/ps² is 1.0364e-4 eV.
    sigma = math.sqrt(8.617333e-5 * 300.0 / (masses * 1.036427e-4))
    assert kinetic_temperature(['Li'] * n_atoms, rng.normal(0, sigma, (n_atoms, 3))) == pytest.approx(300.0, rel=0.03)


def test_window_must_contain_the_target() -> None:
    assert 'does not contain the target' in (validate_window([400, 600], 300.0, 1197, 10.0) or '')


@pytest.mark.parametrize('window', [[500, 200], [-1, 500], [0, math.nan], [300]])
def test_window_must_be_ordered_numbers(window: list[float]) -> None:
    assert '[low, high]' in (validate_window(window, 300.0, 1197, 10.0) or '')


def test_the_window_of_the_paper_is_too_narrow_for_a_few_atoms_and_right_for_its_own() -> None:
    sentence = validate_window([200, 500], 300.0, degrees_of_freedom(10), 1000.0)
    assert sentence is not None
    assert 'narrower than the thermal fluctuation' in sentence
    assert 'narrowest window' in sentence
    assert validate_window([200, 500], 300.0, degrees_of_freedom(400), 1000.0) is None


def test_a_window_beyond_three_sigma_may_still_ring_too_often_in_a_long_run() -> None:
    n_dof = degrees_of_freedom(10)
    low, high = canonical_band(300.0, n_dof)
    assert 'by chance alone' in (validate_window([low - 1, high + 1], 300.0, n_dof, 1000.0) or '')


@given(st.floats(50, 2000), st.integers(2, 500), st.floats(0.01, 1e4))
def test_the_narrowest_window_is_accepted(temperature: float, n_atoms: int, length_ps: float) -> None:
    n_dof = degrees_of_freedom(n_atoms)
    low, high = narrowest_window(temperature, n_dof, length_ps)
    assert validate_window([math.floor(low), math.ceil(high)], temperature, n_dof, length_ps) is None


@given(st.floats(50, 2000), st.integers(2, 500), st.floats(0.01, 1e4), st.floats(1.01, 3))
def test_a_wider_window_rings_no_more_often(temperature: float, n_atoms: int, length_ps: float, factor: float) -> None:
    n_dof = degrees_of_freedom(n_atoms)
    low, high = canonical_band(temperature, n_dof)
    narrow = expected_false_alarms([low, high], temperature, n_dof, length_ps)
    assert expected_false_alarms([low / factor, high * factor], temperature, n_dof, length_ps) <= narrow


def test_the_bound_is_named() -> None:
    assert find_catastrophe(series(300, 320, 1200), [100, 1000]) == Catastrophe(0.02, 1200.0, 'high')
    assert find_catastrophe(series(300, 90, 1200), [100, 1000]) == Catastrophe(0.01, 90.0, 'low')
    assert find_catastrophe(series(300, 320, 310), [100, 1000]) is None


def test_a_nan_is_a_catastrophe_at_the_last_finite_sample() -> None:
    assert find_catastrophe(series(300, 320, math.nan, 300), [100, 1000]) == Catastrophe(0.01, 320.0, 'non_finite')
    assert find_catastrophe(series(math.nan), [100, 1000]) == Catastrophe(0.0, 0.0, 'non_finite')


def test_a_nan_in_the_energy_counts_too() -> None:
    watched = TemperatureSeries(np.array([0.0, 1.0]), np.array([300.0, 300.0]), np.array([-1.0, math.nan]))
    assert find_catastrophe(watched, [100, 1000]) == Catastrophe(0.0, 300.0, 'non_finite')


def test_arrays_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match='one length'):
        TemperatureSeries(np.zeros(2), np.zeros(3))


def test_a_start_is_no_catastrophe() -> None:
    start = series(600, 550, 300, 310)
    assert find_catastrophe(start, [200, 500]) == Catastrophe(0.0, 600.0, 'high')
    assert find_catastrophe(start, [200, 500], grace_ps=0.02) is None
    # The window counts from the end of the grace time on, that sample included.
    assert find_catastrophe(start, [200, 305], grace_ps=0.03) == Catastrophe(0.03, 310.0, 'high')


def test_the_grace_time_is_no_blindness() -> None:
    assert find_catastrophe(series(600, math.nan, 300), [200, 500], grace_ps=1.0) is not None
    assert find_catastrophe(series(600, 5001, 300), [200, 500], grace_ps=1.0) is not None


@given(TEMPERATURES, st.floats(0, 0.3))
def test_the_first_bad_sample_is_found(temperatures: list[float], grace_ps: float) -> None:
    watched = series(*temperatures)
    found = find_catastrophe(watched, [100, 1000], grace_ps)

    def bad(index: int) -> bool:
        value = temperatures[index]
        if not math.isfinite(value):
            return True
        counted = watched.time_ps[index] >= grace_ps - 1e-7
        return not 100 <= value <= 1000 if counted else value > 10000

    indices = [index for index in range(len(temperatures)) if bad(index)]
    assert (found is None) == (not indices)
    if found is not None:
        assert math.isfinite(found.temperature_k)
        assert found.time_ps <= watched.time_ps[indices[0]]


def test_band_goes_back_to_the_last_healthy_sample() -> None:
    # ±3σ of ten atoms at 300 K: 55 to 545 K.
    watched = series(300, 400, 500, 600, 500, 560, 800, 1200)
    found = find_catastrophe(watched, [0, 1000])
    assert found is not None
    assert choose_t_next(watched, found, 300.0, 27, TNextRule(margin_fs=0)) == pytest.approx(0.04)
    assert choose_t_next(watched, found, 300.0, 27, TNextRule(margin_fs=15)) == pytest.approx(0.025)
    assert choose_t_next(watched, found, 300.0, 27, TNextRule(rule='mean', margin_fs=0)) == pytest.approx(0.0)
    assert choose_t_next(watched, found, 300.0, 27, TNextRule(rule='offset', offset_fs=30)) == pytest.approx(0.04)


def test_mean_looks_from_the_other_side_where_the_temperature_fell() -> None:
    watched = series(300, 310, 290, 250, 90)
    found = find_catastrophe(watched, [100, 1000])
    assert found is not None
    assert choose_t_next(watched, found, 300.0, 27, TNextRule(rule='mean', margin_fs=0)) == pytest.approx(0.01)


@given(
    TEMPERATURES,
    st.sampled_from(['band', 'mean', 'offset']),
    st.floats(0, 200),
    st.integers(2, 400),
)
def test_t_next_lies_between_the_start_and_the_catastrophe(
    temperatures: list[float], rule: str, margin_fs: float, n_atoms: int
) -> None:
    watched = series(*temperatures)
    found = find_catastrophe(watched, [100, 1000])
    if found is not None:
        chosen = choose_t_next(
            watched,
            found,
            300.0,
            degrees_of_freedom(n_atoms),
            TNextRule(rule=rule, margin_fs=margin_fs, offset_fs=margin_fs or 1.0),
        )
        assert 0.0 <= chosen <= found.time_ps


def test_aimd_that_stays_in_its_ensemble() -> None:
    verdict = judge_aimd([300, 150, 250, 350], 300.0, 27)
    assert verdict.verdict == 'normal'
    assert verdict.n_good_frames == 4
    assert verdict.mean_last_half_k == 300.0
    assert verdict.max_temperature_k == 350.0


@pytest.mark.parametrize('spoilt', [900.0, math.nan, math.inf])
def test_aimd_that_runs_away(spoilt: float) -> None:
    verdict = judge_aimd([300, 400, spoilt, 350], 300.0, 27)
    assert verdict.verdict == 'hot'
    assert verdict.n_good_frames == 2
    assert math.isfinite(verdict.max_temperature_k)


def test_an_empty_aimd() -> None:
    assert judge_aimd([], 300.0, 27).n_good_frames == 0
