"""DeePMD-kit's own data: folders of ``set.*`` (one composition or mixed), folders of text, HDF5 files with groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_deepmd.frames import Frames
from aiida_deepmd.read_frames.system import Hints, ReadError, Sample, System, as_elements, by_reason, gather

#: File that marks a folder, or a group of an HDF5 file, as one system.
MARK = 'type.raw'
_LABELS = ('coord', 'box', 'energy', 'force')
#: What energies may depend on beside the positions.
_CONDITIONS = ('fparam', 'aparam', 'spin')
_KNOWN = (*_LABELS, *_CONDITIONS, 'real_atom_types', 'atom_pref')


@dataclass(frozen=True)
class Store:
    """One system as it is stored.

    :param name: of the system within the path.
    :param where: what it is called in sentences.
    :param types: type number of each atom.
    :param names: names of the types, None where they are not there.
    :param periodic: False where a file ``nopbc`` says so.
    :param sets: the arrays of each set, by name.
    :param others: names of arrays that are not read.
    :param files: the files read.
    """

    name: str
    where: str
    types: IntArray
    names: list[str] | None
    periodic: bool
    sets: list[dict[str, NDArray[Any]]]
    others: list[str]
    files: tuple[Path, ...]


def read_folders(path: Path, hints: Hints, fmt: str | None = None) -> list[System]:
    """Read every system at or below a folder; one that has no labels still gives its coordinates, cells and elements.

    :param path: a folder with ``type.raw`` in or below it.
    :param hints: elements, where the files do not name them.
    :param fmt: ``deepmd/raw`` to read the text files where arrays are there too.
    :raises ReadError: if arrays do not fit together, or the elements are not known.
    """
    folders = sorted(mark.parent for mark in path.rglob(MARK))
    if not folders:
        raise ReadError(f"'{path}' has no {MARK} in or below it: it is no folder of DeePMD-kit's data.")
    stores = [open_folder(folder, str(folder.relative_to(path)), fmt == 'deepmd/raw') for folder in folders]
    return _read(stores, hints)


def read_hdf5(path: Path, hints: Hints) -> list[System]:
    """Read every group of an HDF5 file that is a system of DeePMD-kit.

    :param path: the file.
    :param hints: elements, where the file does not name them.
    :raises ReadError: if it is no such file, or as in :func:`read_folders`.
    """
    import h5py

    marks: list[str] = []

    def note(name: str) -> None:
        if name.rpartition('/')[2] == MARK:
            marks.append(name)

    try:
        with h5py.File(path, 'r') as file:
            file.visit(note)
            stores = [_open_group(file, mark.rpartition('/')[0], path) for mark in sorted(marks)]
    except (OSError, KeyError, ValueError) as error:
        raise ReadError(f"'{path}' can't be read as HDF5 of DeePMD-kit: {error}") from error
    if not stores:
        raise ReadError(f"'{path}' has no group with {MARK}: it is no HDF5 file of DeePMD-kit.")
    return _read(stores, hints)


def open_folder(folder: Path, name: str = '', text: bool = False, mapped: bool = False) -> Store:
    """Open one folder.

    :param folder: it has a file ``type.raw``.
    :param name: of the system in it.
    :param text: whether its text files are read, although there may be arrays.
    :param mapped: leave arrays where they are until they are used, for frames that need not fit into memory.
    :raises ReadError: if a file can't be read.
    """
    sets = [] if text else sorted(one for one in folder.glob('set.*') if one.is_dir())
    files = [folder / MARK, *(file for file in (folder / 'type_map.raw', folder / 'nopbc') if file.exists())]
    parts: list[list[Path]] = [sorted(one.glob('*.npy')) for one in sets]
    if not sets:
        parts = [sorted(set(folder.glob('*.raw')) - {folder / MARK, folder / 'type_map.raw'})]
    try:
        types = np.loadtxt(folder / MARK, dtype=np.int64, ndmin=1)
        arrays = [{file.stem: _load(file, mapped) for file in part if file.stem in _KNOWN} for part in parts]
    except (OSError, ValueError, EOFError) as error:
        raise ReadError(f"'{folder}' can't be read as data of DeePMD-kit: {error}") from error
    names = folder / 'type_map.raw'
    return Store(
        name='' if name == '.' else name,
        where=str(folder),
        types=types.ravel(),
        names=(names.read_text().replace(',', ' ').split() or None) if names.exists() else None,
        periodic=not (folder / 'nopbc').exists(),
        sets=arrays,
        others=sorted({file.name for part in parts for file in part if file.stem not in _KNOWN}),
        files=(*files, *(file for part in parts for file in part if file.stem in _KNOWN)),
    )


def _load(file: Path, mapped: bool) -> NDArray[Any]:
    if file.suffix == '.raw':
        return np.loadtxt(file, ndmin=2)
    array: NDArray[Any] = np.load(file, mmap_mode='r' if mapped else None)
    return array


def _open_group(file: Any, name: str, path: Path) -> Store:
    """What one group of an HDF5 file holds."""
    group = file[name] if name else file
    sets = [group[key] for key in sorted(group) if key.startswith('set.')]
    names = None
    if 'type_map.raw' in group:
        words = np.atleast_1d(group['type_map.raw'][()])
        names = [word.decode() if isinstance(word, bytes) else str(word) for word in words]
    return Store(
        name=name,
        where=f'{path}#/{name}',
        types=np.asarray(group[MARK][()], dtype=np.int64).ravel(),
        names=names,
        periodic='nopbc' not in group,
        sets=[
            {key.removesuffix('.npy'): np.asarray(one[key][()]) for key in one if key.removesuffix('.npy') in _KNOWN}
            for one in sets
        ],
        others=sorted({key for one in sets for key in one if key.removesuffix('.npy') not in _KNOWN}),
        files=(path,),
    )


def _read(stores: Sequence[Store], hints: Hints) -> list[System]:
    """The systems of all stores, after a look at what their energies may depend on."""
    constant = _check_conditions(stores)
    systems: list[System] = []
    for store in stores:
        notes = [f'{name} is not read.' for name in store.others]
        notes += [
            f'{name} is not read: it is the same in all frames.'
            for name in constant
            if any(name in one for one in store.sets)
        ]
        numbers = _type_numbers(store)
        names = _type_names(store, numbers, hints)
        elements, told = as_elements(list(names.values()), hints, store.where)
        symbols = {number: elements[name] for number, name in names.items()}
        parts = [part for part in (_labels(store, one) for one in store.sets) if len(part[0])]
        if not parts:
            raise ReadError(f"'{store.where}' has no frames: there is no coord with any.")
        if any('real_atom_types' in one for one in store.sets):
            if any('atom_pref' in one for one in store.sets):
                notes.append('atom_pref is not read: the atoms differ from frame to frame.')
            samples = _samples(store, parts, symbols)
            systems.extend(gather(samples, store.name, store.files, [*told, *notes]))
        else:
            systems.append(_one_composition(store, parts, [symbols[int(t)] for t in store.types], [*told, *notes]))
    return systems


def _check_conditions(stores: Sequence[Store]) -> list[str]:
    """Which of fparam, aparam and spin are there, all constant: they say nothing then.

    :raises ReadError: if one changes: the energies depend on it, and a potential that is not told would average.
    """
    found = []
    for name in _CONDITIONS:
        values = [np.atleast_1d(one[name]) for store in stores for one in store.sets if name in one]
        if not values:
            continue
        found.append(name)
        # several numbers of a frame may differ from each other, those of its atoms may not
        widths = [int(np.prod(part.shape[1:])) if name == 'fparam' else 1 for part in values]
        rows = [part.reshape(-1, width) for part, width in zip(values, widths, strict=True) if part.size]
        if any(part.shape[1] != rows[0].shape[1] or (part != rows[0][:1]).any() for part in rows):
            where = next(store.where for store in stores if any(name in one for one in store.sets))
            raise ReadError(
                f"{name} in '{where}' changes from frame to frame (or from atom to atom), and the energies with it: "
                f'potentials here are functions of the positions alone. Import frames of one {name}, or move the file '
                'away if the energies do not depend on it.'
            )
    return found


def _type_numbers(store: Store) -> list[int]:
    """Numbers of the types that atoms have; -1 marks an atom that only fills an array up."""
    real = [one['real_atom_types'] for one in store.sets if 'real_atom_types' in one]
    if real and len(real) < len(store.sets):
        raise ReadError(f"'{store.where}' has sets with and without real_atom_types.npy: take them apart.")
    numbers = np.unique(np.concatenate([np.ravel(part) for part in real])) if real else np.unique(store.types)
    return [int(number) for number in numbers if number >= 0 or not real]


def _type_names(store: Store, numbers: Sequence[int], hints: Hints) -> dict[int, str]:
    """Name of each type number: those beside the frames, else those of the user, as DeePMD-kit has it."""
    unnamed = {number: f'Type_{number}' for number in numbers}
    if store.names is None and not {name for name, _ in hints.elements}.isdisjoint(unnamed.values()):
        return unnamed
    if store.names is None and not hints.type_map:
        raise ReadError(
            f"'{store.where}' has no type_map.raw that says which elements its types {list(numbers)} are: give them in "
            'the order of the types, for example --type-map Na,Cl.'
        )
    names = list(hints.type_map) if store.names is None else store.names
    if not numbers or numbers[0] < 0 or numbers[-1] >= len(names):
        raise ReadError(f"'{store.where}' has atoms of the types {list(numbers)}, but names for {len(names)}: {names}.")
    return {number: names[number] for number in numbers}


def _labels(store: Store, arrays: dict[str, NDArray[Any]]) -> tuple[Frames, list[str]]:
    """One set as frames, as many as it has coordinates, and why each can't be used, empty where it can.

    The other arrays may end before: a killed program leaves them so. NaN stands for what is not there.
    """
    n_atoms = len(store.types)
    coords = np.asarray(arrays.get('coord', np.zeros((0, 3 * n_atoms))), dtype=np.float64)
    shapes = {'coord': (n_atoms, 3), 'box': (3, 3), 'energy': (), 'force': (n_atoms, 3)}
    found: list[FloatArray] = []
    lengths: dict[str, int] = {}
    for name in _LABELS:
        shape = shapes[name]
        given = np.atleast_1d(np.asarray(arrays.get(name, np.zeros((0, *shape))), dtype=np.float64))
        if given.size != len(given) * int(np.prod(shape)):
            raise ReadError(
                f"{name} in '{store.where}' has the shape {given.shape}, which does not fit {n_atoms} atoms of {MARK}."
            )
        if len(given) > len(coords):
            raise ReadError(f"{name} in '{store.where}' has {len(given)} frames, but coord has {len(coords)}.")
        lengths[name] = len(given)
        whole = np.full((len(coords), *shape), np.nan)
        whole[: len(given)] = given.reshape(len(given), *shape)
        found.append(whole)
    n_labelled, n_cells = min(lengths['energy'], lengths['force']), lengths['box'] if store.periodic else 0
    numbers = range(len(coords))
    return Frames(*found), ['incomplete' if i >= n_labelled else 'no_cell' if i >= n_cells else '' for i in numbers]


def _one_composition(
    store: Store, parts: list[tuple[Frames, list[str]]], symbols: list[str], notes: list[str]
) -> System:
    """A system whose frames all have the same atoms."""
    frames = Frames(
        *(np.concatenate([getattr(f, name) for f, _ in parts]) for name in ('coords', 'cells', 'energies', 'forces'))
    )
    flaws = by_reason([flaw for _, part in parts for flaw in part])
    weights, told = _weights(store)
    return System(store.name, frames, symbols, store.files, flaws, (*notes, *told), weights)


def _weights(store: Store) -> tuple[FloatArray | None, list[str]]:
    """Weights of the atoms in the loss, where they are 1 or 0 and the same in all frames."""
    given = [np.atleast_2d(one['atom_pref']) for one in store.sets if 'atom_pref' in one]
    if not given:
        return None, []
    if all(part.shape[1] == len(store.types) for part in given):
        weights = np.asarray(given[0][0], dtype=np.float64)
        same = all((part == weights).all() for part in given)
        if same and np.isin(weights, [0.0, 1.0]).all() and weights.any():
            return weights, []
    return None, ['atom_pref is not read: only weights of 0 and 1, the same in all frames, can be kept.']


def _samples(store: Store, parts: list[tuple[Frames, list[str]]], symbols: dict[int, str]) -> Iterator[Sample]:
    """The frames of a mixed system, each with its own atoms."""
    sets = [one for one in store.sets if len(one.get('coord', ()))]
    for (frames, flaws), arrays in zip(parts, sets, strict=True):
        real = np.asarray(arrays['real_atom_types'], dtype=np.int64)
        if real.shape != frames.coords.shape[:2]:
            raise ReadError(
                f"real_atom_types in '{store.where}' has the shape {real.shape}, but the coordinates are of "
                f'{frames.coords.shape[0]} frames and {frames.coords.shape[1]} atoms.'
            )
        for number, flaw in enumerate(flaws):
            there = real[number] >= 0
            yield Sample(
                tuple(symbols[int(one)] for one in real[number][there]),
                frames.coords[number][there],
                frames.cells[number],
                float(frames.energies[number]),
                frames.forces[number][there],
                flaw,
            )
