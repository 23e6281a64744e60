"""aiida_deepmd is a plugin of its own: it uses nothing of aiida_sis, and knows none of its words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aiida_deepmd

ROOT = Path(aiida_deepmd.__file__).parent
FILES = sorted(ROOT.rglob('*.py'))
MODULES = ['.'.join(file.relative_to(ROOT.parent).with_suffix('').parts) for file in FILES]
#: Words of a sampling loop; the one place that may say aiida_sis is the example of an entry point.
FOREIGN = re.compile(r'\b(generations?|stages?|replicas?|whole run|sampling|catastroph\w+|sis)\b', re.IGNORECASE)
#: Imports every module of the package where any import of aiida_sis fails.
SCRIPT = """
import importlib, sys
sys.modules['aiida_sis'] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def imported(tree: ast.AST) -> set[str]:
    """The packages that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition('.')[0])
    return found


@pytest.mark.parametrize('file', FILES, ids=MODULES)
def test_no_module_imports_aiida_sis(file: Path) -> None:
    assert 'aiida_sis' not in imported(ast.parse(file.read_text()))


@pytest.mark.parametrize('file', FILES, ids=MODULES)
def test_no_module_speaks_of_sampling(file: Path) -> None:
    text = file.read_text().replace('aiida_sis.core.cp2k.frames', '')
    assert 'aiida_sis' not in text
    assert 'aiida-sis' not in text
    assert FOREIGN.findall(text) == []


def test_every_module_can_be_imported_without_aiida_sis(tmp_path: Path) -> None:
    command = [sys.executable, '-c', SCRIPT, *(name.removesuffix('.__init__') for name in MODULES)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
