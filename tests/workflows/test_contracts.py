"""What labels frames can be exchanged: the loop asks no child which kind it is."""

from __future__ import annotations

from typing import Any

from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.replay import ReplayWorkChain
from aiida_sis.workflows.sampling import STRATEGIES

#: What each starts from; all else is asked for in the same words.
OWN_INPUTS = {'structure', 'velocities', 'frames'}


def ports(namespace: Any) -> dict[str, tuple[Any, bool]]:
    """Give name, type and need of each port."""
    return {name: (port.valid_type, port.required) for name, port in namespace.items() if name not in OWN_INPUTS}


def test_a_replay_asks_for_what_a_label_asks_for() -> None:
    assert ports(ReplayWorkChain.spec().inputs) == ports(LabelWorkChain.spec().inputs)


def test_a_replay_gives_what_a_label_gives() -> None:
    """What only an AIMD has is not required of it either, so that nobody may count on it."""
    label, replay = ports(LabelWorkChain.spec().outputs), ports(ReplayWorkChain.spec().outputs)
    assert {'dataset', 'trajectory', 'results'} <= set(replay)
    assert replay.items() <= label.items()
    assert not any(required for name, (_, required) in label.items() if name not in replay)


def test_a_problem_has_one_exit_code() -> None:
    """The codes of a replay are those of a label, and no number means two things."""
    label, replay = (
        {name: code.status for name, code in kind.spec().exit_codes.items()}
        for kind in (LabelWorkChain, ReplayWorkChain)
    )
    assert replay.items() <= label.items()
    assert len(set(label.values())) == len(label)


def test_strategies_take_and_give_the_same() -> None:
    first, *others = (list(strategy.__annotations__.values()) for strategy in STRATEGIES.values())
    assert all(notes == first for notes in others)
