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
    """Write the counts, and which pairs of elements are watched: those that are not too near at the start.

    A pair of two fixed atoms never counts. So with fixed atoms the neighbours are counted around the mobile atoms of
    either element.

    :param settings: What to do.
    :param type_map: Element of each atom type, in order.
    :return: Lines, none where no distance is watched; they evaluate the potential once.
    :raises ValueError: If a pair has an element that is not in the type map.
    """
    if not settings.least_distances:
        return []
    elements = sorted({element for pair in settings.least_distances for element in pair.split('-')})
    types = {element: index for index, element in enumerate(type_map, 1)}
    unknown = [element for element in elements if element not in types]
    if unknown:
        raise ValueError(f'least_distances has {unknown[0]}, but the potential knows {", ".join(type_map)}.')
    lines = [f'group sis_{element} type {types[element]}' for element in elements]
    if settings.fixed_atoms:
        lines += [f'group sis_mobile_{element} intersect sis_{element} sis_mobile' for element in elements]
    centre = 'sis_mobile_' if settings.fixed_atoms else 'sis_'
    for pair, limit in settings.least_distances.items():
        for name, around, neighbour in _counts(settings, pair):
            lines += [
                f'compute sis_count_{name} {centre}{around} coord/atom cutoff {limit:.12g} {types[neighbour]}',
                f'compute sis_most_{name} {centre}{around} reduce max c_sis_count_{name}',
            ]
    lines.append('run 0 post no')
    for pair in settings.least_distances:
        watch = f'sis_watch_{pair.replace("-", "_")}'
        lines += [
            f'variable {watch} equal $({_near(settings, pair)} == 0)',
            f'if "${{{watch}}} == 0" then "print \'{NEAR_START_MARK} {pair}\'"',
        ]
    return lines


def write_near_halt(settings: MdSettings) -> list[str]:
    """Write the halt. What is not a number is no neighbour; the watch of the temperature ends such a dynamics.

    :param settings: What to do.
    :return: Lines, none where no distance is watched.
    """
    if not settings.least_distances:
        return []
    terms = [f'v_sis_watch_{pair.replace("-", "_")}*{_near(settings, pair)}' for pair in settings.least_distances]
    every = settings.steps(settings.thermo_interval_fs)
    return [
        f'variable sis_too_near equal "{" + ".join(terms)}"',
        f'fix {NEAR_FIX} all halt {every} v_sis_too_near > 0 error soft message yes',
    ]


def _counts(settings: MdSettings, pair: str) -> list[tuple[str, str, str]]:
    """List the counts of a pair: name, element of the atoms in the middle, element of their neighbours."""
    first, second = pair.split('-')
    both = [(first, second), (second, first)] if settings.fixed_atoms and first != second else [(first, second)]
    return [(f'{around}_{neighbour}', around, neighbour) for around, neighbour in both]


def _near(settings: MdSettings, pair: str) -> str:
    """Write a term that is above 0 where a pair is too near; a group without atoms has a most of -1e20."""
    return f'({" + ".join(f"(c_sis_most_{name} > 0)" for name, _, _ in _counts(settings, pair))})'
