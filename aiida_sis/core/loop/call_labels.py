"""What the label of a call link says: which part of a run a process was.

A loop calls its parts ``label_g{generation}_{number}``, ``train_g{generation}`` (further members of a committee
``train_g{generation}_m{number}``) and ``explore_g{generation}_s{stage}_r{replica}``; a cycle of a hybrid run is a
generation. Whatever writes or reads these labels does it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ('EXPLORE', 'LABEL', 'LOOP', 'TEACHER_MD', 'TRAIN', 'Call', 'calls_of', 'evaluation_of', 'read_call')

LABEL, TRAIN, EXPLORE = 'label', 'train', 'explore'
#: What a rehearsal calls the loop inside it, and the MD of its teacher.
LOOP, TEACHER_MD = 'sis', 'teacher_md'
_CALL = re.compile(r'(label)_g(\d+)_(\d+)|(train)_g(\d+)(?:_m(\d+))?|(explore)_g(\d+)_s(\d+)_r(\d+)')


@dataclass(frozen=True, order=True)
class Call:
    """One part of a run; as a string it is the label of its call link.

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

    def __str__(self) -> str:
        """Return the label of the call link."""
        if self.kind == EXPLORE:
            return f'{EXPLORE}_g{self.generation}_s{self.stage or 0}_{self.key}'
        return f'{self.kind}_{self.key}'

    @property
    def key(self) -> str:
        """The key of what it made among the outputs of the run: a dataset, a potential, a trajectory."""
        if self.kind == EXPLORE:
            return f'r{self.number}'
        if self.kind == LABEL:
            return f'g{self.generation}_{self.number}'
        return f'g{self.generation}' + (f'_m{self.number}' if self.number else '')

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


def calls_of(labels: Iterable[str], kind: str, generation: int, stage: int | None = None) -> list[Call]:
    """Find the parts of one kind in one generation.

    :param labels: any labels.
    :param kind: ``label``, ``train`` or ``explore``.
    :param generation: its number.
    :param stage: of explorations.
    :returns: the parts, by their numbers.
    """
    found = [call for label in labels if (call := read_call(label)) is not None]
    return sorted(call for call in found if (call.kind, call.generation, call.stage) == (kind, generation, stage))


def evaluation_of(key: str) -> str:
    """Give the label under which the teacher of a rehearsal evaluates a trajectory.

    :param key: of the trajectory among the outputs of the loop.
    """
    return f'evaluate_{key}'
