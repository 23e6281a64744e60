"""Datasets and potentials from elsewhere: any trajectory with energies and forces becomes a ``DatasetData``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_sis.calculations.dataset import atom_types
from aiida_sis.calculations.import_potential import import_potential as import_potential
from aiida_sis.core import frames as fr
from aiida_sis.core import plausibility
from aiida_sis.core.read_frames import ReadError, System, digests, read_systems
from aiida_sis.data.dataset import DatasetData

#: What may be done with atoms whose force is exactly zero in every frame.
FIXED_ATOMS = ('refuse', 'mask', 'train')
#: Settings of an import and their defaults; ``timestep_fs`` None: read off the frames where Newton's law shows it.
DEFAULTS: dict[str, Any] = {
    'fractions': [0.6, 0.2, 0.2],
    'split': 'shuffled',
    'stride': 1,
    'max_frames': None,
    'max_force': fr.DEFAULT_MAX_FORCE,
    'min_distance': plausibility.MIN_DISTANCE,
    'max_energy_per_atom': plausibility.MAX_ENERGY_PER_ATOM,
    'max_step_energy': plausibility.STRONGEST_BOND,
    'timestep_fs': None,
    'energy_outlier_sigmas': fr.DEFAULT_ENERGY_OUTLIER_SIGMAS,
    'refuse_energy_outliers': False,
    'fixed_atoms': 'refuse',
    'generation': 0,
    'label': '',
}
#: Change of energy over work done, outside of which forces are not the gradient of the energies.
_WORK_RATIO = (0.8, 1.25)


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
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> list[Imported]:
    """Import every system of a file or a folder, one ``DatasetData`` each, with its provenance.

    .. code-block:: python

        from aiida_sis.calculations.import_data import import_datasets

        found = import_datasets('aimd.extxyz', type_map=['N', 'S', 'O', 'F', 'Li', 'C', 'H'], seed=1)
        datasets = {f'imported_{number}': one.dataset for number, one in enumerate(found) if one.dataset}

    :param path: a file that dpdata or ASE reads, or a folder with DeePMD systems at any depth.
    :param fmt: ``deepmd/npy``, ``vasp/outcar`` … (dpdata) or ``extxyz``, ``traj`` … (ASE); None: by the file's name.
    :param type_map: element of each type, in the order of the whole run; None: the elements as they come up.
    :param seed: seed of the split.
    :param settings: see :data:`DEFAULTS`; ``label`` is put before the name of each system.
    :raises ValueError: if a file can't be read, an element is not in the type map, a setting is unknown, or atoms have
        zero forces throughout and ``fixed_atoms`` does not say what to do with them. Nothing is stored then.
    """
    path = Path(path).expanduser().resolve()
    options = _options(dict(settings or {}))
    systems = read_systems(path, fmt)
    elements = list(type_map or dict.fromkeys(symbol for system in systems for symbol in system.symbols))
    for system in systems:
        atom_types(system.symbols, elements)
        _fixed_sites(system, options['fixed_atoms'])
        fr.split_sizes(len(system.frames), tuple(options['fractions']))
    imported = []
    for system in systems:
        source = {'path': str(path), 'format': fmt, 'system': system.name, 'sha256': _digests(path, system.name)}
        label = ' '.join(part for part in (options['label'], system.name or path.name) if part)
        outputs = dataset_from_file(
            orm.Dict(source), orm.List(elements), orm.Int(seed), orm.Dict({**options, 'label': label})
        )
        dataset = outputs.get('dataset')
        kept = dataset if isinstance(dataset, DatasetData) else None
        imported.append(Imported(system.name, kept, outputs['report'].get_dict()))
    return imported


@calcfunction
def dataset_from_file(source: orm.Dict, type_map: orm.List, seed: orm.Int, settings: orm.Dict) -> dict[str, orm.Data]:
    """Turn one system of a file into a dataset, refusing frames that would mislead a potential.

    The file is not copied into the database: the dataset holds what was kept of it, and its digest tells whether a file
    at hand is the one it came from.

    :param source: ``path``, ``format`` (or None), ``system`` (name within the path) and ``sha256`` ({file: digest}) of
        every file of the system.
    :param type_map: element of each type, in the order of the whole run.
    :param seed: seed of the split.
    :param settings: see :data:`DEFAULTS`.
    :return: ``report`` (Dict) with counts and frame numbers by reason, and ``dataset`` unless no frame was left.
    :raises ValueError: if the file is not the one of the digest, or as in :func:`import_datasets`.
    """
    options = _options(settings.get_dict())
    facts = source.get_dict()
    path = Path(facts['path'])
    system = _read(path, facts)
    fixed = _fixed_sites(system, options['fixed_atoms'])
    checks = _check_dynamics(system, options['timestep_fs'])
    report = fr.examine(system.frames, _hygiene(options, checks['timestep_fs']), system.symbols)
    n_jumps, n_frames = len(report.found['jump']), len(system.frames)
    if 2 * n_jumps > n_frames:
        raise ValueError(
            f'at timestep_fs {checks["timestep_fs"]:g}, {n_jumps} of {n_frames} frames look like jumps: the frames are '
            'farther apart than that. Give the time from frame to frame, or leave timestep_fs out.'
        )
    kept = fr.thin(report.kept, options['stride'], options['max_frames'])
    result = {**report.summary(), 'n_kept': len(kept), 'kept_frames': [int(i) for i in kept], 'settings': options}
    result.update(checks, fixed_atoms=fixed, n_atoms=len(system.symbols))
    if len(kept) == 0:
        return {'report': orm.Dict(result)}
    weights = np.ones(len(system.symbols))
    weights[fixed if options['fixed_atoms'] == 'mask' else []] = 0.0
    dataset = DatasetData(
        **vars(system.frames.take(kept)),
        atom_types=atom_types(system.symbols, type_map.get_list()),
        type_map=type_map.get_list(),
        split=fr.split(len(kept), tuple(options['fractions']), seed.value, options['split']),
        generation=options['generation'],
        label=options['label'],
        atom_weights=weights,
    )
    result.update(n_train=dataset.n_train, n_validation=dataset.n_validation, n_test=dataset.n_test)
    return {'dataset': dataset, 'report': orm.Dict(result)}


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Settings completed with the defaults."""
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        raise ValueError(f'`settings` has unknown keys {unknown}; known are {sorted(DEFAULTS)}.')
    options = {**DEFAULTS, **given}
    for key, known in (('fixed_atoms', FIXED_ATOMS), ('split', ('shuffled', 'blocks'))):
        if options[key] not in known:
            raise ValueError(f"`settings.{key}` is '{options[key]}'; use one of {list(known)}.")
    return options


def _hygiene(options: Mapping[str, Any], timestep: float | None) -> fr.HygieneSettings:
    """The limits among the settings of an import."""
    names = ('max_force', 'min_distance', 'max_energy_per_atom', 'max_step_energy')
    outliers = ('energy_outlier_sigmas', 'refuse_energy_outliers')
    return fr.HygieneSettings(timestep_fs=timestep, **{name: options[name] for name in (*names, *outliers)})


def _digests(path: Path, name: str) -> dict[str, str]:
    """Digests of the files of one system: those of its folder, or of the one file that holds them all."""
    return digests(path / name if path.is_dir() else path)


def _read(path: Path, facts: Mapping[str, Any]) -> System:
    """The system that was meant, from the files that were meant."""
    if _digests(path, facts['system']) != facts['sha256']:
        raise ReadError(f"'{path}' is not the file it was: its SHA-256 has changed. Import it anew.")
    if path.is_dir():
        return read_systems(path / facts['system'], facts['format'])[0]
    return next(system for system in read_systems(path, facts['format']) if system.name == facts['system'])


def _fixed_sites(system: System, choice: str) -> list[int]:
    """Atoms without a force in any frame.

    :raises ValueError: if there are any and nobody said what to do with them, or if there are only such.
    """
    sites = plausibility.zero_force_sites(system.frames.forces)
    where = f"'{system.name}'" if system.name else 'the file'
    if len(sites) == len(system.symbols):
        raise ValueError(f'all forces in {where} are zero: it holds no forces to learn from.')
    if sites and choice == 'refuse':
        shown = f'{sites[:8]}'.rstrip(']') + (', …]' if len(sites) > 8 else ']')
        raise ValueError(
            f'{len(sites)} of {len(system.symbols)} atoms in {where} have a force of exactly zero in every frame '
            f'(sites {shown}): they were held in place, and that zero is no physics. Leave them out of the loss by '
            "fixed_atoms 'mask', or train on the zeros by fixed_atoms 'train'."
        )
    return sites


def _check_dynamics(system: System, timestep: float | None) -> dict[str, Any]:
    """Time between the frames, whether forces are the gradient of the energies, and what to say about it."""
    frames, warnings = system.frames, []
    finite = np.flatnonzero(fr.find_finite(frames))
    arrays = frames.coords[finite], frames.cells[finite], frames.energies[finite], frames.forces[finite]
    found = plausibility.time_step(arrays[0], arrays[1], arrays[3], system.symbols)
    if timestep is None and found is None:
        warnings.append(
            'the frames do not follow each other like the steps of one MD, so jumps of atoms and the match of energies '
            'and forces were not looked for.'
        )
    ratio = None if found is None else plausibility.work_ratio(*arrays)
    if ratio is not None and not _WORK_RATIO[0] < ratio < _WORK_RATIO[1]:
        warnings.append(
            f'from frame to frame the energy changes by {ratio:.3g} times the work of the forces (1 is right): the '
            'units of one of them are wrong, or they do not belong together.'
        )
    return {'timestep_fs': timestep or found, 'work_ratio': ratio, 'warnings': warnings}
