"""What a CP2K input, or the restart file that CP2K writes of it, says of a run: its name, its cell, its units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase.geometry import cellpar_to_cell

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.read_frames.system import ReadError
from aiida_deepmd.units import BOHR_TO_ANGSTROM

_CELL = ('FORCE_EVAL', 'SUBSYS', 'CELL')
_LENGTHS = {'angstrom': 1.0, 'bohr': BOHR_TO_ANGSTROM, 'nm': 10.0, 'pm': 0.01}
_ANGLES = {'deg': 1.0, 'rad': 180 / np.pi}
#: Symmetries for which CP2K takes lengths and angles as they stand; for others it makes them equal, or 60 degrees.
_AS_GIVEN = ('NONE', 'TRICLINIC', 'ORTHORHOMBIC')
#: Ensembles and types of a run in which the cell changes.
_MOVING_CELL = ('NPT', 'NPE', 'MSST', 'HYDROSTATICSHOCK', 'CELL_OPT')
_UNITS = {'TRAJECTORY': ('angstrom',), 'FORCES': ('hartree*bohr^-1', 'bohr^-1*hartree', 'hartree/bohr', 'au_f')}


@dataclass(frozen=True)
class InputFacts:
    """What one input says.

    :param project: name that the files of the run begin with.
    :param cell: (3, 3) in Å, None where it is not written there in numbers.
    :param periodic: False where the cell repeats in fewer than three directions.
    :param moving_cell: whether the run changes its cell.
    :param foreign_units: units of the trajectory or the forces that are not CP2K's own, one phrase each.
    """

    project: str
    cell: FloatArray | None
    periodic: bool
    moving_cell: bool
    foreign_units: tuple[str, ...]


def read_input(text: str) -> InputFacts:
    """Read an input of CP2K as far as it concerns the files of the run.

    :param text: content of the input, or of ``PROJECT-1.restart``.
    :raises ReadError: if the cell is multiplied, or in a unit of length that is not known.
    """
    project, kinds, units = 'PROJECT', [], []
    cell: dict[str, list[str]] = {}
    for section, keyword, words in _keywords(text):
        if section == ('GLOBAL',) and keyword in ('PROJECT', 'PROJECT_NAME') and words:
            project = words[0]
        elif keyword in ('ENSEMBLE', 'RUN_TYPE') and words:
            kinds.append(words[0].upper())
        elif keyword == 'VARIABLE_VOLUME' and (not words or words[0].strip('.').upper().startswith('T')):
            kinds.append('CELL_OPT')
        elif section == _CELL:
            cell[keyword] = words
        elif section[:2] == ('MOTION', 'PRINT') and keyword == 'UNIT' and words:
            foreign = words[0].strip('[]').lower() not in _UNITS.get(section[-1], words[0].lower())
            units += [f'{section[-1]} in {words[0]}'] if foreign else []
    periodic = cell.get('PERIODIC', ['XYZ'])[0].upper() == 'XYZ'
    moving = any(kind.startswith(_MOVING_CELL) for kind in kinds)
    return InputFacts(project, _cell(cell), periodic, moving, tuple(units))


def _keywords(text: str) -> Iterator[tuple[tuple[str, ...], str, list[str]]]:
    """Each keyword with the sections that it is in and the words behind it."""
    section: list[str] = []
    for line in text.splitlines():
        words = line.split('!')[0].split('#')[0].split()
        if not words:
            continue
        first = words[0].upper()
        if first.startswith('&END'):
            section = section[:-1]
        elif first.startswith('&'):
            section = [*section, first[1:]]
        else:
            yield tuple(section), first, words[1:]


def _cell(given: dict[str, list[str]]) -> FloatArray | None:
    """The cell of the keywords of its section; ``ABC`` counts where the three vectors are there too."""
    if any(word != '1' for word in given.get('MULTIPLE_UNIT_CELL', [])):
        raise ReadError('CP2K multiplies the cell of its input (MULTIPLE_UNIT_CELL): print it by &MOTION &PRINT &CELL.')
    try:
        if 'ABC' in given:
            if given.get('SYMMETRY', ['NONE'])[0].upper() not in _AS_GIVEN:
                return None
            angles = given.get('ALPHA_BETA_GAMMA', given.get('ANGLES', ['90', '90', '90']))
            return np.asarray(
                cellpar_to_cell([*_numbers(given['ABC'], _LENGTHS), *_numbers(angles, _ANGLES)]), dtype=np.float64
            )
        if all(axis in given for axis in 'ABC'):
            return np.array([_numbers(given[axis], _LENGTHS) for axis in 'ABC'])
    except ReadError:
        raise
    except ValueError:  # a variable of CP2K's preprocessor stands there
        return None
    return None


def _numbers(words: list[str], units: dict[str, float]) -> list[float]:
    """Three numbers in the first of the units; CP2K takes a unit in brackets for all numbers behind it."""
    factor, numbers = 1.0, []
    for word in words:
        unit = word.strip('[]').lower()
        if not word.startswith('['):
            top, _, bottom = unit.replace('d', 'e').partition('/')
            numbers.append(factor * float(top) / float(bottom or 1))
        elif unit in units:
            factor = units[unit]
        else:
            numbers = []
            break
    if len(numbers) != 3:
        raise ReadError(
            f'the cell of the CP2K input has {" ".join(words)}, which is not three numbers in {", ".join(units)}: '
            'print the cell by &MOTION &PRINT &CELL.'
        )
    return numbers
