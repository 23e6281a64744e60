"""The daemon of the isolated profile: started, and started anew where it is old or nobody works."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import psutil

import aiida_deepmd
import aiida_sis
from aiida_sis.command_lines import PROFILE_NAME

if TYPE_CHECKING:
    from aiida.engine.daemon.client import DaemonClient

__all__ = ('await_broker', 'ensure_daemon')

#: Seconds that a supervisor on a busy machine has to answer before it is taken for dead.
_PATIENCE_S = 60
#: Seconds that a process has to end by itself before it is killed.
_GRACE_S = 20


def ensure_daemon() -> str:
    """Start the daemon with one worker; start it anew if nobody works, or, with as many, if it runs older source.

    :returns: what was done, in a few words.
    """
    from aiida.cmdline.utils.daemon import validate_daemon_env
    from aiida.engine.daemon.client import get_daemon_client

    from aiida_sis.run.daemon import why_nobody_works

    client = get_daemon_client(PROFILE_NAME)
    was_there = client.get_daemon_pid() is not None
    reason, workers = why_nobody_works(client, _PATIENCE_S), 1
    if not reason:
        started = Path(client.circus_pid_file).stat().st_mtime
        if validate_daemon_env(client) is None and started > _newest_source():
            return 'running'
        workers = client.get_number_of_workers(_PATIENCE_S)
        client.stop_daemon(wait=True, timeout=_PATIENCE_S)
    _remove_remains(client)
    client.start_daemon(number_workers=workers, timeout=_PATIENCE_S)
    await_broker()
    if not was_there:
        return 'started'
    return f'restarted ({reason})' if reason else 'restarted'


def await_broker(attempts: int = 12) -> None:
    """Wait until the broker of a daemon that was just started answers: AiiDA gives a busy machine 10 s for that.

    :param attempts: how often it is asked.
    :raises click.ClickException: if it never answers.
    """
    from aiida.manage import get_manager

    for attempt in range(1, attempts + 1):
        try:
            get_manager().get_communicator()
        except ConnectionError as error:
            if attempt == attempts:
                raise click.ClickException(
                    f'The daemon was started, but its broker does not answer ({error}): wait until the machine is '
                    'less busy, then give the same command again.'
                ) from error
        else:
            return


def _remove_remains(client: DaemonClient) -> None:
    """End what is left of a daemon, and remove the files by which a new worker would find its dead broker.

    A supervisor that was killed leaves its workers, the broker and circus's statistics alive for ever.

    :param client: AiiDA's client of the daemon.
    """
    from aiida.brokers.zeromq.service import ZeromqBrokerService
    from aiida.manage.configuration import get_config

    from aiida_sis.run.daemon import supervisor_of

    supervisor = supervisor_of(client)
    # The supervisor first: it would start the others again.
    for processes in ([supervisor] if supervisor else [], _children_of(client)):
        for process in processes:
            _quietly(process.terminate)
        for process in psutil.wait_procs(processes, timeout=_GRACE_S)[1]:
            _quietly(process.kill)
        psutil.wait_procs(processes, timeout=_GRACE_S)
    layout = ZeromqBrokerService.FilepathLayout(get_config().filepaths(client.profile)['broker_service']['dir'])
    for file in (Path(client.circus_pid_file), layout.pid_file, layout.sockets_file, layout.status_file):
        file.unlink(missing_ok=True)


def _children_of(client: DaemonClient) -> list[psutil.Process]:
    """The workers, the broker and the statistics of a daemon, told by their command lines and their folder."""
    from aiida.manage.configuration import get_config

    found = []
    folder = str(get_config().dirpath)
    starts = [['-p', client.profile.name, 'daemon', role] for role in ('worker', 'broker')]
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            is_one = any(line[at : at + 4] in starts for at in range(len(line)))
            is_statistics = 'from circus import stats; stats.main()' in line and client.circus_log_file in line
            if is_statistics or (is_one and process.environ().get('AIIDA_PATH') == folder):
                found.append(process)
        except psutil.Error as error:  # somebody else's, or it has just ended
            logging.getLogger(__name__).debug('a process cannot be read: %s', error)
    return found


def _quietly(end: Callable[[], None]) -> None:
    """Send a signal to a process that may have ended in this moment."""
    try:
        end()
    except psutil.NoSuchProcess as error:
        logging.getLogger(__name__).debug('it has ended: %s', error)


def _newest_source() -> float:
    """Return when the source of this package, or of the plugin beside it, was last changed."""
    packages = [Path(str(package.__file__)).resolve().parent for package in (aiida_deepmd, aiida_sis)]
    return max(path.stat().st_mtime for package in packages for path in package.rglob('*.py'))
