"""Trajectories from arrays and files, read frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.frames.plausibility import time_step
from aiida_deepmd.read_frames import ReadError
from aiida_deepmd.read_frames.deepmd import MARK, Store, open_folder
from aiida_sis.core.analysis.neighbours import Frame
from aiida_sis.core.lammps.dump_types import check_elements, is_dump, read_options

#: Frames from which the time between them is read off.
_SAMPLE = 60


@dataclass(frozen=True)
class Trajectory:
    """Frames that can be read more than once, and never have to be in memory as a whole.

    :param name: what it is called in tables.
    :param symbols: element of each atom, (n_atoms,).
    :param times_fs: time of each frame, (n_frames,), fs.
    :param read: gives the frames from the first, each positions (n_atoms, 3) and cell (3, 3) in Å.
    """

    name: str
    symbols: tuple[str, ...]
    times_fs: FloatArray
    read: Callable[[], Iterator[Frame]]

    def __len__(self) -> int:
        return len(self.times_fs)

    def first(self) -> Frame:
        """Give the first frame."""
        return next(self.read())


def from_arrays(
    name: str, symbols: list[str], times_fs: FloatArray, positions: FloatArray, cells: FloatArray
) -> Trajectory:
    """Make a trajectory of arrays.

    :param name: what it is called in tables.
    :param symbols: element of each atom, (n_atoms,).
    :param times_fs: (n_frames,), fs.
    :param positions: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    """

    def read() -> Iterator[Frame]:
        for frame_positions, cell in zip(positions, cells, strict=True):
            yield np.asarray(frame_positions, dtype=np.float64), np.asarray(cell, dtype=np.float64)

    return Trajectory(name, tuple(symbols), np.asarray(times_fs, dtype=np.float64), read)


def open_trajectory(path: Path, timestep_fs: float | None = None, type_map: Sequence[str] | None = None) -> Trajectory:
    """Open a file that ASE reads, or the folder of one system of DeePMD-kit.

    :param path: the file or folder.
    :param timestep_fs: time between two frames, fs; None: read off the forces by Newton's law, where there are some, in
        units that are known, and the frames are near enough.
    :param type_map: element of each atom type, where the file numbers its types and names no elements.
    :raises ReadError: if it cannot be read, has no cell, changes its atoms, or its time is not known.
    """
    if not path.exists():
        raise ReadError(f"'{path}' does not exist: give a PK, a file that ASE reads, or a folder of deepmd/npy.")
    if path.is_dir():
        return _deepmd(path, timestep_fs, type_map)
    try:
        options = read_options(path, type_map)
    except ValueError as error:
        raise ReadError(str(error)) from error
    return _dump(path, timestep_fs, options) if is_dump(path) else _ase(path, timestep_fs)


def _deepmd(path: Path, timestep_fs: float | None, type_map: Sequence[str] | None) -> Trajectory:
    """A folder of deepmd/npy, its arrays mapped and not loaded."""
    folders = sorted(mark.parent for mark in path.rglob(MARK))
    if len(folders) != 1:
        found = ', '.join(str(folder.relative_to(path)) for folder in folders[:4])
        more = (
            f'{len(folders)} systems ({found}, …): name one' if folders else 'no type.raw: give a folder of deepmd/npy'
        )
        raise ReadError(f"'{path}' has {more}.")
    folder = folders[0]
    store = open_folder(folder, mapped=True)
    if not store.periodic:
        raise ReadError(f"'{folder}' is not periodic: the analysis needs a cell.")
    symbols = _elements(store, type_map)
    sets = [one for one in store.sets if len(one.get('coord', ()))]
    if not sets:
        raise ReadError(f"'{folder}' has no frames: there is no set.*/coord.npy with any.")
    if any('box' not in one for one in sets):
        raise ReadError(f"'{folder}' has no box.npy in each set: the analysis needs a cell.")
    cells = [one['box'].reshape(-1, 3, 3) for one in sets]
    coords = [one['coord'].reshape(-1, len(symbols), 3) for one in sets]

    def read() -> Iterator[Frame]:
        for part, part_cells in zip(coords, cells, strict=True):
            for positions, cell in zip(part, part_cells, strict=True):
                yield np.array(positions, dtype=np.float64), np.array(cell, dtype=np.float64)

    if timestep_fs is None and 'force' in sets[0]:
        sample = sets[0]['force'][:_SAMPLE].reshape(-1, len(symbols), 3)
        few = list(islice(read(), len(sample)))
        timestep_fs = _found_time(few, np.array(sample, dtype=np.float64), symbols)
    n_frames = sum(len(part) for part in coords)
    return Trajectory(_short(folder), tuple(symbols), _times(n_frames, timestep_fs, path), read)


def _elements(store: Store, type_map: Sequence[str] | None) -> list[str]:
    """Elements of a folder of deepmd/npy, whose types may have no names, or others than elements."""
    folder, names = store.where, store.names or []
    types = [int(number) for number in store.types]
    mixed = [one['real_atom_types'] for one in store.sets if 'real_atom_types' in one]
    if mixed:
        frames = np.concatenate(mixed)
        if (frames != frames[0]).any() or (frames[0] < 0).any():
            raise ReadError(
                f"'{folder}' is of deepmd/npy/mixed: its frames have different atoms (real_atom_types.npy) and are no "
                "trajectory. dpdata.MultiSystems().load_systems_from_file(FOLDER, fmt='deepmd/npy/mixed') takes them "
                "apart, to('deepmd/npy', OUT) of it writes one folder for each composition."
            )
        types = [int(number) for number in frames[0]]
    known = all(atomic_numbers.get(name, 0) > 0 for name in names) and len(names) > max(types, default=-1)
    if not known:
        said = f'names its types {", ".join(names)}' if names else 'has no type_map.raw'
        if not type_map:
            raise ReadError(
                f"'{folder}' {said}: give the element of each of its types 0 to {max(types, default=0)}, `type_map` "
                'Na,Cl for example.'
            )
        names = list(type_map)
    elif type_map:
        raise ReadError(f"'{folder}' names its elements itself (type_map.raw): leave `type_map` out.")
    try:
        check_elements(names)
        return [names[number] for number in types]
    except IndexError:
        raise ReadError(
            f"'{folder}' has type {max(types)}, counted from 0, but `type_map` {','.join(names)} names {len(names)}: "
            'give one element for each type.'
        ) from None
    except ValueError as error:
        raise ReadError(str(error)) from error


def _dump(path: Path, timestep_fs: float | None, options: Mapping[str, Any]) -> Trajectory:
    """A dump of LAMMPS, whose steps say how the frames lie; its forces are in units that it need not name."""
    frames = _AseFile(path, options)
    symbols, _ = frames.check()
    steps = np.array([atoms.info['timestep'] for atoms in frames.images()], dtype=np.float64)
    back = np.flatnonzero(np.diff(steps) <= 0)
    if len(back):
        raise ReadError(
            f"'{path}' goes back from step {steps[back[0]]:.0f} to {steps[back[0] + 1]:.0f}: give the dump of one run."
        )
    times = _times(len(steps), timestep_fs, path)
    if len(steps) > 2:
        times = (steps - steps[0]) / np.median(np.diff(steps)) * times[1]
    return Trajectory(path.name, tuple(symbols), times, frames.read)


def _ase(path: Path, timestep_fs: float | None) -> Trajectory:
    """A file of ASE's, read once to count its frames and again for each analysis."""
    frames = _AseFile(path, {})
    symbols, n_frames = frames.check()
    few = frames.few
    if timestep_fs is None and len(few) == min(n_frames, _SAMPLE):
        forces = np.array([atoms.calc.results['forces'] for atoms in few])
        timestep_fs = _found_time([(atoms.positions, atoms.cell.array) for atoms in few], forces, symbols)
    return Trajectory(path.name, tuple(symbols), _times(n_frames, timestep_fs, path), frames.read)


class _AseFile:
    """The frames of a file, read anew each time.

    :param path: the file.
    :param options: keywords for ASE.
    """

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        self.path, self.options = path, options
        self.few: list[Any] = []

    def images(self) -> Iterator[Any]:
        """Give each frame as ASE reads it."""
        from ase.io import iread

        try:
            yield from iread(str(self.path), index=':', **self.options)
        except Exception as error:  # each format raises its own
            raise ReadError(f"ASE can't read '{self.path}': {type(error).__name__}: {error}") from error

    def read(self) -> Iterator[Frame]:
        """Give positions and cell of each frame."""
        for atoms in self.images():
            yield atoms.positions, atoms.cell.array

    def check(self) -> tuple[list[str], int]:
        """Look at every frame once, and keep the first ones that have forces.

        :returns: the elements and the number of frames.
        """
        symbols: list[str] = []
        n_frames = 0
        for atoms in self.images():
            symbols = symbols or atoms.get_chemical_symbols()
            if atoms.get_chemical_symbols() != symbols:
                raise ReadError(f"frame {n_frames} of '{self.path}' has other atoms than the first: split the file.")
            if n_frames == 0 and (atoms.numbers < 1).any():
                raise ReadError(f"'{self.path}' has atoms without an element: write it with symbols of elements.")
            if atoms.cell.rank < 3:
                raise ReadError(f"frame {n_frames} of '{self.path}' has no cell: the analysis needs a periodic one.")
            if len(self.few) < _SAMPLE and atoms.calc is not None and 'forces' in atoms.calc.results:
                self.few.append(atoms)
            n_frames += 1
        if n_frames == 0:
            raise ReadError(f"'{self.path}' has no frames.")
        return symbols, n_frames


def _found_time(frames: list[Frame], forces: FloatArray, symbols: list[str]) -> float | None:
    coords, cells = (np.array(part) for part in zip(*frames, strict=True))
    return time_step(coords, cells, forces, symbols) if len(coords) > 2 else None


def _times(n_frames: int, timestep_fs: float | None, path: Path) -> FloatArray:
    if n_frames > 1 and timestep_fs is None:
        raise ReadError(f"The time between the frames of '{path}' is not known: give it, --timestep-fs 1 for example.")
    times: FloatArray = np.arange(n_frames, dtype=np.float64) * round(timestep_fs or 1.0, 3)
    return times


def _short(folder: Path) -> str:
    """The last two names of a path."""
    return '/'.join(folder.resolve().parts[-2:])
