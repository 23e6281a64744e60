"""What the loops have in common for who reads them: a hybrid run is one system in one stage."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.core.settings.hybrid import read_hybrid_settings
from aiida_sis.run import graph

__all__ = ('is_hybrid', 'settings_of', 'system_of', 'systems_of')

_HYBRID_SYSTEM, _SYSTEMS = 'structure', 'systems__'


def is_hybrid(node: orm.ProcessNode) -> bool:
    """Tell whether a run is a hybrid run.

    :param node: the node of a run.
    """
    return bool(node.process_type == graph.HYBRID)


def settings_of(node: orm.ProcessNode) -> dict[str, Any]:
    """Give the settings of a run, those of a hybrid run as those of a SIS run that asks the same.

    :param node: the node of a run.
    :returns: keys of `SisSettings`; none where the settings of another version cannot be read.
    """
    found = node.base.links.get_incoming(link_type=LinkType.INPUT_WORK, link_label_filter='parameters').all_nodes()
    values: dict[str, Any] = found[0].get_dict() if found and isinstance(found[0], orm.Dict) else {}
    if not is_hybrid(node):
        return values
    try:
        settings = read_hybrid_settings(values)
    except ValueError:
        return {}
    return {**settings.as_sis(), 'max_generations': settings.cycles - 1}


def system_of(port: str) -> str | None:
    """Give the name of the system that an input of a run is.

    :param port: label of the link to the input.
    :returns: the name, or nothing for any other input.
    """
    if port == _HYBRID_SYSTEM:
        return port
    return port.removeprefix(_SYSTEMS) if port.startswith(_SYSTEMS) else None


def systems_of(node: orm.ProcessNode) -> dict[str, orm.StructureData]:
    """Give the structures that a run explores.

    :param node: the node of a run.
    :returns: by name, in the order of the names.
    """
    links = node.base.links.get_incoming(orm.StructureData, link_type=LinkType.INPUT_WORK).all()
    found: dict[str, Any] = {name: link.node for link in links if (name := system_of(link.link_label)) is not None}
    return dict(sorted(found.items()))
