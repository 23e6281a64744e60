"""The example that trains a potential from a folder of deepmd/npy, with the real `dp` and without aiida_sis."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import pytest
from aiida import orm

from aiida_deepmd.data.dataset import DatasetData

SCRIPT = Path(__file__).parents[2] / 'examples/train_potential.py'


def test_script_imports_nothing_of_aiida_sis() -> None:
    imports = [node for node in ast.walk(ast.parse(SCRIPT.read_text())) if isinstance(node, ast.ImportFrom)]
    assert not [node.module for node in imports if (node.module or '').startswith('aiida_sis')]


@pytest.mark.real
def test_from_a_folder_to_test_errors(
    real_codes: dict[str, orm.InstalledCode],
    deepmd_datasets: dict[str, DatasetData],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Frames are imported, a potential is trained, its errors are printed and its model is written."""
    for name, dataset in deepmd_datasets.items():
        dataset.write_npy(tmp_path / 'frames' / name)
    words = [tmp_path / 'frames', '--code', real_codes['dp'].full_label, '--steps', 300, '--force-rmse-max', 10]
    monkeypatch.setattr(sys, 'argv', ['train_potential.py', *map(str, words), '--output', str(tmp_path / 'potential')])
    runpy.run_path(str(SCRIPT), run_name='__main__')
    printed = capsys.readouterr().out
    assert 'aimd_0: 15 frames kept, refused none' in printed
    assert 'aimd_1: 3 test frames, RMSE ' in printed
    assert 'all: 6 test frames, RMSE ' in printed
    assert '  Li: ' in printed
    assert (tmp_path / 'potential/model.pb').stat().st_size > 100_000
