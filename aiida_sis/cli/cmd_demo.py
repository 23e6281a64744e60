"""``aiida-sis demo``: set up, run the demonstration, show it, and put what it made into one folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_sis.cli.cmd_setup import prepare
from aiida_sis.cli.nodes import say_daemon_problem
from aiida_sis.cli.options import NO_WAIT, SEED, SETUP_DIR
from aiida_sis.command_lines import again

if TYPE_CHECKING:
    from aiida import orm
    from rich.console import Console

__all__ = ('demo', 'export')


@click.command()
@SEED
@click.option(
    '--protocol',
    type=click.Choice(['demo', 'dimer']),
    default='demo',
    show_default=True,
    help='demo: a LiFSI ion pair with GFN1-xTB labels. dimer: (LiF)2 with DFT labels, slower.',
)
@SETUP_DIR
@NO_WAIT
def demo(seed: int, protocol: str, profile_dir: Path, no_wait: bool) -> None:
    """Run the loop on a small system.

    Does the setup, submits stability-indicated sampling with the real codes, follows it to its end and writes the
    figure, the potential and the summary into ./sis-demo-PK. Exit codes as of `aiida-sis watch`.

    Example: aiida-sis demo --seed 2
    """
    click.echo('Setting up')
    codes = prepare(profile_dir)
    watch_submitted(submit_demo(codes, protocol, seed), no_wait, _show)


def watch_submitted(node: orm.ProcessNode, no_wait: bool, show: Callable[[orm.ProcessNode, Console], None]) -> None:
    """Name a run that was submitted, follow it to its end, show what it gave, and exit as `aiida-sis watch` does.

    :param node: the node of the run.
    :param no_wait: only name it.
    :param show: what shows it.
    """
    click.echo(f'Submitted run {node.pk}; `{again(f"watch {node.pk}")}` comes back to it.')
    say_daemon_problem()
    if no_wait:
        return
    from rich.console import Console

    from aiida_sis.show.progress import watch_run

    console = Console()
    exit_code = watch_run(node, console)
    if node.is_terminated:
        show(node, console)
    sys.exit(exit_code)


def _show(node: orm.ProcessNode, console: Console) -> None:
    print_paths(export(node, Path(f'sis-demo-{node.pk}')), console)


def submit_demo(codes: dict[str, orm.InstalledCode], protocol: str, seed: int) -> orm.ProcessNode:
    """Submit the demonstration to the daemon.

    :param codes: the codes by label.
    :param protocol: name of the protocol.
    :param seed: seed of every random choice.
    """
    from aiida.engine import submit

    from aiida_sis.structures.demo import lif_dimer, lifsi_ion_pair
    from aiida_sis.workflows.sis import SisWorkChain

    systems = {'dimer': lif_dimer()} if protocol == 'dimer' else {'ion_pair': lifsi_ion_pair()}
    try:
        builder = SisWorkChain.get_builder_from_protocol(codes=codes, systems=systems, protocol=protocol, seed=seed)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    return submit(builder)


def print_paths(paths: dict[str, Path], console: Console) -> None:
    """Say where what was written lies.

    :param paths: the paths by title.
    :param console: where to print.
    """
    for title, path in paths.items():
        console.print(f'{title:<8} {path}', highlight=False, markup=False, soft_wrap=True)


def export(node: orm.ProcessNode, folder: Path) -> dict[str, Path]:
    """Write the figure, the last potential and the summary of a run into a folder.

    :param node: the node of the run.
    :param folder: the folder; made if need be.
    :returns: the paths by title.
    """
    from aiida_deepmd.data.potential import PotentialData
    from aiida_sis.run.record import output_of
    from aiida_sis.run.trajectories import read_details
    from aiida_sis.show.figures.catalogue import FIGURES
    from aiida_sis.show.figures.style import WIDE, save
    from aiida_sis.show.figures.temperature import plot_run

    folder.mkdir(parents=True, exist_ok=True)
    details = read_details(node)
    record = details.run
    paths = {'Figure': save(plot_run(record), folder / 'temperature.png')}
    if details.true_errors:
        paths['Verified'] = save(FIGURES['verification'].figure(details, WIDE), folder / 'verification.png')
    potential = output_of(node, 'potential')
    if isinstance(potential, PotentialData):
        potential.export(folder / 'model')
        paths['Model'] = folder / 'model'
    if record.summary:
        paths['Summary'] = folder / 'summary.json'
        timing = {
            'wall_seconds': record.wall_seconds,
            'code_seconds': record.code_seconds,
            'untimed_jobs': record.untimed_jobs,
            'framework_share': record.framework_share,
        }
        paths['Summary'].write_text(
            json.dumps({**record.summary, **timing}, indent=2, ensure_ascii=False) + '\n', encoding='utf-8'
        )
    return paths
