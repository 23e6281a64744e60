"""A structure from any file that ASE reads; what the file says and nothing here would use is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixScaled
from ase.data import atomic_numbers
from ase.io import read
from ase.io.formats import UnknownFileTypeError

from aiida_sis.core.lammps.dump_types import read_options
from aiida_sis.core.start_structure import check_distances, check_masses

if TYPE_CHECKING:
    from aiida import orm

__all__ = ('atoms_from_file', 'fixed_atoms_of', 'structure_from_file')

# Rounded thirds of a CIF sum to this.
_OCCUPIED = 2e-3
_REMEDY = 'give its edges in Å (`cell=(x, y, z)`, on the command line `--cell X Y Z`).'


def structure_from_file(
    path: str | Path,
    cell: Sequence[float] | None = None,
    index: int = -1,
    type_map: Sequence[str] | None = None,
) -> orm.StructureData:
    """Read a periodic structure from a file.

    :param path: any file that ASE reads.
    :param cell: three edges of an orthorhombic cell, in Å, for a file that has none.
    :param index: number of the frame in a file of several; the last by default.
    :param type_map: element of each atom type, for a LAMMPS dump that names none.
    :returns: the structure, not stored, labelled with the name of the file; positions in Å. It can't hold the fixed
        atoms of the file: :func:`fixed_atoms_of` the atoms gives them for ``systems.NAME.fixed_atoms``.
    :raises ValueError: in one sentence, if the file cannot be used.
    :raises FileNotFoundError: if there is none.
    """
    from aiida import orm  # late, for the reading alone needs no profile

    atoms = atoms_from_file(path, cell, index, type_map)
    node = orm.StructureData(ase=atoms)
    node.label = Path(path).name
    return node


def atoms_from_file(
    path: str | Path,
    cell: Sequence[float] | None = None,
    index: int = -1,
    type_map: Sequence[str] | None = None,
    gap: float | None = None,
) -> Atoms:
    """Read periodic atoms from a file.

    :param path: any file that ASE reads.
    :param cell: three edges of an orthorhombic cell, in Å, for a file that has none.
    :param index: number of the frame in a file of several; the last by default.
    :param type_map: element of each atom type, for a LAMMPS dump that names none.
    :param gap: distance in Å that periodic images of a molecule or a slab are to keep: then what has no cell is put
        into a box, and ``info['box']`` of the atoms says which; None: a cell is required.
    :returns: the atoms, periodic in all three directions, with the constraint of those that the file holds in place.
    :raises ValueError: in one sentence, if the file cannot be used.
    :raises FileNotFoundError: if there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no file {path}: check the path.')
    atoms = _read(path, index, type_map)
    unknown = sorted({symbol for symbol in atoms.get_chemical_symbols() if atomic_numbers.get(symbol, 0) < 1})
    if unknown:
        raise ValueError(f"The element '{unknown[0]}' in {path} is unknown: use symbols of the periodic table.")
    if len(atoms) == 0:
        raise ValueError(f'{path} holds no atoms: give another file.')
    if not np.all(np.isfinite(atoms.get_positions())):
        raise ValueError(f'{path} holds a position that is no finite number: mend the file.')
    _refuse_what_would_be_lost(path, atoms)
    plain = Atoms(atoms.get_chemical_symbols(), atoms.get_positions(), cell=atoms.cell, pbc=atoms.pbc)
    fixed = fixed_atoms_of(atoms)
    if fixed:
        plain.set_constraint(FixAtoms(fixed))
    if cell is not None:
        if len(cell) != 3 or not all(0 < edge < np.inf for edge in cell):
            raise ValueError(f'The cell {list(cell)} is not three edges above 0 Å: {_REMEDY}')
        if plain.cell.rank == 3:
            raise ValueError(f'{path} has a cell of its own: leave the one given out.')
        plain.set_cell(list(cell))
        plain.set_pbc(True)
    if gap is not None:
        _put_into_box(plain, gap)
    if plain.cell.rank < 3:
        raise ValueError(f'{path} has no cell: {_REMEDY}')
    if not plain.pbc.all():
        raise ValueError(f'{path} is not periodic in all three directions: write it with pbc="T T T".')
    problem = check_distances(plain.get_chemical_symbols(), plain.get_positions(), plain.cell.array)
    if problem:
        raise ValueError(f'In {path} {problem}')
    return plain


def _put_into_box(atoms: Atoms, gap: float) -> None:
    """Make atoms periodic in all three directions.

    A molecule gets a cube, in which it may turn: its edge is the largest distance of two atoms and the gap. A slab gets
    the gap in the direction that has no cell vector.
    """
    if atoms.cell.rank == 0:
        size = float(atoms.get_all_distances().max())
        edge = float(np.ceil(size + gap))
        atoms.set_cell([edge] * 3)
        atoms.center()
        atoms.info['box'] = f'a cube of {edge:g} Å: its images stay {edge - size:.1f} Å apart however it turns'
    elif atoms.cell.rank < 3:
        axes = tuple(axis for axis in range(3) if not np.any(atoms.cell[axis]))
        atoms.center(vacuum=gap / 2, axis=axes)
        atoms.info['box'] = f'{gap:g} Å of vacuum in the direction{"s" * (len(axes) > 1)} without a cell vector'
    elif not atoms.pbc.all():
        atoms.info['box'] = 'its cell, taken as periodic in all three directions'
    atoms.set_pbc(True)


def fixed_atoms_of(atoms: Atoms) -> list[int]:
    """Number the atoms that a file holds in place (selective dynamics, a move mask), for ``fixed_atoms`` of a run.

    :param atoms: as :func:`atoms_from_file` gives them.
    :returns: 0-based site numbers, sorted.
    """
    found = {int(site) for one in atoms.constraints if isinstance(one, FixAtoms) for site in one.get_indices()}
    for one in atoms.constraints:
        if isinstance(one, (FixScaled, FixCartesian)) and np.all(one.mask):
            found |= {int(site) for site in one.get_indices()}
    return sorted(found)


def _refuse_what_would_be_lost(path: Path, atoms: Atoms) -> None:
    """Refuse constraints, occupancies and masses that AIMD and MD would not have."""
    for one in atoms.constraints:
        partly = isinstance(one, (FixScaled, FixCartesian))
        if partly and not np.all(one.mask):
            site = int(one.get_indices()[0])
            raise ValueError(
                f'{path} holds atom {site} ({atoms.symbols[site]}) in some directions only, which no AIMD and no MD '
                'here does: hold it in all three, or in none.'
            )
        if not partly and not isinstance(one, FixAtoms):
            raise ValueError(
                f'{path} has the constraint {type(one).__name__}, which no AIMD and no MD here has: remove it; only '
                'atoms that are held in place can be kept.'
            )
    disorder = _disorder(atoms)
    if disorder:
        raise ValueError(
            f'{path} has sites that are occupied in part ({disorder}), which no single cell can show: write an '
            'ordered cell in which each site holds one atom or none.'
        )
    problem = check_masses(atoms.get_chemical_symbols(), list(atoms.get_masses()))
    if problem:
        raise ValueError(f'In {path} {problem}')


def _disorder(atoms: Atoms) -> str:
    """Name the first sites that a CIF or a PDB file gives to several elements, or to an atom only now and then."""
    shares: dict[int, dict[str, float]] = {}
    kinds, table = atoms.arrays.get('spacegroup_kinds'), atoms.info.get('occupancy')
    if kinds is not None and isinstance(table, dict):
        # `?` and `.` stand there as text: nothing is said of the site, which CIF takes as 1.
        rows = {str(kind): {e: n for e, n in row.items() if not isinstance(n, str)} for kind, row in table.items()}
        shares = {site: rows.get(str(kind), {}) for site, kind in enumerate(kinds)}
    elif 'occupancy' in atoms.arrays:
        values = np.asarray(atoms.arrays['occupancy'], dtype=np.float64)
        # Programs that do not care for occupancies write 0 for all.
        shares = {site: {atoms.symbols[site]: float(value)} for site, value in enumerate(values) if value > 0}
    named = [
        f'site {site}: {" / ".join(f"{symbol} {part:g}" for symbol, part in row.items())}'
        for site, row in shares.items()
        if len(row) > 1 or any(abs(part - 1) > _OCCUPIED for part in row.values())
    ]
    return ', '.join(named[:4]) + (', …' if len(named) > 4 else '')


def _read(path: Path, index: int, type_map: Sequence[str] | None) -> Atoms:
    options = read_options(path, type_map)
    try:
        atoms = read(path, index=index, **options)
    except UnknownFileTypeError:
        raise ValueError(f'The format of {path} is unknown to ASE: write it as extxyz or cif.') from None
    except KeyError as error:  # ASE looks the symbol up in its table
        raise ValueError(
            f"The element '{error.args[0]}' in {path} is unknown: use symbols of the periodic table."
        ) from None
    except (IndexError, StopIteration):
        if index == -1:
            raise ValueError(f'{path} holds no structure: give another file.') from None
        raise ValueError(f'{path} has no frame {index}: count from 0, or backwards from -1.') from None
    except Exception as error:  # each format raises its own
        words = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(
            f'{path} could not be read ({words}): check that it is whole, or write it as extxyz.'
        ) from error
    assert isinstance(atoms, Atoms)
    return atoms
