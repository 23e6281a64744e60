"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ('PROFILE', 'PROFILE_DIR', 'RUN')

PROFILE_DIR = click.option(
    '--profile-dir',
    type=click.Path(file_okay=False, path_type=Path),
    default=Path('.sis'),
    show_default=True,
    help='Folder of the isolated AiiDA profile; use it with verdi by `export AIIDA_PATH=$PWD/.sis`.',
)
PROFILE = click.option(
    '-p',
    '--profile',
    metavar='NAME',
    help='Read a profile of your own AiiDA installation instead of the isolated one.',
)
RUN = click.argument('pk', metavar='PK', type=str)
