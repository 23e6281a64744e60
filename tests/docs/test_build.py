"""The documentation is built without a warning and without the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_documentation(tmp_path: Path) -> None:
    """Sphinx turns warnings into errors; every verb and every key of the JSON has its place."""
    # A proxy that is not there makes any look into the network fail.
    environment = {**os.environ, 'https_proxy': 'http://127.0.0.1:9', 'http_proxy': 'http://127.0.0.1:9'}
    answer = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-b', 'html', str(ROOT / 'docs'), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert answer.returncode == 0, answer.stderr[-4000:]
    assert 'aiida-sis watch' in (tmp_path / 'reference' / 'cli.html').read_text(encoding='utf-8')
    assert 'acceleration_ratio' in (tmp_path / 'reference' / 'status.html').read_text(encoding='utf-8')
    settings = (tmp_path / 'reference' / 'settings.html').read_text(encoding='utf-8')
    assert 'thermostat.time_constant_fs' in settings
    assert 'Coupling time in fs.' in settings
