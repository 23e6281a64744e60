"""The marks by which a job says when its code started and ended: the shell writes them, and they are read here."""

from __future__ import annotations

import re

__all__ = ('END_COMMAND', 'START_COMMAND', 'read_clock')

_START, _END = 'SIS_CLOCK_START', 'SIS_CLOCK_END'
#: What a job runs before and after its code; the output goes to the scheduler's file, which AiiDA always retrieves.
START_COMMAND, END_COMMAND = (f'echo "{mark} $(date +%s.%N)"' for mark in (_START, _END))
_MARK = re.compile(rf'^({_START}|{_END}) (\d+\.?\d*)$', re.MULTILINE)


def read_clock(text: str) -> tuple[float, float] | None:
    """Read the first start and the last end from a scheduler's output.

    :param text: the output.
    :returns: start and end in s, or nothing where one of them lacks.
    """
    marks = _MARK.findall(text)
    starts = [float(time) for mark, time in marks if mark == _START]
    ends = [float(time) for mark, time in marks if mark == _END]
    return (starts[0], ends[-1]) if starts and ends else None
