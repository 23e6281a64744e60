"""Which room may import which: `scripts/rooms.py` has the floors, from the ground up."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT_AIIDA = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted({name.split('.')[0] for name in sys.modules} & {'aiida', 'plumpy'}))
"""


@pytest.fixture(scope='module')
def rooms() -> ModuleType:
    """Return the script as a module."""
    spec = spec_from_file_location('rooms', ROOT / 'scripts' / 'rooms.py')
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_room_has_its_floor(rooms: ModuleType) -> None:
    """A new folder is put on a floor before anything imports it."""
    assert set(rooms.sizes()) - {'aiida_sis'} == {room for floor in rooms.FLOORS for room in floor}


def test_no_arrow_runs_upward(rooms: ModuleType) -> None:
    """A room imports from floors below its own only, so no two rooms need each other either."""
    floors = {room: number for number, floor in enumerate(rooms.FLOORS) for room in floor}
    assert [arrow for arrow in sorted(rooms.arrows()) if floors[arrow[0]] <= floors[arrow[1]]] == []


def test_the_picture_is_that_of_the_code(rooms: ModuleType) -> None:
    """The graph in CONTRIBUTING.md is what the script prints."""
    assert f'```mermaid\n{rooms.mermaid()}\n```' in (ROOT / 'CONTRIBUTING.md').read_text()


def test_no_circle_within_a_room(rooms: ModuleType) -> None:
    """No two modules need each other, not even inside their functions."""
    modules = rooms.modules()
    graph = {
        module: {name if name in modules else name.rpartition('.')[0] for name in rooms.imported(file)} & set(modules)
        for module, file in modules.items()
    }
    order = list(TopologicalSorter(graph).static_order())
    assert set(order) == set(modules)


def test_core_knows_no_aiida(rooms: ModuleType) -> None:
    """The science can be used and tested without AiiDA: neither the room nor what it imports brings it in."""
    core = {module: file for module, file in rooms.modules().items() if rooms.room_of(module) == 'core'}
    named = {module for module, file in core.items() if any(n.split('.')[0] == 'aiida' for n in rooms.imported(file))}
    assert named == set()
    loaded = subprocess.run(
        [sys.executable, '-c', WITHOUT_AIIDA, *core], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert loaded.stdout.strip() == ''


def test_code_lines(rooms: ModuleType, tmp_path: Path) -> None:
    """Blanks, comments and docstrings are left out, text in several lines is not."""
    text = '"""Summary.\n\nMore.\n"""\n\nimport os  # here\n# there\nNAMES = """\n\na"""\n'
    text += '\ndef f():\n    """Do."""\n    return (\n        1\n    )\n'
    file = tmp_path / 'module.py'
    file.write_text(text)
    assert rooms.code_lines(file) == 8
    assert rooms.imported(file) == {'os'}
