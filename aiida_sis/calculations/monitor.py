"""What is looked at while CP2K runs: an AIMD that has left its ensemble is told to stop."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from aiida.engine.processes.calcjobs.monitors import CalcJobMonitorAction, CalcJobMonitorResult
from aiida.orm import CalcJobNode
from aiida.transports import Transport

from aiida_sis.core.cp2k.output import ENERGY_FILE, read_ener
from aiida_sis.core.cp2k.verdict import HOT
from aiida_sis.core.indicator import judge_aimd

#: CP2K looks for a file of this name every 20 s and ends in good order after the step that it is at.
STOP_FILE = 'EXIT'
#: Least number of seconds between two looks.
INTERVAL_S = 20


def stop_hot_aimd(
    node: CalcJobNode, transport: Transport, temperature_k: float, n_dof: int, sigmas: float
) -> CalcJobMonitorResult | None:
    """Tell CP2K to stop once its AIMD is hot, since no later frame would be learnt.

    CP2K is asked, not killed: its files are whole, and its parser sees a run that has ended well with fewer steps. What
    can't be read yet, or any more, is no reason to disturb a job.

    :param node: the job.
    :param transport: an open connection to its machine.
    :param temperature_k: target in K.
    :param n_dof: degrees of freedom as CP2K counts them.
    :param sigmas: limit in canonical standard deviations above the target.
    :returns: a message and no further looks, or nothing while the AIMD is in its ensemble.
    """
    folder = node.get_remote_workdir()
    if folder is None:
        return None
    with tempfile.TemporaryDirectory() as local:
        energies = Path(local) / ENERGY_FILE
        try:
            transport.getfile(str(PurePosixPath(folder) / ENERGY_FILE), str(energies))
            series = read_ener(energies.read_text(errors='replace'))
            verdict = judge_aimd(series.temperatures, temperature_k, n_dof, sigmas)
            if verdict.verdict != HOT:
                return None
            stop = Path(local) / STOP_FILE
            stop.touch()
            transport.putfile(str(stop), str(PurePosixPath(folder) / STOP_FILE))
        except OSError:
            return None
    message = (
        f'The AIMD reached {verdict.max_temperature_k:.0f} K, above {verdict.limit_k:.0f} K: CP2K was told to stop, '
        'since no later frame would be learnt.'
    )
    node.logger.report(message)
    return CalcJobMonitorResult(
        message=message,
        action=CalcJobMonitorAction.DISABLE_SELF,
        override_exit_code=False,
    )
