"""Packing molecules into a periodic cell with packmol, and checking what it gave."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read, write
from numpy.typing import NDArray

from aiida_deepmd.settings import at_least

# Molecules keep 2 Å from one another. Packmol is asked for a little more, since it stops within its own precision.
NEAREST_ANGSTROM = 2.0
_TOLERANCE = 2.05
# Two heavy atoms of different molecules at 2 Å repel each other by some eV. They are first kept 3 Å apart; in a dense
# cell that has no solution, and less is tried. Å, half of a distance.
_HEAVY_RADII = (1.5, 1.4, 1.25, 1.1, 1.025)
# Spheres of that radius, overlaps within a molecule not taken off, fill no more of a cell than this.
_DENSEST = 0.75
_SMALL = frozenset({'H', 'Li'})
# A packing that exists was found in 15 loops at most. A limit in seconds would make the cell depend on the machine.
_LOOPS = 20
_LONGEST_SECONDS = 1800
_NO_SOLUTION = 173  # packmol's exit status where its last step broke a constraint


class PackingError(ValueError):
    """The molecules do not fit."""


def pack(
    parts: Sequence[tuple[Atoms, int]], lengths: tuple[float, float, float], seed: int, open_z: bool = False
) -> tuple[Atoms, NDArray[np.int_]]:
    """Pack molecules into an orthorhombic cell, none nearer than 2 Å to another or to another's image.

    :param parts: molecules and how many of each.
    :param lengths: edges of the cell, in Å.
    :param seed: seed of packmol.
    :param open_z: whether the cell repeats in x and y only, as between the faces of a slab.
    :returns: the atoms, molecule by molecule with each molecule whole, and the number of its molecule for each atom,
        shape ``(n_atoms,)``.
    :raises PackingError: if packmol finds no such packing.
    :raises FileNotFoundError: if there is no packmol.
    """
    wanted = [(molecule, number) for molecule, number in parts if number > 0]
    if not wanted:
        raise PackingError('There is no molecule to pack: give a number above 0.')
    sizes = [len(molecule) for molecule, number in wanted for _ in range(number)]
    molecules = np.repeat(np.arange(len(sizes)), sizes)
    images = (True, True, not open_z)
    _refuse_self_contact(wanted, lengths, open_z)
    for radius in _HEAVY_RADII:
        if _filled(wanted, radius) > _DENSEST * float(np.prod(lengths)):
            continue
        atoms = _run_packmol(wanted, lengths, seed, radius, open_z)
        if atoms is None:
            continue
        atoms.set_cell(lengths)
        atoms.set_pbc(images)
        if shortest_between(atoms, molecules) >= NEAREST_ANGSTROM:
            return atoms, molecules
    formulas = ' + '.join(f'{number} {molecule.get_chemical_formula()}' for molecule, number in wanted)
    edges = ' × '.join(f'{length:g}' for length in lengths)
    raise PackingError(
        f'Packmol finds no room for {formulas} in {edges} Å with {NEAREST_ANGSTROM:g} Å between molecules: '
        'enlarge the cell, or lower the density or the concentration.'
    )


def shortest_between(atoms: Atoms, molecules: NDArray[np.int_]) -> float:
    """Find the shortest distance between atoms of different molecules, the nearest images counted.

    :param atoms: the atoms with their cell.
    :param molecules: the number of its molecule for each atom, shape ``(n_atoms,)``.
    :returns: the distance in Å; infinite for a single molecule.
    """
    distances = atoms.get_all_distances(mic=True)
    distances[molecules[:, None] == molecules[None, :]] = np.inf
    return float(distances.min())


def find_packmol() -> str:
    """Find the executable of packmol, beside this Python or on the PATH.

    :returns: its path.
    :raises FileNotFoundError: if there is none.
    """
    found = shutil.which('packmol', path=str(Path(sys.executable).parent)) or shutil.which('packmol')
    if found is None:
        raise FileNotFoundError('packmol is missing: install it with `pip install packmol`.')
    return found


def packmol_input(
    parts: Sequence[tuple[str, Atoms, int]],
    lengths: tuple[float, float, float],
    seed: int,
    heavy_radius: float,
    open_z: bool,
) -> str:
    """Write the input of packmol.

    :param parts: file name, molecule and number of each part.
    :param lengths: edges of the cell, in Å.
    :param seed: seed of packmol.
    :param heavy_radius: half of the distance that two atoms other than H and Li keep, in Å.
    :param open_z: whether the cell repeats in x and y only.
    :returns: the text.
    """
    x, y, z = lengths
    period = z + 10 if open_z else z  # with 10 Å of nothing the images along z do not see each other
    lines = [
        f'tolerance {_TOLERANCE}',
        f'seed {seed}',
        f'nloop {_LOOPS}',
        'filetype xyz',
        'output packed.xyz',
        f'pbc 0. 0. 0. {x} {y} {period}',
    ]
    for filename, molecule, number in parts:
        heavy = [str(i) for i, symbol in enumerate(molecule.get_chemical_symbols(), 1) if symbol not in _SMALL]
        lines += [f'structure {filename}', f'  number {number}', f'  inside box 0. 0. 0. {x} {y} {z}']
        if heavy:
            lines += [f'  atoms {" ".join(heavy)}', f'    radius {heavy_radius}', '  end atoms']
        lines.append('end structure')
    return '\n'.join(lines) + '\n'


def _filled(parts: Sequence[tuple[Atoms, int]], radius: float) -> float:
    """Give the volume of the spheres of all heavy atoms, in Å³."""
    heavy = sum(number * sum(symbol not in _SMALL for symbol in molecule.symbols) for molecule, number in parts)
    return float(heavy * 4 / 3 * np.pi * radius**3)


def _refuse_self_contact(parts: Sequence[tuple[Atoms, int]], lengths: tuple[float, float, float], open_z: bool) -> None:
    """Refuse a cell in which a molecule could touch its own image, which packmol does not look at."""
    periodic = min(lengths[:2] if open_z else lengths)
    for molecule, _ in parts:
        needed = float(molecule.get_all_distances().max()) + NEAREST_ANGSTROM
        if periodic < needed:
            raise PackingError(
                f'{molecule.get_chemical_formula()} would touch its own image in a cell of {periodic:g} Å: '
                f'make its edges {at_least(needed, 1)} Å or longer.'
            )


def _run_packmol(
    parts: Sequence[tuple[Atoms, int]],
    lengths: tuple[float, float, float],
    seed: int,
    heavy_radius: float,
    open_z: bool,
) -> Atoms | None:
    """Run packmol once; return nothing where it finds no solution in its time."""
    executable = find_packmol()
    with tempfile.TemporaryDirectory(prefix='aiida-sis-packmol-') as name:
        folder = Path(name)
        named = []
        for position, (molecule, number) in enumerate(parts):
            write(folder / f'{position}.xyz', molecule, format='xyz')
            named.append((f'{position}.xyz', molecule, number))
        path = folder / 'packmol.inp'
        path.write_text(packmol_input(named, lengths, seed, heavy_radius, open_z))
        try:
            with path.open() as stdin:  # it seeks in its input, so a pipe will not do
                ended = subprocess.run(
                    [executable],
                    stdin=stdin,
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    timeout=_LONGEST_SECONDS,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            raise PackingError(
                f'Packmol was still packing after {_LONGEST_SECONDS} s: pack fewer molecules (a smaller cell at the '
                'same concentration), or lower the density.'
            ) from None
        if ended.returncode == _NO_SOLUTION:
            return None
        if ended.returncode != 0:
            words = ' '.join((ended.stderr or ended.stdout).split())[-200:]
            raise RuntimeError(f'{executable} ended with exit status {ended.returncode}: {words}')
        packed = read(folder / 'packed.xyz', format='xyz')
    assert isinstance(packed, Atoms)
    return Atoms(packed.get_chemical_symbols(), packed.get_positions())
