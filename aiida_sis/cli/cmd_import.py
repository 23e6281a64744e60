"""``aiida-sis import-dataset PATH`` and ``import-model FILE``: start from what is there already."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sis.cli.options import PROFILE, PROFILE_DIR, symbols
from aiida_sis.setup.profile import open_profile

if TYPE_CHECKING:
    from rich.table import Table

    from aiida_deepmd.calculations.import_data import Imported

__all__ = ('import_dataset', 'import_model', 'ranges')

#: What each reason of a refusal means, for people.
_REASONS = {
    'incomplete': 'no energy or no forces',
    'no_cell': 'no cell in three directions',
    'unconverged': 'electronic structure not converged',
    'non_finite': 'a number is NaN or infinite',
    'duplicate': 'is there twice',
    'close_contact': 'two atoms nearer than {min_distance:g} × their covalent radii',
    'force_limit': 'a force above {max_force:g} eV/Å',
    'energy_limit': 'energy farther from the median than reactions take it',
    'jump': 'an atom came with more than {max_step_energy:g} eV',
    'energy_outlier': 'energy beyond {energy_outlier_sigmas:g} robust standard deviations',
}


def _pairs(_: click.Context, __: click.Parameter, value: str | None) -> dict[str, str]:
    """NAME=ELEMENT, separated by commas."""
    found = dict(word.strip().partition('=')[::2] for word in (value or '').split(',') if word.strip())
    if not all(found.values()) or '' in found:
        raise click.BadParameter(f"'{value}' is no list NAME=ELEMENT,…: Na_bulk=Na,D=H for example.")
    return found


TYPE_MAP = click.option(
    '--type-map',
    metavar='N,S,O,…',
    callback=symbols,
    help='Elements in the order of the whole run.  [default: as they come up]',
)


@click.command('import-dataset')
@click.argument('path', type=click.Path(path_type=Path))
@PROFILE_DIR
@PROFILE
@click.option(
    '--format', 'fmt', metavar='NAME', help='Of dpdata (vasp/outcar) or ASE (extxyz).  [default: by the name]'
)
@TYPE_MAP
@click.option(
    '--elements',
    metavar='NAME=ELEMENT,…',
    callback=_pairs,
    help='Elements of atoms or types whose names do not say it.',
)
@click.option('--energy-key', metavar='NAME', help='Name of the energy in a file of ASE (REF_energy).')
@click.option('--forces-key', metavar='NAME', help='Name of the forces in it (REF_forces).')
@click.option('--split', type=click.Choice(['shuffled', 'blocks']), default='shuffled', show_default=True)
@click.option('--seed', type=int, default=0, show_default=True, help='Seed of the split.')
@click.option('--label', default='', help='Name of the dataset; that of the system follows it.')
@click.option('--stride', type=click.IntRange(min=1), default=1, show_default=True, help='Keep every n-th good frame.')
@click.option('--timestep-fs', type=float, help='Time between frames, for the search for jumps.  [default: found]')
@click.option('--fixed-atoms', type=click.Choice(['mask', 'train']), help='What to do with atoms without any force.')
@click.option('--refuse-energy-outliers', is_flag=True, help='Refuse the flagged frames too.')
def import_dataset(path: Path, profile_dir: Path, profile: str | None, **options: Any) -> None:
    """Import labelled frames as datasets, after a look at each frame.

    PATH is a folder with DeePMD systems or CP2K runs in or below it, one dataset each, or a file that dpdata or ASE
    reads. Frames that no real matter shows are refused, with the reason; a frame with an unusual energy is flagged and
    kept.

    Example: aiida-sis import-dataset my-cp2k-run --type-map Li,N,S,O,F
    """
    open_profile(profile_dir, profile)
    from rich.console import Console

    from aiida_deepmd.calculations.import_data import import_datasets

    named = {key: options.pop(key) for key in ('fmt', 'type_map', 'elements', 'energy_key', 'forces_key', 'seed')}
    options['fixed_atoms'] = options['fixed_atoms'] or 'refuse'
    try:
        imported = import_datasets(path, **named, settings=options)
    except ValueError as error:
        raise click.ClickException(_in_cli_words(str(error))) from error
    console = Console()
    for one in imported:
        if not one.report['n_usable']:
            console.print(left_out(one), highlight=False, markup=False)
            console.print()
            continue
        console.print(report_table(one))
        for line in report_lines(one):
            console.print(line, highlight=False, markup=False)
        console.print()
    sys.exit(0 if all(one.dataset for one in imported if one.report['n_usable']) else 1)


def _in_cli_words(message: str) -> str:
    """The remedy as it is typed here."""
    for choice in ('mask', 'train'):
        message = message.replace(f"fixed_atoms '{choice}'", f'`--fixed-atoms {choice}`')
    return message.replace('train anew on its frames', 'train anew on its frames (`aiida-sis import-dataset`)')


def left_out(imported: Imported) -> str:
    """One line on a system that has not one labelled frame in a cell, as the isolated atoms in front of many files.

    :param imported: the system.
    """
    report = imported.report
    reasons = '; '.join(f'{_REASONS[reason]}: {ranges(frames)}' for reason, frames in report['found_frames'].items())
    n_frames = report['n_offered']
    return f'{imported.name}: {n_frames} frame{"" if n_frames == 1 else "s"} left out, {reasons}'


def report_table(imported: Imported) -> Table:
    """What became of the frames of one system: kept, refused by reason, flagged, each with the frame numbers.

    A frame may have several reasons and stands in the row of each; it is refused once.

    :param imported: the system.
    """
    from rich import box
    from rich.table import Table

    report = imported.report
    title = imported.name or report['settings']['label']
    table = Table(title=title, title_justify='left', box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column('')
    table.add_column('Frames', justify='right')
    table.add_column('Which', overflow='fold')
    table.add_row('offered', str(report['n_offered']), f'{report["n_atoms"]} atoms')
    split = (
        f'{report.get("n_train", 0)} train, {report.get("n_validation", 0)} validation, {report.get("n_test", 0)} test'
    )
    table.add_row('kept', str(report['n_kept']), split)
    n_refused = report['n_offered'] - report['n_good']
    table.add_row('refused', str(n_refused), 'for one reason or several:' if n_refused else '')
    for reason, frames in report['found_frames'].items():
        meaning = _REASONS[reason].format(**report['settings'])
        table.add_row(f'  {reason}', str(len(frames)), f'{meaning}: {ranges(frames)}')
    outliers = report['outlier_frames']
    if outliers and not report['settings']['refuse_energy_outliers']:
        kept = sorted(set(outliers) & set(report['kept_frames']))
        meaning = _REASONS['energy_outlier'].format(**report['settings'])
        table.add_row('flagged', str(len(outliers)), f'{meaning}: {ranges(outliers)}; {len(kept)} of them kept')
    return table


def report_lines(imported: Imported) -> list[str]:
    """What the frames tell beside the refusals, and the node that holds them.

    :param imported: the system.
    """
    report, lines = imported.report, []
    if report['timestep_fs'] is not None:
        ratio = '' if report['work_ratio'] is None else f'; energy change over work {report["work_ratio"]:.3f}'
        lines.append(f'{report["timestep_fs"]:.3f} fs from frame to frame{ratio}')
    fixed, choice = report['fixed_atoms'], report['settings']['fixed_atoms']
    if fixed:
        done = 'left out of the loss' if choice == 'mask' else 'trained on as they are'
        lines.append(f'{len(fixed)} atoms without any force ({ranges(fixed)}): {done}')
    lines.extend(f'Note: {note}' for note in report['notes'])
    lines.extend(f'Warning: {warning}' for warning in report['warnings'])
    if imported.dataset is None:
        return [*lines, 'No frame is left: no dataset.']
    return [
        *lines,
        f'DatasetData<{imported.dataset.pk}> {imported.dataset.label}, {",".join(imported.dataset.type_map)}',
    ]


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in short: 0-4, 7, 9-12.

    :param numbers: ascending.
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ', '.join(str(first) if first == last else f'{first}-{last}' for first, last in runs)


@click.command('import-model')
@click.argument('file', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@PROFILE_DIR
@PROFILE
@TYPE_MAP
@click.option('--label', default='', help='Name of the potential.')
def import_model(file: Path, profile_dir: Path, profile: str | None, type_map: list[str] | None, label: str) -> None:
    """Import a model of DeePMD-kit as a potential to start from.

    FILE is a frozen model of TensorFlow (*.pb) or PyTorch (*.pth), or a checkpoint of PyTorch (*.pt), which can be
    trained further, but not run by LAMMPS. Elements, cutoff and neighbour numbers are read off the model, and it is
    tried: its forces must be the slope of its energies. A training may go on from it.

    Example: aiida-sis import-model frozen_model.pb --label literature
    """
    open_profile(profile_dir, profile)
    from aiida_deepmd.calculations.import_potential import import_potential

    click.echo('Loading the model and comparing its forces with its energies (some ten seconds) …', err=True)
    try:
        with warnings.catch_warnings(record=True) as said:
            potential = import_potential(file, type_map=type_map, label=label)
    except ValueError as error:
        raise click.ClickException(_in_cli_words(str(error))) from error
    for warning in said:
        click.echo(f'Warning: {warning.message}', err=True)
    facts = f'{potential.base.attributes.get("descriptor") or "unknown descriptor"}, {potential.rcut:g} Å'
    click.echo(f'PotentialData<{potential.pk}> {",".join(potential.type_map)}: {facts}, sel {potential.sel}')
    if potential.branches:
        click.echo(f'Fine-tune one of its branches (`train.settings.model_branch`): {", ".join(potential.branches)}')
