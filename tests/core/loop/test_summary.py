"""The summary of a run: labelled time, length reached and the paper's acceleration ratio."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sis.core.loop.summary import make_summary

PARAMETERS = {
    'temperature_k': 300.0,
    'stages': [
        {'name': 'coarse', 'window_k': [0, 1000], 'length_ps': 2.0},
        {'name': 'fine', 'window_k': [200, 500], 'length_ps': 20.0},
    ],
}

SYSTEMS = ['pair', 'pair']


def run(stable: bool, length: float) -> dict[str, Any]:
    """Give the results of an MD."""
    point = None if stable else {'time_ps': length, 'temperature_k': 1200.0, 'bound': 'high'}
    start = None if stable else {'time_ps': max(0.0, length - 0.2), 'snapshot_index': 3, 'rule': 'band'}
    return {'stable': stable, 'length_ps_reached': length, 'catastrophe': point, 't_next': start, 'steps_past_t_cp': 0}


def label(length: float) -> dict[str, Any]:
    """Give the results of a label."""
    return {'route': 'direct', 'aimd_fs': length, 'kept_frames': int(length)}


RESULTS = {
    'label_g0_0': label(500.0),
    'train_g0': {'force_rmse_ev_per_angstrom': 0.2, 'n_steps': 6000},
    'explore_g0_s0_r0': run(False, 0.3),
    'explore_g0_s0_r1': run(True, 2.0),
    'label_g1_0': label(300.0),
    'train_g1': {'force_rmse_ev_per_angstrom': 0.1, 'n_steps': 4000},
    'explore_g1_s0_r0': run(True, 2.0),
    'explore_g1_s0_r1': run(True, 2.0),
    'explore_g1_s1_r0': run(True, 20.0),
    'explore_g1_s1_r1': run(True, 20.0),
}


def test_stable_run() -> None:
    """20 ps from 0.8 ps of AIMD is a ratio of 25; both stages are passed in generation 1."""
    summary = make_summary('stable', PARAMETERS, RESULTS, stages_passed=2, systems=SYSTEMS)
    assert summary['aimd_ps'] == 0.8
    assert summary['acceleration_ratio'] == 25.0
    assert [stage['passed_in_generation'] for stage in summary['stages']] == [1, 1]
    first = summary['generations'][0]
    assert first['training']['force_rmse_ev_per_angstrom'] == 0.2
    assert [md['stable'] for md in first['md']] == [False, True]
    assert first['md'][0]['t_cp_ps'] == 0.3


def test_single_points_are_labelled_time() -> None:
    """Each counts as one timestep: 200 at 0.5 fs are 0.1 ps; frames of the stable MD count too."""
    points = {'route': 'replay', 'aimd_fs': 0.0, 'n_single_points': 100, 'timestep_fs': 0.5, 'kept_frames': 90}
    verdict = {'verified': True, 'n_offered': 100, 'n_frames': 100, 'force_rmse_max': 0.15}
    more = {
        'label_g1_1': points,
        'verify_g1_s1_r0': points,
        'verdict_g1_s1': verdict | {'force_rmse_ev_per_angstrom': 0.1},
    }
    summary = make_summary('stable and verified', PARAMETERS, RESULTS | more, stages_passed=2, systems=SYSTEMS)
    assert summary['aimd_ps'] == 0.8
    assert summary['labelled_ps'] == pytest.approx(0.9)
    assert summary['acceleration_ratio'] == pytest.approx(20 / 0.9)
    assert summary['cost']['kept_frames'] == 800 + 180
    assert summary['verification']['force_rmse_ev_per_angstrom'] == 0.1
    assert [generation['verification'] is None for generation in summary['generations']] == [True, False]


def test_length_that_was_not_survived_by_all_does_not_count() -> None:
    """One replica that failed means that the stage was not passed."""
    results = RESULTS | {'explore_g1_s1_r1': run(False, 19.0)}
    summary = make_summary('not stable', PARAMETERS, results, stages_passed=1, systems=SYSTEMS)
    assert summary['md_ps'] == 2.0
    assert summary['stages'][1]['passed_in_generation'] is None


def test_run_that_failed_at_once() -> None:
    """Without any result there is a summary all the same."""
    summary = make_summary('not stable', PARAMETERS, {}, stages_passed=0, systems=SYSTEMS)
    assert summary['generations'] == []
    assert summary['acceleration_ratio'] is None


def test_replica_that_gave_no_results_is_no_proof() -> None:
    """Its results are missing, so the survivors alone look stable; the workchain knows better."""
    results = {key: value for key, value in RESULTS.items() if key != 'explore_g1_s1_r1'}
    summary = make_summary('not stable', PARAMETERS, results, stages_passed=1, systems=SYSTEMS)
    assert summary['md_ps'] == 2.0
    assert summary['stages'][1]['passed_in_generation'] is None


def test_runs_name_their_system() -> None:
    """With several systems, a replica's number alone says little."""
    summary = make_summary('stable', PARAMETERS, RESULTS, stages_passed=2, systems=['first', 'second'])
    assert [run['system'] for run in summary['generations'][0]['md']] == ['first', 'second']
