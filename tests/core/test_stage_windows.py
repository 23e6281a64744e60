"""What an automatic window is in numbers, against the chi-square law of `scipy.stats`."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from aiida_sis.core.indicator import validate_window
from aiida_sis.core.settings.sis import Replica, SisSettings, plan_replicas, read_settings
from aiida_sis.core.stage_windows import stage_windows

FINE = {'name': 'fine', 'window_k': 'auto', 'length_ps': 50.0}


def settings(*stages: dict[str, Any], **more: Any) -> SisSettings:
    """Give settings with these stages."""
    return read_settings({'stages': list(stages), 'initial_length_fs': 100.0, **more})


def windows(values: SisSettings, n_atoms: int, name: str = 'x') -> list[tuple[float, float]]:
    """Give the windows of the first replica of a run of one system."""
    plan = plan_replicas(values, [name])
    return list(stage_windows(values, plan[0], n_atoms, len(plan)))


def false_alarms(window: tuple[float, float], temperature: float, n_dof: int, length_ps: float) -> float:
    """Give the alarms of a perfect MD, one new chance every 5 fs."""
    law = chi2(n_dof, scale=temperature / n_dof)
    return float(law.cdf(window[0]) + law.sf(window[1])) * length_ps / 0.005


@pytest.mark.parametrize(('n_atoms', 'window'), [(10, (49, 902)), (8, (22, 1014)), (207, (221, 394))])
def test_two_replicas_of_fifty_picoseconds(n_atoms: int, window: tuple[float, float]) -> None:
    """The upper edge is the quantile of 0.01 alarms over both MD, half of them above; the lower may be 3 sigma."""
    n_dof = 3 * n_atoms - 3
    law, tail = chi2(n_dof, scale=300.0 / n_dof), 0.005 / (2 * 50.0 / 0.005)
    sigma = 300.0 * math.sqrt(2 / n_dof)
    expected = (math.floor(min(law.ppf(tail), 300.0 - 3 * sigma)), math.ceil(law.isf(tail)))
    assert windows(settings(FINE, replicas=2), n_atoms)[0] == expected == window


@given(st.integers(2, 400), st.integers(1, 40), st.floats(50, 3000), st.floats(0.1, 1e4))
def test_all_replicas_together(n_atoms: int, n_replicas: int, temperature: float, length_ps: float) -> None:
    """They ring 0.01 times at most, and each window would be accepted had the user given it."""
    values = settings({**FINE, 'length_ps': length_ps}, replicas=n_replicas, temperature_k=temperature)
    (window,) = windows(values, n_atoms)
    n_dof = 3 * n_atoms - 3
    assert n_replicas * false_alarms(window, temperature, n_dof, length_ps) <= 0.01 * (1 + 1e-6)
    assert validate_window(window, temperature, n_dof, length_ps) is None


def test_each_system_and_temperature_has_its_own() -> None:
    """Fixed atoms do not move: four of eight leave twelve degrees of freedom, and a hot system fluctuates more."""
    values = settings(FINE, replicas=1, systems={'x': {'fixed_atoms': [0, 1, 2, 3], 'temperatures_k': [300.0, 600.0]}})
    cold, hot = (stage_windows(values, replica, 8, 2)[0] for replica in plan_replicas(values, ['x']))
    assert cold[1] == math.ceil(chi2(12, scale=300.0 / 12).isf(0.005 / (2 * 50.0 / 0.005)))
    assert hot[1] == math.ceil(chi2(12, scale=600.0 / 12).isf(0.005 / (2 * 50.0 / 0.005)))


def test_coarse_stage_holds_the_fine_one() -> None:
    """A shorter MD needs a narrower window, but the stages go from coarse to fine."""
    coarse = {'name': 'coarse', 'window_k': 'auto', 'at_least_k': [100.0, 500.0], 'length_ps': 1.0}
    large, small = windows(settings(coarse, FINE), 207), windows(settings(coarse, FINE), 8)
    assert large[0] == (100.0, 500.0)
    assert small[0] == small[1] == (22.0, 1014.0)


def test_automatic_stage_before_a_given_one() -> None:
    """It holds that window too."""
    given_window = {'name': 'given', 'window_k': [50.0, 1500.0], 'length_ps': 1.0}
    assert windows(settings({**FINE, 'length_ps': 0.5}, given_window), 10) == [(50.0, 1500.0), (50.0, 1500.0)]


def test_given_window_that_the_automatic_one_leaves() -> None:
    """Four atoms fluctuate beyond 1000 K: the sentence names a window that holds."""
    coarse = {'name': 'coarse', 'window_k': [0.0, 1000.0], 'length_ps': 2.0}
    with pytest.raises(ValueError, match=r"The automatic window \[0, 1602\] K of 9 .*'x'.*1000\] K of stage 'coarse'"):
        windows(settings(coarse, FINE, replicas=2), 4)
    assert windows(settings({**coarse, 'window_k': [0.0, 1602.0]}, FINE, replicas=2), 4)[1] == (0.0, 1602.0)


def test_one_atom_has_no_temperature() -> None:
    """Neither has a system of which nothing moves."""
    with pytest.raises(ValueError, match='at least two atoms'):
        stage_windows(settings(FINE), Replica('x', 300.0), 1, 1)
