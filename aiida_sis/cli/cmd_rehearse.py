"""``aiida-sis rehearse``: the loop with a teacher that is known everywhere, and what it says of the stable MD."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sis.cli.cmd_demo import export, print_paths, watch_submitted
from aiida_sis.cli.cmd_setup import prepare
from aiida_sis.cli.options import NO_WAIT, SEED, SETUP_DIR

if TYPE_CHECKING:
    from aiida import orm
    from rich.console import Console

__all__ = ('rehearse',)

STRATEGIES = ('burst', 'replay', 'burst_and_replay', 'ladder', 'ladder_and_burst', 'committee')
CHOICES = ('every', 'stride', 'farthest_point', 'entropy')


@click.command()
@SEED
@click.option('--strategy', type=click.Choice(STRATEGIES), help='How frames are found; default: the protocol.')
@click.option('--choice', type=click.Choice(CHOICES), help='Which frames of an AIMD are kept; default: the protocol.')
@click.option('--max-frames', type=click.IntRange(min=3), help='How many frames of an AIMD are kept at most.')
@SETUP_DIR
@NO_WAIT
def rehearse(
    seed: int, strategy: str | None, choice: str | None, max_frames: int | None, profile_dir: Path, no_wait: bool
) -> None:
    """Run the loop on molten NaCl and check it against its teacher.

    The teacher is CP2K's classical engine: the same program, inputs and workchains as for ab initio MD, at 7 ms a step.
    The first data are of the crystal at 300 K; the loop must find the melt at 1200 K. The stable MD is then labelled
    frame by frame, and its structure compared with the teacher's own MD.

    Example: aiida-sis rehearse --seed 2 --strategy replay
    """
    if choice in ('farthest_point', 'entropy') and max_frames is None:
        raise click.UsageError(f'--choice {choice} stops at a number of frames: give --max-frames, 50 say.')
    click.echo('Setting up')
    codes = prepare(profile_dir)
    sis: dict[str, Any] = {} if strategy is None else {'sampling': {'strategy': strategy}}
    wanted = {'choice': choice, 'max_frames': max_frames}
    dataset = {key: value for key, value in wanted.items() if value is not None}
    node = submit_rehearsal(codes, {'sis': sis, 'label': {'dataset': dataset} if dataset else {}}, seed)
    watch_submitted(node, no_wait, show_comparison)


def submit_rehearsal(codes: dict[str, orm.InstalledCode], overrides: dict[str, Any], seed: int) -> orm.ProcessNode:
    """Submit the rehearsal to the daemon.

    :param codes: the codes by label.
    :param overrides: changes to the protocol.
    :param seed: seed of every random choice.
    :returns: the node of the run.
    """
    from aiida.engine import submit

    from aiida_sis.structures.demo import rehearsal_systems
    from aiida_sis.workflows.rehearsal import RehearsalWorkChain

    melt, crystal = rehearsal_systems(seed)
    try:
        builder = RehearsalWorkChain.get_builder_from_protocol(
            codes, {'melt': melt}, overrides=overrides, seed=seed, supporting={'crystal': crystal}
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    return submit(builder)


def show_comparison(node: orm.ProcessNode, console: Console) -> None:
    """Print what the teacher says of the MD, and write it into a folder together with what the loop gave.

    :param node: the node of the rehearsal.
    :param console: where to print.
    """
    from aiida_sis.run.record import loop_of, output_of
    from aiida_sis.show.figures.comparison import plot_comparison
    from aiida_sis.show.figures.style import save

    run = loop_of(node)
    if run is node:
        console.print(node.exit_message or f'The run {node.pk} ended before its loop began.')
        return
    folder = Path(f'sis-rehearsal-{node.pk}')
    paths = export(run, folder)
    results = output_of(node, 'results')
    if results is not None and node.is_finished:
        facts = results.get_dict()
        for key, row in facts['forces'].items():
            console.print(
                f'{key}: force RMSE against the teacher along the MD {row["force_rmse_ev_per_angstrom"]:.3f} eV/Å, '
                f'worst frame {row["largest_force_rmse_ev_per_angstrom"]:.3f} ({row["n_frames"]} frames)',
                highlight=False,
            )
        verification = facts.get('verification') or {}
        true, whole = verification.get('force_rmse_ev_per_angstrom'), facts['force_rmse_ev_per_angstrom']
        if true is not None:
            console.print(
                f'Verification: {true:.3f} eV/Å from {verification["n_frames"]} frames, {whole:.3f} eV/Å from all '
                f'({true / whole - 1:+.0%})',
                highlight=False,
            )
        differences = ', '.join(f'{k.replace("_", "–")} {v:.1%}' for k, v in facts['rdf_difference'].items())
        console.print(f"RDF against the teacher's own MD, mean difference: {differences}", highlight=False)
        paths['Compared'] = save(plot_comparison(node), folder / 'comparison.png')
        (folder / 'comparison.json').write_text(json.dumps(facts, indent=2) + '\n', encoding='utf-8')
    elif node.exit_message:
        console.print(node.exit_message, highlight=False, markup=False)
    print_paths(paths, console)
