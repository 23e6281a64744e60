"""What the label of a call link says: which part of a run a process was.

A loop calls its parts ``label_g{generation}_{number}``, ``train_g{generation}`` (further members of a committee
``train_g{generation}_m{number}``), ``explore_g{generation}_s{stage}_r{replica}`` and, where it labels frames of a
stable MD, ``verify_g{generation}_s{stage}_r{replica}``; a cycle of a hybrid run is a generation. Two calcfunctions say
what single points have shown: ``ladder_g{generation}_{number}``, of the label with that number, and
``verdict_g{generation}_s{stage}``. Whatever writes or reads these labels does it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = (
    'EXPLORE',
    'LABEL',
    'LADDER',
    'LOOP',
    'TEACHER_MD',
    'TRAIN',
    'VERDICT',
    'VERIFY',
    'Call',
    'calls_of',
    'evaluation_of',
    'read_call',
)

LABEL, TRAIN, EXPLORE, VERIFY = 'label', 'train', 'explore', 'verify'
#: What is found out from single points: the measured t_next of a catastrophe, the true error along a stable MD.
LADDER, VERDICT = 'ladder', 'verdict'
#: What a rehearsal calls the loop inside it, and the MD of its teacher.
LOOP, TEACHER_MD = 'sis', 'teacher_md'
_CALL = re.compile(r'(?P<kind>[a-z]+)_g(?P<generation>\d+)(?P<rest>\w*)')
#: What follows the generation, by the kind of the part.
_REST = {
    LABEL: re.compile(r'_(?P<number>\d+)'),
    LADDER: re.compile(r'_(?P<number>\d+)'),
    TRAIN: re.compile(r'(?:_m(?P<number>\d+))?'),
    EXPLORE: re.compile(r'_s(?P<stage>\d+)_r(?P<number>\d+)'),
    VERIFY: re.compile(r'_s(?P<stage>\d+)_r(?P<number>\d+)'),
    VERDICT: re.compile(r'_s(?P<stage>\d+)'),
}


@dataclass(frozen=True, order=True)
class Call:
    """One part of a run; as a string it is the label of its call link.

    :param generation: from 0.
    :param kind: ``label``, ``train``, ``explore``, ``verify``, ``ladder`` or ``verdict``.
    :param number: of the label in its generation, of the member of the committee (0 is the potential that drives the
        MD), or of the replica.
    :param stage: of an exploration and its verification, from 0.
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
        if self.kind == VERIFY:
            return f'g{self.generation}_s{self.stage or 0}_r{self.number}'
        if self.kind == VERDICT:
            return f'g{self.generation}_s{self.stage or 0}'
        if self.kind in (LABEL, LADDER):
            return f'g{self.generation}_{self.number}'
        return f'g{self.generation}' + (f'_m{self.number}' if self.number else '')

    @property
    def replica(self) -> int | None:
        """The number of the replica of an exploration or of its verification."""
        return self.number if self.kind in (EXPLORE, VERIFY) else None


def read_call(label: str) -> Call | None:
    """Read the label of a call link of a run.

    :param label: for example ``explore_g1_s0_r1``.
    :returns: which part of the run it was, or nothing for any other label.
    """
    match = _CALL.fullmatch(label)
    if match is None or match['kind'] not in _REST:
        return None
    rest = _REST[match['kind']].fullmatch(match['rest'])
    if rest is None:
        return None
    found = {name: int(value) for name, value in rest.groupdict().items() if value is not None}
    return Call(int(match['generation']), match['kind'], **found)


def calls_of(labels: Iterable[str], kind: str, generation: int, stage: int | None = None) -> list[Call]:
    """Find the parts of one kind in one generation.

    :param labels: any labels.
    :param kind: of the parts.
    :param generation: its number.
    :param stage: of explorations and verifications.
    :returns: the parts, by their numbers.
    """
    found = [call for label in labels if (call := read_call(label)) is not None]
    return sorted(call for call in found if (call.kind, call.generation, call.stage) == (kind, generation, stage))


def evaluation_of(key: str) -> str:
    """Give the label under which the teacher of a rehearsal evaluates a trajectory.

    :param key: of the trajectory among the outputs of the loop.
    """
    return f'evaluate_{key}'
