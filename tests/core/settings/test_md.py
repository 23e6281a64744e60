"""Settings are refused with a sentence that names the setting and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sis.core.settings.md import read_md_settings

MINIMUM: dict[str, Any] = {'temperature_k': 300, 'window_k': [0, 1000], 'length_ps': 1}
LEVELS: dict[str, Any] = {'deviation': {'low_ev_per_angstrom': 0.05, 'high_ev_per_angstrom': 0.2}}


def test_defaults() -> None:
    settings = read_md_settings(MINIMUM)
    assert settings.n_steps == 2000
    assert settings.grace(None) == 0.0
    assert settings.t_next.rule == 'band'


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'timestep': 1.0}, "'timestep' of the MD parameters is unknown: did you mean 'timestep_fs'"),
        ({'zzz': 1.0}, "'zzz' of the MD parameters is unknown: valid keys are "),
        ({'thermostat': {'tau': 1}}, "'thermostat.tau' of the MD parameters is unknown"),
        ({'t_next': {'margin': 1}}, r"'t_next.margin' .* did you mean 'margin_fs'"),
        ({'minimise': {'etoll': 1}}, r"did you mean 'etol'"),
        ({'timestep_fs': 0}, "0 of 'timestep_fs' in the MD parameters is not valid: it must be above 0"),
        ({'length_ps': -1}, "-1 of 'length_ps' .*: it must be above 0"),
        ({'length_ps': '1 ps'}, "'1 ps' of 'length_ps' .*: give a number, without quotes and without a unit"),
        ({'length_ps': float('nan')}, 'give a finite number'),
        ({'temperature_k': True}, "True of 'temperature_k' .*: give a number"),
        ({'window_k': 500}, "500 of 'window_k' .*: give a list"),
        ({'window_k': [1, 2, 3]}, 'give at most 2 of them'),
        ({'window_k': [None, 2]}, "None of 'window_k.0' .*: give a number"),
        ({'ring_size': 1}, "1 of 'ring_size' .*: it must be at least 2"),
        ({'ring_interval_fs': 0.1}, r'`ring_interval_fs` \(0.1 fs\) is shorter than `timestep_fs`'),
        ({'grace_ps': 1}, r'`grace_ps` \(1\) must be shorter than `length_ps`'),
        ({'thermostat': 'csvr'}, "'csvr' of 'thermostat' .*: give a dictionary of settings"),
        ({'minimise': False}, "False of 'minimise' .*: give a dictionary of settings"),
        ({'length_ps': 3e6}, r'is 6e\+09 steps .* make it at most 1073741 ps'),
        ({'ring_size': 10**10}, 'it must be at most 2147483647'),
        (
            {'thermostat': {'style': 'andersen'}},
            "'andersen' of 'thermostat.style' .*: give 'csvr', 'nose_hoover' or 'none'",
        ),
        ({'minimise': {'enabled': 1}}, "1 of 'minimise.enabled' .*: give true or false"),
        ({'minimise': {'maxiter': 0}}, "0 of 'minimise.maxiter' .*: it must be above 0"),
        ({'fixed_atoms': 3}, "3 of 'fixed_atoms' .*: give a list"),
        ({'fixed_atoms': [0, -1]}, "-1 of 'fixed_atoms.1' .*: it must be at least 0"),
        ({'fixed_atoms': [2, 2]}, "'fixed_atoms' .* a site is named more than once"),
        ({'least_distances': {'Li-F': 1.0}}, "'Li-F' must name two elements in alphabetical order, as in 'F-Li'"),
        ({'least_distances': {'F-Xx': 1.0}}, "'F-Xx' must name two elements"),
        ({'least_distances': {'F-Li': 0}}, "0 of 'least_distances.F-Li' .*: it must be above 0"),
        (
            {'deviation': {'low_ev_per_angstrom': 0.1}},
            "'deviation.high_ev_per_angstrom' of the MD parameters is missing",
        ),
        (
            LEVELS | {'deviation': LEVELS['deviation'] | {'low_ev_per_angstrom': 0.2}},
            'low_ev_per_angstrom must be lower than high_ev_per_angstrom',
        ),
        (
            LEVELS | {'deviation': LEVELS['deviation'] | {'interval_fs': 0.1}},
            r'interval_fs` \(0.1 fs\) is shorter than',
        ),
        (LEVELS | {'deviation': LEVELS['deviation'] | {'max_candidate': 3}}, "did you mean 'max_candidates'"),
        (LEVELS | {'length_ps': 1e5}, r'would write 2000000 frames .*: make it at least 1000 fs'),
        ({'t_next': {'rule': 'best'}}, "'best' of 't_next.rule' .*: give 'band', 'mean' or 'offset'"),
    ],
)
def test_refusals(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_md_settings(MINIMUM | change)


def test_missing_keys() -> None:
    with pytest.raises(ValueError, match="'window_k' of the MD parameters is missing: there is no default"):
        read_md_settings({'temperature_k': 300})


def test_automatic_grace_time_where_the_start_lies_outside_the_window() -> None:
    settings = read_md_settings(MINIMUM | {'window_k': [200, 500], 'length_ps': 10})
    assert settings.start_temperature(None) == 600.0
    assert settings.grace(None) == 0.5
    assert settings.grace(320.0) == 0.0
    assert settings.check_start(None) is None


def test_an_explicit_zero_is_refused_there() -> None:
    settings = read_md_settings(MINIMUM | {'window_k': [200, 500], 'grace_ps': 0.0})
    assert 'starts at 600 K, outside `window_k` [200, 500] K' in (settings.check_start(None) or '')
    assert settings.check_start(320.0) is None


def test_velocities_are_drawn_at_the_temperature_itself_without_a_minimisation() -> None:
    settings = read_md_settings(MINIMUM | {'minimise': {'enabled': False}})
    assert settings.start_temperature(None) == 300.0
