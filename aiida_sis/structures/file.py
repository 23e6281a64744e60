"""A structure from any file that ASE reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io import read
from ase.io.formats import UnknownFileTypeError

if TYPE_CHECKING:
    from aiida import orm

__all__ = ('atoms_from_file', 'structure_from_file')

_REMEDY = 'give its edges in Å (`cell=(x, y, z)`, on the command line `--cell X Y Z`).'


def structure_from_file(path: str | Path, cell: Sequence[float] | None = None, index: int = -1) -> orm.StructureData:
    """Read a periodic structure from a file.

    :param path: any file that ASE reads.
    :param cell: three edges of an orthorhombic cell, in Å, for a file that has none.
    :param index: number of the frame in a file of several; the last by default.
    :returns: the structure, not stored, labelled with the name of the file; positions in Å.
    :raises ValueError: in one sentence, if the file cannot be used.
    :raises FileNotFoundError: if there is none.
    """
    from aiida import orm  # late, for the reading alone needs no profile

    atoms = atoms_from_file(path, cell, index)
    node = orm.StructureData(ase=atoms)
    node.label = Path(path).name
    return node


def atoms_from_file(path: str | Path, cell: Sequence[float] | None = None, index: int = -1) -> Atoms:
    """Read periodic atoms from a file.

    :param path: any file that ASE reads.
    :param cell: three edges of an orthorhombic cell, in Å, for a file that has none.
    :param index: number of the frame in a file of several; the last by default.
    :returns: the atoms, periodic in all three directions.
    :raises ValueError: in one sentence, if the file cannot be used.
    :raises FileNotFoundError: if there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no file {path}: check the path.')
    atoms = _read(path, index)
    unknown = sorted({symbol for symbol in atoms.get_chemical_symbols() if atomic_numbers.get(symbol, 0) < 1})
    if unknown:
        raise ValueError(f"The element '{unknown[0]}' in {path} is unknown: use symbols of the periodic table.")
    if len(atoms) == 0:
        raise ValueError(f'{path} holds no atoms: give another file.')
    if not np.all(np.isfinite(atoms.get_positions())):
        raise ValueError(f'{path} holds a position that is no finite number: mend the file.')
    plain = Atoms(atoms.get_chemical_symbols(), atoms.get_positions(), cell=atoms.cell, pbc=atoms.pbc)
    if cell is not None:
        if len(cell) != 3 or not all(0 < edge < np.inf for edge in cell):
            raise ValueError(f'The cell {list(cell)} is not three edges above 0 Å: {_REMEDY}')
        if plain.cell.rank == 3:
            raise ValueError(f'{path} has a cell of its own: leave the one given out.')
        plain.set_cell(list(cell))
        plain.set_pbc(True)
    if plain.cell.rank < 3:
        raise ValueError(f'{path} has no cell: {_REMEDY}')
    if not plain.pbc.all():
        raise ValueError(f'{path} is not periodic in all three directions: write it with pbc="T T T".')
    return plain


def _read(path: Path, index: int) -> Atoms:
    try:
        atoms = read(path, index=index)
    except UnknownFileTypeError:
        raise ValueError(f'The format of {path} is unknown to ASE: write it as extxyz or cif.') from None
    except KeyError as error:  # ASE looks the symbol up in its table
        raise ValueError(
            f"The element '{error.args[0]}' in {path} is unknown: use symbols of the periodic table."
        ) from None
    except (IndexError, StopIteration):
        raise ValueError(f'{path} has no frame {index}: count from 0, or backwards from -1.') from None
    except (ValueError, OSError, AssertionError) as error:
        words = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(
            f'{path} could not be read ({words}): check that it is whole, or write it as extxyz.'
        ) from None
    assert isinstance(atoms, Atoms)
    return atoms
