"""``aiida-sis query …``: questions to the provenance graph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sis.cli.archives import is_archive
from aiida_sis.cli.nodes import load_node, open_place, open_run, potential_of, run_pks
from aiida_sis.cli.options import ARCHIVE, PROFILE, PROFILE_DIR

if TYPE_CHECKING:
    from aiida_sis.run.rows import Row

__all__ = ('query',)

#: A table that goes into a file or a pipe has no terminal's width; no table here is wider.
_WIDTH = 200

#: The names of `aiida_sis.core.indicator.Bound`, which is slow to import.
BOUNDS = ('low', 'high', 'crash', 'lost_atoms', 'non_finite', 'distance')

_RUNS = click.option('-r', '--run', 'runs', metavar='PK', multiple=True, help='Only this run; may be repeated.')


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a question the options that all have, and open the profile before it is asked."""

    @PROFILE_DIR
    @PROFILE
    @ARCHIVE
    @click.option(
        '-f',
        '--format',
        'fmt',
        type=click.Choice(['table', 'csv', 'json']),
        default='table',
        show_default=True,
        help='A table for people; CSV and JSON have every column in full, with UUIDs.',
    )
    @click.option('-n', '--limit', type=click.IntRange(min=1), help='Show the first N rows only.')
    @functools.wraps(command)
    def wrapped(
        *, profile_dir: Path, profile: str | None, archive: Path | None, fmt: str, limit: int | None, **own: Any
    ) -> None:
        named = next((key for key, value in own.items() if isinstance(value, str) and is_archive(value)), None)
        if named is None:
            open_place(profile_dir, profile, archive)
        else:
            own[named] = str(open_run(own[named], profile_dir, profile, archive).pk)
        rows, kind, hint = command(**own)
        _show(rows, kind, fmt, limit, hint)

    return wrapped


def _show(rows: Sequence[Row], kind: type[Row], fmt: str, limit: int | None, hint: str) -> None:
    """Print the rows; everything that is no row goes to standard error, so that CSV and JSON stay clean."""
    from aiida_sis.show.formats import to_csv, to_json, to_records, to_table

    total, rows = len(rows), rows[:limit]
    if fmt == 'json':
        click.echo(to_json(rows))
    elif fmt == 'csv':
        click.echo(to_csv(rows, kind), nl=False)
    elif rows:
        from rich.console import Console

        console = Console()
        if not console.is_terminal:
            console.width = _WIDTH
        table = to_table(rows, kind)
        fits = console.measure(table, options=console.options.update(width=_WIDTH)).maximum <= console.width
        console.print(table if fits else to_records(rows, kind), highlight=False)
    if not rows:
        click.echo(hint, err=True)
    elif len(rows) < total:
        click.echo(f'{len(rows)} of {total} rows; --limit shows more.', err=True)


class _Questions(click.Group):
    """The questions, which may be asked of an archive that is named before them."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Make ``FILE.aiida QUESTION`` the option of the question; without one the runs are listed."""
        if arguments and is_archive(arguments[0]):
            archive, *rest = arguments
            arguments = [*(rest[:1] or ['runs']), '--archive', archive, *rest[1:]]
        return super().parse_args(context, arguments)


@click.group(cls=_Questions)
def query() -> None:
    """Ask the database, or an archive, about runs, models, frames and costs.

    A table shows PKs, which are those of this profile or archive; CSV and JSON have the UUIDs too, which are the same
    everywhere. PK may be a UUID everywhere.

    An archive is read where it lies: aiida-sis query run.aiida catastrophes
    """


@query.command('runs')
@_RUNS
@_shared
def runs_command(runs: Sequence[str]) -> Any:
    """List the runs and how they ended.

    Example: aiida-sis query runs
    """
    from aiida_sis import run as ask

    return ask.runs(run_pks(runs)), ask.RunRow, 'There is no run here.'


@query.command('frames')
@click.argument('model', metavar='PK')
@_shared
def frames_command(model: str) -> Any:
    """Show which AIMD frames trained a model.

    PK is that of a potential, a training or a run (then its last potential). Datasets that only an earlier potential
    saw, from which the training was continued, are listed too.

    Example: aiida-sis query frames 21
    """
    from aiida_sis import run as ask

    rows = ask.training_frames(int(potential_of(load_node(model)).pk or 0))
    return rows, ask.FramesRow, 'The graph holds no training of this potential: it was imported.'


@query.command('origin')
@click.argument('dataset', metavar='PK')
@_shared
def origin_command(dataset: str) -> Any:
    """Show which snapshot and catastrophe led to a dataset.

    PK is that of a dataset, or of a run (then all its datasets).

    Example: aiida-sis query origin 136
    """
    from aiida_sis import run as ask

    return ask.origins(_datasets(dataset)), ask.OriginRow, 'This run has no dataset yet.'


@query.command('catastrophes')
@_RUNS
@click.option('--element', help='Only matter with this element.')
@click.option('--bound', type=click.Choice(BOUNDS), help='Only those that crossed this, or ended so.')
@_shared
def catastrophes_command(runs: Sequence[str], element: str | None, bound: str | None) -> Any:
    """List the catastrophic points of all runs: temperature, time, composition.

    Example: aiida-sis query catastrophes --element Li -f csv
    """
    import re

    from ase.data import chemical_symbols

    from aiida_sis import run as ask

    if element is not None and element not in chemical_symbols[1:]:
        guess = (
            f": did you mean '{element.title()}'?" if element.title() in chemical_symbols[1:] else '; give its symbol.'
        )
        raise click.BadParameter(f"'{element}' is no symbol of an element{guess}", param_hint='--element')
    rows = ask.catastrophes(run_pks(runs))
    if element is not None:
        rows = [row for row in rows if element in re.findall('[A-Z][a-z]?', row.composition)]
    if bound is not None:
        rows = [row for row in rows if row.bound == bound]
    asked = [f'with {element}'] if element is not None else []
    asked += [f"of the kind '{bound}'"] if bound is not None else []
    return rows, ask.CatastropheRow, f'No MD has met a catastrophic point{" ".join(["", *asked])}.'


@query.command('models')
@_RUNS
@click.option('-b', '--below', type=float, metavar='X', help='Only force errors below X eV/Å.')
@_shared
def models_command(runs: Sequence[str], below: float | None) -> Any:
    """List the models by their force error on held-out frames.

    Example: aiida-sis query models --below 0.1
    """
    from aiida_sis import run as ask

    limit = '' if below is None else f' with a force RMSE below {below:g} eV/Å'
    return ask.models(below, run_pks(runs)), ask.ModelRow, f'There is no trained model{limit}.'


@query.command('uses')
@click.argument('structure', metavar='PK')
@click.option('--equal', is_flag=True, help='Also of other nodes with the same content.')
@_shared
def uses_command(structure: str, equal: bool) -> Any:
    """Show which runs used a structure.

    Example: aiida-sis query uses 4 --equal
    """
    from aiida import orm

    from aiida_sis import run as ask

    node = load_node(structure)
    if not isinstance(node, orm.StructureData):
        raise click.BadParameter(f'node {node.pk} is a {type(node).__name__}, not a structure.')
    return ask.uses_of(int(node.pk or 0), equal), ask.UseRow, 'No run has used this structure.'


@query.command('cost')
@_RUNS
@click.option('-g', '--by-generation', is_flag=True, help='One row for each generation.')
@_shared
def cost_command(runs: Sequence[str], by_generation: bool) -> Any:
    """Show what runs cost: labelled time, MD time, core hours by code.

    Example: aiida-sis query cost --by-generation
    """
    from aiida_sis import run as ask

    return ask.costs(run_pks(runs), by_generation), ask.CostRow, 'There is no run here.'


def _datasets(identifier: str) -> list[int]:
    """The dataset of that name, or those of the run."""
    from aiida import orm

    from aiida_deepmd.data.dataset import DatasetData
    from aiida_sis.run.graph import RUNS
    from aiida_sis.run.origins import datasets_of
    from aiida_sis.run.record import loop_of

    node = load_node(identifier)
    if isinstance(node, DatasetData):
        return [int(node.pk or 0)]
    if isinstance(node, orm.ProcessNode):
        node = loop_of(node)
    if isinstance(node, orm.WorkChainNode) and node.process_type in RUNS:
        return datasets_of(int(node.pk or 0))
    kind = getattr(node, 'process_label', None) or type(node).__name__
    raise click.BadParameter(f'node {node.pk} is a {kind}: give a dataset or a run.')
