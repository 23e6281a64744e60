"""Settings are refused with a sentence that names the setting and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sis.core.settings.md import MdSettings, SettingsError

MINIMUM: dict[str, Any] = {'temperature_k': 300, 'window_k': [0, 1000], 'length_ps': 1}
LEVELS: dict[str, Any] = {'deviation': {'low_ev_per_angstrom': 0.05, 'high_ev_per_angstrom': 0.2}}


def test_defaults() -> None:
    settings = MdSettings.from_dict(MINIMUM)
    assert settings.n_steps == 2000
    assert settings.grace(None) == 0.0
    assert settings.t_next.name == 'band'


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'timestep': 1.0}, r"unknown key `timestep`; did you mean 'timestep_fs'"),
        ({'zzz': 1.0}, 'unknown key `zzz`; valid keys are '),
        ({'thermostat': {'tau': 1}}, 'unknown key `thermostat.tau`'),
        ({'t_next': {'margin': 1}}, r"unknown key `t_next.margin`; did you mean 'margin_fs'"),
        ({'minimise': {'etoll': 1}}, r"did you mean 'etol'"),
        ({'timestep_fs': 0}, '`timestep_fs` must be > 0, but is 0'),
        ({'length_ps': -1}, '`length_ps` must be > 0, but is -1'),
        ({'length_ps': '1 ps'}, "`length_ps` must be a number > 0, but is '1 ps'"),
        ({'length_ps': float('nan')}, '`length_ps` must be a number > 0'),
        ({'temperature_k': True}, '`temperature_k` must be a number'),
        ({'window_k': 500}, '`window_k` must be two temperatures'),
        ({'window_k': [1, 2, 3]}, '`window_k` must be two temperatures'),
        ({'window_k': [None, 2]}, '`window_k` must be a number'),
        ({'ring_size': 1}, '`ring_size` must be a whole number >= 2'),
        ({'ring_interval_fs': 0.1}, r'`ring_interval_fs` \(0.1 fs\) is shorter than `timestep_fs`'),
        ({'grace_ps': 1}, r'`grace_ps` \(1\) must be shorter than `length_ps`'),
        ({'thermostat': 'csvr'}, '`thermostat` must be a dictionary of settings'),
        ({'minimise': False}, '`minimise` must be a dictionary of settings, but is False'),
        ({'length_ps': 3e6}, r'is 6e\+09 steps .* make it at most 1073741 ps'),
        ({'ring_size': 10**10}, '`ring_size` must be at most 2147483647'),
        ({'thermostat': {'style': 'andersen'}}, 'must be one of csvr, nose_hoover, none'),
        ({'minimise': {'enabled': 1}}, '`minimise.enabled` must be true or false'),
        ({'minimise': {'maxiter': 0}}, '`minimise.maxiter` must be a whole number >= 1'),
        ({'fixed_atoms': 3}, '`fixed_atoms` must be a list of atom numbers, counted from 0, but is 3'),
        ({'fixed_atoms': [0, -1]}, '`fixed_atoms` must be a whole number >= 0, but is -1'),
        ({'fixed_atoms': [2, 2]}, '`fixed_atoms` names an atom more than once'),
        ({'deviation': {'low_ev_per_angstrom': 0.1}}, '`deviation` lacks high_ev_per_angstrom'),
        (LEVELS | {'deviation': LEVELS['deviation'] | {'low_ev_per_angstrom': 0.2}}, r'\(0.2\) must be lower than'),
        (
            LEVELS | {'deviation': LEVELS['deviation'] | {'interval_fs': 0.1}},
            r'interval_fs` \(0.1 fs\) is shorter than',
        ),
        (LEVELS | {'deviation': LEVELS['deviation'] | {'max_candidate': 3}}, "did you mean 'max_candidates'"),
        (LEVELS | {'length_ps': 1e5}, r'would write 2000000 frames .*: make it at least 1000 fs'),
        ({'t_next': {'rule': 'best'}}, '`t_next.rule` must be one of band, mean, offset'),
    ],
)
def test_refusals(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        MdSettings.from_dict(MINIMUM | change)


def test_missing_keys() -> None:
    with pytest.raises(SettingsError, match='lacks window_k, length_ps'):
        MdSettings.from_dict({'temperature_k': 300})


def test_automatic_grace_time_where_the_start_lies_outside_the_window() -> None:
    settings = MdSettings.from_dict(MINIMUM | {'window_k': [200, 500], 'length_ps': 10})
    assert settings.start_temperature(None) == 600.0
    assert settings.grace(None) == 0.5
    assert settings.grace(320.0) == 0.0
    assert settings.check_start(None) is None


def test_an_explicit_zero_is_refused_there() -> None:
    settings = MdSettings.from_dict(MINIMUM | {'window_k': [200, 500], 'grace_ps': 0.0})
    assert 'starts at 600 K, outside `window_k` [200, 500] K' in (settings.check_start(None) or '')
    assert settings.check_start(320.0) is None


def test_velocities_are_drawn_at_the_temperature_itself_without_a_minimisation() -> None:
    settings = MdSettings.from_dict(MINIMUM | {'minimise': {'enabled': False}})
    assert settings.start_temperature(None) == 300.0
