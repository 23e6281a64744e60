"""Labels of the call links of a run."""

from __future__ import annotations

import pytest

from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, TRAIN, Call, read_call


@pytest.mark.parametrize(
    ('label', 'call'),
    [
        ('label_g3_0', Call(3, LABEL, 0)),
        ('label_g10_12', Call(10, LABEL, 12)),
        ('train_g2', Call(2, TRAIN, 0)),
        ('train_g2_m1', Call(2, TRAIN, 1)),
        ('explore_g1_s2_r3', Call(1, EXPLORE, 3, 2)),
        ('burst_c4', None),
        ('train_g2_m1_x', None),
        ('sis', None),
    ],
)
def test_read_call(label: str, call: Call | None) -> None:
    """Labels as the workchain gives them, and no others."""
    assert read_call(label) == call


def test_only_an_exploration_has_a_replica() -> None:
    """The number of a label is no replica."""
    assert (read_call('explore_g1_s2_r3').replica, read_call('label_g1_3').replica) == (3, None)
