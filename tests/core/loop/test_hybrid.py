"""The hybrid run: its settings, the end of an AIMD, and one time axis for all pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_deepmd.units import ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS
from aiida_sis.core.loop.hybrid import (
    Piece,
    counted_md_ps,
    make_hybrid_summary,
    on_trajectory_fs,
    place_pieces,
    read_hybrid_settings,
    read_restart,
)
from aiida_sis.core.settings.sis import read_settings

# Lines of a restart file of CP2K 2023.1.
RESTART = """ &FORCE_EVAL
   &SUBSYS
     &COORD
N    3.9189787179185536E+00    4.4820600983375360E+00    5.4676549861341162E+00
Li    4.5787516623393598E+00    5.3210856556884760E+00    2.7546788044181580E+00
     &END COORD
     &VELOCITY
           3.1469318758400771E-05   -5.0650264350753653E-05   -3.0516908798065525E-04
          -6.2113879045100064E-05   -1.4292228773472081E-05   -6.5751854175192669E-05
     &END VELOCITY
     &TOPOLOGY
       COORD_FILE_FORMAT  XYZ
     &END TOPOLOGY
   &END SUBSYS
 &END FORCE_EVAL
"""


def test_defaults_are_those_of_hair() -> None:
    settings = read_hybrid_settings({'window_k': [0, 1000]})
    assert settings.md_length_ps / (settings.aimd_length(1) * 1e-3) == pytest.approx(10)
    assert settings.aimd_length(0) == 500
    longer = read_hybrid_settings({'window_k': [0, 1000], 'first_aimd_length_fs': 2000})
    assert (longer.aimd_length(0), longer.aimd_length(1)) == (2000, 500)
    assert read_settings(longer.as_sis()).stages[0].length_ps == 5.0
    assert longer.md_changes()['minimise'] == {'enabled': False}


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'aimd_lenght_fs': 1}, "'aimd_lenght_fs' of the hybrid parameters is unknown: did you mean 'aimd_length_fs'"),
        ({'learning': {'lr_decy': 1}}, "'learning.lr_decy' .* did you mean 'lr_decay'"),
        ({'cycles': 0}, "The value 0 of 'cycles' in the hybrid parameters is not valid"),
        ({'md_length_ps': -1}, "The value -1 of 'md_length_ps'"),
    ],
)
def test_refusals(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_hybrid_settings({'window_k': [0, 1000]} | change)


def test_missing_window() -> None:
    with pytest.raises(ValueError, match="'window_k' of the hybrid parameters is missing"):
        read_hybrid_settings({})


def test_restart() -> None:
    state = read_restart(RESTART)
    assert state is not None
    assert state.positions[1].tolist() == [4.5787516623393598, 5.3210856556884760, 2.7546788044181580]
    assert state.velocities[0, 2] == pytest.approx(-3.0516908798065525e-04 * ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS)


@pytest.mark.parametrize(
    'text',
    [
        '',
        RESTART.split('&END VELOCITY')[0],
        RESTART.replace('  -6.2113879045100064E-05', '  ********'),
        RESTART.replace('     &COORD\n', '     &COORD\n       UNIT  bohr\n'),
        RESTART.replace('N    3.9189787179185536E+00    4.4820600983375360E+00    5.4676549861341162E+00\n', ''),
    ],
)
def test_a_restart_that_cannot_be_trusted(text: str) -> None:
    assert read_restart(text) is None


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
    failed = {'catastrophe': {'time_ps': 2.0}, 'length_ps_reached': 2.0, 't_next': {'time_ps': 1.5}}
    assert counted_md_ps(failed) == 1.5
    assert on_trajectory_fs({'aimds': [{'n_good_frames': 3}, {'n_good_frames': 41}]}, 0.5) == 20.0
    assert on_trajectory_fs({'aimds': []}, 0.5) == 0.0


def test_summary() -> None:
    results = {
        'label_c0': {'aimd_fs': 500.0, 'route': 'direct'},
        'train_c0': {'force_rmse_ev_per_angstrom': 0.1},
        'explore_c0': {'catastrophe': None, 'length_ps_reached': 5.0, 't_next': None},
        'label_c1': {'aimd_fs': 500.0, 'route': 'fallback'},
        'train_c1': {'force_rmse_ev_per_angstrom': 0.08},
        'explore_c1': {'catastrophe': {'time_ps': 2.0, 'bound': 'high'}, 't_next': {'time_ps': 1.0}},
        'label_c2': {'aimd_fs': 500.0, 'route': 'direct'},
    }
    summary = make_hybrid_summary('ended early', {'cycles': 5, 'temperature_k': 300.0}, results, [True, False])
    assert [cycle['md_ps'] for cycle in summary['cycles']] == [5.0, 1.0, None]
    assert [cycle['md_velocities'] for cycle in summary['cycles']] == ['of the AIMD', 'drawn', None]
    assert summary['catastrophes'] == 1
    assert summary['acceleration_ratio'] == pytest.approx((6.0 + 1.5) / 1.5)
    hair = {key: value for key, value in results.items() if key.endswith('c0')}
    assert make_hybrid_summary('finished', {'cycles': 1}, hair, [True])['acceleration_ratio'] == pytest.approx(11.0)
    assert make_hybrid_summary('ended early', {'cycles': 1}, {}, [])['acceleration_ratio'] is None
