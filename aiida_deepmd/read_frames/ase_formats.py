"""Labelled frames in the formats that ASE reads, under whatever names their energies and forces have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.frames.labelled import LEAST_VOLUME
from aiida_deepmd.read_frames.system import Hints, ReadError, Sample, System, as_elements, gather

#: What ASE's reader of these formats calls an energy is a zero that it made up.
_WITHOUT_ENERGIES = ('lammps-dump-text', 'lammps-dump-binary')
#: Databases, of which ASE's reader of files gives less than they hold.
_DATABASES = ('db', 'json')
#: Keys of ASE and its formats that are no labels.
_NO_LABELS = frozenset(
    {
        'numbers',
        'positions',
        'momenta',
        'masses',
        'tags',
        'initial_magmoms',
        'initial_charges',
        'stress',
        'virial',
        'virials',
    }
)


def read_ase(path: Path, fmt: str, hints: Hints) -> list[System]:
    """Read every composition in a file of ASE's, frames in their order.

    :param path: the file.
    :param fmt: ASE's name of the format.
    :param hints: names of the energy and the forces, elements.
    :raises ReadError: if it can't be read, or its format holds no energies.
    """
    if fmt in _WITHOUT_ENERGIES or fmt.startswith('lammps/'):
        raise ReadError(
            f"'{path}' is a LAMMPS dump, which holds no energies: only labelled frames can be trained on. Give the "
            'file that has the energies of the method that you want to learn.'
        )
    images, broken = _images(path, fmt)
    free = hints.energy_key is None and all('free_energy' in _results(atoms) for atoms in images)
    keys = (hints.energy_key or ('free_energy' if free else 'energy'), hints.forces_key or 'forces')
    elements, notes = as_elements([name for atoms in images for name in atoms.get_chemical_symbols()], hints, str(path))
    samples = [_sample(atoms, keys, elements) for atoms in images]
    missing = all(sample.flaw == 'incomplete' for sample in samples)
    return gather(samples, '', (path,), [*notes, *broken, *_what_else(images, keys, missing)])


def _images(path: Path, fmt: str) -> tuple[list[Any], list[str]]:
    """Every frame of the file, up to one that ASE can't read: a program that was killed leaves half of its last."""
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError

    found: list[Any] = []
    try:
        for atoms in _database(path) if fmt in _DATABASES else iread(str(path), index=':', format=fmt):
            found.append(atoms)
    except UnknownFileTypeError as error:
        hint = 'e.g. deepmd/npy, vasp/outcar (dpdata) or extxyz, traj (ASE)'
        raise ReadError(f"format '{fmt}' is known neither to dpdata nor to ASE; use {hint}.") from error
    except Exception as error:  # each format raises its own
        reason = f'{type(error).__name__}: {error}'
        if isinstance(error, KeyError) and fmt == 'extxyz':
            reason += ', which is no element: write elements into the file'
        if not found:
            raise ReadError(f"ASE can't read '{path}' as {fmt}: {reason}.") from error
        return found, [f"Frame {len(found)} can't be read, so the file was read up to it only ({reason})."]
    if not found:
        raise ReadError(f"'{path}' has no frames.")
    return found, []


def _database(path: Path) -> Iterator[Any]:
    """Every row of a database, with what people wrote beside the atoms."""
    from ase.db import connect

    for row in connect(path, serial=True).select():
        yield row.toatoms(add_additional_information=True)


def _results(atoms: Any) -> Mapping[str, Any]:
    """What the file's own calculator found."""
    results: Mapping[str, Any] = atoms.calc.results if atoms.calc is not None else {}
    return results


def _values(atoms: Any) -> dict[str, Any]:
    """Everything that a frame carries, by name; a database of ASE's has a place of its own for it."""
    info = dict(atoms.info)
    nested = {**info.pop('key_value_pairs', {}), **info.pop('data', {})}
    return {**nested, **info, **atoms.arrays, **_results(atoms)}


def _sample(atoms: Any, keys: tuple[str, str], elements: Mapping[str, str]) -> Sample:
    """One frame, with what it lacks."""
    values = _values(atoms)
    energy = _numbers(values.get(keys[0]), ())
    forces = _numbers(values.get(keys[1]), (len(atoms), 3))
    flaw = ''
    if energy is None or forces is None:
        flaw = 'incomplete'
    elif not atoms.pbc.all() or abs(atoms.cell.volume) < LEAST_VOLUME:
        flaw = 'no_cell'
    return Sample(
        tuple(elements[name] for name in atoms.get_chemical_symbols()),
        np.array(atoms.positions, dtype=np.float64),
        np.array(atoms.cell.array, dtype=np.float64),
        float('nan') if energy is None else float(energy),
        np.full((len(atoms), 3), np.nan) if forces is None else forces,
        flaw,
    )


def _numbers(value: Any, shape: tuple[int, ...]) -> FloatArray | None:
    """A value as numbers of that shape, None if it is not."""
    if value is None:
        return None
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if array.size != int(np.prod(shape)) or (array.shape != shape and array.size != 1):
        return None
    return array.reshape(shape)


def _what_else(images: list[Any], keys: tuple[str, str], missing: bool) -> list[str]:
    """What is there and not read: other energies and forces, or whatever could be one where those are ``missing``."""
    energies: dict[str, None] = {}
    forces: dict[str, None] = {}
    for atoms in images:
        for name, value in _values(atoms).items():
            if name in _NO_LABELS or name in keys or (name == 'energy' and keys[0] == 'free_energy'):
                continue
            if _numbers(value, ()) is not None and (missing or 'energy' in name.lower()):
                energies.setdefault(name)
            elif _numbers(value, (len(atoms), 3)) is not None and (missing or 'force' in name.lower()):
                forces.setdefault(name)
    notes = []
    if energies or forces:
        notes.append(
            f'Also found, and not read: {", ".join([*energies, *forces])} (read are {keys[0]} and {keys[1]}; '
            '--energy-key and --forces-key name others).'
        )
    if any({'stress', 'virial', 'virials'} & set(_values(atoms)) for atoms in images):
        notes.append('Stress is not read: potentials are trained on energies and forces.')
    return notes
