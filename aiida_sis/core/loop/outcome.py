"""How a run ended, in plain words, and what the labels of its stable MD say of it."""

from __future__ import annotations

from aiida_sis.core.loop.record import Generation, Run, Verification

__all__ = ('UNVERIFIED', 'is_stable', 'last_verified', 'outcome_in_words', 'verification_lines')

#: What a stable MD proves where nobody has labelled its frames, and what not.
UNVERIFIED = (
    'Stable alone says that the temperature stayed in the window, not that the forces are right: no frame of this MD '
    'was labelled.'
)
_WORDS = {
    'stable and verified': 'stable through the last stage, and verified: its force error is within the limit',
    'stable': 'stable through the last stage, not verified: no frame of its MD was labelled',
    'stable, not verified': 'stable through the last stage, but not verified: its force error is above the limit, '
    'or too few frames could be labelled',
    'not finished': 'not finished: a part of the run failed, which says nothing of whether its MD is stable',
    'not stable': 'not stable: the MD did not reach its length inside the window',
}


def is_stable(outcome: str) -> bool:
    """Tell whether the MD of a SIS run was stable at its end, verified or not.

    :param outcome: as its summary says it.
    """
    return outcome.split(' and ')[0].split(',')[0] == 'stable'


def outcome_in_words(outcome: str) -> str:
    """Say in one line how a SIS run ended.

    :param outcome: as its summary says it; any other word is returned as it is.
    """
    return _WORDS.get(outcome, outcome)


def last_verified(record: Run) -> Generation | None:
    """Find the last generation whose stable MD was labelled and judged.

    :param record: the run.
    """
    return next((one for one in reversed(record.generations) if one.verification is not None), None)


def verification_lines(found: Verification) -> list[str]:
    """Say how wrong a potential is along its stable MD.

    :param found: what its labelled frames say.
    :returns: the force error with its limit, the worst frame, the energy error; as far as they are known.
    """
    labelled = f'{found.n_frames} of {found.n_offered} frames'
    if found.force_rmse_ev_per_angstrom is None:
        return [f'True force error along the stable MD: unknown, {labelled} could be labelled']
    lines = [
        f'True force error along the stable MD: {found.force_rmse_ev_per_angstrom:.3f} eV/Å RMSE, '
        f'{found.force_rmse_max:g} allowed ({labelled} labelled)'
    ]
    if found.largest_force_rmse_ev_per_angstrom is not None:
        place = '' if found.worst_replica is None else f', replica {found.worst_replica}'
        place += '' if found.worst_time_ps is None else f' at {found.worst_time_ps:.4g} ps'
        lines.append(f'Its worst frame: {found.largest_force_rmse_ev_per_angstrom:.3f} eV/Å{place}')
    if found.energy_rmse_ev_per_atom is not None:
        drift = found.energy_drift_ev_per_atom_per_ps
        along = '' if drift is None else f', drift {1000 * drift:+.2g} meV/atom per ps'
        lines.append(f'Energy error along it: {1000 * found.energy_rmse_ev_per_atom:.2g} meV/atom RMSE{along}')
    return lines
