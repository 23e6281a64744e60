"""The real `dp`: which way round the vectors of a cell are given must not change what is learnt, nor what comes out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.data.dataset import DatasetData

pytestmark = pytest.mark.real


def left_handed(dataset: DatasetData) -> DatasetData:
    """The same frames, with the first two vectors of each cell exchanged."""
    frames = dataset.get_frames()
    frames.cells[:] = frames.cells[:, [1, 0, 2]]
    types, split = dataset.get_array('atom_types'), dataset.get_array('split')
    return DatasetData(**vars(frames), atom_types=types, type_map=dataset.type_map, split=split)


def test_forces_are_learnt_with_their_sign_from_left_handed_frames(
    real_codes: dict[str, orm.InstalledCode],
    dp_that_only_trains: orm.InstalledCode,
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
    tmp_path: Path,
) -> None:
    """The same potential from both, whose forces are the gradient of its energy and point where the labels do."""
    from deepmd.infer import DeepPot

    parameters = copy.deepcopy(deepmd_parameters)
    parameters['training'].update(numb_steps=200, disp_freq=100, save_freq=100)
    parameters['learning_rate'].update(start_lr=1e-2, stop_lr=1e-4)
    left = {key: left_handed(dataset) for key, dataset in deepmd_datasets.items()}
    curves = []
    for code, datasets in ((dp_that_only_trains, deepmd_datasets), (real_codes['dp'], left)):
        outputs, node = run_get_node(
            DeepmdTrainCalculation,
            code=code,
            seed=orm.Int(1),
            datasets=datasets,
            parameters=orm.Dict(parameters),
        )
        assert node.is_finished_ok or code is dp_that_only_trains, node.exit_message
        curves.append(outputs['learning_curve'].get_array('rmse_f_trn'))
    np.testing.assert_array_equal(*curves)

    outputs['potential'].export(tmp_path)
    dataset = left['aimd_0']
    types, n_atoms = dataset.get_array('atom_types'), dataset.n_atoms
    written = dataset.write_npy(tmp_path / 'written')
    coords, cells = (np.load(written / f'set.000/{name}.npy') for name in ('coord', 'box'))
    potential = DeepPot(str(tmp_path / 'model.pb'))
    forces = potential.eval(coords, cells, types)[1]
    for axis, step in enumerate(np.eye(3) * 1e-4):
        shift = np.zeros((n_atoms, 3))
        shift[0] = step
        up, down = (potential.eval(coords + sign * shift.ravel(), cells, types)[0] for sign in (1, -1))
        np.testing.assert_allclose(forces[:, 0, axis], ((down - up) / 2e-4).ravel(), atol=1e-4)
    assert np.corrcoef(forces.ravel(), dataset.get_frames().forces.ravel())[0, 1] > 0.5
