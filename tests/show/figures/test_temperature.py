"""The figure keeps every excursion, marks what matters and can be written for any state of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plumpy import ProcessState

from aiida_sis.run.record import collect
from aiida_sis.show.figures.style import save
from aiida_sis.show.figures.temperature import envelope, plot_run


@given(st.integers(1, 5000), st.integers(1, 700))
def test_envelope_keeps_extremes(n_samples: int, n_bins: int) -> None:
    """However long the series, its highest and lowest value stay, and there are no more pieces than asked for."""
    values = np.random.default_rng(n_samples).normal(300, 80, n_samples)
    middle, low, high = envelope(np.arange(n_samples, dtype=float), values, n_bins)
    assert len(middle) == len(low) == len(high) <= min(n_bins, n_samples)
    assert low.min() == values.min()
    assert high.max() == values.max()
    assert (np.diff(middle) > 0).all()


def test_envelope_leaves_out_nan() -> None:
    """A NaN at the end of a crashed run hides nothing."""
    _, low, high = envelope(np.arange(4.0), np.array([1.0, 3.0, np.nan, 2.0]), 1)
    assert (low[0], high[0]) == (1.0, 3.0)
    assert envelope(np.arange(2.0), np.full(2, np.nan))[0].size == 0


def test_panels_and_marks(make_run) -> None:
    """One panel for each generation and stage; the red cross stands at t_cp, the green dot at t_next."""
    figure = plot_run(collect(make_run(), with_series=True))
    panels = [axis for axis in figure.axes if axis.get_title(loc='left').startswith('Generation')]
    assert len(panels) == 3
    marks = {line.get_marker(): line for line in panels[0].get_lines() if line.get_marker() in ('x', 'o')}
    assert marks['x'].get_xdata()[0] == pytest.approx(0.12)
    assert marks['x'].get_ydata()[0] == pytest.approx(1120.0)
    assert marks['o'].get_xdata()[0] == pytest.approx(0.072)
    assert 'AR 50' in figure.get_suptitle()


@pytest.mark.parametrize('suffix', ['png', 'pdf'])
def test_save(make_run, tmp_path: Path, suffix: str) -> None:
    """The figure of a running run is written too."""
    record = collect(make_run(ProcessState.WAITING, None), with_series=True)
    path = save(plot_run(record), tmp_path / f'new/figure.{suffix}')
    assert path.stat().st_size > 5000
