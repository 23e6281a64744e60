"""The shortest distances that a potential has learnt of."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_deepmd.data.dataset import DatasetData
from aiida_sis.core.distances import shortest_distances


@calcfunction
def find_shortest_distances(dataset: DatasetData, cutoff: orm.Float) -> orm.Dict:
    """Find the shortest distance of each pair of elements over the training frames of a dataset.

    :param dataset: Labelled frames; those held out do not count.
    :param cutoff: Cutoff of the potential in Å; longer distances are not looked at.
    :return: Distance in Å by pair of elements, as ``F-Li``, for the pairs nearer than the cutoff.
    """
    frames = dataset.get_frames('train')
    return orm.Dict(shortest_distances(zip(frames.coords, frames.cells, strict=True), dataset.symbols, cutoff.value))
