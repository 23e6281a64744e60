"""With AiiDA's caching on: what a machine spoilt is run again, what the input itself spoils is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import engine, orm
from aiida.manage.caching import enable_caching
from aiida_cp2k.calculations import Cp2kCalculation

from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.calculations.md import LammpsMdCalculation

pytestmark = pytest.mark.slow

KILLED = 'kill -9 $$'


def md_inputs() -> dict[str, Any]:
    """Give the inputs of an MD of one pair."""
    structure = orm.StructureData(cell=np.eye(3) * 8.0)
    for symbol, place in (('Li', 0.1), ('F', 1.9)):
        structure.append_atom(position=(place, 0.1, 0.2), symbols=symbol)
    parameters = {'temperature_k': 300.0, 'window_k': [0.0, 3000.0], 'length_ps': 1.0}
    return {
        'structure': structure,
        'potential': PotentialData(files={'model.pb': b'graph'}, type_map=['Li', 'F']),
        'parameters': orm.Dict(parameters),
        'seed': orm.Int(11),
    }


def run_twice(process: Any, inputs: dict[str, Any], code: orm.Code, **more: Any) -> list[orm.CalcJobNode]:
    """Run a job, and run it again with caching."""
    inputs = {key: node.store() if isinstance(node, orm.Data) else node for key, node in inputs.items()}
    options = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}, 'withmpi': False, **more}
    builder = inputs | {'code': code, 'metadata': {'options': options}}
    with enable_caching():
        return [engine.run_get_node(process, **builder)[1] for _ in range(2)]


@pytest.fixture
def make_code(aiida_code_installed: Any, tmp_path: Path) -> Any:
    """Return a function that makes a code of a shell script."""

    def make(plugin: str, script: str) -> orm.InstalledCode:
        path = tmp_path / 'code'
        path.write_text(f'#!/bin/bash\n{script}\n')
        path.chmod(0o755)
        code: orm.InstalledCode = aiida_code_installed(
            label=path.parent.name, default_calc_job_plugin=plugin, filepath_executable=str(path)
        )
        return code

    return make


@pytest.mark.parametrize(
    ('script', 'from_cache'),
    [(f"echo 'LAMMPS (22 Jul 2025)' > log.lammps; {KILLED}", False), ("echo 'ERROR: Unknown fix' > log.lammps", True)],
    ids=['killed', 'refused'],
)
def test_md(make_code: Any, script: str, from_cache: bool) -> None:
    """An MD that was killed came from the cache again and again; what LAMMPS refuses it refuses every time."""
    first, second = run_twice(LammpsMdCalculation, md_inputs(), make_code('sis.lammps.md', script))
    assert first.exit_status == second.exit_status
    assert first.is_failed
    assert second.base.caching.is_created_from_cache == from_cache


def test_training(make_code: Any, deepmd_datasets: dict[str, DatasetData], deepmd_parameters: dict[str, Any]) -> None:
    """A training that was killed before its first row."""
    inputs = {'parameters': orm.Dict(deepmd_parameters), 'seed': orm.Int(3)}
    datasets = {name: node.store() for name, node in deepmd_datasets.items()}
    first, second = run_twice(
        DeepmdTrainCalculation, inputs | {'datasets': datasets}, make_code('deepmd.train', KILLED)
    )
    assert first.is_failed
    assert second.is_failed
    assert not second.base.caching.is_created_from_cache


def test_label(make_code: Any) -> None:
    """CP2K that was killed: the exit codes are another package's and do not say it, the parser does."""
    code = make_code('cp2k', f"echo ' DBCSR| start'; {KILLED}")
    inputs = {'parameters': orm.Dict({'GLOBAL': {'RUN_TYPE': 'ENERGY'}}), 'structure': md_inputs()['structure']}
    first, second = run_twice(Cp2kCalculation, inputs, code, parser_name='sis.cp2k')
    assert first.is_failed
    assert second.is_failed
    assert not second.base.caching.is_created_from_cache
