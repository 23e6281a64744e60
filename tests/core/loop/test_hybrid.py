"""The hybrid run: one time axis for all pieces."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sis.core.loop.hybrid import (
    Piece,
    counted_md_ps,
    make_hybrid_summary,
    on_trajectory_fs,
    place_pieces,
)


def test_pieces_share_one_time_and_one_spacing() -> None:
    burst = Piece(np.arange(11) * 0.002, 0.02)
    md = Piece(np.arange(6) * 0.01, 0.03)
    (first, at_first), (second, at_second), (third, at_third) = place_pieces([burst, md, burst], 0.01)
    assert first.tolist() == [0, 5, 10]
    assert at_first == pytest.approx([0.0, 0.01, 0.02])
    # Its first frame is the last of the burst; what comes after t_next is forgotten.
    assert second.tolist() == [1, 2, 3]
    assert at_second == pytest.approx([0.03, 0.04, 0.05])
    assert third.tolist() == [5, 10]
    assert at_third == pytest.approx([0.06, 0.07])


def test_what_counts() -> None:
    survived = {'catastrophe': None, 'length_ps_reached': 5.0, 't_next': None}
    assert counted_md_ps(survived) == 5.0
    point = {'time_ps': 2.0, 'temperature_k': 900.0, 'bound': 'high'}
    failed = {'catastrophe': point, 'length_ps_reached': 2.0, 't_next': {'time_ps': 1.5, 'snapshot_index': 2}}
    assert counted_md_ps(failed) == 1.5
    assert on_trajectory_fs({'aimds': [{'n_good_frames': 3}, {'n_good_frames': 41}]}, 0.5) == 20.0
    assert on_trajectory_fs({'aimds': []}, 0.5) == 0.0


def test_summary() -> None:
    results = {
        'label_g0_0': {'aimd_fs': 500.0, 'route': 'direct'},
        'train_g0': {'force_rmse_ev_per_angstrom': 0.1},
        'explore_g0_s0_r0': {'catastrophe': None, 'length_ps_reached': 5.0, 't_next': None},
        'label_g1_0': {'aimd_fs': 500.0, 'route': 'fallback'},
        'train_g1': {'force_rmse_ev_per_angstrom': 0.08},
        'explore_g1_s0_r0': {
            'catastrophe': {'time_ps': 2.0, 'temperature_k': 900.0, 'bound': 'high'},
            't_next': {'time_ps': 1.0},
        },
        'label_g2_0': {'aimd_fs': 500.0, 'route': 'direct'},
    }
    summary = make_hybrid_summary('ended early', {'cycles': 5, 'temperature_k': 300.0}, results, [True, False])
    assert [cycle['md_ps'] for cycle in summary['cycles']] == [5.0, 1.0, None]
    assert [cycle['md_velocities'] for cycle in summary['cycles']] == ['of the AIMD', 'drawn', None]
    assert summary['catastrophes'] == 1
    assert summary['acceleration_ratio'] == pytest.approx((6.0 + 1.5) / 1.5)
    hair = {key: value for key, value in results.items() if '_g0' in key}
    assert make_hybrid_summary('finished', {'cycles': 1}, hair, [True])['acceleration_ratio'] == pytest.approx(11.0)
    assert make_hybrid_summary('ended early', {'cycles': 1}, {}, [])['acceleration_ratio'] is None
