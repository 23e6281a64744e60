"""Errors that are known."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sis.core.analysis.quality import force_error_by_element, parity


def test_parity() -> None:
    """A shift is bias, and noise is none of it."""
    rng = np.random.default_rng(0)
    true = 3.0 * rng.normal(size=20_000)
    found = parity(true, true + 0.5 + 0.3 * rng.normal(size=20_000))
    assert found.bias == pytest.approx(0.5, abs=0.01)
    assert found.rmse == pytest.approx(np.hypot(0.5, 0.3), rel=0.02)
    assert found.r2 == pytest.approx(1 - (0.25 + 0.09) / 9.0, abs=0.005)
    assert found.largest >= found.rmse >= found.mae
    assert parity(true, true).rmse == 0.0
    assert np.isnan(parity(np.ones(3), np.ones(3)).r2)


def test_force_error_by_element() -> None:
    """Each element has its own, the worst first."""
    forces = np.zeros((4, 3, 3))
    wrong = forces.copy()
    wrong[:, 0] = 0.1
    wrong[:, 1] = 0.4
    assert force_error_by_element(forces, wrong, ['Li', 'F', 'S']) == pytest.approx({'F': 0.4, 'Li': 0.1, 'S': 0.0})
    assert list(force_error_by_element(forces, wrong, ['Li', 'F', 'S'])) == ['F', 'Li', 'S']


def test_what_does_not_fit_is_refused() -> None:
    """Shapes are named."""
    with pytest.raises(ValueError, match=r'\(2,\) and predicted ones of shape \(3,\)'):
        parity(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match='do not fit 2 atoms'):
        force_error_by_element(np.zeros((1, 3, 3)), np.zeros((1, 3, 3)), ['Li', 'F'])
