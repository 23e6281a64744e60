"""Runs on a real Slurm: a whole loop, a queue that refuses, a node that is drained, a job that is taken away.

`make test-services` starts a Slurm on this machine and runs them; they are no part of `make test`.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.engine import submit

from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.calculations.md import LammpsMdCalculation
from aiida_sis.workflows.explore import ExploreWorkChain
from tests.conftest import install_codes
from tests.real.test_loop import run_starved

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif('SLURM_CONF' not in os.environ, reason='no Slurm is running: `make test-services` starts one'),
]
MD: dict[str, Any] = {
    'temperature_k': 300,
    'window_k': [0, 1000],
    'length_ps': 0.03,
    'timestep_fs': 0.5,
    'thermo_interval_fs': 1.0,
    'ring_interval_fs': 10.0,
    'trajectory_interval_ps': 0.01,
}


def slurm(*words: str) -> str:
    """Give a command of Slurm and return what it prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def wait(happened: Callable[[], Any], seconds: float) -> Any:
    """Wait until something has happened, and give what was found."""
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, f'nothing has happened for {seconds} s; the queue: {slurm("squeue")}'
        time.sleep(0.5)
    return found


def finished(node: orm.ProcessNode, seconds: float = 300) -> None:
    """Wait until a process has ended well."""
    wait(lambda: node.is_terminated, seconds)
    assert node.is_finished_ok, f'{node.exit_status} {node.exit_message} {node.process_status}'


def running_job(node: orm.ProcessNode, number: int = 0) -> orm.CalcJobNode:
    """Wait until a job of a workchain runs."""

    def found() -> orm.CalcJobNode | None:
        jobs = [child for child in node.called if isinstance(child, orm.CalcJobNode)]
        jobs = sorted(jobs, key=lambda job: job.pk)[number:]
        runs = bool(jobs) and jobs[0].get_job_id() and slurm('squeue', '-h', '-t', 'R', '-o', '%i').split()
        return jobs[0] if runs and jobs[0].get_job_id() in runs else None

    job: orm.CalcJobNode = wait(found, 120)
    return job


@pytest.fixture
def computer(aiida_computer: Any) -> orm.Computer:
    """Give this machine with its Slurm."""
    computer: orm.Computer = aiida_computer(label='slurm', scheduler_type='core.slurm', minimum_job_poll_interval=1)
    if not computer.is_configured:
        computer.configure(safe_interval=0)
    return computer


@pytest.fixture
def codes(computer: orm.Computer, aiida_code_installed: Any) -> dict[str, orm.InstalledCode]:
    """Give the three real codes behind that Slurm."""
    return install_codes(aiida_code_installed, 'slurm', computer=computer)


@pytest.fixture(autouse=True)
def queue_is_open() -> Iterator[None]:
    """Open the queue again, whatever a test has done to it."""
    yield
    slurm('scontrol', 'update', 'PartitionName=short', 'State=UP')
    if 'drain' in slurm('sinfo', '-h', '-o', '%T'):
        slurm('scontrol', 'update', f'NodeName={os.uname().nodename.split(".")[0]}', 'State=RESUME')


@pytest.fixture
def md(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode], started_daemon_client: Any) -> Any:
    """Give a function that submits an MD of the example's last potential to the daemon, as a job or a workchain."""

    def start(process: Any, seconds: int = 600, **changes: Any) -> Any:
        inputs = {
            'code': codes['lmp'],
            'structure': example_run.inputs.systems.ion_pair,
            'potential': example_run.outputs.potential,
            'seed': orm.Int(3),
            'parameters': orm.Dict(MD | changes),
            'metadata': {'options': {'resources': {'num_machines': 1}, 'max_wallclock_seconds': seconds}},
        }
        return submit(process, **(inputs if process is LammpsMdCalculation else {'md': inputs}))

    return start


def test_whole_loop(codes: dict[str, orm.InstalledCode], submit_and_await: Any) -> None:
    """The short loop gives what it gives on a laptop, every job through the queue."""
    node = run_starved(codes, submit_and_await)
    jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
    assert {job.computer.label for job in jobs} == {'slurm'}
    for job in jobs:
        assert 'JobState=COMPLETED' in slurm('scontrol', 'show', 'job', str(job.get_job_id()))


def test_queue_that_refuses(md: Any) -> None:
    """A job that can't be submitted for a while is submitted later."""
    slurm('scontrol', 'update', 'PartitionName=short', 'State=INACTIVE')
    node = md(LammpsMdCalculation)
    wait(lambda: 'submit' in (node.process_status or ''), 60)
    time.sleep(5)
    assert node.get_job_id() is None
    slurm('scontrol', 'update', 'PartitionName=short', 'State=UP')
    finished(node)


def test_drained_node(md: Any) -> None:
    """A job waits in the queue until the node is back."""
    name = os.uname().nodename.split('.')[0]
    slurm('scontrol', 'update', f'NodeName={name}', 'State=DRAIN', 'Reason=test')
    node = md(LammpsMdCalculation)
    wait(lambda: node.get_job_id() and 'PD' in slurm('squeue', '-h', '-o', '%t', '-j', node.get_job_id()), 60)
    slurm('scontrol', 'update', f'NodeName={name}', 'State=RESUME')
    finished(node)


def test_cancelled_md(md: Any) -> None:
    """An MD whose job is cancelled is continued, and reaches its length."""
    node = md(ExploreWorkChain, length_ps=10.0)
    job = running_job(node)
    log = Path(job.get_remote_workdir()) / 'log.lammps'
    wait(lambda: log.is_file() and len(log.read_text().splitlines()) > 500, 120)
    slurm('scancel', job.get_job_id())
    finished(node)
    assert node.outputs.results['length_ps_reached'] == pytest.approx(10.0)
    assert len(node.called) >= 2
    times = node.outputs.series.get_array('time_ps')
    assert (times[1:] > times[:-1]).all()
    assert times[-1] == pytest.approx(10.0)


def test_time_limit_of_the_queue(
    codes: dict[str, orm.InstalledCode],
    deepmd_datasets: Any,
    deepmd_parameters: dict[str, Any],
    started_daemon_client: Any,
) -> None:
    """A training that Slurm ends goes on from its checkpoint, and no step is trained twice."""
    deepmd_parameters['training'].update(numb_steps=4000, disp_freq=100, save_freq=100)
    options = {'resources': {'num_machines': 1}, 'max_wallclock_seconds': 60}
    node = submit(
        DeepmdBaseWorkChain,
        train={
            'code': codes['dp'],
            'seed': orm.Int(1),
            'datasets': deepmd_datasets,
            'parameters': orm.Dict(deepmd_parameters),
            'metadata': {'options': options},
        },
    )
    first = running_job(node)
    finished(node, 600)
    assert 'JobState=TIMEOUT' in slurm('scontrol', 'show', 'job', str(first.get_job_id()))
    assert not first.is_finished_ok
    jobs = [child for child in node.called if child.process_class is DeepmdTrainCalculation]
    assert len(jobs) >= 2
    steps = node.outputs.learning_curve.get_array('step')
    assert steps[-1] == 4000
    assert (steps[1:] > steps[:-1]).all()
