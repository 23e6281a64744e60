"""The root of the command line.

AiiDA chooses its configuration folder when it is imported. The commands therefore import AiiDA inside their functions,
after :func:`aiida_sis.setup.profile.point_to` has named the folder, so that nothing is made in the user's home.
"""

from __future__ import annotations

import click

from aiida_sis import __version__
from aiida_sis.cli.cmd_analyse import analyse
from aiida_sis.cli.cmd_build import build
from aiida_sis.cli.cmd_completion import completion
from aiida_sis.cli.cmd_continue import continue_
from aiida_sis.cli.cmd_demo import demo
from aiida_sis.cli.cmd_doctor import doctor
from aiida_sis.cli.cmd_export import export, import_
from aiida_sis.cli.cmd_import import import_dataset, import_model
from aiida_sis.cli.cmd_model import model
from aiida_sis.cli.cmd_plot import plot
from aiida_sis.cli.cmd_protocol import protocol
from aiida_sis.cli.cmd_query import query
from aiida_sis.cli.cmd_rehearse import rehearse
from aiida_sis.cli.cmd_report import report
from aiida_sis.cli.cmd_run import run
from aiida_sis.cli.cmd_setup import setup
from aiida_sis.cli.cmd_status import status
from aiida_sis.cli.cmd_watch import watch

__all__ = ('main',)


@click.group(context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='aiida-sis')
def main() -> None:
    """Stability-indicated sampling with CP2K, DeePMD-kit and LAMMPS."""


for command in (
    analyse,
    build,
    completion,
    continue_,
    demo,
    doctor,
    export,
    import_,
    import_dataset,
    import_model,
    model,
    plot,
    protocol,
    query,
    rehearse,
    report,
    run,
    setup,
    status,
    watch,
):
    main.add_command(command)
