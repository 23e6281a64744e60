"""``aiida-sis build``: make a structure, show what it is, store it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sis.cli.options import PROFILE, PROFILE_DIR, TYPES, in_words_of_types
from aiida_sis.setup.profile import open_profile

if TYPE_CHECKING:
    from aiida_sis.structures.build import Built

__all__ = ('build',)


@dataclass(frozen=True)
class Target:
    """Where a structure goes.

    :param seed: seed of every random choice.
    :param output: a file to write.
    :param dry_run: whether nothing is stored.
    :param profile_dir: folder of the isolated profile.
    :param profile: a profile of the user's own.
    """

    seed: int
    output: Path | None
    dry_run: bool
    profile_dir: Path
    profile: str | None


def _option(name: str, parameter: str, kind: type, text: str, **more: Any) -> Callable[..., Any]:
    return click.option(name, parameter, type=kind, help=text, **more)


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that every builder has; it gets them as one :class:`Target`."""

    @functools.wraps(command)
    def with_target(
        seed: int, output: Path | None, dry_run: bool, profile_dir: Path, profile: str | None, **options: Any
    ) -> None:
        given = {key: value for key, value in options.items() if value is not None and value is not False}
        command(Target(seed, output, dry_run, profile_dir, profile), **given)

    for option in (
        PROFILE,
        PROFILE_DIR,
        click.option('--dry-run', is_flag=True, help='Show it and store nothing; needs no profile.'),
        click.option(
            '-o',
            '--output',
            type=click.Path(dir_okay=False, path_type=Path),
            help='Also write it to this file; the suffix gives the format (extxyz, cif, …).',
        ),
        click.option('--seed', type=int, default=1, show_default=True, help='Seed of every random choice.'),
    ):
        with_target = option(with_target)
    return with_target


_LATTICE = _option('--lattice', 'lattice_parameter_angstrom', float, 'Lattice parameter of the crystal, in Å.')
_RATTLE = _option('--rattle', 'rattle_angstrom', float, 'Displace every atom at random by so much, in Å.')
_FIXED = _option('--fixed-layers', 'fixed_layers', int, 'Print the site numbers of so many layers at the bottom.')


def _solution(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of an electrolyte."""
    for option in (
        _option('--n-dol', 'n_dol', int, 'Number of DOL, in place of the concentration.'),
        _option('--n-lifsi', 'n_lifsi', int, 'Number of LiFSI, in place of the concentration.'),
        _option('--density', 'density_g_cm3', float, 'Density in g/cm³.  [default: estimated from the concentration]'),
        _option('--concentration', 'concentration_molar', float, 'LiFSI in mol/L.'),
    ):
        command = option(command)
    return command


@click.group()
def build() -> None:
    """Build a structure, show what it is and store it.

    The PK that is printed is what a run starts from. For example:

        aiida-sis build interface --like-paper 1M
    """


@build.command()
@_option('--repeat', 'repeat', int, 'Cubic cells along each edge.  [default: 3]')
@_LATTICE
@_RATTLE
@_option('--atoms', 'n_atoms', int, 'Number of atoms of disordered lithium; with --cell.')
@_option('--cell', 'cell_angstrom', float, 'Edge of the cube of disordered lithium, in Å; with --atoms.')
@click.option('--like-paper', is_flag=True, help='91 disordered atoms in a cube of 11 Å.')
@_shared
def bulk(target: Target, like_paper: bool = False, **parameters: Any) -> None:
    """Bulk lithium, bcc or disordered.

    For example: aiida-sis build bulk --repeat 4 --rattle 0.05
    """
    _make('bulk', 'disordered' if like_paper else None, parameters, target)


@build.command()
@_option('--repeat', 'repeat', int, 'Surface cells along x and y.  [default: 3]')
@_option('--layers', 'layers', int, 'Atomic layers.  [default: 6]')
@_LATTICE
@_option('--vacuum', 'vacuum_angstrom', float, 'Distance from face to face of the image, in Å.  [default: 15]')
@_FIXED
@click.option(
    '--like-paper', is_flag=True, help='The slab of the interfaces alone: 54 atoms, 10.47 × 10.47 × 26.725 Å.'
)
@_shared
def slab(target: Target, like_paper: bool = False, **parameters: Any) -> None:
    """A lithium slab with (100) faces.

    For example: aiida-sis build slab --layers 8 --fixed-layers 2
    """
    _make('slab', '100' if like_paper else None, parameters, target)


@build.command()
@_solution
@_option('--cell', 'cell_angstrom', float, 'Edge of the cube, in Å.  [default: 15]')
@click.option('--like-paper', type=click.Choice(['1M']), help='1 LiFSI and 21 DOL in a cube of 15 Å.')
@_shared
def electrolyte(target: Target, like_paper: str | None = None, **parameters: Any) -> None:
    """LiFSI in DOL, packed into a cube.

    For example: aiida-sis build electrolyte --concentration 1 --cell 15
    """
    _make('electrolyte', like_paper, parameters, target)


@build.command()
@_solution
@_option('--repeat', 'repeat', int, 'Surface cells along x and y; the cell fits them.  [default: 3]')
@_option('--layers', 'layers', int, 'Atomic layers of lithium.  [default: 6]')
@_LATTICE
@_option('--spacing', 'spacing_angstrom', float, 'From face to face through the electrolyte, in Å.  [default: 18]')
@_option('--cell-z', 'cell_z_angstrom', float, 'Length of the cell along z in Å, in place of the spacing.')
@_option('--gap', 'gap_angstrom', float, 'What the electrolyte keeps from each face, in Å.  [default: 2.5]')
@_FIXED
@click.option(
    '--like-paper',
    type=click.Choice(['1M', '10M']),
    help='54 Li with 1 LiFSI and 13 DOL, or with 10 LiFSI and 3 DOL, in 10.47 × 10.47 × 26.725 Å.',
)
@_shared
def interface(target: Target, like_paper: str | None = None, **parameters: Any) -> None:
    """A lithium slab with LiFSI in DOL between its faces.

    For example: aiida-sis build interface --like-paper 1M -o interface.extxyz
    """
    _make('interface', like_paper, parameters, target)


@build.command()
@_option('--repeat', 'repeat', int, 'Cubic cells along each edge.  [default: 2]')
@_LATTICE
@_option('--density', 'density_g_cm3', float, 'Density in g/cm³, in place of the lattice parameter.')
@_RATTLE
@_shared
def salt(target: Target, **parameters: Any) -> None:
    """Sodium chloride, rock salt.

    For example: aiida-sis build salt --density 1.5 --rattle 0.1
    """
    _make('salt', None, parameters, target)


@build.command()
@_option('--atoms', 'n_lithium', int, 'Metal atoms, 4 to 9.  [default: 6]')
@_LATTICE
@_option(
    '--distance', 'distance_angstrom', float, 'The nearest that N, S, O and F come to the metal, in Å.  [default: 2.2]'
)
@_option('--cell', 'cell_angstrom', float, 'Edge of the cube, in Å.  [default: 12]')
@click.option('--allow-odd', is_flag=True, help='Allow an odd number of electrons.')
@_shared
def cluster(target: Target, **parameters: Any) -> None:
    """An LiFSI ion pair on a few lithium atoms.

    For example: aiida-sis build cluster --atoms 6 --seed 3
    """
    _make('cluster', None, parameters, target)


@build.command()
@click.argument('path', type=click.Path(path_type=Path))
@click.option('--cell', type=float, nargs=3, metavar='X Y Z', help='Edges in Å, for a file without a cell.')
@click.option('--index', type=int, default=-1, show_default=True, help='Which frame of a file of several.')
@TYPES
@_shared
def file(
    target: Target,
    path: Path,
    index: int,
    cell: tuple[float, float, float] | None = None,
    type_map: list[str] | None = None,
) -> None:
    """Take a structure from PATH, any file that ASE reads.

    Atoms that the file holds in place are listed as `fixed`: name them in `systems.NAME.fixed_atoms` of the run.

    For example: aiida-sis build file POSCAR
    """
    _check_output(target)
    from aiida_sis.structures.build import Built, describe
    from aiida_sis.structures.file import atoms_from_file, fixed_atoms_of, structure_from_file

    try:
        atoms = atoms_from_file(path, cell, index, type_map)
    except (ValueError, OSError) as error:
        raise click.ClickException(in_words_of_types(_in_words_of_options(str(error)))) from error
    pk = None
    if not target.dry_run:
        _open(target)
        pk = structure_from_file(path, cell, index, type_map).store().pk
    _show(Built(atoms, path.name, describe(atoms) | {'fixed_atoms': fixed_atoms_of(atoms)}), pk, target)


def _make(kind: str, like_paper: str | None, parameters: dict[str, Any], target: Target) -> None:
    """Check, build, store, show."""
    _check_output(target)
    from aiida_sis.structures.build import PAPER_CELLS, check
    from aiida_sis.structures.build import build as build_atoms

    values = {**(PAPER_CELLS[kind][like_paper] if like_paper else {}), **parameters}
    try:
        check(kind, values, target.seed)
        if target.dry_run:
            built, pk = build_atoms(kind, values, target.seed), None
        else:
            _open(target)
            built, pk = _stored(kind, values, target.seed)
    except (ValueError, FileNotFoundError) as error:
        raise click.ClickException(_in_words_of_options(str(error))) from error
    _show(built, pk, target)


def _stored(kind: str, values: dict[str, Any], seed: int) -> tuple[Built, int]:
    from aiida import orm

    from aiida_sis.structures.build import Built
    from aiida_sis.structures.builders import CALCFUNCTIONS

    nodes = CALCFUNCTIONS[kind](parameters=orm.Dict(values), seed=orm.Int(seed))
    structure = nodes['structure']
    return Built(structure.get_ase(), structure.label, nodes['report'].get_dict()), structure.pk


def _open(target: Target) -> None:
    try:
        open_profile(target.profile_dir, target.profile)
    except click.UsageError as error:
        raise click.UsageError(f'{error.message} With --dry-run nothing is stored.') from error


def _check_output(target: Target) -> None:
    """Refuse a file that cannot be written before the time of a packing is spent."""
    if target.output is None:
        return
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        name = filetype(str(target.output), read=False)
        known = name in ioformats and ioformats[name].can_write
    except UnknownFileTypeError:
        known = False
    if not known:
        raise click.BadParameter(f'ASE cannot write {target.output}: use a suffix such as .extxyz or .cif.')
    if not target.output.absolute().parent.is_dir():
        raise click.BadParameter(f'there is no folder {target.output.parent}: make it first.')


def _in_words_of_options(sentence: str) -> str:
    """Name the options in place of the parameters that they set."""
    for parameter in click.get_current_context().command.params:
        sentence = sentence.replace(f"'{parameter.name}'", parameter.opts[0])
    return sentence


def _write(built: Built, path: Path) -> None:
    """Write the atoms; some formats need more than atoms, and each says so by an error of its own."""
    try:
        built.atoms.write(path)
    except Exception as error:
        words = ' '.join(str(error).split()) or type(error).__name__
        raise click.ClickException(
            f'ASE cannot write these atoms alone to {path} ({words}): use a suffix such as .extxyz or .cif.'
        ) from error


def _show(built: Built, pk: int | None, target: Target) -> None:
    from rich.console import Console
    from rich.table import Table

    report = built.report
    table = Table.grid(padding=(0, 2))
    table.add_row('atoms', f'{report["n_atoms"]}, {report["formula"]}')
    table.add_row('cell', ' × '.join(f'{edge:g}' for edge in report['cell_angstrom']) + ' Å')
    if 'molarity_mol_l' in report:
        table.add_row('achieved', f'{report["molarity_mol_l"]:.2f} mol/L, {report["density_g_cm3"]:.2f} g/cm³')
    else:
        table.add_row('density', f'{report["cell_density_g_cm3"]:.3f} g/cm³ of the whole cell')
    between = report.get('shortest_between_molecules_angstrom')
    if between is not None:
        table.add_row('nearest', f'{between:.2f} Å between molecules')
    elif report['shortest_distance_angstrom'] is not None:
        table.add_row('nearest', f'{report["shortest_distance_angstrom"]:.2f} Å between atoms')
    odd = report['n_electrons'] % 2
    table.add_row(
        'electrons', f'{"odd" if odd else "even"} number{": label with an unrestricted method" if odd else ""}'
    )
    if report.get('fixed_atoms'):
        table.add_row('fixed', ', '.join(str(site) for site in report['fixed_atoms']))
    if target.output is not None:
        _write(built, target.output)
        table.add_row('file', str(target.output))
    table.add_row('node', 'nothing stored' if pk is None else f'PK {pk}')
    console = Console()
    console.print(built.label, style='bold', highlight=False, markup=False)
    console.print(table, highlight=False)
