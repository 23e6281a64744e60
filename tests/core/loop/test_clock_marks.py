"""The marks by which a job says when its code ran."""

from __future__ import annotations

import subprocess
import time

from aiida_sis.core.loop.clock_marks import END_COMMAND, START_COMMAND, read_clock


def test_what_the_shell_writes_is_read() -> None:
    """The two commands of a job, run by a shell, give an interval that contains what is between them."""
    before = time.time()
    script = f'{START_COMMAND}\nsleep 0.05\n{END_COMMAND}'
    text = subprocess.run(['bash', '-c', script], capture_output=True, text=True, check=True).stdout
    interval = read_clock(text)
    assert interval is not None
    assert before <= interval[0] <= interval[1] - 0.05 <= time.time()


def test_clock_is_read_between_other_lines() -> None:
    """What the code itself prints does not disturb."""
    assert read_clock('hello\nSIS_CLOCK_START 10.5\nnoise\nSIS_CLOCK_END 12.75\n') == (10.5, 12.75)


def test_killed_job_has_no_interval() -> None:
    """A job that never reached its end has no interval."""
    assert read_clock('SIS_CLOCK_START 10.5\n') is None
