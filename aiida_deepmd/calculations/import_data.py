"""Datasets from elsewhere: any trajectory with energies and forces becomes a ``DatasetData``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from pydantic import Field

from aiida_deepmd import frames as fr
from aiida_deepmd.data.dataset import DatasetData, atom_types
from aiida_deepmd.frames import plausibility
from aiida_deepmd.read_frames import Hints, ReadError, System, check_type_map, digests, read_systems
from aiida_deepmd.settings import Integer, Number

#: Change of energy over work done, outside of which forces are not the gradient of the energies.
_WORK_RATIO = (0.8, 1.25)


class ImportSettings(fr.Limits):
    """What an import does with the frames that it reads, beside the limits beyond which it refuses them."""

    fractions: tuple[Number, Number, Number] = (0.6, 0.2, 0.2)
    """Shares of train, validation and test frames; they add up to 1."""
    split: Literal['shuffled', 'blocks'] = 'shuffled'
    """``blocks`` holds out the last frames."""
    stride: Integer = Field(default=1, ge=1)
    """Keep one good frame in ``stride``."""
    max_frames: Integer | None = Field(default=None, ge=1)
    """Largest number of frames; None for all."""
    fixed_atoms: Literal['refuse', 'mask', 'train'] = 'refuse'
    """What to do with atoms whose force is exactly zero in every frame."""
    label: str = ''
    """Name of the dataset; that of the system follows it."""


@dataclass(frozen=True)
class Imported:
    """One system of an import.

    :param name: the folder below the path, or the formula; empty if the path is one system.
    :param dataset: the stored dataset, None if no frame was kept.
    :param report: which frames were offered, kept and refused, and why.
    """

    name: str
    dataset: DatasetData | None
    report: dict[str, Any]


def import_datasets(
    path: str | Path,
    *,
    fmt: str | None = None,
    type_map: Sequence[str] | None = None,
    elements: Mapping[str, str] | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> list[Imported]:
    """Import every system of a file or a folder, one ``DatasetData`` each, with its provenance.

    .. code-block:: python

        from aiida_deepmd.calculations.import_data import import_datasets

        found = import_datasets('aimd.extxyz', type_map=['N', 'S', 'O', 'F', 'Li', 'C', 'H'], seed=1)
        datasets = {f'imported_{number}': one.dataset for number, one in enumerate(found) if one.dataset}

    :param path: a file that dpdata or ASE reads, or a folder with systems of DeePMD-kit, or of a program that a
        reader is installed for, at any depth.
    :param fmt: ``deepmd/npy``, ``vasp/outcar`` … (dpdata), ``extxyz``, ``traj`` … (ASE), or that of a reader;
        None: by the names.
    :param type_map: element of each type, in the order of the potential; None: the elements as they come up. Where
        nothing beside the frames names the types, their elements too.
    :param elements: the element of each name of an atom or a type that does not say it.
    :param energy_key: name of the energy in a file that ASE reads, if it is not ASE's own; ``REF_energy`` for example.
    :param forces_key: name of the forces there.
    :param seed: seed of the split.
    :param settings: see :class:`ImportSettings`.
    :raises ValueError: if a file can't be read, an element is not in the type map, a setting is unknown, or atoms have
        zero forces throughout and ``fixed_atoms`` does not say what to do with them. Nothing is stored then.
    """
    path = Path(path).expanduser().resolve()
    options = ImportSettings.read(settings or {}, 'import settings')
    check_type_map(type_map or ())
    facts = {
        'path': str(path),
        'format': fmt,
        'energy_key': energy_key,
        'forces_key': forces_key,
        'elements': dict(elements or {}),
    }
    systems = _read(facts, list(type_map or ()))
    usable = [system for system in systems if len(system.usable())]
    types = list(type_map or dict.fromkeys(symbol for system in usable for symbol in system.symbols))
    for system in usable:
        atom_types(system.symbols, types)
        _check_labels(system, options.fixed_atoms)
        fr.split_sizes(len(system.frames), options.fractions)
    imported = []
    for system in systems:
        source = {**facts, 'system': system.name, 'sha256': digests(system.files, path)}
        label = ' '.join(part for part in (options.label, system.name or path.name) if part)
        own = {**options.model_dump(mode='json'), 'label': label}
        outputs = dataset_from_file(orm.Dict(source), orm.List(types), orm.Int(seed), orm.Dict(own))
        dataset = outputs.get('dataset')
        kept = dataset if isinstance(dataset, DatasetData) else None
        imported.append(Imported(system.name, kept, outputs['report'].get_dict()))
    return imported


@calcfunction
def dataset_from_file(source: orm.Dict, type_map: orm.List, seed: orm.Int, settings: orm.Dict) -> dict[str, orm.Data]:
    """Turn one system of a file into a dataset, refusing frames that would mislead a potential.

    The file is not copied into the database: the dataset holds what was kept of it, and its digest tells whether a file
    at hand is the one it came from.

    :param source: ``path``, ``format`` (or None), ``energy_key`` and ``forces_key`` (or None), ``elements`` ({name:
        element}), ``system`` (name within the path) and ``sha256`` ({file: digest}) of every file that was read.
    :param type_map: element of each type, in the order of the potential.
    :param seed: seed of the split.
    :param settings: see :class:`ImportSettings`.
    :return: ``report`` (Dict) with counts and frame numbers by reason, and ``dataset`` unless no frame was left.
    :raises ValueError: if the file is not the one of the digest, or as in :func:`import_datasets`.
    """
    options = ImportSettings.read(settings.get_dict(), 'import settings')
    system = _find(source.get_dict(), type_map.get_list())
    fixed = _check_labels(system, options.fixed_atoms) if len(system.usable()) else []
    checks = _check_dynamics(system, options.timestep_fs)
    limits = options.model_copy(update={'timestep_fs': checks['timestep_fs']})
    report = fr.examine(system.frames, limits, system.symbols, system.flaws)
    n_jumps, n_frames = len(report.found['jump']), len(system.frames)
    if 2 * n_jumps > n_frames:
        raise ValueError(
            f'at timestep_fs {checks["timestep_fs"]:g}, {n_jumps} of {n_frames} frames look like jumps: the frames are '
            'farther apart than that. Give the time from frame to frame, or leave timestep_fs out.'
        )
    kept = fr.thin(report.kept, options.stride, options.max_frames)
    result = {**report.summary(), 'n_kept': len(kept), 'kept_frames': [int(i) for i in kept]}
    result.update(
        checks,
        settings=options.model_dump(mode='json'),
        fixed_atoms=fixed,
        n_atoms=len(system.symbols),
        n_usable=len(system.usable()),
    )
    result.update(notes=list(system.notes))
    if len(kept) == 0:
        return {'report': orm.Dict(result)}
    weights = np.ones(len(system.symbols)) if system.weights is None else system.weights.copy()
    weights[fixed if options.fixed_atoms == 'mask' else []] = 0.0
    dataset = DatasetData(
        **vars(system.frames.take(kept)),
        atom_types=atom_types(system.symbols, type_map.get_list()),
        type_map=type_map.get_list(),
        split=fr.split(len(kept), options.fractions, seed.value, options.split),
        label=options.label,
        atom_weights=weights,
    )
    result.update(n_train=dataset.n_train, n_validation=dataset.n_validation, n_test=dataset.n_test)
    return {'dataset': dataset, 'report': orm.Dict(result)}


def _read(facts: Mapping[str, Any], type_map: Sequence[str]) -> list[System]:
    """Every system of a path, read once for all of them as long as no file below it changes."""
    path = Path(facts['path'])
    hints = Hints(
        facts.get('energy_key'),
        facts.get('forces_key'),
        tuple(sorted(facts.get('elements', {}).items())),
        tuple(type_map),
    )
    files = [one for one in path.rglob('*') if one.is_file()] if path.is_dir() else [path] if path.exists() else []
    state = tuple(sorted((str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in files))
    return _read_once(path, facts['format'], hints, state)


@lru_cache(maxsize=1)
def _read_once(path: Path, fmt: str | None, hints: Hints, _: tuple[tuple[str, int, int], ...]) -> list[System]:
    """A file with a hundred compositions is a hundred calls of :func:`dataset_from_file`, but not of the reader."""
    return read_systems(path, fmt, hints)


def _find(facts: Mapping[str, Any], type_map: Sequence[str]) -> System:
    """The system that was meant, from the files that were meant."""
    path = Path(facts['path'])
    found = [system for system in _read(facts, type_map) if system.name == facts['system']]
    if not found or digests(found[0].files, path) != facts['sha256']:
        raise ReadError(f"'{path}' is not what it was: the SHA-256 of its files has changed. Import it anew.")
    return found[0]


def _sound(system: System) -> fr.Frames:
    """The frames that can be used and whose numbers are all finite."""
    usable = system.frames.take(system.usable())
    return usable.take(np.flatnonzero(fr.find_finite(usable) & fr.find_cells(usable.cells)))


def _check_labels(system: System, choice: str) -> list[int]:
    """Atoms without a force, or without a component of it, in any frame.

    :raises ValueError: if there are any and nobody said what to do with them, if there are only such, or if what stands
        for energies or forces is none.
    """
    frames = _sound(system)
    where = f"'{system.name}'" if system.name else 'the file'
    whole = plausibility.zero_force_sites(frames.forces)
    if len(whole) == len(system.symbols):
        raise ValueError(f'all forces in {where} are zero: it holds no forces to learn from.')
    if (
        len(frames)
        and np.ptp(frames.energies) == 0
        and (frames.energies[0] == 0 or np.ptp(frames.forces, axis=0).any())
    ):
        raise ValueError(
            f'all {len(frames)} energies in {where} are {frames.energies[0]:g} eV: it holds no energies to learn from. '
            'Give the file that has them.'
        )
    if plausibility.driven_backwards(frames.coords, frames.cells, frames.forces, system.symbols):
        raise ValueError(
            f'the atoms in {where} are accelerated against their forces, so these are gradients of the energy: turn '
            'their sign in the file.'
        )
    told = set() if system.weights is None else {int(site) for site in np.flatnonzero(system.weights == 0)}
    held = {**dict.fromkeys(whole, ''), **plausibility.zero_force_directions(frames.forces)}
    sites = sorted(set(held) - told)
    if sites and choice == 'refuse':
        shown = ', '.join(f'{site} {held[site]}'.strip() for site in sites[:8]) + (', …' if len(sites) > 8 else '')
        what = 'a component of the force' if set(sites) - set(whole) else 'a force'
        raise ValueError(
            f'{len(sites)} of {len(system.symbols)} atoms in {where} have {what} of exactly zero in every frame '
            f'(sites [{shown}]): they were held in place, and that zero is no physics. Leave them out of the loss by '
            "fixed_atoms 'mask', or train on the zeros by fixed_atoms 'train'."
        )
    return sites


def _check_dynamics(system: System, timestep: float | None) -> dict[str, Any]:
    """Time between the frames, whether forces are the gradient of the energies, and what to say about it."""
    frames, warnings = _sound(system), []
    found = plausibility.time_step(frames.coords, frames.cells, frames.forces, system.symbols)
    if timestep is None and found is None:
        warnings.append(
            'the frames do not follow each other like the steps of one MD, so jumps of atoms and the match of energies '
            'and forces were not looked for.'
        )
    ratio = None if found is None else plausibility.work_ratio(*vars(frames).values())
    if ratio is not None and not _WORK_RATIO[0] < ratio < _WORK_RATIO[1]:
        causes = plausibility.unit_mistakes(ratio, len(system.symbols))
        like = f' {" or ".join(causes)} would do it.' if causes else ''
        warnings.append(
            f'from frame to frame the energy changes by {ratio:.3g} times the work of the forces (1 is right): the '
            f'units of one of them are wrong, or they do not belong together.{like}'
        )
    return {'timestep_fs': timestep or found, 'work_ratio': ratio, 'warnings': warnings}
