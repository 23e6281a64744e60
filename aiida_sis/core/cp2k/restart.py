"""Where an AIMD of CP2K left its atoms."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.units import ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS


@dataclass(frozen=True)
class RestartState:
    """Where CP2K left its atoms.

    :param positions: Å (n_atoms, 3).
    :param velocities: Å/ps (n_atoms, 3).
    """

    positions: FloatArray
    velocities: FloatArray


def read_restart(text: str) -> RestartState | None:
    """Read positions and velocities from CP2K's restart file, the one place where it leaves velocities unasked.

    :param text: content of `PROJECT-1.restart`, which is CP2K input.
    :returns: the state, or None where the file lacks one of the sections or was cut off.
    """
    coordinates, velocities = _section(text, 'COORD'), _section(text, 'VELOCITY')
    if not coordinates or len(coordinates) != len(velocities):
        return None
    try:
        positions = np.array([[float(word) for word in line[1:4]] for line in coordinates])
        speeds = np.array([[float(word) for word in line[:3]] for line in velocities])
    except ValueError:
        return None
    if positions.shape != speeds.shape or positions.shape[1:] != (3,):
        return None
    return RestartState(positions, speeds * ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS)


def read_step(text: str) -> int | None:
    """Find the step of the AIMD at which a restart file was written.

    :param text: content of `PROJECT-1.restart`.
    :returns: the step, or None where the file is not whole or is of no AIMD: CP2K may be killed while it writes it.
    """
    found = re.search(r'^\s*STEP_START_VAL\s+(\d+)\s*$', text, re.M)
    return int(found.group(1)) if found and is_whole(text) else None


def is_whole(text: str) -> bool:
    """Tell whether a restart file was written to its end: every section that it opens is closed, the last one too.

    :param text: content of `PROJECT-1.restart`.
    """
    opened: list[str] = []
    for name in re.findall(r'^\s*&(END +\S+|\S+)', text, re.M):
        if not name.startswith('END '):
            opened.append(name)
        elif not opened or opened.pop() != name.split()[1]:
            return False
    closed = re.search(r'^\s*&END FORCE_EVAL\s*$', text, re.M) and re.search(r'&END \S+[ \t]*\n\s*$', text)
    return not opened and bool(closed) and '\0' not in text


def _section(text: str, name: str) -> list[list[str]]:
    """Give the words of the lines of a section of CP2K input, none where it is not whole or has a unit of its own."""
    match = re.search(rf'^\s*&{name}[ \t]*\n(.*?)^\s*&END {name}\b', text, re.M | re.S)
    lines = [line.split() for line in match.group(1).splitlines() if line.strip()] if match else []
    # CP2K writes the unit and scaling of positions as keywords if they are not its defaults.
    return [] if any(line[0] in ('UNIT', 'SCALED') for line in lines) else lines
