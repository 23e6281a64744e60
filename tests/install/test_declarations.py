"""What has to be said in several files is the same in all of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
NAMES_IN_CONDA = {'matplotlib': 'matplotlib-base'}
ONLY_IN_CONDA = {'python', 'pip', 'c-compiler', 'procps-ng', 'cp2k', 'deepmd-kit', 'lammps'}


@pytest.fixture(scope='module')
def project() -> dict[str, Any]:
    """Return the table ``project`` of pyproject.toml."""
    return tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']


@pytest.fixture(scope='module')
def conda() -> dict[str, SpecifierSet]:
    """Return the packages of environment.yml with their bounds, those of pip among them."""
    entries = yaml.safe_load((ROOT / 'environment.yml').read_text())['dependencies']
    flat = [entry for part in entries for entry in (part['pip'] if isinstance(part, dict) else [part])]
    return {one.name: one.specifier for one in map(Requirement, flat)}


def test_conda_has_the_dependencies(project: dict[str, Any], conda: dict[str, SpecifierSet]) -> None:
    """environment.yml has every dependency with the same bounds, and beside them the codes and tools alone."""
    needed = {
        NAMES_IN_CONDA.get(one.name, one.name): one.specifier for one in map(Requirement, project['dependencies'])
    }
    assert {name: bounds for name, bounds in conda.items() if name not in ONLY_IN_CONDA} == needed
    assert set(conda) >= ONLY_IN_CONDA
    assert conda['python'] == SpecifierSet(project['requires-python'])
    (codes,) = map(Requirement, project['optional-dependencies']['codes'])
    assert conda['deepmd-kit'] == codes.specifier


def test_pythons(project: dict[str, Any]) -> None:
    """The classifiers and README name the Pythons that the package admits."""
    promised = SpecifierSet(project['requires-python'])
    admitted = [f'3.{minor}' for minor in range(8, 20) if f'3.{minor}' in promised]
    named = [line.rpartition(' ')[2] for line in project['classifiers'] if re.search(r':: 3\.\d+$', line)]
    assert named == admitted
    assert f'Python {admitted[0]} to {admitted[-1]}' in (ROOT / 'README.md').read_text()
