"""The input of an MD of a run, run by `lammps.raw` of aiida-lammps."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_sis.share.importing import import_run

pytestmark = pytest.mark.real
SCRIPT = Path(__file__).parents[2] / 'examples' / 'run_lammps_raw.py'


def test_same_temperatures(
    aiida_profile_clean: Any,
    example_archive: Path,
    real_codes: dict[str, orm.InstalledCode],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The recipe of the docs, on an MD of the example run that is repeated here for 0.1 ps."""
    import_run(example_archive)
    query = orm.QueryBuilder().append(orm.CalcJobNode, filters={'process_type': 'aiida.calculations:sis.lammps.md'})
    stable = next(job for job in query.all(flat=True) if job.outputs.results['stable'])
    builder = stable.get_builder_restart()
    builder.code = real_codes['lmp']
    builder.parameters = orm.Dict(stable.inputs.parameters.get_dict() | {'length_ps': 0.1, 'thermo_interval_fs': 1.0})
    _, ours = run_get_node(builder)
    assert ours.is_finished_ok, ours.exit_message

    monkeypatch.setattr(sys, 'argv', [str(SCRIPT), str(ours.pk)])
    result = runpy.run_path(str(SCRIPT))
    theirs, table = result['node'], result['table']

    assert theirs.process_type == 'aiida.calculations:lammps.raw'
    assert theirs.is_finished_ok, theirs.exit_message
    series = ours.outputs.series
    assert series.get_array('temperature').size == 101
    assert table['Step'] == series.get_array('step').tolist()
    assert table['Temp'] == series.get_array('temperature').tolist()
    assert 'trajectory.lammpstrj' in theirs.outputs.retrieved.list_object_names()
