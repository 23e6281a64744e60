"""``aiida-sis doctor``: say what is there, in which version, and what to do about what is not."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from aiida_sis.cli.options import SETUP_DIR
from aiida_sis.command_lines import PROFILE_NAME
from aiida_sis.setup.codes import CODES, find_code, problem_of_ps
from aiida_sis.setup.profile import point_to

__all__ = ('doctor',)

_PACKAGES = ('aiida-core', 'aiida-cp2k', 'dpdata', 'numpy', 'scipy', 'ase')


@dataclass(frozen=True)
class Finding:
    """One line of the report. An essential part that is missing makes the command fail."""

    name: str
    state: str
    detail: str
    remedy: str = ''
    essential: bool = True

    @property
    def is_good(self) -> bool:
        """Whether there is nothing to do."""
        return not self.remedy


@click.command()
@SETUP_DIR
def doctor(profile_dir: Path) -> None:
    """Say what is here and what is missing.

    Looks for the codes, packages, profile and daemon, names the remedy for each that is missing, and exits nonzero if a
    run could not do without it.

    Example: aiida-sis doctor
    """
    from rich.console import Console
    from rich.table import Table

    findings = [*_python(), *_codes(), _ps(), *_profile(profile_dir)]
    table = Table('', 'Part', 'Version or state', 'Where', box=None, pad_edge=False)
    for finding in findings:
        mark = '[green]ok[/]' if finding.is_good else '[red]missing[/]' if finding.essential else '[yellow]note[/]'
        table.add_row(mark, finding.name, finding.state, finding.detail)
    console = Console()
    console.print(table)
    for finding in findings:
        if not finding.is_good:
            console.print(f'{finding.name}: {finding.remedy}', markup=False, highlight=False, soft_wrap=True)
    if any(finding.essential and not finding.is_good for finding in findings):
        sys.exit(1)
    console.print('Everything that a run needs is here.')


def _python() -> list[Finding]:
    number = '.'.join(str(part) for part in sys.version_info[:3])
    findings = [Finding('Python', number, sys.executable)]
    for package in _PACKAGES:
        try:
            findings.append(Finding(package, version(package), ''))
        except PackageNotFoundError:
            findings.append(Finding(package, 'not found', '', f'pip install {package}'))
    return findings


def _codes() -> list[Finding]:
    findings = []
    for spec in CODES:
        found = find_code(spec)
        if found is None:
            findings.append(Finding(spec.title, 'not found', '', spec.advice))
        else:
            findings.append(Finding(spec.title, found.version, str(found.path), found.problem or ''))
    return findings


def _ps() -> Finding:
    problem = problem_of_ps()
    return Finding('ps', 'not found' if problem else 'answers', shutil.which('ps') or '', problem or '')


def _profile(folder: Path) -> list[Finding]:
    """Report profile, broker and daemon; `aiida-sis setup` makes all three, so their absence is no failure."""
    remedy = 'run `aiida-sis setup`'
    if not (folder / '.aiida' / 'config.json').is_file():
        return [Finding('AiiDA profile', 'not made yet', str(folder), remedy, essential=False)]
    point_to(folder)
    from aiida.engine.daemon.client import get_daemon_client
    from aiida.manage.configuration import get_config

    config = get_config()
    if PROFILE_NAME not in config.profile_names:
        return [Finding('AiiDA profile', 'not made yet', str(folder), remedy, essential=False)]
    profile = config.get_profile(PROFILE_NAME)
    from aiida_sis.run.daemon import why_nobody_works

    problem = why_nobody_works(get_daemon_client(PROFILE_NAME))
    return [
        Finding('AiiDA profile', PROFILE_NAME, str(folder)),
        Finding('broker', str(profile.process_control_backend), 'comes with the daemon'),
        Finding('daemon', 'stopped' if problem else 'running', '', problem and f'{problem}; {remedy}', essential=False),
    ]
