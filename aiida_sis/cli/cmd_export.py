"""``aiida-sis export PK FILE`` and ``aiida-sis import FILE``: a run for somebody else, and of somebody else."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_sis.cli.nodes import load_node
from aiida_sis.cli.options import PROFILE, PROFILE_DIR, RUN, SETUP_DIR
from aiida_sis.command_lines import again
from aiida_sis.setup.profile import ensure_profile, open_profile
from aiida_sis.share.archive_file import check_archive_file

__all__ = ('export', 'import_', 'size_in_words')


@click.command()
@RUN
@click.argument('file', type=click.Path(dir_okay=False, path_type=Path))
@PROFILE_DIR
@PROFILE
@click.option(
    '--without-trajectories',
    is_flag=True,
    help='Leave out the arrays of trajectories and the raw AIMD files of CP2K; datasets and models are kept.',
)
@click.option('--without-remote', is_flag=True, help='Leave out the paths of remote folders.')
@click.option('--dry-run', is_flag=True, help='Say what the archive would hold, and write nothing.')
@click.option('--force', is_flag=True, help='Replace FILE if it exists.')
def export(
    pk: str,
    file: Path,
    profile_dir: Path,
    profile: str | None,
    without_trajectories: bool,
    without_remote: bool,
    dry_run: bool,
    force: bool,
) -> None:
    """Write a run with its whole lineage into an archive.

    The archive is AiiDA's own format: `aiida-sis import` or `verdi archive import` reads it. What it will hold and how
    large it will be is printed first.

    Example: aiida-sis export 21 run.aiida --without-trajectories
    """
    if file.exists() and not (force or dry_run):
        raise click.ClickException(f'{file} exists: choose another name, or replace it with --force.')
    open_profile(profile_dir, profile)
    from aiida_sis.share.archive import plan_export, write_export
    from aiida_sis.share.importing import quiet_archives

    node = load_node(pk)
    plan = plan_export(node, without_trajectories, without_remote)
    click.echo(f'{plan.n_nodes} nodes, {plan.n_links} links, {plan.n_files} files of {size_in_words(plan.n_bytes)}.')
    if plan.n_stripped:
        click.echo(f'Left out: trajectory files of {plan.n_stripped} nodes, {size_in_words(plan.left_out_bytes)}.')
    if plan.dropped:
        click.echo(f'Left out: {len(plan.dropped)} remote folders.')
    click.echo(f'The archive takes about {size_in_words(plan.archive_bytes)}.')
    if plan.unsealed:
        raise click.ClickException(
            f'process {plan.unsealed[0]} has not ended, and AiiDA exports only what can no longer change: wait for it.'
        )
    if dry_run:
        return
    with quiet_archives():
        write_export(plan, file, overwrite=force)
    click.echo(f'Wrote {file}, {size_in_words(file.stat().st_size)}.')


@click.command('import')
@click.argument('file', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@SETUP_DIR
@PROFILE
def import_(file: Path, profile_dir: Path, profile: str | None) -> None:
    """Import an archive, into a new profile if there is none.

    The codes need not be installed to look at the runs; `aiida-sis setup` registers them for `aiida-sis continue`.

    Example: aiida-sis import run.aiida --profile-dir .sis
    """
    try:
        check_archive_file(file)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if profile is None:
        new = ensure_profile(profile_dir)
        click.echo(f'{"Made" if new else "Found"} the profile in {profile_dir}.')
    else:
        open_profile(profile_dir, profile)
    from aiida_sis.share.importing import import_run

    try:
        imported = import_run(file)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    known = imported.n_nodes - imported.n_new
    click.echo(f'{imported.n_new} new nodes' + (f'; {known} were here before.' if known else '.'))
    for run in imported.runs:
        click.echo(f'Run {run.pk}  {run.uuid}')
    if imported.runs:
        click.echo(f'Look at it by: {again(f"status {imported.runs[-1].pk}")}')


def size_in_words(n_bytes: int) -> str:
    """Give a size for people, in decimal units.

    :param n_bytes: the size.
    """
    size = float(n_bytes)
    for unit in ('B', 'kB', 'MB'):
        if size < 999.5:
            return f'{size:.0f} {unit}' if unit == 'B' or size >= 99.5 else f'{size:.1f} {unit}'
        size /= 1000
    return f'{size:.1f} GB'
