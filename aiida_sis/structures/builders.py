"""The builders as calcfunctions, so that a run's graph begins with what its structure was made from.

Each takes ``parameters`` (a Dict, the keys of the model of its name in :mod:`aiida_sis.structures.parameters`) and
``seed`` (an Int), and gives ``structure`` with ``report``, a Dict of numbers with their units in their names.
"""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_sis.structures.build import build

__all__ = (
    'CALCFUNCTIONS',
    'lifsi_dol_electrolyte',
    'lithium_bulk',
    'lithium_cluster_lifsi',
    'lithium_interface',
    'lithium_slab',
    'sodium_chloride',
)


@calcfunction
def lithium_bulk(parameters: orm.Dict, seed: orm.Int) -> dict[str, Any]:
    """Build bulk lithium, crystalline or disordered.

    :param parameters: Keys of ``BulkParameters``.
    :param seed: Seed of the displacement or the packing.
    :return: ``structure`` and ``report``.
    :raises ValueError: In one sentence, if a parameter is bad.
    """
    return _nodes('bulk', parameters, seed)


@calcfunction
def lithium_slab(parameters: orm.Dict, seed: orm.Int) -> dict[str, Any]:
    """Build a Li(100) slab; ``fixed_atoms`` of the report are the site numbers of its fixed layers.

    :param parameters: Keys of ``SlabParameters``.
    :param seed: Of no effect here; every builder has one.
    :return: ``structure`` and ``report``.
    :raises ValueError: In one sentence, if a parameter is bad.
    """
    return _nodes('slab', parameters, seed)


@calcfunction
def lifsi_dol_electrolyte(parameters: orm.Dict, seed: orm.Int) -> dict[str, Any]:
    """Pack LiFSI and DOL into a cube.

    :param parameters: Keys of ``ElectrolyteParameters``.
    :param seed: Seed of the packing.
    :return: ``structure`` and ``report``.
    :raises ValueError: In one sentence, if a parameter is bad or the molecules do not fit.
    """
    return _nodes('electrolyte', parameters, seed)


@calcfunction
def lithium_interface(parameters: orm.Dict, seed: orm.Int) -> dict[str, Any]:
    """Build a Li(100) slab with LiFSI and DOL between its faces.

    :param parameters: Keys of ``InterfaceParameters``.
    :param seed: Seed of the packing.
    :return: ``structure`` and ``report``.
    :raises ValueError: In one sentence, if a parameter is bad or the molecules do not fit.
    """
    return _nodes('interface', parameters, seed)


@calcfunction
def sodium_chloride(parameters: orm.Dict, seed: orm.Int) -> dict[str, Any]:
    """Build rock salt.

    :param parameters: Keys of ``SaltParameters``.
    :param seed: Seed of the displacement.
    :return: ``structure`` and ``report``.
    :raises ValueError: In one sentence, if a parameter is bad.
    """
    return _nodes('salt', parameters, seed)


@calcfunction
def lithium_cluster_lifsi(parameters: orm.Dict, seed: orm.Int) -> dict[str, Any]:
    """Set an LiFSI ion pair on a few lithium atoms.

    :param parameters: Keys of ``ClusterParameters``.
    :param seed: Seed of the orientation.
    :return: ``structure`` and ``report``.
    :raises ValueError: In one sentence, if a parameter is bad.
    """
    return _nodes('cluster', parameters, seed)


CALCFUNCTIONS = {
    'bulk': lithium_bulk,
    'slab': lithium_slab,
    'electrolyte': lifsi_dol_electrolyte,
    'interface': lithium_interface,
    'salt': sodium_chloride,
    'cluster': lithium_cluster_lifsi,
}


def _nodes(kind: str, parameters: orm.Dict, seed: orm.Int) -> dict[str, Any]:
    built = build(kind, parameters.get_dict(), seed.value)
    structure = orm.StructureData(ase=built.atoms)
    structure.label = built.label
    report = orm.Dict(built.report)
    report.label = built.label
    return {'structure': structure, 'report': report}
