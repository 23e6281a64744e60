"""Outputs of DeePMD-kit that were cut off: no number comes out of half a line."""

from __future__ import annotations

from pathlib import Path

from aiida_deepmd.files import output


def test_cuts_of_the_test_give_no_number(deepmd_files: Path) -> None:
    """A number that was cut off is no smaller or larger error: it decides on the next training."""
    text = (deepmd_files / 'finished' / 'test.out').read_text()
    start = text.rindex('# testing system')
    whole = output.parse_test_log(text)
    for cut in range(start + 60, text.index('weighted average')):
        try:
            errors = output.parse_test_log(text[:cut])
        except output.DeepmdOutputError:
            continue
        assert errors == whole


def test_a_cut_in_the_last_row_of_the_details(deepmd_files: Path) -> None:
    """The row is left out, so that the table does not fit its frames."""
    text = (deepmd_files / 'finished' / 'detail.f.out').read_text()
    whole = output.parse_detail(text)
    assert len(output.parse_detail(text[:-3])) == len(whole) - 1
