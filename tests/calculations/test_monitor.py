"""What stops an AIMD that has left its ensemble: the rule, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from aiida.engine.processes.calcjobs.monitors import CalcJobMonitor, CalcJobMonitorAction
from aiida.transports.plugins.local import LocalTransport

from aiida_sis.calculations.monitor import stop_hot_aimd
from aiida_sis.core.indicator import canonical_band

N_DOF = 27
LIMIT_K = canonical_band(300.0, N_DOF, 5.0)[1]
HEADER = '# Step Nr. Time[fs] Kin.[a.u.] Temp[K] Pot.[a.u.] Cons Qty[a.u.] UsedTime[s]\n'


@pytest.fixture
def job(aiida_localhost, tmp_path: Path) -> orm.CalcJobNode:
    """A job that runs in a folder."""
    node = orm.CalcJobNode(computer=aiida_localhost)
    node.set_remote_workdir(str(tmp_path))
    return node


def look(job: orm.CalcJobNode):
    """One look at the job."""
    with LocalTransport() as transport:
        return stop_hot_aimd(job, transport, temperature_k=300.0, n_dof=N_DOF, sigmas=5.0)


def write(job: orm.CalcJobNode, *temperatures: float | str) -> None:
    """Write CP2K's energy file."""
    lines = [f'{step} {step}.0 0.01 {value} -9.0 -9.0 0.1\n' for step, value in enumerate(temperatures)]
    (Path(job.get_remote_workdir()) / 'aiida-1.ener').write_text(HEADER + ''.join(lines))


def stopped(job: orm.CalcJobNode) -> bool:
    """Whether CP2K was told to stop."""
    return (Path(job.get_remote_workdir()) / 'EXIT').exists()


@pytest.mark.parametrize('hot', [LIMIT_K + 1, 20_000.0, '************'])
def test_hot(job, hot):
    """Above the limit, or beyond what CP2K can print: CP2K is told, and it is not looked at again."""
    write(job, 300.0, 310.0, hot, 320.0)
    result = look(job)
    assert result.action is CalcJobMonitorAction.DISABLE_SELF
    assert not result.override_exit_code
    assert stopped(job)


def test_in_its_ensemble(job):
    """Just below the limit the AIMD goes on."""
    write(job, 300.0, LIMIT_K - 1, 120.0)
    assert look(job) is None
    assert not stopped(job)


@pytest.mark.parametrize('text', [None, '', HEADER, HEADER + '0 0.0 0.01 9000'])
def test_nothing_to_read_yet(job, text):
    """No file, an empty one, or a line that is still being written: nothing happens."""
    if text is not None:
        (Path(job.get_remote_workdir()) / 'aiida-1.ener').write_text(text)
    assert look(job) is None
    assert not stopped(job)


def test_no_folder_yet(aiida_localhost):
    """A job that has no folder yet is left alone."""
    assert look(orm.CalcJobNode(computer=aiida_localhost)) is None


def test_entry_point():
    """AiiDA finds it under the name that a label gives, with these keywords."""
    CalcJobMonitor('sis.stop_hot_aimd', kwargs={'temperature_k': 300.0, 'n_dof': 27, 'sigmas': 5.0})
