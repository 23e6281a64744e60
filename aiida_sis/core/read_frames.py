"""Labelled frames from files of other programs, read by the libraries that know them: dpdata and ASE."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiida_sis.core.frames import Frames

#: Files that mark a folder as one system of DeePMD-kit.
_DEEPMD_MARK = 'type.raw'
#: Names of files that ASE would not know by their suffix, or reads less well than dpdata.
_DPDATA_NAMES = {'OUTCAR': 'vasp/outcar', 'vasprun.xml': 'vasp/xml'}


class ReadError(ValueError):
    """A file holds no labelled frames that can be used; the message names it and the remedy."""


@dataclass(frozen=True)
class System:
    """Labelled frames of one composition, read from a file.

    :param name: tells the systems of one path apart; the folder below it, or the formula of the cell.
    :param frames: the frames in eV, Å, eV/Å.
    :param symbols: element of each atom, (n_atoms,).
    """

    name: str
    frames: Frames
    symbols: list[str]


def read_systems(path: Path, fmt: str | None = None) -> list[System]:
    """Read every system that a path holds.

    :param path: a file, or a folder with systems of DeePMD-kit at any depth.
    :param fmt: a format of dpdata (with a slash, ``vasp/outcar``) or of ASE (``extxyz``); None: by the file's name.
    :raises ReadError: if nothing can be read, or energies, forces or the cell are missing.
    """
    if not path.exists():
        raise ReadError(f"'{path}' does not exist: give a file, or a folder with {_DEEPMD_MARK} in or below it.")
    fmt = fmt or guess_format(path)
    if fmt in ('deepmd/npy', 'deepmd/raw') and path.is_dir():
        folders = sorted(mark.parent for mark in path.rglob(_DEEPMD_MARK))
        if not folders:
            raise ReadError(f"'{path}' has no {_DEEPMD_MARK} in or below it: it is no folder of format {fmt}.")
        return [_from_dpdata(folder, fmt, str(folder.relative_to(path))) for folder in folders]
    if '/' in fmt:
        return [_from_dpdata(path, fmt, '')]
    return _from_ase(path, fmt)


def guess_format(path: Path) -> str:
    """The format of a path by its name: systems of DeePMD-kit for a folder, else what dpdata or ASE make of it.

    :param path: a file or a folder.
    :raises ReadError: if the name says nothing.
    """
    if path.is_dir():
        return 'deepmd/npy'
    for name, fmt in _DPDATA_NAMES.items():
        if path.name.startswith(name):
            return fmt
    from ase.io.formats import UnknownFileTypeError, filetype

    try:
        return str(filetype(str(path)))
    except UnknownFileTypeError as error:
        raise ReadError(f"the format of '{path}' is not known by its name; name it, e.g. --format extxyz.") from error


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file below a folder, by its path relative to it.

    :param path: a file or a folder.
    """
    files = sorted(p for p in path.rglob('*') if p.is_file()) if path.is_dir() else [path]
    found = {}
    for file in files:
        digest = hashlib.sha256()
        with file.open('rb') as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
        found[str(file.relative_to(path)) if path.is_dir() else file.name] = digest.hexdigest()
    return found


def _from_dpdata(path: Path, fmt: str, name: str) -> System:
    """One system through dpdata."""
    import dpdata

    try:
        system = dpdata.LabeledSystem(str(path), fmt=fmt)
    except Exception as error:  # each format raises its own
        raise ReadError(f"dpdata can't read '{path}' as {fmt}: {type(error).__name__}: {error}") from error
    data = system.data
    missing = [key for key in ('energies', 'forces', 'coords', 'cells') if key not in data or len(data[key]) == 0]
    if missing:
        raise ReadError(f"'{path}' has no {', '.join(missing)}: only labelled frames can be trained on.")
    if data.get('nopbc', False):
        raise ReadError(f"'{path}' is not periodic, but MD and labels are: put the frames into a cell.")
    arrays = (np.asarray(data[key], dtype=np.float64) for key in ('coords', 'cells', 'energies', 'forces'))
    symbols = [str(data['atom_names'][number]) for number in data['atom_types']]
    return System('' if name == '.' else name, Frames(*arrays), symbols)


def _from_ase(path: Path, fmt: str) -> list[System]:
    """Every composition in a file of ASE's, frames in their order."""
    from ase.io import read
    from ase.io.formats import UnknownFileTypeError

    try:
        found: Any = read(str(path), index=':', format=fmt)
    except UnknownFileTypeError as error:
        hint = 'e.g. deepmd/npy, vasp/outcar (dpdata) or extxyz, traj (ASE)'
        raise ReadError(f"format '{fmt}' is known neither to dpdata nor to ASE; use {hint}.") from error
    except Exception as error:  # each format raises its own
        raise ReadError(f"ASE can't read '{path}' as {fmt}: {type(error).__name__}: {error}") from error
    groups: dict[tuple[str, ...], list[Any]] = {}
    for number, atoms in enumerate(found):
        _check_labels(atoms, number, path)
        groups.setdefault(tuple(atoms.get_chemical_symbols()), []).append(atoms)
    names = _unique([members[0].get_chemical_formula() for members in groups.values()])
    if len(groups) == 1:
        names = ['']
    return [
        System(name, _stack(members), list(symbols))
        for name, (symbols, members) in zip(names, groups.items(), strict=True)
    ]


def _check_labels(atoms: Any, number: int, path: Path) -> None:
    """Raise a ReadError that names the frame without an energy, forces or a cell."""
    results = atoms.calc.results if atoms.calc is not None else {}
    missing = [key for key in ('energy', 'forces') if key not in results]
    if missing:
        raise ReadError(
            f"frame {number} of '{path}' has no {' and no '.join(missing)}: only labelled frames can be trained on."
        )
    if not atoms.pbc.all() or abs(atoms.cell.volume) < 1.0:
        raise ReadError(f"frame {number} of '{path}' has no cell in all three directions: put the frames into a cell.")


def _stack(members: Sequence[Any]) -> Frames:
    """Frames of ASE as arrays: the energy that the forces are the gradient of, and forces without constraints."""
    free = all('free_energy' in atoms.calc.results for atoms in members)
    key = 'free_energy' if free else 'energy'
    return Frames(
        coords=np.array([atoms.positions for atoms in members], dtype=np.float64),
        cells=np.array([atoms.cell.array for atoms in members], dtype=np.float64),
        energies=np.array([atoms.calc.results[key] for atoms in members], dtype=np.float64),
        forces=np.array([atoms.calc.results['forces'] for atoms in members], dtype=np.float64),
    )


def _unique(names: Iterable[str]) -> list[str]:
    """Names made different by a number where they repeat (the same formula in another order of atoms)."""
    taken: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in taken:
            candidate, number = f'{name}-{number}', number + 1
        taken.append(candidate)
    return taken
