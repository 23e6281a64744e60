"""Files of LAMMPS with holes: a frame has each atom once or is none, and no number makes the reading raise."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_sis.core.lammps.dump import parse_dump
from aiida_sis.core.lammps.log import parse_log

STABLE = Path(__file__).parents[2] / 'files' / 'lammps' / 'stable'
DUMP = (STABLE / 'trajectory.lammpstrj').read_text()


def damaged(change: str) -> str:
    """Change the second frame of the trajectory."""
    frames = DUMP.split('ITEM: TIMESTEP\n')
    lines = frames[2].splitlines(keepends=True)
    if change == 'doubled':
        lines[9] = lines[8]
    elif change == 'renumbered':
        lines[8] = '99 ' + lines[8].split(' ', 1)[1]
    elif change == 'step':
        lines[0] = '9' * 40 + '\n'
    else:
        lines[7] = lines[7].replace(f' {change}', f' {change}x')
    return 'ITEM: TIMESTEP\n'.join([*frames[:2], ''.join(lines), *frames[3:]])


@pytest.mark.parametrize('change', ['doubled', 'renumbered', 'step', 'id', 'type', 'xu', 'vz', 'fx'])
def test_a_damaged_frame_is_left_out(change: str) -> None:
    """A doubled atom, one that is none of them, or a column that lacks: that frame alone."""
    assert len(parse_dump(damaged(change))) == len(parse_dump(DUMP)) - 1


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('Total wall time: ', 'Total wall time: x'),
        ('Total wall time: ', 'Total wall time: 1:'),
        ('Loop time of ', 'Loop time of x'),
        ('Loop time of ', 'Loop time of -'),
        ('\n       100 ', '\n       inf '),
        ('\n       100 ', '\n       nan '),
        ('\n       100 ', '\n       1e300 '),
    ],
)
def test_odd_words_in_a_log(old: str, new: str) -> None:
    """They are no number; the rest of the log is read."""
    text = (STABLE / 'log.lammps').read_text()
    log = parse_log(text.replace(old, new))
    assert log.n_samples >= parse_log(text).n_samples - 1
    assert (log.series['step'] < 2**53).all()
