"""What a potential says of frames it was not trained on, beside their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_deepmd.data.dataset import DatasetData
from aiida_sis.run.record import called, output_of

__all__ = ('Parity', 'read_parity')


@dataclass(frozen=True)
class Parity:
    """Held-out frames of all datasets together, as labelled and as predicted by one potential.

    ``systems`` names the system of each dataset. Forces: components (n_components,) in eV/Å with element and dataset of
    each. Energies: (n_frames,) in eV/atom, each less the
    mean label of its dataset, with the dataset of each.
    """

    generation: int
    systems: dict[str, str]
    elements: NDArray[np.str_] = field(repr=False)
    force_datasets: NDArray[np.str_] = field(repr=False)
    forces: FloatArray = field(repr=False)
    predicted_forces: FloatArray = field(repr=False)
    datasets: NDArray[np.str_] = field(repr=False)
    energies: FloatArray = field(repr=False)
    predicted_energies: FloatArray = field(repr=False)


def read_parity(training: orm.ProcessNode, generation: int) -> Parity | None:
    """Read what a training has kept of its predictions.

    :param training: the node of a training.
    :param generation: its generation.
    :returns: nothing where it has kept none: it has not ended, or an early version ran it.
    """
    job = next((child for child, _ in reversed(called(training)) if isinstance(child, orm.CalcJobNode)), None)
    if job is None:
        return None
    given: Mapping[str, orm.Node] = job.inputs.datasets if 'datasets' in job.inputs else {}
    datasets = {key: node for key, node in given.items() if isinstance(node, DatasetData)}
    predicted = _stored(training, datasets)
    return _join(datasets, predicted, generation) if predicted else None


_Predicted = dict[str, tuple[IntArray, FloatArray, FloatArray]]


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


def _join(datasets: Mapping[str, DatasetData], predicted: _Predicted, generation: int) -> Parity:
    elements, origins, names = [], [], []
    forces, predicted_forces, energies, predicted_energies = [], [], [], []
    for key, (numbers, energy, force) in predicted.items():
        dataset = datasets[key]
        free = dataset.atom_weights > 0
        labels = dataset.get_array('forces')[numbers][:, free]
        symbols = np.array(dataset.symbols)[free]
        elements.append(np.broadcast_to(symbols[None, :, None], labels.shape).ravel())
        origins.append(np.full(labels.size, key))
        forces.append(labels.ravel())
        predicted_forces.append(np.asarray(force, dtype=float)[:, free].ravel())
        reference = dataset.get_array('energies')[numbers]
        names.append(np.full(len(numbers), key))
        energies.append((reference - reference.mean()) / dataset.n_atoms)
        predicted_energies.append((energy - reference.mean()) / dataset.n_atoms)
    return Parity(
        generation=generation,
        systems={key: datasets[key].label for key in predicted},
        elements=np.concatenate(elements),
        force_datasets=np.concatenate(origins),
        forces=np.concatenate(forces),
        predicted_forces=np.concatenate(predicted_forces),
        datasets=np.concatenate(names),
        energies=np.concatenate(energies),
        predicted_energies=np.concatenate(predicted_energies),
    )
