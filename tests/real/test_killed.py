"""The real codes killed in the middle: what was computed is kept, and nothing is computed or counted twice."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.label import LabelWorkChain
from tests.real.teachers import gfn1_xtb, inputs_of, ion_pair
from tests.real.test_md import PARAMETERS, atoms_of, velocities_of

pytestmark = pytest.mark.real

#: Runs a program, and kills it once its file has grown to some lines; so often as the file of kills has lines.
KILLER = """#!/bin/bash
kills={kills}
if [ -s $kills ] && {condition}; then
  read -r file lines < $kills
  sed -i 1d $kills
  {executable} "$@" &
  for i in $(seq 6000); do
    if [ "$(cat $file 2>/dev/null | wc -l)" -ge $lines ] || ! kill -0 $! 2>/dev/null; then break; fi
    sleep 0.01
  done
  kill -9 $!
  wait $!
  exit 137
fi
exec {executable} "$@"
"""
Killed = Callable[..., orm.InstalledCode]


@pytest.fixture
def killed(aiida_code_installed: Any, tmp_path: Path) -> Killed:
    """Give a code whose program is killed in its first jobs."""

    def function(code: orm.InstalledCode, *kills: str, condition: str = 'true') -> orm.InstalledCode:
        file, script = tmp_path / 'kills', tmp_path / f'killed-{code.label}'
        file.write_text(''.join(f'{kill}\n' for kill in kills))
        script.write_text(
            KILLER.format(kills=file, executable=code.filepath_executable, condition=condition),
        )
        script.chmod(0o755)
        made: orm.InstalledCode = aiida_code_installed(
            label=script.name,
            default_calc_job_plugin=code.default_calc_job_plugin,
            filepath_executable=str(script),
            prepend_text=code.prepend_text,
        )
        return made

    return function


def jobs_of(node: orm.ProcessNode) -> list[orm.CalcJobNode]:
    """The jobs below a node in their order."""
    jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
    return sorted(jobs, key=lambda job: job.ctime)


def test_an_aimd_killed_twice_is_the_same_aimd(real_codes: dict[str, orm.InstalledCode], killed: Killed) -> None:
    """Thermostat, velocities and wave function go on: it follows the one that nobody disturbed."""
    found = []
    kills = ('aiida-1.ener 8', 'aiida-1.ener 6')
    for code in (real_codes['cp2k'], killed(real_codes['cp2k'], *kills)):
        inputs = inputs_of(code, gfn1_xtb(), ['N', 'S', 'O', 'F', 'Li'], length_fs=20.0)
        outputs, node = run_get_node(LabelWorkChain, structure=ion_pair(), **inputs)
        assert node.is_finished_ok, node.exit_message
        assert outputs['results']['route'] == 'direct'
        assert outputs['results']['kept_frames'] == 21
        assert outputs['trajectory'].get_stepids().tolist() == list(range(21))
        found.append((outputs, jobs_of(node)))
    (whole, _), (cut, jobs) = found
    assert [job.exit_status for job in jobs] == [303, 303, 0]
    energies = [outputs['trajectory'].get_array('energies') for outputs in (whole, cut)]
    assert np.abs(energies[0] - energies[1]).max() < 1e-5
    positions = [outputs['trajectory'].get_positions() for outputs in (whole, cut)]
    assert np.abs(positions[0] - positions[1]).max() < 1e-3


def test_a_training_and_its_test_killed(
    real_codes: dict[str, orm.InstalledCode],
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
    killed: Killed,
) -> None:
    """Killed before the first checkpoint, after one, and in the test: each step is trained once after a checkpoint."""
    parameters = copy.deepcopy(deepmd_parameters)
    parameters['training'].update(numb_steps=300, disp_freq=100, save_freq=100)
    done, tested = 'finished training', '(head -1 $kills | grep -q test)'
    code = killed(
        real_codes['dp'],
        'input.json 1',
        'lcurve.out 5',
        'test_systems.txt 1',
        condition=f'case "$*" in *train*) ! {tested} ;; *test*) grep -q "{done}" train.out ;; *) false ;; esac',
    )
    inputs = {'code': code, 'seed': orm.Int(1), 'datasets': deepmd_datasets, 'parameters': orm.Dict(parameters)}
    outputs, node = run_get_node(DeepmdBaseWorkChain, train=inputs)
    assert node.is_finished_ok, node.exit_message
    jobs = jobs_of(node)
    assert [job.exit_status for job in jobs] == [400, 400, 402, 0]
    assert 'restart_folder' not in jobs[1].inputs
    assert jobs[2].inputs.restart_folder.uuid == jobs[1].outputs.remote_folder.uuid
    assert jobs[3].inputs.restart_folder.uuid == jobs[2].outputs.remote_folder.uuid
    assert ' train ' not in jobs[3].base.repository.get_object_content('_aiidasubmit.sh').replace("'", ' ')
    assert outputs['learning_curve'].get_array('step').tolist()[-1] == 300
    assert outputs['results']['n_steps'] == 300
    assert outputs['results']['force_rmse_ev_per_angstrom'] > 0


def test_an_md_killed_twice_is_the_same_md(
    example_run: orm.WorkChainNode,
    real_codes: dict[str, orm.InstalledCode],
    deepmd_datasets: dict[str, DatasetData],
    killed: Killed,
) -> None:
    """Without a thermostat it goes where the one went that nobody disturbed, and each step is there once."""
    start = atoms_of(deepmd_datasets['aimd_0'], np.eye(3), np.diag([9.0, 9.0, 9.0]))
    speeds = velocities_of(np.random.default_rng(1).normal(0.0, 1.0, (len(start.sites), 3)))
    parameters = PARAMETERS | {'length_ps': 4.0, 'window_k': [0, 1e5], 'trajectory_interval_ps': 0.1}
    found = []
    for code in (real_codes['lmp'], killed(real_codes['lmp'], 'log.lammps 450', 'log.lammps 450')):
        inputs = {'code': code, 'structure': start, 'velocities': speeds, 'seed': orm.Int(3)}
        inputs |= {'potential': example_run.outputs.potentials['g0'], 'parameters': orm.Dict(parameters)}
        outputs, node = run_get_node(ExploreWorkChain, md=inputs)
        assert node.is_finished_ok, node.exit_message
        assert outputs['results']['stable']
        assert outputs['series'].get_array('step').tolist() == list(range(4001))
        found.append((outputs, jobs_of(node)))
    (whole, _), (cut, jobs) = found
    assert [job.exit_status for job in jobs] == [303, 303, 0]
    starts = [job.inputs.parameters.get_dict().get('elapsed_ps', 0.0) for job in jobs]
    assert 0.0 == starts[0] < starts[1] < starts[2]
    steps = cut['trajectory'].get_stepids()
    assert set(range(0, 4001, 100)) <= set(steps.tolist())
    assert (np.diff(steps) > 0).all()
    # Beyond the first seam the two lie together, until chaos parts them.
    seam = round(1000 * starts[1]) + 20
    for name, tolerance in (('conserved', 1e-4), ('temperature', 0.1)):
        first, second = (outputs['series'].get_array(name)[:seam] for outputs in (whole, cut))
        assert np.abs(first - second).max() < tolerance, name
