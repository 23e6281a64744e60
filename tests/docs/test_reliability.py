"""The page on faults: one row a fault, and each row names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'reliability.md').read_text(encoding='utf-8')
SECTIONS = {
    section.partition('\n')[0]: [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in section.splitlines()
        if line.startswith('|') and not line.startswith(('| fault', '|---'))
    ]
    for section in PAGE.split('\n## ')[1:]
}
ROWS = [row for rows in SECTIONS.values() for row in rows]


def test_each_row_has_a_test_that_is_there() -> None:
    """A fault that no test makes happen has no place on the page."""
    assert ROWS
    for row in ROWS:
        assert len(row) == 4, row
        named = re.findall(r'`(tests/[^`:]+\.py)(?:::(\w+)\S*?)?(?:\[[^`]*)?`', row[3])
        assert named, row
        for file, function in named:
            assert not function or f'def {function}(' in (ROOT / file).read_text(encoding='utf-8'), row
            assert (ROOT / file).is_file(), row


def test_each_fault_is_told_once() -> None:
    """In its section."""
    for rows in SECTIONS.values():
        faults = [row[0] for row in rows]
        assert len(set(faults)) == len(faults)
