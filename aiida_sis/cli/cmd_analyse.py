"""``aiida-sis analyse PK|FILE``: what a trajectory says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sis.cli.options import PROFILE, PROFILE_DIR, TYPES, in_words_of_types
from aiida_sis.setup.profile import open_profile

if TYPE_CHECKING:
    from aiida_sis.core.analysis.analyse import Analysis
    from aiida_sis.run.find_trajectory import Chosen

__all__ = ('analyse',)

_AXES = ('x', 'y', 'z')


@click.command()
@click.argument('target', metavar='PK|FILE')
@PROFILE_DIR
@PROFILE
@click.option('--replica', metavar='KEY', help='The trajectory of a run that has several.  [default: the first]')
@click.option('--timestep-fs', type=click.FloatRange(min=0, min_open=True), help='Time between two frames of FILE, '
              'or of one step of an AIMD.  [default: found]')  # fmt: skip
@click.option(
    '--start',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Structure whose molecules name the atoms.  [default: that of the run; the first frame]',
)
@TYPES
@click.option('--skip-ps', type=click.FloatRange(min=0), default=0.0, help='Start that is left out.')
@click.option('--r-max', type=click.FloatRange(min=0, min_open=True), help='Longest distance of g(r) in Å.')
@click.option('--persistence-fs', type=click.FloatRange(min=0), default=20.0, show_default=True,
              help='How long a bond must stay broken or formed to count.')  # fmt: skip
@click.option('--density', 'axis', type=click.Choice(_AXES), help='Density along this axis of the cell.')
@click.option('--reference', metavar='KIND', help='Kind whose middle is zero in the density, such as Li.')
@click.option('--csv', 'csv_folder', type=click.Path(file_okay=False, path_type=Path), help='Write all numbers here.')
@click.option('--figure', type=click.Path(dir_okay=False, path_type=Path), help='Write a figure; png, pdf or svg.')
@click.option('--store', is_flag=True, help='Keep the analysis in the profile, with its provenance.')
def analyse(
    target: str, profile_dir: Path, profile: str | None, replica: str | None, store: bool, csv_folder: Path | None,
    figure: Path | None, timestep_fs: float | None, start: Path | None, type_map: list[str] | None, **options: Any,
) -> None:  # fmt: skip
    """Show the molecules, bond events, clusters, coordination and diffusion of a trajectory.

    PK is that of a run (the MD of its last stage), of an AIMD or MD of it, or of a trajectory. FILE is anything that
    ASE reads, a LAMMPS dump with --type-map, or a folder of deepmd/npy. A bond counts as broken or formed only if it
    stays so.

    Example: aiida-sis analyse 21 --csv numbers --figure analysis.png
    """
    from rich.console import Console

    console = Console()
    parameters = _parameters(options)
    path = Path(target)
    try:
        if path.exists():
            if store:
                raise click.UsageError('--store keeps the analysis of a node: give a PK, not a file.')
            found = _of_file(path, timestep_fs, start, parameters, type_map)
        else:
            _refuse_word(target)
            if type_map:
                raise click.UsageError('--type-map names the types of a file: a stored trajectory knows its elements.')
            open_profile(profile_dir, profile)
            from aiida_sis.cli.nodes import load_node
            from aiida_sis.run.find_trajectory import choose_trajectory

            chosen = choose_trajectory(load_node(target), replica)
            _tell(chosen, console)
            found = _of_node(chosen, timestep_fs, start, parameters)
    except ValueError as error:
        raise click.ClickException(_in_cli_words(str(error))) from error
    _show(found, console, csv_folder, figure)
    if store:
        _store(chosen, timestep_fs, start, parameters, console)


def _parameters(options: dict[str, Any]) -> dict[str, Any]:
    """Options as keys of the settings, those that were not given left out."""
    axis, reference = options.pop('axis'), options.pop('reference')
    if reference is not None and axis is None:
        raise click.UsageError('--reference needs --density: say along which axis.')
    values = {'skip_fs': options.pop('skip_ps') * 1000.0, **options, 'density_reference': reference}
    values['density_axis'] = None if axis is None else _AXES.index(axis)
    return {key: value for key, value in values.items() if value is not None}


def _refuse_word(target: str) -> None:
    """A target that can only be a file, and is none."""
    if not target.isdigit() and not set(target.lower()) <= set('0123456789abcdef-'):
        raise click.BadParameter(
            f"'{target}' does not exist: give a PK, a file that ASE reads, or a deepmd/npy folder."
        )


def _of_file(
    path: Path, timestep_fs: float | None, start: Path | None, parameters: dict[str, Any], type_map: list[str] | None
) -> Analysis:
    from aiida_sis.core.analysis.analyse import analyse as run
    from aiida_sis.core.analysis.analyse import read_analysis_settings
    from aiida_sis.core.analysis.trajectory import open_trajectory

    trajectory = open_trajectory(path, timestep_fs, type_map)
    return run(trajectory, read_analysis_settings(parameters), _read_start(start, type_map))


def _of_node(chosen: Chosen, timestep_fs: float | None, start: Path | None, parameters: dict[str, Any]) -> Analysis:
    from aiida_sis.calculations.analysis import trajectory_of
    from aiida_sis.core.analysis.analyse import analyse as run
    from aiida_sis.core.analysis.analyse import read_analysis_settings

    trajectory = trajectory_of(chosen.node, timestep_fs or chosen.timestep_fs)
    structure = _read_start(start) or (chosen.start.get_ase() if chosen.start else None)
    return run(trajectory, read_analysis_settings(parameters), structure)


def _read_start(path: Path | None, type_map: list[str] | None = None) -> Any:
    from aiida_sis.core.lammps.dump_types import is_dump
    from aiida_sis.structures.file import atoms_from_file

    return None if path is None else atoms_from_file(path, type_map=type_map if is_dump(path) else None)


def _tell(chosen: Chosen, console: Any) -> None:
    if chosen.note:
        console.print(chosen.note, highlight=False)
    if chosen.others:
        console.print(f'Others of this run: {", ".join(chosen.others)} (--replica).', highlight=False)


def _show(found: Analysis, console: Any, csv_folder: Path | None, figure: Path | None) -> None:
    from aiida_sis.show.analysis_tables import analysis_view

    for part in analysis_view(found):
        console.print(part, highlight=False)
    if csv_folder is not None:
        from aiida_sis.core.analysis.summary import write_csv

        names = ', '.join(path.name for path in write_csv(found, csv_folder))
        console.print(f'Wrote {csv_folder}: {names}.', highlight=False)
    if figure is not None:
        from aiida_sis.show.figures.analysis import draw_analysis
        from aiida_sis.show.figures.style import save

        console.print(f'Wrote {save(draw_analysis(found), figure)}.', highlight=False)


def _store(
    chosen: Chosen, timestep_fs: float | None, start: Path | None, parameters: dict[str, Any], console: Any
) -> None:
    from aiida import orm

    from aiida_sis.calculations.analysis import analyse_trajectory

    timestep = timestep_fs or chosen.timestep_fs
    values = parameters if timestep is None else {**parameters, 'timestep_fs': timestep}
    structure = chosen.start if start is None else orm.StructureData(ase=_read_start(start))
    outputs, process = analyse_trajectory.run_get_node(chosen.node, orm.Dict(values), structure)
    kept = ', '.join(f'{name} {node.pk}' for name, node in (outputs or {}).items())
    console.print(f'Stored by process {process.pk}: {kept}.', highlight=False)


def _in_cli_words(message: str) -> str:
    """The remedy as it is typed here."""
    for key in ('timestep_fs', 'persistence_fs', 'r_max'):
        message = message.replace(f'give {key}', f'give --{key.replace("_", "-")}')
    return in_words_of_types(message.replace('later than skip_fs', 'later than --skip-ps'))
