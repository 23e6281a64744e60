"""``aiida-sis run FILE``: the loop on a structure of one's own."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from aiida_sis.cli.cmd_demo import export, print_paths, watch_submitted
from aiida_sis.cli.cmd_protocol import as_yaml, read_overrides
from aiida_sis.cli.codes import code_options, load_codes
from aiida_sis.cli.options import NO_WAIT, PROFILE, PROFILE_DIR, SEED, TYPES, in_words_of_types
from aiida_sis.setup.profile import open_profile, point_to_nothing

if TYPE_CHECKING:
    from aiida import orm
    from ase import Atoms
    from rich.console import Console

__all__ = ('run',)

#: Thickness of a cell in Å below which CP2K's labels, which are of the Γ point alone, have large errors in a crystal.
THIN = 8.0
#: How much farther than the cutoff, in Å, the images of a molecule are kept: it stretches.
STRETCH = 2.0
_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@click.argument('file', type=click.Path(path_type=Path))
@click.option('--protocol', default='fast', show_default=True, help='Where the settings come from.')
@click.option('--temperature', type=_POSITIVE, help='Temperature of AIMD and MD, in K.  [default: the protocol]')
@click.option('--length', type=_POSITIVE, help='Length of the last stage, in ps.  [default: the protocol]')
@SEED
@click.option('--charge', type=int, help='Total charge.  [default: 0]')
@click.option('--multiplicity', type=click.IntRange(min=1), help='2S + 1; above 1 with spin.  [default: 1]')
@click.option('--set', 'pairs', metavar='KEY=VALUE', multiple=True, help='Change a setting; may be repeated.')
@click.option(
    '--overrides',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Changes in YAML, laid out like the protocol.',
)
@click.option('--name', help='Name of the system.  [default: the name of the file]')
@click.option('--cell', type=_POSITIVE, nargs=3, metavar='X Y Z', help='Edges in Å, for a file without a cell.')
@click.option('--repeat', type=click.IntRange(min=1), nargs=3, metavar='A B C', help='Repeat the cell so often.')
@click.option('--index', type=int, default=-1, show_default=True, help='Which frame of a file of several.')
@TYPES
@code_options
@click.option('--ranks', type=click.IntRange(min=1), help='MPI ranks of CP2K.  [default: the protocol]')
@PROFILE_DIR
@PROFILE
@click.option('--dry-run', is_flag=True, help='Show every number that would be used, and submit nothing.')
@click.option('--estimate', 'trial', is_flag=True, help='Run two AIMD steps to say what labels cost; submit nothing.')
@NO_WAIT
def run(
    file: Path, protocol: str, seed: int, profile_dir: Path, profile: str | None, dry_run: bool, trial: bool,
    no_wait: bool, **options: Any,
) -> None:  # fmt: skip
    """Run the loop on the structure in FILE, any that ASE reads.

    A molecule without a cell gets a box, atoms that the file holds in place stay there, and the structure is optimised
    first (not with reactive). Does the setup if need be, submits the run, follows it to its end and writes figure,
    potential and summary into ./sis-NAME-PK. Exit codes as of `aiida-sis watch`.

    Keys of --set are those of the protocol, for example label.timestep_fs=0.5; VALUE is YAML. The file of --overrides
    comes first, then --set, then the other options.

    Example: aiida-sis run molecule.xyz --protocol demo --length 20 --set sis.replicas=4
    """
    missing = any(options[key] is None for key in ('cp2k', 'dp', 'lmp'))
    if profile is not None or (profile_dir / '.aiida').is_dir() or not missing:
        open_profile(profile_dir, profile)
    else:
        point_to_nothing()
    from aiida_sis.workflows.protocols import load_protocol

    try:
        overrides = _overrides(protocol, options)
        values = load_protocol(protocol, overrides)
        atoms = _atoms(file, values, options)
    except (ValueError, OSError) as error:
        raise click.ClickException(in_words_of_types(_in_words_of_options(str(error)))) from error
    name = options['name'] or re.sub('[^A-Za-z0-9]+', '_', file.stem).strip('_') or 'system'
    codes = load_codes({key: options[key] for key in ('cp2k', 'dp', 'lmp')}, profile_dir, not (dry_run or trial))
    builder = _builder(codes, atoms, file, name, protocol, overrides, seed, options['ranks'])
    _say(builder, atoms, name, options)
    _say_notes(atoms, values)
    if trial:
        _say_estimate(builder)
    elif dry_run:
        _say_settings(builder)
    else:
        from aiida.engine import submit

        watch_submitted(submit(builder), no_wait, lambda node, console: _show(node, console, name))


def _overrides(protocol: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the changes over each other: those of the file, then ``--set``, then those with an option of their own."""
    from aiida_sis.core.overlay import merge
    from aiida_sis.workflows.protocols import load_protocol

    if protocol == 'rehearsal':
        raise ValueError('The protocol rehearsal has a force field for NaCl alone: choose another, such as fast.')
    overrides = {} if options['overrides'] is None else read_overrides(options['overrides'])
    if not isinstance(overrides, Mapping):
        raise ValueError(f'{options["overrides"]} holds {overrides!r}: write it with the layout of the protocol.')
    if protocol != 'reactive':  # there the reaction is what is looked for; demo's own structure needs it not
        overrides = merge({'sis': {'optimise_first': True}}, overrides, keep_nulls=True)
    for pair in options['pairs']:
        overrides = merge(overrides, _tree(pair), keep_nulls=True)
    own: dict[str, Any] = {}
    if options['temperature'] is not None:
        own['temperature_k'] = options['temperature']
    if options['length'] is not None:
        stages = load_protocol(protocol, overrides)['sis']['stages']
        # An earlier stage is no longer than the last one.
        own['stages'] = [{**one, 'length_ps': min(one['length_ps'], options['length'])} for one in stages]
        own['stages'][-1]['length_ps'] = options['length']
    dft = {key.upper(): options[key] for key in ('charge', 'multiplicity') if options[key] is not None}
    if (options['multiplicity'] or 1) > 1:
        dft['UKS'] = True
    level = {'cp2k': {'FORCE_EVAL': {'DFT': dft}}} if dft else {}
    return merge(overrides, ({'sis': own} if own else {}) | level, keep_nulls=True)


def _tree(pair: str) -> dict[str, Any]:
    """Read ``a.b=value`` as nested dictionaries."""
    key, equals, text = pair.partition('=')
    if not equals or not all(key.split('.')):
        raise ValueError(f"--set {pair!r} is no KEY=VALUE: write 'sis.replicas=4', say.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f'--set {pair!r} has a value that is no YAML: {" ".join(str(error).split())}') from error
    if isinstance(value, str) and re.fullmatch(r'[+-]?\d+(\.\d*)?[eE][+-]?\d+', value):
        value = float(value)  # a number for everybody but YAML
    for part in reversed(key.split('.')):
        value = {part: value}
    return dict(value)


def _atoms(file: Path, values: Mapping[str, Any], options: Mapping[str, Any]) -> Atoms:
    from aiida_deepmd.files.backend import descriptors
    from aiida_sis.structures.file import atoms_from_file

    cutoffs = [
        part['rcut'] for part in descriptors(values['dp']['model']) if isinstance(part.get('rcut'), (int, float))
    ]
    gap = max(cutoffs, default=6.0) + STRETCH
    atoms = atoms_from_file(file, options['cell'], options['index'], options['type_map'], gap=gap)
    return atoms.repeat(options['repeat']) if options['repeat'] else atoms


def _builder(
    codes: Mapping[str, orm.AbstractCode], atoms: Atoms, file: Path, name: str, protocol: str,
    overrides: dict[str, Any], seed: int, ranks: int | None,
) -> Any:  # fmt: skip
    """Fill the builder, and refuse in one sentence what the submission would."""
    from aiida import orm

    from aiida_sis.core.overlay import merge
    from aiida_sis.structures.file import fixed_atoms_of
    from aiida_sis.workflows.plan import refusal_of
    from aiida_sis.workflows.sis import SisWorkChain

    structure = orm.StructureData(ase=atoms)
    structure.label, structure.description = file.name, atoms.info.get('box', '')
    fixed = fixed_atoms_of(atoms)
    if fixed:
        overrides = merge({'sis': {'systems': {name: {'fixed_atoms': fixed}}}}, overrides, keep_nulls=True)
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': ranks}
    more = {'cp2k': {'resources': resources, 'withmpi': ranks > 1}} if ranks else {}
    try:
        builder = SisWorkChain.get_builder_from_protocol(codes, {name: structure}, protocol, overrides, more, seed)
        problem = refusal_of(builder)
    except ValueError as error:
        problem = str(error)
    if problem:
        hint = ' On the command line: --multiplicity 2, or --charge.' if 'UKS' in problem else ''
        raise click.ClickException(problem + hint)
    builder.metadata.label = name
    return builder


def _say(builder: Any, atoms: Atoms, name: str, options: Mapping[str, Any]) -> None:
    from aiida_sis.structures.file import fixed_atoms_of
    from aiida_sis.workflows.plan import plan_rows

    dft = builder.label.cp2k.cp2k.parameters.get_dict()['FORCE_EVAL'].get('DFT', {})
    rows = [('system', f'{name}: {len(atoms)} atoms, {atoms.get_chemical_formula()}')]
    rows.append(('cell', ' × '.join(f'{edge:.4g}' for edge in atoms.cell.lengths()) + ' Å, periodic'))
    if 'box' in atoms.info:
        rows.append(('box', f'the file has no periodic cell, so it gets {atoms.info["box"]}'))
    if fixed := fixed_atoms_of(atoms):
        rows.append(('fixed', ', '.join(map(str, fixed))))
    charge, multiplicity = dft.get('CHARGE', 0), dft.get('MULTIPLICITY', 1)
    rows.append(('electrons', f'charge {charge}, multiplicity {multiplicity}{", with spin" if dft.get("UKS") else ""}'))
    rows.append(('temperature', f'{builder.parameters["temperature_k"]:g} K, seed {builder.seed.value}'))
    for title, text in (*rows, *plan_rows(builder)):
        click.echo(f'{title:<13} {text}')


def _say_notes(atoms: Atoms, values: Mapping[str, Any]) -> None:
    """Say what can be run and is seldom meant."""
    import numpy as np

    from aiida_sis.core.settings.label import read_label_settings

    if 'H' in atoms.symbols and read_label_settings(values['label']).timestep_fs > 0.5:
        click.echo('Note: with hydrogen 0.5 fs is safer: --set label.timestep_fs=0.5 --set md.timestep_fs=0.5')
    thickness = 1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    if thickness.min() < THIN:
        repeats = ' '.join(str(number) for number in np.ceil(THIN / thickness).astype(int))
        click.echo(
            f'Note: the cell is {thickness.min():.3g} Å thick, but labels are of the Γ point alone: a supercell is '
            f'safer, --repeat {repeats} say'
        )


def _say_settings(builder: Any) -> None:
    """Print all settings, as a protocol is printed."""
    sections = {
        'sis': builder.parameters,
        'label': builder.label.parameters,
        'cp2k': builder.label.cp2k.cp2k.parameters,
        'dp': builder.train.train.parameters,
        'md': builder.explore.md.parameters,
    }
    click.echo('\nAll settings; nothing is submitted:')
    click.echo(as_yaml({key: node.get_dict() for key, node in sections.items()}))


def _say_estimate(builder: Any) -> None:
    from aiida_sis.show.tables import format_seconds
    from aiida_sis.workflows.estimate import N_STEPS, estimate

    click.echo(f'Running {N_STEPS} AIMD steps …')
    logging.disable(logging.WARNING)  # AiiDA reports the steps of the trial
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            found = estimate(builder)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    finally:
        logging.disable(logging.NOTSET)
    click.echo(f'label {found.pk}: {found.first_s:.3g} s to start, {found.step_s:.3g} s a step')
    click.echo(f'AIMD of generation 0: {format_seconds(found.generation_0_s)}, without optimisations')
    click.echo(f'each AIMD of a later generation: {format_seconds(found.label_s)}')
    click.echo('Nothing is submitted.')


def _in_words_of_options(sentence: str) -> str:
    return sentence.replace('`cell=(x, y, z)`, on the command line ', '')


def _show(node: orm.ProcessNode, console: Console, name: str) -> None:
    print_paths(export(node, Path(f'sis-{name}-{node.pk}')), console)
