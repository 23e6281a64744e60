"""What labels cost, by two steps that CP2K really runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiida import orm
from aiida.manage.configuration import get_config
from ase.build import molecule
from ase.io import write
from click.testing import CliRunner

from aiida_sis.cli import main

pytestmark = pytest.mark.real


def runs() -> int:
    """Count the SIS runs of the profile."""
    return orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': {'like': '%sis.sis'}}).count()


def test_estimate(real_codes: dict[str, orm.InstalledCode], tmp_path: Path) -> None:
    """The cost of a step is that of the label, and nothing is submitted."""
    write(tmp_path / 'water.xyz', molecule('H2O'), format='xyz')
    words = ['run', str(tmp_path / 'water.xyz'), '--protocol', 'demo', '--estimate']
    codes = [word for key in ('cp2k', 'dp', 'lmp') for word in (f'--{key}', f'real-{key}')]
    before = runs()
    result = CliRunner().invoke(main, [*words, *codes, '-p', str(get_config().default_profile_name)])
    assert result.exit_code == 0, result.output
    pk, start, step = re.search(r'label (\d+): ([\d.]+) s to start, ([\d.]+) s a step', result.output).groups()
    facts = orm.load_node(int(pk)).outputs.results.get_dict()
    assert float(step) == pytest.approx(facts['seconds_per_step'], rel=0.01)
    assert float(start) + 2 * float(step) == pytest.approx(facts['wall_seconds'], rel=0.02)
    assert facts['aimds'][0]['n_frames'] == 3
    assert runs() == before
