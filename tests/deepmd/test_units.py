"""Conversion factors against the printed CODATA values and against each other."""

from __future__ import annotations

import pytest

from aiida_deepmd import units


def test_codata_2018() -> None:
    assert pytest.approx(27.211386245, rel=1e-9) == units.HARTREE_TO_EV
    assert pytest.approx(0.529177210, rel=1e-8) == units.BOHR_TO_ANGSTROM
    assert pytest.approx(51.4220674, rel=1e-8) == units.HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
    assert pytest.approx(8.617333262e-5, rel=1e-9) == units.BOLTZMANN_EV
    assert pytest.approx(21876.912636, rel=1e-8) == units.ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS


def test_kinetic_energy_of_an_electron_volt() -> None:
    """1 eV moves 1 u at 13891.4 m/s = 138.914 Å/ps."""
    assert pytest.approx(1.0, rel=1e-5) == 0.5 * units.AMU_A2_PS2_TO_EV * 138.914**2
    assert pytest.approx(103.6426966, rel=1e-7) == units.AMU_A2_FS2_TO_EV
