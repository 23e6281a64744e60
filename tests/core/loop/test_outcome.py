"""The four ends of a run are told apart, and a verification is said with its numbers."""

from __future__ import annotations

import pytest

from aiida_sis.core.loop.outcome import is_stable, outcome_in_words, verification_lines
from aiida_sis.core.loop.record import Verification


@pytest.mark.parametrize(
    ('outcome', 'stable'),
    [('stable and verified', True), ('stable', True), ('stable, not verified', True), ('not stable', False)],
)
def test_outcomes(outcome: str, stable: bool) -> None:
    """Each has words of its own."""
    assert is_stable(outcome) is stable
    assert outcome_in_words(outcome).startswith('stable') is stable
    assert outcome_in_words(outcome) != outcome


def test_lines_of_a_verification() -> None:
    """Force error with its limit, worst frame with its place, energy error with its drift."""
    found = Verification(
        verified=True,
        n_offered=24,
        n_frames=23,
        force_rmse_max=0.15,
        force_rmse_ev_per_angstrom=0.1114,
        largest_force_rmse_ev_per_angstrom=0.3,
        worst_replica=1,
        worst_time_ps=12.5,
        energy_rmse_ev_per_atom=0.0021,
        energy_drift_ev_per_atom_per_ps=-0.00003,
    )
    assert verification_lines(found) == [
        'True force error along the stable MD: 0.111 eV/Å RMSE, 0.15 allowed (23 of 24 frames labelled)',
        'Its worst frame: 0.300 eV/Å, replica 1 at 12.5 ps',
        'Energy error along it: 2.1 meV/atom RMSE, drift -0.03 meV/atom per ps',
    ]


def test_nothing_labelled() -> None:
    """The error is unknown then."""
    found = Verification(verified=False, n_offered=24, n_frames=0, force_rmse_max=0.15)
    assert verification_lines(found) == [
        'True force error along the stable MD: unknown, 0 of 24 frames could be labelled'
    ]
