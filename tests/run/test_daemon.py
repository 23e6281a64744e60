"""What is said of a daemon that does not work; ``tests/setup`` kills real ones."""

from __future__ import annotations

import os
from typing import Any

import pytest
from aiida.engine.daemon.client import DaemonClient, DaemonTimeoutException, get_daemon_client

from aiida_sis.run import daemon
from aiida_sis.run.daemon import daemon_problem, why_nobody_works


class Broker:
    """Stands for AiiDA's broker: whether its process lives, and how many workers ask it for tasks."""

    def __init__(self, lives: bool = True, subscribers: int = 1) -> None:
        self.lives, self.subscribers = lives, subscribers

    def check_service_reachable(self) -> bool:
        return self.lives

    def probe_service_status(self) -> dict[str, Any]:
        return {'connected': self.lives, 'task_subscribers': self.subscribers}


@pytest.fixture
def client(aiida_profile: Any, monkeypatch: pytest.MonkeyPatch) -> DaemonClient:
    """Give the client of a daemon whose supervisor, worker and broker are fine: the first two are this process."""
    client = get_daemon_client(aiida_profile.name)
    monkeypatch.setattr(DaemonClient, 'get_daemon_pid', lambda _: os.getpid())
    monkeypatch.setattr(DaemonClient, 'get_worker_info', lambda *_, **__: {'info': {str(os.getpid()): {}}})
    monkeypatch.setattr(daemon, 'supervisor_of', lambda _: object())
    monkeypatch.setattr(daemon, '_age_s', lambda _: 1000.0)
    monkeypatch.setattr(daemon, 'BrokerFactory', lambda _: lambda _: Broker())
    return client


def test_none_was_started(aiida_profile: Any) -> None:
    """The remedy can be typed as it stands."""
    assert f'verdi -p {aiida_profile.name} daemon start' in daemon_problem()


def test_somebody_works(client: DaemonClient) -> None:
    """Then nothing is said."""
    assert why_nobody_works(client) == ''


def test_supervisor_that_hangs(client: DaemonClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What AiiDA says of it is passed on."""

    def hang(*_: object, **__: object) -> None:
        raise DaemonTimeoutException('Connection to the daemon timed out.')

    monkeypatch.setattr(DaemonClient, 'get_worker_info', hang)
    assert why_nobody_works(client) == 'the daemon does not answer (Connection to the daemon timed out)'


def test_no_worker(client: DaemonClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor alone does nothing."""
    monkeypatch.setattr(DaemonClient, 'get_worker_info', lambda *_, **__: {'info': {}})
    assert why_nobody_works(client) == 'the daemon has no worker'


@pytest.mark.parametrize(
    ('broker', 'age_s', 'reason'),
    [
        (Broker(lives=False), 1000.0, 'the broker of the daemon is gone'),
        (Broker(subscribers=0), 1000.0, 'the workers of the daemon listen to a broker that is gone'),
        (Broker(subscribers=0), 10.0, ''),
    ],
    ids=['dead', 'unheard', 'just started'],
)
def test_broker(
    client: DaemonClient, monkeypatch: pytest.MonkeyPatch, broker: Broker, age_s: float, reason: str
) -> None:
    """A worker that has just begun has not asked for tasks yet."""
    monkeypatch.setattr(daemon, 'BrokerFactory', lambda _: lambda _: broker)
    monkeypatch.setattr(daemon, '_age_s', lambda _: age_s)
    assert why_nobody_works(client) == reason


def test_number_of_a_dead_supervisor_is_used_again(aiida_profile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that got its number is no daemon."""
    client = get_daemon_client(aiida_profile.name)
    monkeypatch.setattr(DaemonClient, 'get_daemon_pid', lambda _: os.getpid())
    assert why_nobody_works(client) == 'the daemon is not running, it was killed'


def test_json_of_status_says_it(make_run: Any, client: DaemonClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """So do `status` and `watch`, which print the same; of a run that has ended nothing is said."""
    from plumpy import ProcessState

    from aiida_sis.run.status import current_status

    monkeypatch.setattr(daemon, 'supervisor_of', lambda _: None)
    running, ended = make_run(ProcessState.WAITING, None), make_run()
    assert 'it was killed, so nothing advances' in current_status(running).waits_for[0]
    assert current_status(ended).waits_for == ()
