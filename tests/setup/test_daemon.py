"""The daemon of the isolated profile."""

from __future__ import annotations

import click
import pytest

from aiida_sis.setup.daemon import await_broker


class SlowBroker:
    """Stands for AiiDA's manager on a busy machine: its broker answers the call of a number."""

    def __init__(self, answers_at: int) -> None:
        self.answers_at, self.calls = answers_at, 0

    def get_communicator(self) -> None:
        """Raise what AiiDA raises after its ten seconds."""
        self.calls += 1
        if self.calls < self.answers_at:
            raise ConnectionError('Broker did not become ready within 10.0s')


@pytest.mark.parametrize('answers_at', [1, 3])
def test_slow_broker_is_awaited(answers_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """AiiDA's own wait of ten seconds is too short for the first start on a busy machine."""
    broker = SlowBroker(answers_at)
    monkeypatch.setattr('aiida.manage.get_manager', lambda: broker)
    await_broker()
    assert broker.calls == answers_at


def test_dead_broker_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that never answers ends the command in a sentence, not in a traceback."""
    broker = SlowBroker(100)
    monkeypatch.setattr('aiida.manage.get_manager', lambda: broker)
    with pytest.raises(click.ClickException, match='its broker does not answer'):
        await_broker(attempts=4)
    assert broker.calls == 4
