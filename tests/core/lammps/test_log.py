"""Logs of LAMMPS that were really written; how, says make.py beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_sis.core.lammps.log import LammpsLog, diagnose, parse_log, symptoms

FILES = Path(__file__).parents[2] / 'files' / 'lammps'
WIDE = (0.0, 1e7)


def log_of(name: str) -> LammpsLog:
    """A log, read."""
    return parse_log((FILES / name / 'log.lammps').read_text())


def test_stable() -> None:
    log = log_of('stable')
    assert log.complete
    assert not log.error
    assert log.halted_at_step is None
    assert log.version == '22 Jul 2025 - Update 2'
    assert log.n_steps_run == 200
    assert log.series['step'].tolist() == [20.0 * i for i in range(11)]
    assert log.series['temperature'][0] == pytest.approx(600.0)
    assert np.ptp(log.series['conserved']) < 0.01
    assert np.all(log.series['min_distance'] > 1.0)
    assert log.wall_seconds is not None
    assert diagnose(log, 1.0, [0, 1000], 0.0) is None


def test_the_halting_step_is_in_the_series() -> None:
    log = log_of('halted')
    assert log.halted_at_step == 96
    assert log.series['step'][-2:].tolist() == [90.0, 96.0]
    assert np.isnan(log.series['pressure'][-1])
    found = diagnose(log, 1.0, [0, 1000], 0.0)
    assert found is not None
    assert (found.bound, found.time_ps) == ('high', pytest.approx(0.096))
    assert found.temperature_k > 1000.0


def test_halted_at_the_lower_edge() -> None:
    found = diagnose(log_of('low'), 1.0, [200, 1000], 0.0)
    assert found is not None
    assert (found.bound, found.time_ps) == ('low', pytest.approx(0.017))


def test_a_start_outside_the_window_within_the_grace_time() -> None:
    log = log_of('grace')
    assert log.series['temperature'][0] > 580.0
    found = diagnose(log, 1.0, [55, 580], 0.05)
    assert found is not None
    assert found.time_ps * 1e3 == pytest.approx(float(log.halted_at_step or 0))


def test_halted_by_two_atoms_that_came_too_near() -> None:
    log = log_of('near')
    assert log.near_at_start == ('O-S',)
    found = diagnose(log, 1.0, [0, 1000], 0.0)
    assert found is not None
    assert (found.bound, found.time_ps) == ('distance', pytest.approx(0.035))
    assert found.temperature_k == pytest.approx(458.339, abs=1e-3)
    # A temperature outside the window tells first.
    hot = diagnose(log, 1.0, [0, 400], 0.0)
    assert hot is not None
    assert (hot.bound, hot.time_ps) == ('high', 0.0)


def test_nan_is_placed_at_the_last_finite_sample() -> None:
    log = log_of('nan')
    assert log.halted_at_step == 56
    assert np.isnan(log.series['temperature'][-1])
    found = diagnose(log, 1.0, [0, 1000], 0.0)
    assert found is not None
    assert found.bound == 'non_finite'
    assert np.isfinite(found.temperature_k)
    assert 0.04 < found.time_ps < 0.057


def test_lost_atoms() -> None:
    log = log_of('lost')
    assert log.error_bound == 'lost_atoms'
    assert log.error == 'Lost atoms: original 10 current 9'
    assert not log.complete
    assert not log.truncated
    found = diagnose(log, 20.0, WIDE, 0.0)
    assert found is not None
    assert found.bound == 'lost_atoms'
    assert found.time_ps == pytest.approx(log.series['step'][-1] * 0.02)


def test_an_error_that_is_not_the_physics() -> None:
    log = log_of('bad_element')
    assert log.error == 'pair_coeff: element Na not found in the model'
    assert log.error_bound is None
    assert not log.began
    assert log.n_samples == 0
    assert diagnose(log, 1.0, [0, 1000], 0.0) is None


def test_a_start_that_is_not_a_number() -> None:
    log = log_of('bad_start')
    assert log.error_bound == 'non_finite'
    assert not log.began


@pytest.mark.parametrize('name', ['killed', 'segfault'])
def test_killed_in_the_middle(name: str) -> None:
    log = log_of(name)
    assert log.truncated
    assert log.began
    assert log.n_samples > 1
    assert diagnose(log, 1.0, WIDE, 0.0) is None


def test_out_of_time() -> None:
    log = log_of('walltime')
    assert log.timed_out
    assert log.complete
    assert 0 < log.n_steps_run < 50000


@pytest.mark.parametrize('name', ['stable', 'halted', 'near', 'nan', 'lost', 'bad_element', 'bad_start'])
def test_a_log_may_be_cut_anywhere(name: str) -> None:
    text = (FILES / name / 'log.lammps').read_text()
    whole = parse_log(text)
    for length in range(0, len(text), 97):
        log = parse_log(text[:length])
        # A cut log never invents a number: its samples are the first ones of the whole.
        for column in ('step', 'temperature', 'potential_energy'):
            expected = whole.series[column][: log.n_samples]
            assert np.array_equal(log.series[column], expected, equal_nan=True)


def test_the_energy_may_tell_before_the_temperature() -> None:
    log = log_of('short_ring')
    found = symptoms(log, 1.0, minimised=True)
    assert found['below_minimum_ps'] == pytest.approx(0.19)
    assert log.halted_at_step == 315
    assert found['max_drift_ev'] == pytest.approx(0.0, abs=0.01)
    assert symptoms(log, 1.0, minimised=False)['below_minimum_ps'] is None
    assert set(symptoms(log_of('bad_element'), 1.0, minimised=True).values()) == {None}


@pytest.mark.parametrize(
    ('message', 'bound'),
    [
        ('ERROR on proc 0: Non-numeric atom coords - simulation unstable (src/src/domain.cpp:617)', 'non_finite'),
        ('ERROR: Neighbor list overflow, boost neigh_modify one (src/npair.cpp:1)', 'crash'),
        ('ERROR: Out of range atoms - cannot compute PPPM (src/pppm.cpp:1)', 'crash'),
        ('ERROR: Bond atoms 1 2 missing on proc 0 at step 5 (src/ntopo.cpp:1)', 'lost_atoms'),
        ('ERROR: Cannot open file model.pb', None),
    ],
)
def test_errors_by_their_meaning(message: str, bound: str | None) -> None:
    assert parse_log(f'{message}\n').error_bound == bound


def test_the_expected_warning_of_fixed_atoms_is_left_out() -> None:
    text = (FILES / 'stable' / 'log.lammps').read_text()
    expected = 'WARNING: Temperature for thermo pressure is not for group all (src/src/thermo.cpp:569)\n'
    assert parse_log(expected + text).warnings == parse_log(text).warnings
    assert 'odd' in parse_log('WARNING: odd\n' + text).warnings
