"""``aiida-sis continue PK``: a new run from an earlier one, with the codes of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sis.cli.cmd_protocol import as_yaml
from aiida_sis.cli.codes import code_options, load_codes
from aiida_sis.cli.nodes import load_sis_run, say_daemon_problem
from aiida_sis.cli.options import PROFILE, PROFILE_DIR, RUN
from aiida_sis.command_lines import again
from aiida_sis.setup.profile import open_profile

if TYPE_CHECKING:
    from aiida import orm

__all__ = ('continue_',)


@click.command('continue')
@RUN
@PROFILE_DIR
@PROFILE
@click.option('--generations', type=click.IntRange(min=0), help='How many more may be trained.  [default: as before]')
@click.option('--length-ps', type=click.FloatRange(min=0, min_open=True), help='Length of the last stage.')
@click.option('--all-stages', is_flag=True, help='Run the stages that the last potential has passed again.')
@click.option('--seed', type=click.IntRange(min=0), help='Seed of the new run.  [default: the old one plus 1]')
@code_options
@click.option('--ranks', type=click.IntRange(min=1), help='MPI ranks of CP2K.  [default: as before]')
@click.option(
    '--keep-options', is_flag=True, help='Keep all options of its jobs, lines for a shell too: if it is yours.'
)
@click.option('--dry-run', is_flag=True, help='Say what would be run, and submit nothing.')
@click.option('--wait', is_flag=True, help='Follow the run until it ends.')
def continue_(
    pk: str, profile_dir: Path, profile: str | None, ranks: int | None, dry_run: bool, wait: bool, **options: Any
) -> None:
    """Go on from an earlier run, which may have been imported.

    The new run takes all frames and the last potential of run PK, however that ended, and its settings. It begins with
    the MD of the first stage that this potential has not passed, or of the last stage; catastrophes are labelled and
    learnt as before. Without a potential it labels what is missing and trains. Shell lines, queues and accounts of the
    earlier jobs are left out and printed. On the isolated profile the codes of this machine are set up; with -p, name
    them. With --wait the exit code tells how it ended, as that of `aiida-sis watch`.

    Example: aiida-sis continue 21 --length-ps 200 --wait
    """
    open_profile(profile_dir, profile)
    run = load_sis_run(pk)
    from aiida_sis.share.continuation import continuation, missing_for_continuation

    problem = missing_for_continuation(run)
    if problem:
        raise click.ClickException(problem)
    names = {key: options.pop(key) for key in ('cp2k', 'dp', 'lmp')}
    codes = load_codes(names, profile_dir, start_daemon=not dry_run)
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': ranks}
    changes = {'cp2k': {'resources': resources, 'withmpi': ranks > 1}} if ranks else {}
    dropped: list[str] = []
    try:
        builder = continuation(
            run,
            codes,
            max_generations=options['generations'],
            length_ps=options['length_ps'],
            all_stages=options['all_stages'],
            seed=options['seed'],
            options=changes,
            keep_options=options['keep_options'],
            dropped=dropped,
        )
        _say(builder, run, dropped)
        if dry_run:
            _say_training(builder)
            return
        from aiida.engine import submit

        node = submit(builder)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f'Submitted run {node.pk}; `{again(f"watch {node.pk}")}` follows it.')
    say_daemon_problem()
    if wait:
        from rich.console import Console

        from aiida_sis.show.progress import watch_run

        sys.exit(watch_run(node, Console()))


def _say(builder: Any, run: orm.ProcessNode, dropped: list[str]) -> None:
    """Print what the new run is given, and what of the earlier one it is not."""
    from aiida_sis.workflows.plan import stage_lines
    from aiida_sis.workflows.remains import what_is_left

    settings = builder.parameters.get_dict()
    frames = sum(node.base.attributes.get('n_frames') for node in builder.datasets.values())
    click.echo(f'From run {run.pk} ({run.uuid}): {len(builder.datasets)} datasets with {frames} frames,')
    if settings.get('start') == 'explore':
        click.echo(f'potential {builder.potential.pk}; seed {builder.seed.value}.')
    else:
        click.echo(f'no potential yet, so it labels what is missing and trains; seed {builder.seed.value}.')
    if more := what_is_left(run).not_in_outputs:
        click.echo(f'Found in its parts, not among its outputs: {", ".join(more)}.')
    for line in dropped:
        click.echo(f'Left out, {line}')
    if dropped:
        click.echo('What jobs here need instead belongs to the codes and computers here; --keep-options keeps options.')
    for line in stage_lines(settings, builder.systems):
        click.echo(f'{line}.')
    click.echo(f'At most {settings.get("max_generations", 10)} more generations.')


def _say_training(builder: Any) -> None:
    """Print DeePMD-kit's input of the first training of the new run."""
    from aiida_sis.core.loop.schedule import training_parameters
    from aiida_sis.core.settings.sis import read_settings

    settings = read_settings(builder.parameters.get_dict())
    base, given = builder.train.train.parameters.get_dict(), 'potential' in builder._inputs(prune=True)
    generation = 1 if settings.start == 'explore' else 0
    click.echo('\nInput of the first training:')
    click.echo(as_yaml(training_parameters(base, generation, settings.learning, given=given)))
