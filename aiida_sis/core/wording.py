"""Numbers in words, for the log of a run."""

from __future__ import annotations


def in_kelvin(temperature: float | None) -> str:
    """Write a temperature for people, who need to know where it is no number.

    :param temperature: in K, or nothing where it is not finite.
    :returns: the words.
    """
    return 'no finite temperature' if temperature is None else f'{temperature:.0f} K'


def in_ev_per_angstrom(error: float | None) -> str:
    """Write an error of the forces for people.

    :param error: in eV/Å, or nothing where no frame was held out.
    :returns: the words.
    """
    return 'not known' if error is None else f'{error:.3f} eV/Å'
