"""``aiida-sis report PK``: the page of a run, one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_sis.cli.nodes import open_run
from aiida_sis.cli.options import ARCHIVE, PROFILE, PROFILE_DIR, RUN, writing

__all__ = ('report',)


@click.command()
@RUN
@PROFILE_DIR
@PROFILE
@ARCHIVE
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    help='The file to write.  [default: sis-PK.html]',
)
def report(pk: str, profile_dir: Path, profile: str | None, archive: Path | None, output: Path | None) -> None:
    """Write the report of a run as one HTML page.

    PK is that of a run, SIS or hybrid, running, ended or imported, or an archive FILE.aiida, which is read where it
    lies. The page needs no network: figures, numbers and the 3D viewer are inside the file.

    Example: aiida-sis report 21 -o demo.html
    """
    if output is not None and output.suffix.lower() not in ('.html', '.htm'):
        raise click.BadParameter(
            f"the page is HTML, and '{output}' does not end with .html: name it so (a browser prints it as PDF).",
            param_hint='--output',
        )
    node = open_run(pk, profile_dir, profile, archive)
    from aiida_sis.run.record import loop_of
    from aiida_sis.run.trajectories import read_details
    from aiida_sis.show.page.page import make_page
    from aiida_sis.show.progress import refuse_parts

    refuse_parts(node)
    path = output or Path(f'sis-{node.pk}.html')
    page = make_page(read_details(loop_of(node)))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding='utf-8')
    click.echo(str(path))
