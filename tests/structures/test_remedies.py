"""What a refusal tells to do is done here, and is not refused again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from aiida_deepmd.settings import at_least, at_most
from aiida_sis.core.indicator import validate_window
from aiida_sis.core.settings.md import read_md_settings
from aiida_sis.core.settings.sis import read_settings
from aiida_sis.structures.build import build, check

MD: dict[str, Any] = {'temperature_k': 300, 'window_k': [0, 1000], 'length_ps': 1.0}


def refusal(function: Callable[..., Any], *arguments: Any) -> str:
    """Give the sentence of a refusal, empty where there is none."""
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)
    return ''


def number(pattern: str, sentence: str) -> float:
    """Give the number that a remedy names."""
    found = re.search(pattern, sentence)
    assert found is not None, sentence
    return float(found[1])


@pytest.mark.parametrize('n_lithium', range(4, 10))
def test_the_cell_of_a_cluster(n_lithium: int) -> None:
    """One that was rounded down was refused with the same number once more."""
    values = {'n_lithium': n_lithium, 'allow_odd': True, 'cell_angstrom': 7.0}
    for seed in range(3):
        cell = number(r'Make it ([\d.]+) Å', refusal(build, 'cluster', values, seed))
        assert refusal(build, 'cluster', {**values, 'cell_angstrom': cell}, seed) == ''


@pytest.mark.parametrize('edge', [3.4, 3.4137, 3.45, 3.49, 3.51, 3.617])
def test_the_cell_of_an_interface(edge: float) -> None:
    """To the hundredth of an ångström."""
    values = {'n_lifsi': 1, 'n_dol': 0, 'repeat': 4, 'lattice_parameter_angstrom': edge, 'cell_z_angstrom': 10.0}
    cell = number(r'Make it ([\d.]+) Å', refusal(check, 'interface', values, 1))
    assert 'too small' not in refusal(check, 'interface', {**values, 'cell_z_angstrom': cell}, 1)


@pytest.mark.parametrize('concentration', [0.05, 0.1, 0.13, 0.2])
def test_the_cell_of_a_thin_solution(concentration: float) -> None:
    """Larger, or less thin."""
    values = {'concentration_molar': concentration, 'cell_angstrom': 11.0}
    sentence = refusal(check, 'electrolyte', values, 1)
    cube = number(r'a cube of ([\d.]+) Å', sentence)
    more = number(r'ask for ([\d.]+) mol/L', sentence)
    assert refusal(check, 'electrolyte', {**values, 'cell_angstrom': cube}, 1) == ''
    assert refusal(check, 'electrolyte', {**values, 'concentration_molar': more}, 1) == ''


@pytest.mark.parametrize('n_dof', [3, 9, 27, 300, 1200])
@pytest.mark.parametrize('length_ps', [0.1, 50.0, 10_000.0])
def test_the_narrowest_window(n_dof: int, length_ps: float) -> None:
    """It is wide enough."""
    sentence = validate_window([299.0, 301.0], 300.0, n_dof, length_ps) or ''
    found = re.search(r'is \[(\d+), (\d+)\] K', sentence)
    assert found is not None
    assert validate_window([float(found[1]), float(found[2])], 300.0, n_dof, length_ps) is None


@pytest.mark.parametrize('length_ps', [1364.29173, 2000.0, 3333.3333, 4711.0815])
def test_the_spacing_of_a_committee(length_ps: float) -> None:
    """No frame more than is allowed."""
    levels = {'low_ev_per_angstrom': 0.1, 'high_ev_per_angstrom': 0.2, 'interval_fs': 1.0}
    sentence = refusal(read_md_settings, MD | {'length_ps': length_ps, 'deviation': levels})
    levels['interval_fs'] = number(r'at least ([\d.]+) fs', sentence)
    assert refusal(read_md_settings, MD | {'length_ps': length_ps, 'deviation': levels}) == ''


@pytest.mark.parametrize('length_ps', [0.2, 0.4, 5.0])
def test_the_grace_time(length_ps: float) -> None:
    """It is shorter than the MD, or it would be refused."""
    values = MD | {'length_ps': length_ps, 'window_k': [0, 500], 'grace_ps': 0.0}
    sentence = read_md_settings(values).check_start(None) or ''
    again = read_md_settings(values | {'grace_ps': number(r'grace time \(([\d.]+) ps', sentence)})
    assert again.check_start(None) is None
    del values['grace_ps']
    assert read_md_settings(values).check_start(None) is None


def test_windows_that_cross() -> None:
    """No order of the two helps: one must lie within the other."""
    first = {'name': 'a', 'window_k': [0, 500], 'length_ps': 1.0}
    second = {'name': 'b', 'window_k': [100, 1000], 'length_ps': 1.0}
    for stages in ([first, second], [second, first]):
        sentence = refusal(read_settings, {'initial_length_fs': 100.0, 'stages': stages})
        assert 'let each window lie within the one before' in sentence
    within = {**second, 'window_k': [100, 500]}
    assert refusal(read_settings, {'initial_length_fs': 100.0, 'stages': [first, within]}) == ''


def test_words_of_python_stay_out() -> None:
    """No tuple and no "value error" in a sentence for a user."""
    stage = {'name': 'a', 'window_k': [500, 0], 'length_ps': 1.0}
    sentence = refusal(read_settings, {'initial_length_fs': 100.0, 'stages': [stage]})
    assert 'is not valid: the first temperature must be' in sentence
    values = {'initial_length_fs': 100.0, 'stages': [{**stage, 'window_k': [0, 500]}]}
    assert 'is not valid: give a list' in refusal(read_settings, values | {'systems': {'x': {'fixed_atoms': 3}}})


def test_rounded_to_the_safe_side() -> None:
    """What fits already is left as it is."""
    assert [at_least(value, 1) for value in (10.04, 10.0, 0.3, 0.1 + 0.2)] == ['10.1', '10', '0.3', '0.3']
    assert at_least(8302.7, 0) == '8303'
    assert [at_most(value, 1) for value in (5.29, 5.2, 0.3)] == ['5.2', '5.2', '0.3']
