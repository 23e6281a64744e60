"""What a trial of a frozen model may find."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from aiida_deepmd.files import model_trial
from aiida_deepmd.files.model_trial import ModelTrial, cluster, try_model

GOOD = ModelTrial(['Na', 'Cl'], 2, -12.5, [0.5, -1.0, 0.2], [0.5001, -0.9999, 0.2], 1.0)


def test_a_good_model() -> None:
    assert GOOD.find_fault() is None
    small = replace(GOOD, force=[0.001, 0.0, 0.0], slope=[0.004, 0.0, 0.0])
    assert small.find_fault() is None, 'noise of single precision'
    steep = replace(GOOD, force=[100.0, 0.0, 0.0], slope=[101.0, 0.0, 0.0])
    assert steep.find_fault() is None, 'curvature'


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'force': [-0.5, 1.0, -0.2]}, 'not the slope of its energy'),
        ({'slope': [0.55, -1.1, 0.22]}, 'not the slope of its energy'),
        ({'force': [math.nan, 0.0, 0.0]}, 'no numbers'),
        ({'energy': math.inf}, 'no numbers'),
        ({'slope': [math.nan] * 3}, 'no numbers'),
        ({'scale': 0.065}, 'converted from another backend .* by 0.065'),
    ],
)
def test_faults(change: dict[str, object], words: str) -> None:
    fault = replace(GOOD, **change).find_fault()  # type: ignore[arg-type]
    assert fault is not None
    assert re.search(words, fault)


@pytest.mark.parametrize('n_types', [1, 2, 5, 20])
def test_atoms_that_a_model_is_tried_on(n_types: int) -> None:
    """Each type has neighbours, and none sits on another."""
    coords, types = cluster(n_types)
    assert np.bincount(types).tolist() == [2] * n_types
    distances = pdist(coords)
    assert 1.3 < distances.min() < 3.0


def test_a_trial_that_dies_is_an_error_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow may take its process along, or never answer."""
    for name, body, words in (
        ('dies', 'import os; os.abort()', 'ended with code'),
        ('raises', 'raise RuntimeError("half a graph")', 'RuntimeError: half a graph'),
        ('hangs', 'import time; time.sleep(60)', 'no answer after'),
    ):
        script = tmp_path / f'{name}_model.py'
        script.write_text(body)
        monkeypatch.setattr(model_trial, '__name__', script.stem)
        monkeypatch.setattr(model_trial, '_PATIENCE', 2 if name == 'hangs' else 60)
        monkeypatch.setenv('PYTHONPATH', str(tmp_path))
        with pytest.raises(ValueError, match=words):
            try_model(tmp_path / 'model.pb')
