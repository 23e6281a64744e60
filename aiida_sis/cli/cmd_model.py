"""``aiida-sis model PK``: a model with all that belongs to it, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_sis.cli.nodes import load_node, potential_of
from aiida_sis.cli.options import PROFILE, PROFILE_DIR, RUN
from aiida_sis.setup.profile import open_profile

__all__ = ('model',)

_MEANING = {
    'model_card.md': 'what it is, its errors, its limits',
    **dict.fromkeys(('model.pb', 'model.pth'), 'the model, for LAMMPS'),
    'frozen.pb': 'the uncompressed model, to train further',
    'checkpoint.pt': 'the checkpoint, to train further',
    'training': 'data (deepmd/npy) and input.json that trained it',
    'lammps': 'an input that runs it: lmp -in in.lammps',
}


@click.command()
@RUN
@click.option(
    '-o',
    '--output',
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help='Folder; it must be new or empty.',
)
@click.option(
    '--length-ps',
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help='Length of the MD in the LAMMPS input.',
)
@PROFILE_DIR
@PROFILE
def model(pk: str, output: Path, length_ps: float, profile_dir: Path, profile: str | None) -> None:
    """Write a model into a folder, with its data, its inputs and its card.

    PK is that of a potential, a training, or a run (then its last potential). The folder is all that a colleague
    without AiiDA needs.

    Example: aiida-sis model 21 -o lifsi-model
    """
    open_profile(profile_dir, profile)
    from aiida_sis.share.model_folder import write_model

    potential: Any = potential_of(load_node(pk))
    try:
        paths = write_model(potential, output, length_ps)
    except FileExistsError as error:
        raise click.ClickException(f'{error}: choose another folder, so that nothing is mixed up.') from error
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for path in paths:
        click.echo(f'{path}  {_MEANING.get(path.name, "")}'.rstrip())
