"""Nodes that a user names by PK or UUID, and what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sis.cli.archives import is_archive, open_archive
from aiida_sis.command_lines import again
from aiida_sis.setup.profile import load_node, load_run, open_profile

if TYPE_CHECKING:
    from aiida import orm

__all__ = ('load_node', 'load_sis_run', 'open_place', 'open_run', 'potential_of', 'run_pks', 'say_daemon_problem')


def open_place(profile_dir: Path, profile: str | None, archive: Path | None) -> None:
    """Open what is to be read: an archive where one was named, else a profile.

    :param profile_dir: the folder of the isolated profile.
    :param profile: name of a profile of the user's own AiiDA.
    :param archive: the archive.
    """
    if archive is None:
        open_profile(profile_dir, profile)
    elif profile is not None:
        raise click.UsageError('--archive and --profile are two places to read from: give one of the two.')
    else:
        open_archive(archive)


def open_run(identifier: str, profile_dir: Path, profile: str | None, archive: Path | None) -> orm.WorkChainNode:
    """Open what is to be read and load a run.

    :param identifier: PK or UUID of the run, or the name of an archive with one run.
    :param profile_dir: the folder of the isolated profile.
    :param profile: name of a profile of the user's own AiiDA.
    :param archive: the archive that the run is in.
    """
    if not is_archive(identifier):
        open_place(profile_dir, profile, archive)
        return load_run(identifier)
    if archive is not None:
        raise click.UsageError(f'{identifier} and --archive {archive} are two archives: give one of the two.')
    open_place(profile_dir, profile, Path(identifier))
    from aiida_sis.run.runs import runs

    found = [str(row.run.pk) for row in runs()]
    if len(found) != 1:
        remedy = (
            f'name one of its runs {", ".join(found)}: {found[-1]} --archive {identifier}'
            if found
            else 'give one that `aiida-sis export` wrote of a run'
        )
        raise click.BadParameter(f'{identifier} holds {len(found) or "no"} runs; {remedy}.')
    return load_run(found[0])


def load_sis_run(identifier: str) -> orm.ProcessNode:
    """Load a run of the loop or a hybrid run; of a rehearsal its loop.

    :param identifier: PK or UUID.
    """
    from aiida_sis.run.graph import RUNS
    from aiida_sis.run.record import loop_of

    node = loop_of(load_run(identifier))
    if node.process_type not in RUNS:
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


def say_daemon_problem() -> None:
    """Say that nobody works on what was just submitted, with the remedy, where that is so."""
    from aiida_sis.run.daemon import daemon_problem

    if problem := daemon_problem():
        click.echo(f'Note: {problem}', err=True)
