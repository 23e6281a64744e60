"""What a potential says of frames it was not trained on, beside their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_sis.core import deepmd_output as output
from aiida_sis.data.dataset import DatasetData
from aiida_sis.report.collect import FloatArray, called, output_of

__all__ = ('Parity', 'read_parity')

_DATASET = 'datasets__'


@dataclass(frozen=True)
class Parity:
    """Held-out frames of all datasets together, as labelled and as predicted by one potential.

    Forces: components (n_components,) in eV/Å with the element of each. Energies: (n_frames,) in eV/atom, each less the
    mean label of its dataset, with the dataset of each.
    """

    generation: int
    elements: NDArray[np.str_] = field(repr=False)
    forces: FloatArray = field(repr=False)
    predicted_forces: FloatArray = field(repr=False)
    datasets: NDArray[np.str_] = field(repr=False)
    energies: FloatArray = field(repr=False)
    predicted_energies: FloatArray = field(repr=False)


def read_parity(trainings: Iterable[orm.ProcessNode]) -> Parity | None:
    """Read the predictions of the first of these trainings that has them.

    :param trainings: nodes of trainings, the one that is wanted most first.
    """
    for training in trainings:
        job = next((child for child, _ in reversed(called(training)) if isinstance(child, orm.CalcJobNode)), None)
        if job is None or 'results' not in job.outputs:
            continue
        datasets = {
            link.link_label.removeprefix(_DATASET): link.node
            for link in job.base.links.get_incoming().all()
            if link.link_label.startswith(_DATASET) and isinstance(link.node, DatasetData) and link.node.n_test
        }
        arrays = _stored(training, datasets) or _in_job_folder(job, datasets)
        if arrays:
            return _join(datasets, arrays)
    return None


_Predicted = dict[str, tuple[NDArray[np.int64], FloatArray, FloatArray]]


def _stored(training: orm.ProcessNode, datasets: Mapping[str, DatasetData]) -> _Predicted:
    """Return frame numbers, energies and forces of each dataset from the output of the training."""
    node = output_of(training, 'predictions')
    if not isinstance(node, orm.ArrayData):
        return {}
    return {
        key: (node.get_array(f'{key}__frames'), node.get_array(f'{key}__energies'), node.get_array(f'{key}__forces'))
        for key in datasets
        if f'{key}__frames' in node.get_arraynames()
    }


def _in_job_folder(job: orm.CalcJobNode, datasets: Mapping[str, DatasetData]) -> _Predicted:
    """Return the same from the job's own folder: trainings of version 0.1.0 and before kept no predictions.

    Only a folder on this very machine is looked into, because a report must not wait for a connection.
    """
    computer, folder = job.computer, Path(job.get_remote_workdir() or '/nonexistent')
    if computer is None or computer.transport_type != 'core.local' or not (folder / 'detail.e.out').is_file():
        return {}
    ordered = dict(sorted(datasets.items()))
    try:
        rows = output.parse_detail((folder / 'detail.f.out').read_text())
        energies = output.split_energies(
            output.parse_detail((folder / 'detail.e.out').read_text()),
            {key: dataset.n_test for key, dataset in ordered.items()},
        )
        references = {key: dataset.get_frames('test').forces for key, dataset in ordered.items()}
        all_atoms = {key: np.ones(dataset.n_atoms, dtype=bool) for key, dataset in ordered.items()}
        errors = output.split_detail(rows, references, all_atoms)
    except (OSError, output.DeepmdOutputError):
        return {}  # another training's files, or half of them: as good as none
    return {
        key: (dataset.get_split('test'), energies[key], references[key] + errors[key])
        for key, dataset in ordered.items()
    }


def _join(datasets: Mapping[str, DatasetData], predicted: _Predicted) -> Parity:
    elements, names = [], []
    forces, predicted_forces, energies, predicted_energies = [], [], [], []
    for key, (numbers, energy, force) in predicted.items():
        dataset = datasets[key]
        free = dataset.atom_weights > 0
        labels = dataset.get_array('forces')[numbers][:, free]
        symbols = np.array(dataset.symbols)[free]
        elements.append(np.broadcast_to(symbols[None, :, None], labels.shape).ravel())
        forces.append(labels.ravel())
        predicted_forces.append(np.asarray(force, dtype=float)[:, free].ravel())
        reference = dataset.get_array('energies')[numbers]
        names.append(np.full(len(numbers), key))
        energies.append((reference - reference.mean()) / dataset.n_atoms)
        predicted_energies.append((energy - reference.mean()) / dataset.n_atoms)
    return Parity(
        generation=max(dataset.generation for dataset in datasets.values()),
        elements=np.concatenate(elements),
        forces=np.concatenate(forces),
        predicted_forces=np.concatenate(predicted_forces),
        datasets=np.concatenate(names),
        energies=np.concatenate(energies),
        predicted_energies=np.concatenate(predicted_energies),
    )
