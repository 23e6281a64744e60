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
        files = re.findall(r'`(tests/\S+\.py)`', row[3])
        assert files, row
        assert all((ROOT / file).is_file() for file in files), row


def test_each_fault_is_told_once() -> None:
    """In its section."""
    for rows in SECTIONS.values():
        faults = [row[0] for row in rows]
        assert len(set(faults)) == len(faults)
