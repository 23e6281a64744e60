"""Whether somebody works on the runs of a profile: the daemon is asked, since a PID file outlives one that was killed.

A daemon is a supervisor (circus) with workers, and, where the profile has AiiDA's own broker, the broker that tells
them what to do. Each of the three may be gone while the others live. A worker stays with the broker that it found when
it began: of a broker that was started anew it never hears, so one without subscribers is as good as none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil
from aiida.common.exceptions import AiidaException
from aiida.engine.daemon.client import DaemonClient, DaemonException, get_daemon_client
from aiida.manage import get_manager
from aiida.plugins import BrokerFactory

from aiida_sis.command_lines import PROFILE_NAME, again, verdi

if TYPE_CHECKING:
    from aiida.brokers.broker import Broker

__all__ = ('daemon_problem', 'supervisor_of', 'why_nobody_works')

#: Seconds that the supervisor has to answer somebody who watches.
_PATIENCE_S = 5
#: Seconds after which a worker must have told the broker that it is there; on a busy machine its imports take long.
_WORKER_STARTS_S = 90.0


def daemon_problem() -> str:
    """Say in one sentence that nobody works on the runs of the open profile, with the remedy, or nothing."""
    profile = get_manager().get_profile()
    if profile is None:
        return ''
    try:
        reason = why_nobody_works(get_daemon_client(profile.name))
    except AiidaException:  # the profile has no broker, so it has no daemon either
        return 'this profile has no daemon, so the run advances only while the process that began it is alive'
    if not reason:
        return ''
    return f'{reason}, so nothing advances; start it: {remedy(profile.name)}'


def remedy(profile: str) -> str:
    """Give the command that makes somebody work.

    :param profile: name of the profile.
    """
    return again('setup') if profile == PROFILE_NAME else f'{verdi("daemon stop")}; {verdi("daemon start")}'


def why_nobody_works(client: DaemonClient, patience_s: int = _PATIENCE_S) -> str:
    """Ask supervisor, workers and broker of a profile, and say in half a sentence what is missing.

    :param client: AiiDA's client of the daemon.
    :param patience_s: how long the supervisor may take to answer, in s.
    :returns: the reason; nothing where somebody works.
    """
    if client.get_daemon_pid() is None:
        return 'the daemon is not running'
    if supervisor_of(client) is None:
        return 'the daemon is not running, it was killed'
    try:
        workers = [int(pid) for pid in client.get_worker_info(timeout=patience_s).get('info', {})]
    except (DaemonException, RuntimeError) as error:
        # It may be stopping in this moment, and its files with it.
        return f'the daemon does not answer ({str(error).rstrip(".")})' if supervisor_of(client) else 'the daemon stops'
    ages = [age for pid in workers if (age := _age_s(pid)) is not None]
    if not ages:
        return 'the daemon has no worker'
    broker = BrokerFactory(str(client.profile.process_control_backend))(client.profile)
    if not broker.check_service_reachable():
        return 'the broker of the daemon is gone'
    if min(ages) > _WORKER_STARTS_S and _is_heard_by_nobody(broker):
        return 'the workers of the daemon listen to a broker that is gone'
    return ''


def supervisor_of(client: DaemonClient) -> psutil.Process | None:
    """Give the supervisor that the PID file names, if it is alive and no other process that got its number since.

    :param client: AiiDA's client of the daemon.
    """
    pid = client.get_daemon_pid()
    try:
        process = None if pid is None else psutil.Process(pid)
        alive = process is not None and any(word in ('start-circus', 'circusd') for word in process.cmdline())
    except psutil.Error:
        return None
    return process if alive else None


def _age_s(pid: int) -> float | None:
    """How long a process has lived, in s; nothing where it is dead."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else time.time() - process.create_time()
    except psutil.Error:
        return None


def _is_heard_by_nobody(broker: Broker) -> bool:
    """Whether a broker says that no worker has asked it for tasks; RabbitMQ is not asked, its clients come back."""
    return broker.probe_service_status().get('task_subscribers') == 0
