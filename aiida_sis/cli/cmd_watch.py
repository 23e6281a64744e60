"""``aiida-sis watch PK``: a run as it goes, in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from aiida_sis.cli.options import PROFILE, PROFILE_DIR, RUN
from aiida_sis.setup.profile import load_run, open_profile

__all__ = ('watch',)


@click.command()
@RUN
@PROFILE_DIR
@PROFILE
@click.option('--once', is_flag=True, help='Print the view once and return.')
def watch(pk: str, profile_dir: Path, profile: str | None, once: bool) -> None:
    """Watch a run until it ends.

    Shows the stage and the generation, each job with its progress and its temperature, and what the run waits for. The
    blocks are the latest temperatures, the lowest block at the lower edge of the window and the highest at the upper
    one; for AIMD they go from 0 K to twice the mean. At the end the table and the verdict stay on the screen. Where the
    output is no terminal, it prints a line for each thing that happens.

    Ctrl-C leaves the run going. Exit code: 0 if the run ended well (with --once also while it goes on), 1 if it ended
    otherwise, 2 if there is no such run, 130 after Ctrl-C.

    Example: aiida-sis watch 28
    """
    open_profile(profile_dir, profile)
    from rich.console import Console

    from aiida_sis.show.progress import refuse_parts, show_frame, watch_run

    node = load_run(pk)
    refuse_parts(node)
    console = Console()
    if not once:
        sys.exit(watch_run(node, console))
    show_frame(node, console)
    sys.exit(1 if node.is_terminated and not node.is_finished_ok else 0)
