"""Which reader a path is for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from aiida_deepmd.read_frames import deepmd
from aiida_deepmd.read_frames.ase_formats import read_ase
from aiida_deepmd.read_frames.dpdata_formats import read_dpdata
from aiida_deepmd.read_frames.plugins import Reader, readers
from aiida_deepmd.read_frames.system import Hints, ReadError, System

#: Names of files that ASE would not know by their suffix.
_DPDATA_NAMES = {'OUTCAR': 'vasp/outcar', 'vasprun.xml': 'vasp/xml'}
#: Formats of ASE's of which dpdata tells the steps whose SCF did not converge, and ASE does not.
_BETTER = {'vasp-out': 'vasp/outcar', 'vasp-xml': 'vasp/xml'}
_DEEPMD_FOLDER = ('deepmd/npy', 'deepmd/npy/mixed', 'deepmd/raw', 'deepmd/comp', 'deepmd')
_HDF5 = ('.hdf5', '.h5')
#: Formats of which dpdata reads the first frame only, and ASE all.
_EXTXYZ = ('extxyz', 'mace/xyz', 'nequip/xyz', 'gpumd/xyz', 'quip/gap/xyz')
_FLAWS = {
    'incomplete': 'no energy or no forces',
    'no_cell': 'no cell in all three directions',
    'unconverged': 'an SCF that did not converge',
    'duplicate': 'been computed again',
}


def read_systems(path: Path, fmt: str | None = None, hints: Hints | None = None) -> list[System]:
    """Read every system that a path holds.

    :param path: a file, or a folder with systems of DeePMD-kit, or of a program that a reader is installed for, at any
        depth.
    :param fmt: a format of dpdata (with a slash, ``vasp/outcar``), of ASE (``extxyz``) or the name of a reader; None:
        by the names.
    :param hints: what the user knows and the files don't say.
    :raises ReadError: if nothing can be read, or no frame has an energy, forces and a cell.
    """
    hints = hints or Hints()
    if not path.exists():
        raise ReadError(f"'{path}' does not exist: give a file, or a folder with {deepmd.MARK} in or below it.")
    fmt = fmt or guess_format(path)
    fmt = 'extxyz' if fmt in _EXTXYZ else _BETTER.get(fmt, fmt)
    reader = _reader(fmt)
    by_ase = '/' not in fmt and fmt != 'deepmd' and reader is None
    if (hints.energy_key or hints.forces_key) and not by_ase:
        raise ReadError(f"'{path}' is read as {fmt}, whose energies and forces have fixed names: leave the keys out.")
    if fmt in _DEEPMD_FOLDER and path.is_dir():
        systems = deepmd.read_folders(path, hints, fmt)
    elif fmt == 'deepmd/hdf5':
        systems = deepmd.read_hdf5(path, hints)
    elif reader is not None:
        systems = reader.read_runs(path, hints)
    elif by_ase or fmt.startswith('lammps/'):
        systems = read_ase(path, fmt, hints)
    else:
        systems = [read_dpdata(path, fmt, hints)]
    if not any(len(system.usable()) for system in systems):
        raise ReadError(_why_none(path, systems))
    return systems


def _reader(fmt: str) -> Reader | None:
    """The reader of a format, by its name or by that of the format of dpdata that it replaces."""
    return next((reader for name, reader in readers().items() if fmt == name or fmt in reader.REPLACES), None)


def _why_none(path: Path, systems: list[System]) -> str:
    """One sentence on a path without a frame that can be used."""
    counts = {reason: sum(len(system.flaws.get(reason, ())) for system in systems) for reason in _FLAWS}
    reasons = ', '.join(f'{count} with {_FLAWS[reason]}' for reason, count in counts.items() if count)
    notes = list(dict.fromkeys(note for system in systems for note in system.notes))
    return ' '.join(
        [f"'{path}' has no frame that can be trained on ({reasons}): each needs an energy, forces and a cell.", *notes]
    )


def guess_format(path: Path) -> str:
    """The format of a path by its name: what a folder holds, else what dpdata or ASE make of a file.

    :param path: a file or a folder.
    :raises ReadError: if the names say nothing, or two things.
    """
    if path.is_dir():
        return _guess_folder(path)
    for name, reader in readers().items():
        if reader.is_run(path):
            return name
        if reader.is_beside_run(path):
            raise ReadError(f"'{path}' is one file of a {reader.PROGRAM} run: give its folder, {path.parent}.")
    if path.stat().st_size == 0:
        raise ReadError(f"'{path}' is empty.")
    if path.suffix in _HDF5:
        return 'deepmd/hdf5'
    for name, fmt in _DPDATA_NAMES.items():
        if path.name.startswith(name):
            return fmt
    from ase.io.formats import UnknownFileTypeError, filetype

    try:
        return str(filetype(str(path)))
    except UnknownFileTypeError as error:
        raise ReadError(f"the format of '{path}' is not known by its name; name it, e.g. --format extxyz.") from error


def _guess_folder(path: Path) -> str:
    """What a folder holds."""
    found = {'deepmd/npy': 'data of DeePMD-kit'} if next(path.rglob(deepmd.MARK), None) else {}
    found |= {name: f'runs of {one.PROGRAM}' for name, one in readers().items() if one.find_runs(path)}
    if len(found) > 1:
        formats = ' or '.join(f'--format {name}' for name in found)
        raise ReadError(f"'{path}' holds {' and '.join(found.values())}: say which, {formats}.")
    if found:
        return next(iter(found))
    single = next((file for name in _DPDATA_NAMES for file in sorted(path.rglob(f'{name}*'))), None)
    remedy = f'give a file, {single}' if single else 'give a file of another format by its own name'
    marks = [f'{deepmd.MARK} (DeePMD-kit)', *(f'{reader.MARK} ({reader.PROGRAM})' for reader in readers().values())]
    raise ReadError(f"'{path}' has no {' and no '.join(marks)} in or below it: {remedy}.")


def digests(files: Iterable[Path], base: Path) -> dict[str, str]:
    """SHA-256 of files, by their paths relative to a folder, or by their names.

    :param files: the files.
    :param base: the folder, or the file itself.
    """
    found = {}
    for file in files:
        digest = hashlib.sha256()
        with file.open('rb') as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
        found[str(file.relative_to(base)) if base.is_dir() else file.name] = digest.hexdigest()
    return found
