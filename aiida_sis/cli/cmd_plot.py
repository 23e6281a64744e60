"""``aiida-sis plot PK``: the temperature of every generation as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_sis.cli.options import PROFILE, PROFILE_DIR, RUN
from aiida_sis.cli.profile import load_run, open_profile

__all__ = ('plot',)


@click.command()
@RUN
@PROFILE_DIR
@PROFILE
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    help='The file to write; its suffix gives the format (png, pdf, svg).  [default: sis-PK.png]',
)
def plot(pk: str, profile_dir: Path, profile: str | None, output: Path | None) -> None:
    """Draw T(t) of every generation of a run.

    PK is that of the SisWorkChain. Each panel shows the temperature of all replicas with the window, t_cp (where the MD
    left it) and t_next (where the next AIMD starts).

    Example: aiida-sis plot 28 -o temperature.pdf
    """
    open_profile(profile_dir, profile)
    from aiida_sis.report.collect import collect
    from aiida_sis.report.figures import save_figure

    node = load_run(pk)
    path = save_figure(collect(node, with_series=True), output or Path(f'sis-{node.pk}.png'))
    click.echo(str(path))
