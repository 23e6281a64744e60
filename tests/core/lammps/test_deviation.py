"""The deviation of a committee, from a file that LAMMPS wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aiida_sis.core.lammps.deviation import judge_deviation, parse_deviation
from aiida_sis.core.settings.md import DeviationSettings

FILE = Path(__file__).parents[2] / 'files' / 'lammps' / 'committee' / 'model_devi.out'


def test_columns_of_the_force() -> None:
    series = parse_deviation(FILE.read_text())
    assert series.steps.tolist() == list(range(0, 65, 5))
    assert series.largest[[0, -1]].tolist() == [0.1873353, 1.234097]
    assert series.mean[[0, -1]].tolist() == [0.08181955, 0.6206706]


def test_a_cut_line_and_earlier_steps_are_left_out() -> None:
    text = FILE.read_text()
    assert parse_deviation(text[:-5]).steps[-1] == 55
    assert parse_deviation(text, first_step=20).steps[0] == 20
    assert parse_deviation('').steps.size == 0
    assert parse_deviation('# nonsense\n1 2 3\n').steps.size == 0


def test_trust_levels() -> None:
    series = parse_deviation(FILE.read_text())
    verdict = judge_deviation(
        series.steps,
        series.largest,
        DeviationSettings(low_ev_per_angstrom=0.3, high_ev_per_angstrom=0.9, max_candidates=3),
    )
    assert verdict.as_dict() == {'n_accurate': 1, 'n_candidate': 10, 'n_failed': 2, 'max': 1.234097}
    # Of the candidates at 5, 10, … 50 the first, one of the middle and the last.
    assert verdict.chosen == [5, 25, 50]


def test_the_lower_level_belongs_to_the_candidates_and_no_number_to_the_failed() -> None:
    steps, largest = np.arange(4), np.array([0.1, 0.2, np.nan, 0.3])
    verdict = judge_deviation(steps, largest, DeviationSettings(low_ev_per_angstrom=0.1, high_ev_per_angstrom=0.3))
    assert (verdict.n_accurate, verdict.n_candidate, verdict.n_failed) == (0, 2, 2)
    assert verdict.chosen == [0, 1]
    assert verdict.max == 0.3
    nothing = judge_deviation(
        steps[:0], largest[:0], DeviationSettings(low_ev_per_angstrom=0.1, high_ev_per_angstrom=0.3)
    )
    assert nothing.max is None
    assert nothing.chosen == []
