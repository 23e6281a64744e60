"""The figures of single points have every frame that was labelled, and their numbers beside them."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from aiida_sis.run.trajectories import Details, read_details
from aiida_sis.show.figures.catalogue import FIGURES
from aiida_sis.show.figures.style import NARROW, WIDE, NothingToShowError
from tests.built_runs import add_single_points


@pytest.fixture
def details(make_run) -> Details:
    """Give a run with a ladder of three rungs, the middle one failed, and four labelled frames of its stable MD."""
    run = make_run()
    add_single_points(run)
    return read_details(run)


def texts(figure: Figure) -> str:
    """All that is written in the panels."""
    return ' '.join(axis.get_title() + axis.get_title(loc='left') for axis in figure.axes)


@pytest.mark.parametrize('width', [WIDE, NARROW])
def test_true_error(details: Details, width: float) -> None:
    """The panel names generation, stage and the error over all frames, which is no mean of errors."""
    spec = FIGURES['verification']
    figure = spec.figure(details, width)
    assert 'g1 fine: 0.173 eV/Å, 4 frames' in texts(figure)
    lines = [line.get_xydata().tolist() for line in figure.axes[0].get_lines() if line.get_marker() == 'o']
    assert lines == [[[1.0, 0.1], [9.0, 0.1]], [[1.0, 0.1], [9.0, 0.3]]]
    table = spec.table(details)
    assert table.rows[-1] == (1, 'fine', 1, 9.0, 0.3)


def test_ladder(details: Details) -> None:
    """Rungs that were labelled are drawn; the numbers have them all."""
    spec = FIGURES['ladders']
    (axis,) = spec.figure(details, WIDE).axes
    marks = {line.get_marker(): line.get_xydata()[0].tolist() for line in axis.get_lines() if line.get_marker() in '^s'}
    assert marks == {'^': [80.0, 0.1], 's': [20.0, 0.9]}
    assert [row[4] for row in spec.table(details).rows] == ['right', 'failed', 'wrong']


def test_nothing_to_show(make_run) -> None:
    """A run without single points says so."""
    details = read_details(make_run())
    for name in ('verification', 'ladders'):
        with pytest.raises(NothingToShowError):
            FIGURES[name].figure(details, WIDE)
        assert FIGURES[name].table(details).rows == ()
