"""What is read of a run's jobs while they run, and what is said of those that wait."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from aiida.common.datastructures import CalcJobState
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.schedulers.datastructures import JobState
from plumpy import ProcessState

from aiida_sis.run.running_jobs import LiveReader
from tests.run.test_job_readings import LCURVE


@pytest.fixture
def training_job(aiida_profile_clean, aiida_localhost: orm.Computer, tmp_path: Path) -> tuple[orm.Node, ...]:
    """Store a run, its training workchain and the job of that, which runs in a folder."""
    run, train = orm.WorkChainNode().store(), orm.WorkChainNode()
    train.base.links.add_incoming(run, LinkType.CALL_WORK, 'train_g1')
    train.store()
    parameters = orm.Dict({'training': {'numb_steps': 3000}}).store()
    aiida_localhost.set_minimum_job_poll_interval(0.0)
    job = orm.CalcJobNode(computer=aiida_localhost)
    job.base.links.add_incoming(train, LinkType.CALL_CALC, 'iteration_01')
    job.base.links.add_incoming(parameters, LinkType.INPUT_CALC, 'parameters')
    job.set_remote_workdir(str(tmp_path))
    job.set_process_state(ProcessState.WAITING)
    job.set_state(CalcJobState.WITHSCHEDULER)
    return run, train, job.store()


def test_reader_reads_through_the_transport(training_job: tuple, tmp_path: Path) -> None:
    """A running job two levels down is found and its files are read where they are."""
    run, train, job = training_job
    (tmp_path / 'lcurve.out').write_text('\n'.join(LCURVE) + '\n')
    with LiveReader(run) as reader:
        (reading,) = reader.read()
        assert str(reading) == 'generation 1, training: 1200/3000 steps, force error 0.105 eV/Å'
        assert (reading.pk, reading.state, reading.waits_for) == (job.pk, 'running', None)
        (tmp_path / 'lcurve.out').unlink()
        assert [str(reading) for reading in reader.read()] == ['generation 1, training, starting']
        train.set_process_state(ProcessState.FINISHED)
        assert reader.read() == []


def test_reader_leaves_the_computer_alone(training_job: tuple, tmp_path: Path) -> None:
    """Within the computer's own interval a job is not looked at again."""
    run, _, job = training_job
    job.computer.set_minimum_job_poll_interval(1000.0)
    (tmp_path / 'lcurve.out').write_text('\n'.join(LCURVE) + '\n')
    with LiveReader(run) as reader:
        first = reader.read()
        (tmp_path / 'lcurve.out').unlink()
        assert reader.read() == first


def test_queue(training_job: tuple) -> None:
    """A job in the queue says so, with the number to ask the scheduler for."""
    run, _, job = training_job
    job.set_scheduler_state(JobState.QUEUED)
    job.set_job_id('4711')
    with LiveReader(run) as reader:
        (reading,) = reader.read()
    assert reading.state == 'queued'
    assert reading.waits_for == f'job {job.pk} is in the queue of {job.computer.label} (number 4711)'


def test_paused(training_job: tuple) -> None:
    """A job that AiiDA gave up for now names what lets it go on."""
    run, _, job = training_job
    job.pause()
    job.set_process_status('Pausing after failed transport task: upload_calculation failed 5 times consecutively')
    with LiveReader(run) as reader:
        (reading,) = reader.read()
    assert 'failed 5 times' in reading.waits_for
    assert reading.state == 'paused'
    name = get_manager().get_profile().name
    assert f'`verdi -p {name} process play {job.pk}`' in reading.waits_for


def test_job_of_a_paused_run(training_job: tuple, tmp_path: Path) -> None:
    """It is called paused, and shown as it goes; the run itself says once what lets it go on."""
    run, _, _ = training_job
    run.pause()
    (tmp_path / 'lcurve.out').write_text('\n'.join(LCURVE) + '\n')
    with LiveReader(run) as reader:
        (reading,) = reader.read()
    assert (reading.state, reading.done, reading.waits_for) == ('paused', 1200, None)
    assert str(reading).endswith('force error 0.105 eV/Å, paused')


@pytest.mark.parametrize(
    ('state', 'words'),
    [(CalcJobState.UPLOADING, 'sending files'), (CalcJobState.RETRIEVING, 'fetching results')],
)
def test_phases(training_job: tuple, state: CalcJobState, words: str) -> None:
    """What AiiDA does with the job before and after its code runs."""
    run, _, job = training_job
    job.set_state(state)
    with LiveReader(run) as reader:
        assert [reading.state for reading in reader.read()] == [words]


def test_computer_that_cannot_be_reached(training_job: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view goes on and says what is wrong."""
    run, _, job = training_job
    monkeypatch.setattr(type(job.get_authinfo().get_transport()), 'open', _no_route)
    with LiveReader(run) as reader:
        (reading,) = reader.read()
    assert 'cannot be read now (No route to host)' in reading.waits_for


def _no_route(_: object) -> None:
    raise ConnectionError('No route to host')
