"""What a machine, and not the program that ran on it, says of why a job ended."""

from __future__ import annotations

import re

_NO_SPACE = re.compile(r'No space left on device|Disk quota exceeded|disk full', re.I)
#: What the shell, MPI or a runtime writes of a program that died by its own fault.
_OWN_FAULT = re.compile(
    r'Segmentation fault|Floating point exception|SIGSEGV|SIGFPE|SIGILL|SIGBUS|signal (?:4|7|8|11)\b', re.I
)


def full_disk(*texts: str) -> str | None:
    """Find what a full disk leaves in the output of a job: it says nothing of the physics.

    :param texts: outputs of the program and of the scheduler.
    :returns: the line that says it, None where there is none.
    """
    for text in texts:
        found = _NO_SPACE.search(text)
        if found:
            start, end = text.rfind('\n', 0, found.start()) + 1, text.find('\n', found.end())
            return text[start : end if end >= 0 else None].strip()
    return None


def own_fault(*texts: str) -> str | None:
    """Find what is left of a program that died by a fault of its own, such as an access to memory that isn't its.

    :param texts: outputs of the program and of the scheduler.
    :returns: the name of the fault, None where the program was killed from outside or left nothing.
    """
    return next((found.group() for text in texts if (found := _OWN_FAULT.search(text))), None)
