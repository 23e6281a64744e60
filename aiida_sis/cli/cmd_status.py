"""``aiida-sis status PK``: the table of generations, live while the run goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from aiida_sis.cli.options import PROFILE, PROFILE_DIR, RUN
from aiida_sis.cli.profile import load_run, open_profile

__all__ = ('status',)


@click.command()
@RUN
@PROFILE_DIR
@PROFILE
@click.option('-w', '--watch', is_flag=True, help='Follow the run until it ends.')
def status(pk: str, profile_dir: Path, profile: str | None, watch: bool) -> None:
    """Show the generations of a run.

    PK is that of the SisWorkChain. "Force" and "Energy" are RMSEs on held-out frames, the energy per atom; t_cp is
    where the MD left its window, t_next where the next AIMD starts. Exits nonzero if the run has failed.
    """
    open_profile(profile_dir, profile)
    from rich.console import Console

    from aiida_sis.cli.progress import follow
    from aiida_sis.report.collect import collect
    from aiida_sis.report.live import LiveReader
    from aiida_sis.report.tables import generations_table, live_view, verdict_lines

    node = load_run(pk)
    console = Console()
    if watch and not node.is_terminated:
        follow(node, console)
    record = collect(node)
    if record.is_running:
        with LiveReader(node) as reader:
            console.print(live_view(record, reader.read()))
        return
    console.print(f'SIS run {record.pk}', highlight=False)
    console.print(generations_table(record))
    for line in verdict_lines(record):
        console.print(line, highlight=False, markup=False)
    sys.exit(0 if record.state == 'finished' else 1)
