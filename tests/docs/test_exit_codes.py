"""The page on failures names every exit code of every process of the package, and no other."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from aiida.engine import Process
from aiida.engine.processes.functions import FunctionProcess

PAGE = (Path(__file__).parents[2] / 'docs' / 'when_it_fails.md').read_text(encoding='utf-8')
#: AiiDA gives its own codes to every job; below this they are listed once.
OWN = 200
_ROW = re.compile(r'^\| (\d+) \| (.+) \| .*\|$', re.MULTILINE)


def processes() -> dict[str, type[Process]]:
    """Return the jobs and workchains of this distribution by entry point; functions have no codes of their own."""
    found = {}
    for group in ('aiida.calculations', 'aiida.workflows'):
        for entry in entry_points(group=group):
            if entry.value.partition('.')[0] in ('aiida_sis', 'aiida_deepmd'):
                loaded = entry.load()
                if isinstance(loaded, type) and issubclass(loaded, Process):
                    found[entry.name] = loaded
    return found


def codes_of(process: type[Process]) -> set[int]:
    """Return the exit codes that a process can end with."""
    return {code.status for code in process.spec().exit_codes.values()}


def rows(heading: str) -> dict[int, str]:
    """Return meaning by exit code of the table below a heading of the page."""
    _, found, rest = PAGE.partition(f'\n{heading}\n')
    assert found, f'the page has no section {heading!r}'
    section = re.split(r'^##', rest, maxsplit=1, flags=re.MULTILINE)[0]
    return {int(code): meaning for code, meaning in _ROW.findall(section)}


def test_every_process_is_on_the_page() -> None:
    """Every entry point of a job or workchain has a section, and no section is left over."""
    sections = re.findall(r'^### `(.+)`$', PAGE, re.MULTILINE)
    assert sorted(sections) == sorted(processes())


@pytest.mark.parametrize('name', sorted(processes()))
def test_codes(name: str) -> None:
    """The table of a process lists its own exit codes."""
    own = {code for code in codes_of(processes()[name]) if code >= OWN}
    assert set(rows(f'### `{name}`')) == own


def test_codes_of_aiida() -> None:
    """What AiiDA itself gives is listed once."""
    inherited = set().union(*(codes_of(process) for process in (*processes().values(), FunctionProcess)))
    assert set(rows('## Any job')) == {code for code in inherited if code < OWN}
