"""Input of LAMMPS for the early sign: stop the dynamics where two atoms come nearer than a limit.

``pair_style deepmd`` gives no values of single pairs, so the neighbours within the limit of a pair of elements are
counted (``compute coord/atom``) from the neighbour list that the potential has built anyway. The count is made with the
spacing of the series and not on every step.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiida_sis.core.settings.md import MdSettings

NEAR_START_MARK = 'SIS_NEAR_AT_START'
"""Word before a pair that is nearer than its limit when the dynamics begins, and is not watched therefore."""
NEAR_FIX = 'sis_near'
"""Name of the fix that stops the dynamics."""


def write_counts(settings: MdSettings, type_map: Sequence[str]) -> list[str]:
    """Write the counts, and which of them are watched: those that are zero at the start.

    A pair of two fixed atoms never counts. So with fixed atoms each pair of elements is counted from both sides, each
    time around the mobile atoms alone.

    :param settings: What to do.
    :param type_map: Element of each atom type, in order.
    :return: Lines, none where no distance is watched; they evaluate the potential once.
    :raises ValueError: If a pair has an element that is not in the type map.
    """
    pairs = _pairs(settings)
    if not pairs:
        return []
    unknown = sorted({element for pair, _ in pairs for element in pair} - set(type_map))
    if unknown:
        raise ValueError(f'least_distances has {unknown[0]}, but the potential knows {", ".join(type_map)}.')
    types = {element: index for index, element in enumerate(type_map, 1)}
    lines = []
    for element in sorted({first for (first, _), _ in pairs}):
        lines.append(f'group sis_{element} type {types[element]}')
        if settings.fixed_atoms:
            lines.append(f'group sis_mobile_{element} intersect sis_{element} sis_mobile')
    centre = 'sis_mobile_' if settings.fixed_atoms else 'sis_'
    for number, ((first, second), limit) in enumerate(pairs):
        group = centre + first
        lines += [
            f'compute sis_count_{number} {group} coord/atom cutoff {limit:.12g} {types[second]}',
            f'compute sis_most_{number} {group} reduce max c_sis_count_{number}',
        ]
    lines.append('run 0 post no')
    for number, (pair, _) in enumerate(pairs):
        lines += [
            f'variable sis_watch_{number} equal $(c_sis_most_{number} < 1)',
            f'if "${{sis_watch_{number}}} == 0" then "print \'{NEAR_START_MARK} {"-".join(sorted(pair))}\'"',
        ]
    return lines


def write_near_halt(settings: MdSettings) -> list[str]:
    """Write the halt. What is not a number is no neighbour; the watch of the temperature ends such a dynamics.

    :param settings: What to do.
    :return: Lines, none where no distance is watched.
    """
    terms = [f'v_sis_watch_{number}*(c_sis_most_{number} > 0)' for number, _ in enumerate(_pairs(settings))]
    if not terms:
        return []
    every = settings.steps(settings.thermo_interval_fs)
    return [
        f'variable sis_too_near equal "{" + ".join(terms)}"',
        f'fix {NEAR_FIX} all halt {every} v_sis_too_near > 0 error soft message yes',
    ]


def _pairs(settings: MdSettings) -> list[tuple[tuple[str, str], float]]:
    """List what is counted: the element in the middle, that of its neighbours, and the limit in Å."""
    counted = []
    for pair, limit in settings.least_distances.items():
        first, second = pair.split('-')
        counted.append(((first, second), limit))
        if settings.fixed_atoms and first != second:
            counted.append(((second, first), limit))
    return counted
