"""What the label of a call link says: which part of a run a process was.

The SIS workchain calls its parts ``label_g{generation}_{number}``, ``train_g{generation}`` (further members of a
committee ``train_g{generation}_m{number}``) and ``explore_g{generation}_s{stage}_r{replica}``. Everything that reads a
run later goes by these labels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ('EXPLORE', 'LABEL', 'TRAIN', 'Call', 'read_call')

LABEL, TRAIN, EXPLORE = 'label', 'train', 'explore'
_CALL = re.compile(r'(label)_g(\d+)_(\d+)|(train)_g(\d+)(?:_m(\d+))?|(explore)_g(\d+)_s(\d+)_r(\d+)')


@dataclass(frozen=True, order=True)
class Call:
    """One part of a run.

    :param generation: from 0.
    :param kind: ``label``, ``train`` or ``explore``.
    :param number: of the label in its generation, of the member of the committee (0 is the potential that drives the
        MD), or of the replica.
    :param stage: of an exploration, from 0.
    """

    generation: int
    kind: str
    number: int = 0
    stage: int | None = None

    @property
    def replica(self) -> int | None:
        """The number of the replica of an exploration."""
        return self.number if self.kind == EXPLORE else None


def read_call(label: str) -> Call | None:
    """Read the label of a call link of a run.

    :param label: for example ``explore_g1_s0_r1``.
    :returns: which part of the run it was, or nothing for any other label.
    """
    match = _CALL.fullmatch(label)
    if match is None:
        return None
    label_, g_l, n_l, train, g_t, n_t, _, g_e, stage, replica = match.groups()
    if label_:
        return Call(int(g_l), LABEL, int(n_l))
    if train:
        return Call(int(g_t), TRAIN, int(n_t or 0))
    return Call(int(g_e), EXPLORE, int(replica), int(stage))
