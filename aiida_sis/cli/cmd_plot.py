"""``aiida-sis plot PK``: the figures of a run as pictures, or their numbers as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_sis.cli.nodes import open_run
from aiida_sis.cli.options import ARCHIVE, PROFILE, PROFILE_DIR, RUN, writing

if TYPE_CHECKING:
    from aiida_sis.run.trajectories import Details

__all__ = ('plot',)

# The names of `show.figures.catalogue.FIGURES`, which can't be imported before AiiDA has been pointed to a profile.
NAMES = (
    'temperature', 'zoom', 'growth', 'learning', 'parity', 'elements', 'forgetting', 'ladders', 'verification', 'cost',
    'rdf', 'reactions', 'census',
)  # fmt: skip


@click.command()
@RUN
@PROFILE_DIR
@PROFILE
@ARCHIVE
@click.option('--figure', type=click.Choice([*NAMES, 'all']), help='Which figure.  [default: temperature]')
@click.option('--csv', 'as_csv', is_flag=True, help='Write the numbers of the figure as CSV instead.')
@click.option(
    '-o',
    '--output',
    type=click.Path(path_type=Path),
    help='The file to write; its suffix gives the format (png, svg, pdf). With `--figure all` a folder.  '
    '[default: sis-PK.png, sis-PK-NAME.png or sis-PK-figures]',
)
def plot(
    pk: str,
    profile_dir: Path,
    profile: str | None,
    archive: Path | None,
    figure: str | None,
    as_csv: bool,
    output: Path | None,
) -> None:
    """Draw a figure of a run: by default T(t) of every generation.

    PK is that of a run, SIS or hybrid, or an archive FILE.aiida, which is read where it lies. Each panel shows
    the temperature of all replicas with the window, t_cp (where the MD left it) and t_next (where the next AIMD
    starts). The other figures are those of `aiida-sis report`.

    Example: aiida-sis plot 21 --figure parity -o parity.pdf
    """
    if output is not None and figure != 'all':
        _check_name(output, as_csv)
    node = open_run(pk, profile_dir, profile, archive)
    from aiida_sis.run.record import collect, loop_of
    from aiida_sis.show.figures.style import save
    from aiida_sis.show.figures.temperature import plot_run
    from aiida_sis.show.progress import refuse_parts

    refuse_parts(node)
    run = loop_of(node)
    if figure is None and not as_csv:
        path = output or Path(f'sis-{node.pk}.png')
        with _picture(path):
            click.echo(str(save(plot_run(collect(run, with_series=True)), path)))
        return
    from aiida_sis.run.trajectories import read_details

    details = read_details(run)
    name, suffix = figure or 'temperature', 'csv' if as_csv else 'png'
    if name != 'all':
        _write(name, details, output or Path(f'sis-{node.pk}-{name}.{suffix}'), as_csv)
        return
    folder = output or Path(f'sis-{node.pk}-figures')
    if folder.is_file():
        raise click.BadParameter(f'{folder} is a file; with `--figure all` give a folder.', param_hint='--output')
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for one in NAMES:
        try:
            _write(one, details, folder / f'{one}.{suffix}', as_csv)
        except click.ClickException as missing:
            click.echo(f'{one}: {missing.message}', err=True)


def _write(name: str, details: Details, path: Path, as_csv: bool) -> None:
    """Write one figure or its numbers and name the file."""
    from aiida_sis.show.figures.catalogue import FIGURES
    from aiida_sis.show.figures.style import WIDE, NothingToShowError, save
    from aiida_sis.show.tabular import csv_text

    try:
        with _picture(path):
            if as_csv:
                text = csv_text(FIGURES[name].table(details))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding='utf-8')
            else:
                save(FIGURES[name].figure(details, WIDE), path)
    except NothingToShowError as missing:
        raise click.ClickException(str(missing)) from missing
    click.echo(str(path))


def _check_name(output: Path, as_csv: bool) -> None:
    """Refuse a folder, a name without a format, and a picture where numbers were asked for or the other way round."""
    if output.is_dir():
        problem = 'is a folder; give the name of a file'
    elif not output.suffix:
        problem = f'has no format; give {output}{".csv" if as_csv else ".png"}, say'
    elif (output.suffix.lower() == '.csv') != as_csv:
        problem = 'is no CSV file; leave out --csv or end it with .csv' if as_csv else 'is no picture; add --csv'
    else:
        return
    raise click.BadParameter(f'{output} {problem}.', param_hint='--output')


@contextmanager
def _picture(path: Path) -> Iterator[None]:
    """Say in one sentence why a figure cannot be written."""
    with writing(path):
        try:
            yield
        except ValueError as error:  # matplotlib knows no such format
            raise click.BadParameter(f'{error}', param_hint='--output') from error
