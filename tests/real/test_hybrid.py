"""The hybrid run with the real codes: molten-salt ions, CP2K's classical engine as the cheap teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm
from ase.build import bulk

from aiida_sis.workflows.hybrid import HybridWorkChain

pytestmark = pytest.mark.real
OVERRIDES: dict[str, Any] = {
    'hybrid': {
        'cycles': 2,
        'temperature_k': 300.0,
        'window_k': [0.0, 3000.0],
        'first_aimd_length_fs': 60.0,
        'aimd_length_fs': 20.0,
        'md_length_ps': 0.1,
        'frame_interval_fs': 10.0,
        'optimise_first': False,
        'learning': {'fine_tune_steps': 50},
    },
    'dp': {'training': {'numb_steps': 200, 'disp_freq': 50}},
    'train': {'force_rmse_max': None, 'settings': {'compress': False}},
}


def test_two_cycles_along_one_trajectory(real_codes: dict[str, orm.InstalledCode], submit_and_await: Any) -> None:
    """AIMD, MD, AIMD, MD: each goes on where the one before it ended, with its velocities."""
    salt = orm.StructureData(ase=bulk('NaCl', 'rocksalt', a=5.64, cubic=True))
    builder = HybridWorkChain.get_builder_from_protocol(real_codes, salt, 'rehearsal', OVERRIDES, seed=5)
    node = submit_and_await(builder, timeout=900)
    assert node.is_finished_ok, node.exit_message
    outputs = node.outputs
    summary = outputs['summary'].get_dict()
    first, second = summary['cycles']
    assert (first['aimd_fs'], second['aimd_fs']) == (60.0, 20.0)
    assert [cycle['md_velocities'] for cycle in summary['cycles']] == ['of the AIMD', 'of the AIMD']
    assert summary['aimd_ps'] == pytest.approx(0.08)
    assert summary['md_ps'] == pytest.approx(first['md_ps'] + second['md_ps'])
    assert summary['acceleration_ratio'] == pytest.approx((summary['md_ps'] + 0.08) / 0.08)
    assert set(outputs['datasets']) == {'g0_0', 'g1_0'}

    trajectory = outputs['trajectory']
    times = trajectory.get_times()
    assert np.diff(times).min() > 0.0099
    assert times[-1] <= summary['aimd_ps'] + summary['md_ps'] + 1e-6
    is_aimd = trajectory.get_array('is_aimd')
    assert is_aimd[times < 0.0601].all()
    assert trajectory.get_array('cycle').tolist() == sorted(trajectory.get_array('cycle'))
    # Nothing jumps where one piece follows another: an ion at 300 K moves less than this in 10 to 20 fs.
    steps = np.abs(np.diff(trajectory.get_positions(), axis=0)).max(axis=(1, 2))
    assert (steps / np.diff(times)).max() < 100.0

    # The MD went on with the velocities that CP2K ended with, and the second AIMD with those of the MD.
    children = {link.link_label: link.node for link in node.base.links.get_outgoing(orm.WorkChainNode).all()}
    burst, md, after = (children[key] for key in ('label_g0_0', 'explore_g0_s0_r0', 'label_g1_0'))
    given = md.inputs.md.velocities.get_array('velocities')
    positions = burst.outputs.trajectory.get_positions()
    # Leapfrog: the mean velocity over the last step differs by half a step of acceleration.
    assert given == pytest.approx((positions[-1] - positions[-2]) / 0.002, abs=0.3 * np.abs(given).max())
    assert 'velocities' in after.inputs
    if first['t_cp_ps'] is None:
        final = md.outputs.trajectory.get_velocities()[-1]
        assert after.inputs.velocities.get_array('velocities') == pytest.approx(final)
