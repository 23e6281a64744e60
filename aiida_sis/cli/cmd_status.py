"""``aiida-sis status PK``: where a run is, for people and for scripts."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from aiida_sis.cli.nodes import open_run
from aiida_sis.cli.options import ARCHIVE, PROFILE, PROFILE_DIR, RUN

__all__ = ('status',)


@click.command()
@RUN
@PROFILE_DIR
@PROFILE
@ARCHIVE
@click.option('--json', 'as_json', is_flag=True, help='Print JSON with keys that stay; see the documentation.')
@click.option('-w', '--watch', is_flag=True, help='The same as `aiida-sis watch PK`.')
def status(pk: str, profile_dir: Path, profile: str | None, archive: Path | None, as_json: bool, watch: bool) -> None:
    """Show where a run is: its generations, and what runs now.

    PK is that of a run (SIS, hybrid or a rehearsal), or an archive FILE.aiida, which is read where it lies. "Force" and
    "Energy" are RMSEs on held-out frames, the energy per atom; t_cp is where the MD left its window, t_next where the
    next AIMD starts. Exit code: 0 if the run goes on or ended well, 1 if it ended otherwise, 2 if there is none.

    Example: aiida-sis status 28 --json
    """
    if as_json and watch:
        raise click.UsageError('--json prints once and --watch goes on: give one of the two.')
    node = open_run(pk, profile_dir, profile, archive)
    from rich.console import Console

    from aiida_sis.show.progress import refuse_parts, show_frame, watch_run

    refuse_parts(node)
    if watch:
        sys.exit(watch_run(node, Console()))
    if as_json:
        from aiida_sis.run.status import current_status

        click.echo(current_status(node).model_dump_json(indent=2))
    else:
        show_frame(node, Console())
    sys.exit(1 if node.is_terminated and not node.is_finished_ok else 0)
