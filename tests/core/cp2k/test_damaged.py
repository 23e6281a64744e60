"""Files of CP2K with holes: good frames are kept, a wrong one never gets through, and nothing raises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_sis.core.cp2k import output
from aiida_sis.core.cp2k.restart import is_whole, read_step

AIMD = Path(__file__).parents[2] / 'files' / 'cp2k' / '2023.1' / 'pbe-dimer-aimd'
NAMES = (output.POSITION_FILE, output.FORCE_FILE, output.CELL_FILE, output.OUTPUT_FILE)
TEXTS = {name: (AIMD / name).read_text() for name in NAMES}
WHOLE = output.read_frames(*TEXTS.values())


def frames(name: str, text: str) -> output.AimdFrames:
    """Read the frames of an AIMD, one of whose files is another."""
    return output.read_frames(*(TEXTS | {name: text}).values())


def blocks(text: str) -> list[list[str]]:
    """The frames of an XYZ file, by lines."""
    lines = text.splitlines(keepends=True)
    size = int(lines[0]) + 2
    return [lines[first : first + size] for first in range(0, len(lines), size)]


@pytest.mark.parametrize('junk', ['********', '\x00\x00', '5.1234.5', '1.0E', 'x', ''])
@pytest.mark.parametrize('column', range(12))
def test_cells(junk: str, column: int) -> None:
    """One word of one line: that frame alone is lost, or none where the word says nothing of the cell."""
    lines = TEXTS[output.CELL_FILE].splitlines(keepends=True)
    words = lines[3].split()
    words[column] = junk
    lines[3] = ' '.join(words) + '\n'
    left = frames(output.CELL_FILE, ''.join(lines))
    assert len(WHOLE.steps) - len(left.steps) in (0, 1)
    assert np.isfinite(left.cells).all()


@pytest.mark.parametrize('junk', ['********', '\x00\x00', '1.2.3', 'x', '99999999999999999999999'])
@pytest.mark.parametrize('column', range(7))
def test_energies(junk: str, column: int) -> None:
    """A number that is none is NaN; a step that is none has no row."""
    text = (AIMD / output.ENERGY_FILE).read_text()
    lines = text.splitlines(keepends=True)
    words = lines[3].split()
    words[column] = junk
    lines[3] = ' '.join(words) + '\n'
    series = output.read_ener(''.join(lines))
    assert len(series.steps) == len(output.read_ener(text).steps) - (column == 0)


@pytest.mark.parametrize('name', [output.POSITION_FILE, output.FORCE_FILE])
@pytest.mark.parametrize('change', ['doubled', 'exchanged', 'lost', 'lost and doubled', 'comment', 'count'])
def test_rows_of_another_atom(name: str, change: str) -> None:
    """The frame is refused, and those behind it are read all the same."""
    parts = blocks(TEXTS[name])
    rows = parts[2]
    names = [row.split()[0] for row in rows[2:]]
    other = 2 + next(number for number, one in enumerate(names) if one != names[0])
    if change == 'doubled':
        rows.insert(3, rows[2])
    elif change == 'exchanged':
        rows[2], rows[other] = rows[other], rows[2]
    elif change == 'lost':
        del rows[2]
    elif change == 'lost and doubled':
        rows[2] = rows[other]
    elif change == 'comment':
        rows[1] = '\x00' * 20 + '\n'
    else:
        rows[0] = '7\n'
    left = frames(name, ''.join(row for part in parts for row in part))
    assert sorted(set(WHOLE.steps) - set(left.steps)) == [2]
    kept = np.isin(WHOLE.steps, left.steps)
    assert np.array_equal(left.forces, WHOLE.forces[kept])
    assert np.array_equal(left.positions, WHOLE.positions[kept])


RESTART = """ &MOTION
   &MD
     STEPS  12
     STEP_START_VAL  5
   &END MD
 &END MOTION
 &FORCE_EVAL
   &SUBSYS
     &COORD
Li 0.0 0.0 0.0
     &END COORD
   &END SUBSYS
 &END FORCE_EVAL
"""
CONTINUED = RESTART + ' &EXT_RESTART\n   RESTART_FILE_NAME a.restart\n &END EXT_RESTART\n'


def test_restart_files() -> None:
    """The step of one that is whole; a cut anywhere else gives none, since CP2K would not read it."""
    assert read_step(RESTART) == read_step(CONTINUED) == 5
    assert not any(is_whole(RESTART[:cut]) for cut in range(len(RESTART) - 1))
    whole = [cut for cut in range(len(CONTINUED)) if is_whole(CONTINUED[:cut])]
    assert all(cut in range(len(RESTART), len(RESTART) + 2) for cut in whole)
    assert read_step(RESTART.replace('Li', '\x00i')) is None
    assert read_step(RESTART.replace('     STEP_START_VAL  5\n', '')) is None
