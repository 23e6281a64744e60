"""Nodes that a user names by PK or UUID, and what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from aiida_sis.command_lines import again
from aiida_sis.setup.profile import load_node, load_run

if TYPE_CHECKING:
    from aiida import orm

__all__ = ('load_node', 'load_sis_run', 'potential_of', 'run_pks')


def load_sis_run(identifier: str) -> orm.ProcessNode:
    """Load a run of the loop or a hybrid run; of a rehearsal its loop.

    :param identifier: PK or UUID.
    """
    from aiida_sis.run.record import loop_of

    node = loop_of(load_run(identifier))
    if node.process_label not in ('SisWorkChain', 'HybridWorkChain'):
        raise click.BadParameter(
            f'node {identifier} is a {node.process_label}, not a run; `{again("query runs")}` lists the runs.'
        )
    return node


def run_pks(identifiers: Sequence[str]) -> list[int] | None:
    """Give the PKs of the runs that a query is restricted to.

    :param identifiers: PKs or UUIDs of runs.
    :returns: their PKs, or nothing where there is no restriction.
    """
    return [int(load_sis_run(identifier).pk or 0) for identifier in identifiers] or None


def potential_of(node: orm.Node) -> orm.Data:
    """Give the potential that a node is, or that it ended with.

    :param node: a potential, a training or a run.
    """
    from aiida import orm

    from aiida_deepmd.data.potential import PotentialData
    from aiida_sis.run.record import loop_of

    if isinstance(node, PotentialData):
        return node
    outputs: Any = loop_of(node).outputs if isinstance(node, orm.ProcessNode) else {}
    if 'potential' in outputs:
        potential: orm.Data = outputs.potential
        return potential
    kind = getattr(node, 'process_label', None) or type(node).__name__
    raise click.BadParameter(
        f'node {node.pk} is a {kind} without a potential: give a potential, a training or a run that has trained one.'
    )
