"""Labels of the call links of a run."""

from __future__ import annotations

import pytest

from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, LADDER, TRAIN, VERDICT, VERIFY, Call, calls_of, read_call


@pytest.mark.parametrize(
    ('label', 'call'),
    [
        ('label_g3_0', Call(3, LABEL, 0)),
        ('label_g10_12', Call(10, LABEL, 12)),
        ('train_g2', Call(2, TRAIN, 0)),
        ('train_g2_m1', Call(2, TRAIN, 1)),
        ('explore_g1_s2_r3', Call(1, EXPLORE, 3, 2)),
        ('verify_g1_s0_r2', Call(1, VERIFY, 2, 0)),
        ('ladder_g2_1', Call(2, LADDER, 1)),
        ('verdict_g1_s2', Call(1, VERDICT, stage=2)),
        ('verify_g1_r0', None),
        ('verdict_g1', None),
        ('other_g1_0', None),
        ('burst_c4', None),
        ('train_g2_m1_x', None),
        ('sis', None),
    ],
)
def test_read_call(label: str, call: Call | None) -> None:
    """Labels as a loop gives them, and no others; what was read is written as it was."""
    assert read_call(label) == call
    assert call is None or str(call) == label


def test_only_an_exploration_has_a_replica() -> None:
    """The number of a label is no replica."""
    assert (read_call('explore_g1_s2_r3').replica, read_call('label_g1_3').replica) == (3, None)


@pytest.mark.parametrize(
    ('label', 'key'), [('label_g1_2', 'g1_2'), ('train_g1', 'g1'), ('train_g1_m2', 'g1_m2'), ('explore_g1_s2_r3', 'r3')]
)
def test_what_a_part_made_has_a_key(label: str, key: str) -> None:
    """Under it the dataset, the potential or the trajectory is an output of the run."""
    call = read_call(label)
    assert call is not None
    assert call.key == key


def test_parts_of_one_kind_in_the_order_of_their_numbers() -> None:
    """Ten comes after nine, and another stage or generation is another matter."""
    labels = ['start', *(f'explore_g1_s0_r{number}' for number in (10, 9)), 'explore_g1_s1_r0', 'explore_g0_s0_r0']
    assert [call.number for call in calls_of(labels, EXPLORE, 1, 0)] == [9, 10]
    assert calls_of(labels, LABEL, 1) == []
