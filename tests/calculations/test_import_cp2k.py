"""Datasets from runs of CP2K made by hand, through the reader that aiida_deepmd finds by its entry point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_deepmd.calculations.import_data import import_datasets

BY_HAND = Path(__file__).parents[1] / 'files/cp2k_by_hand'


def test_a_run_of_cp2k_made_by_hand(aiida_profile: Any) -> None:
    (one,) = import_datasets(BY_HAND / 'restart', type_map=['H', 'Li', 'O'])
    assert one.dataset is not None
    assert one.report['found_frames'] == {'duplicate': [4, 5]}
    assert one.dataset.n_frames == 9
    assert one.report['timestep_fs'] == pytest.approx(0.5, rel=1e-2)  # a thermostat pushes too
    assert one.report['work_ratio'] == pytest.approx(1.0, abs=0.02)
    files = set(one.dataset.creator.inputs.source['sha256'])
    assert files == {
        'water-pos-1.xyz', 'water-frc-1.xyz', 'water.inp', 'water2.inp', 'water.out', 'water2.out'
    }  # fmt: skip


def test_a_run_of_cp2k_under_pressure(aiida_profile: Any) -> None:
    (one,) = import_datasets(BY_HAND / 'npt')
    assert one.dataset is not None
    assert (one.report['n_kept'], one.report['work_ratio']) == (7, None)
    assert np.ptp(one.dataset.get_frames().cells[:, 0, 0]) == pytest.approx(0.0181295582)
