"""The early sign of a run: how near each pair of elements may come in the MD of a generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.calculations.distances import find_shortest_distances
from aiida_sis.core.settings.sis import SamplingSettings


def distance_parameters(
    settings: SamplingSettings,
    datasets: Mapping[str, DatasetData],
    potential: PotentialData,
    known: dict[str, orm.Dict],
) -> dict[str, Any]:
    """Give what an MD must know to stop where two atoms come too near.

    :param settings: the sampling settings.
    :param datasets: what the potential has learnt from.
    :param potential: what drives the MD.
    :param known: the shortest distances of each dataset so far; those of the new ones are added.
    :returns: the key of ``sis.lammps.md`` that says so; none where it is not asked for, or nothing was learnt here.
    """
    if settings.least_distance is None:
        return {}
    for key, dataset in datasets.items():
        if key not in known:
            known[key] = find_shortest_distances(dataset, orm.Float(potential.rcut))
    limits: dict[str, float] = {}
    for node in known.values():
        for pair, distance in node.get_dict().items():
            limits[pair] = min(limits.get(pair, distance), distance)
    factor = settings.least_distance.factor
    return {'least_distances': {pair: factor * limits[pair] for pair in sorted(limits)}} if limits else {}
