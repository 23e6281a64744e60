"""From an AIMD trajectory to labelled frames, with every refusal on record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_deepmd import frames as fr
from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.data.dataset import DatasetData, atom_types
from aiida_sis.calculations.trajectory_data import values_of
from aiida_sis.core.frame_selection import choose_frames
from aiida_sis.core.settings.frames import TrajectoryDatasetSettings, read_dataset_settings


@calcfunction
def dataset_from_trajectory(
    trajectory: orm.TrajectoryData, type_map: orm.List, seed: orm.Int, settings: orm.Dict
) -> dict[str, orm.Data]:
    """Turn a labelled trajectory into a dataset, refusing frames that would mislead a potential.

    :param trajectory: arrays ``positions`` (f, n, 3), ``cells`` (f, 3, 3), ``energies`` (f,), ``forces`` (f, n, 3), in
        the units that it says, or in those of aiida-cp2k; converted with CODATA factors.
    :param type_map: element of each type, in the order of the whole run.
    :param seed: seed of the split.
    :param settings: keys of :class:`aiida_sis.core.settings.frames.TrajectoryDatasetSettings`.
    :return: ``report`` (Dict) with counts and frame numbers by reason, and ``dataset`` unless no frame was left.
    :raises ValueError: for an unknown setting, an element outside the type map or arrays that do not belong together.
    """
    options = read_dataset_settings(settings.get_dict())
    types = atom_types(list(trajectory.symbols), type_map.get_list())
    candidates = frames_of(trajectory)
    report = fr.examine(
        candidates,
        fr.Limits(
            max_force=options.max_force,
            energy_outlier_sigmas=options.energy_outlier_sigmas,
            refuse_energy_outliers=options.refuse_energy_outliers,
        ),
        list(trajectory.symbols),
        {'unconverged': options.unconverged_frames},
    )
    kept = _choose(candidates, list(trajectory.symbols), report.kept, options, seed.value)
    facts = {
        **report.summary(),
        'n_kept': len(kept),
        'kept_frames': [int(i) for i in kept],
        'settings': options.model_dump(mode='json'),
    }
    if len(kept) == 0:
        return {'report': orm.Dict(facts)}
    subset = fr.split(len(kept), options.fractions, seed.value, options.split)
    chosen = candidates.take(kept)
    weights = _weights(len(types), options.fixed_atoms)
    dataset = DatasetData(
        coords=chosen.coords,
        cells=chosen.cells,
        energies=chosen.energies,
        forces=chosen.forces,
        atom_types=types,
        type_map=type_map.get_list(),
        split=subset,
        label=options.label,
        **({} if weights is None else {'atom_weights': weights}),
    )
    facts.update(n_train=dataset.n_train, n_validation=dataset.n_validation, n_test=dataset.n_test)
    return {'dataset': dataset, 'report': orm.Dict(facts)}


def _choose(
    frames: fr.Frames, symbols: list[str], good: fr.IntArray, options: TrajectoryDatasetSettings, seed: int
) -> fr.IntArray:
    """Numbers of the good frames that are kept."""
    thinned = fr.thin(good, options.stride)
    if options.max_frames is None:
        return thinned
    return thinned[choose_frames(frames.take(thinned), symbols, options.choice, options.max_frames, seed)]


def _weights(n_atoms: int, fixed_atoms: Sequence[int]) -> FloatArray | None:
    """Weight of each atom's force in a loss: 0 for a fixed one, whose force CP2K prints as zero."""
    if not fixed_atoms:
        return None
    outside = [atom for atom in fixed_atoms if not 0 <= atom < n_atoms]
    if outside or len(set(fixed_atoms)) == n_atoms:
        problem = f'{outside} are not among the sites 0 to {n_atoms - 1}' if outside else 'no atom would be left'
        raise ValueError(f'`fixed_atoms` is {list(fixed_atoms)}, but {problem}.')
    weights = np.ones(n_atoms)
    weights[list(fixed_atoms)] = 0.0
    return weights


def frames_of(trajectory: orm.TrajectoryData) -> fr.Frames:
    """The frames of a labelled trajectory in eV and Å.

    :param trajectory: arrays ``positions``, ``cells``, ``energies``, ``forces``, in the units that it says.
    :raises ValueError: if an array is missing.
    """
    missing = sorted({'positions', 'cells', 'energies', 'forces'} - set(trajectory.get_arraynames()))
    if missing:
        raise ValueError(f'the trajectory has no {missing}: print FORCES and CELL at every step of the AIMD.')
    return fr.Frames(
        coords=values_of(trajectory, 'positions'),
        cells=values_of(trajectory, 'cells'),
        energies=values_of(trajectory, 'energies').ravel(),
        forces=values_of(trajectory, 'forces'),
    )
