"""What the system lacks is found, and installed by one call of apt or named with its remedy.

Every program that the script meets is a fake in a folder that is the whole PATH.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'system_packages.sh'
EVERYTHING = ('cp2k.psmp', 'ps', 'chromium', 'chromedriver')
BARE = 'python3.13-venv gcc libc6-dev python3.13-dev cp2k cp2k-data openmpi-bin procps'


class Machine:
    """A machine of fakes.

    :param folder: the only place where programs are.
    """

    def __init__(self, folder: Path) -> None:
        """Make a machine with the shell alone."""
        self.folder = folder
        self.calls = folder / 'calls'
        self.calls.touch()
        (folder / 'include').mkdir()
        (folder / 'env').symlink_to(str(shutil.which('env')))

    def program(self, name: str, text: str = '') -> None:
        """Put a program there."""
        path = self.folder / name
        path.write_text(f'#!/bin/sh\n{text}\n')
        path.chmod(0o755)

    def python(self, version: str = '3.13', venv: bool = True, header: bool = True, compiler: bool = True) -> None:
        """Put a Python there, with what pip needs or without; the compiler fails where the header lacks."""
        self.program(
            'python3',
            f'case "$*" in\n*version_info*) echo {version};;\n*ensurepip*) exit {int(not venv)};;\n'
            f'*CC*) echo fake-cc;;\n*include*) echo {self.folder / "include"};;\nesac',
        )
        if header:
            (self.folder / 'include' / 'Python.h').touch()
        if compiler:
            self.program('fake-cc', f'test -e {self.folder / "include" / "Python.h"}')

    def apt(self, browser: bool = True) -> None:
        """Put apt there, which notes how it is called."""
        self.program('apt-get', f'echo "$USER_IS $*" >> {self.calls}')
        self.program('apt-cache', f'exit {int(not browser)}')

    def user(self, root: bool, sudo: bool = True) -> None:
        """Say who calls."""
        self.program('id', f'echo {0 if root else 1000}')
        if sudo:
            self.program('sudo', 'USER_IS=sudo exec "$@"')

    def run(self, *wanted: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            [str(shutil.which('bash')), str(SCRIPT), 'python3', *wanted],
            env={'PATH': str(self.folder), 'USER_IS': 'root', **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installed(self) -> list[str]:
        """What apt was asked to install: one entry a call."""
        return [line.partition('recommends ')[2] for line in self.calls.read_text().splitlines() if 'install' in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with the shell alone."""
    return Machine(tmp_path)


def test_bare_debian(machine: Machine) -> None:
    """On a bare Debian everything comes by one call, as root and by sudo."""
    machine.python(venv=False, header=False, compiler=False)
    machine.apt()
    machine.user(root=True, sudo=False)
    assert machine.run('cp2k').returncode == 0
    assert machine.installed == [BARE]
    machine.user(root=False)
    answer = machine.run('cp2k', 'browser')
    assert answer.returncode == 0
    assert machine.installed == [BARE, f'{BARE} chromium chromium-driver']
    assert 'sudo install' in machine.calls.read_text()


def test_nothing_is_missing(machine: Machine) -> None:
    """Where everything is there, nobody is asked for anything: there is no apt and no sudo here, either."""
    machine.python()
    for name in EVERYTHING:
        machine.program(name)
    answer = machine.run('cp2k', 'browser')
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, '', '')


@pytest.mark.parametrize(
    ('python', 'missing'),
    [
        ({'compiler': False}, 'gcc libc6-dev'),
        ({'header': False}, 'gcc libc6-dev python3.13-dev'),
        ({'venv': False}, 'python3.13-venv'),
        ({'version': '3.10', 'header': False, 'venv': False}, 'python3.10-venv gcc libc6-dev python3.10-dev'),
    ],
)
def test_parts_of_python(machine: Machine, python: dict[str, bool], missing: str) -> None:
    """A Python that was built by hand brings its headers; the packages have its version in their names."""
    machine.python(**python)
    machine.apt()
    machine.user(root=True)
    assert machine.run().returncode == 0
    assert machine.installed == [missing]


def test_compiler_of_the_user(machine: Machine) -> None:
    """A compiler that the user names is taken instead of Python's own, as pip does."""
    machine.python(compiler=False)
    machine.program('other-cc', '[ "$1" = -O2 ]')
    assert machine.run(CC='other-cc -O2').returncode == 0


@pytest.mark.parametrize('name', ['ps', 'cp2k.psmp'])
def test_one_program_lacks(machine: Machine, name: str) -> None:
    """Only what lacks is installed."""
    machine.python()
    machine.apt()
    machine.user(root=True)
    for other in EVERYTHING:
        if other != name:
            machine.program(other)
    assert machine.run('cp2k', 'browser').returncode == 0
    assert machine.installed == ['procps' if name == 'ps' else 'cp2k cp2k-data openmpi-bin']


def test_without_apt(machine: Machine) -> None:
    """Without apt each part is named with its remedy, once."""
    machine.python(venv=False, compiler=False)
    machine.user(root=False)
    answer = machine.run('cp2k', 'browser')
    assert answer.returncode == 1
    for part in ('venv', 'fake-cc', 'conda install -c conda-forge cp2k', 'procps-ng', 'chromedriver'):
        assert answer.stderr.count(part) == 1, answer.stderr


def test_without_sudo(machine: Machine) -> None:
    """Without sudo the command for root is printed, whole."""
    machine.python(venv=False, header=False, compiler=False)
    machine.apt()
    machine.user(root=False, sudo=False)
    answer = machine.run('cp2k')
    assert answer.returncode == 1
    assert f'as root, apt-get install {BARE}\n' in answer.stderr
    assert machine.calls.read_text() == ''


@pytest.mark.parametrize('apt', [True, False])
def test_a_browser_is_not_needed(machine: Machine, apt: bool) -> None:
    """Where Chromium is not to be had (Ubuntu's is a snap) it is said, and nothing else fails for it."""
    machine.python()
    machine.program('cp2k.psmp')
    machine.program('ps')
    if apt:
        machine.apt(browser=False)
    machine.user(root=True)
    answer = machine.run('cp2k', 'browser')
    assert answer.returncode == 0
    assert 'Chromium is missing' in answer.stderr
    assert machine.installed == []


def test_pythons(machine: Machine) -> None:
    """The Pythons that the package does not admit are refused before anything is installed, and no others."""
    project = (SCRIPT.parents[1] / 'pyproject.toml').read_text()
    admitted = SpecifierSet(re.findall(r'^requires-python = "(.*?)"', project, re.MULTILINE)[0])
    machine.apt()
    machine.user(root=True)
    for version in ('3.8', '3.9', '3.10', '3.11', '3.12', '3.13', '3.14', '3.15', '3.100'):
        machine.python(version)
        answer = machine.run()
        assert (answer.returncode == 0) == (version in admitted), answer.stderr
        if answer.returncode:
            assert f'is Python {version}' in answer.stderr
            assert 'make PYTHON=python3.13' in answer.stderr
    assert machine.calls.read_text() == ''


def test_no_python(machine: Machine) -> None:
    """A Python that is not there is named."""
    answer = machine.run()
    assert answer.returncode == 1
    assert 'There is no python3' in answer.stderr
