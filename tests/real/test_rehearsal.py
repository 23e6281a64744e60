"""The rehearsal on the three real codes: the loop, the teacher along its MD, and the teacher's own MD."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm

from aiida_sis.show.figures.comparison import plot_comparison
from aiida_sis.show.figures.style import save
from aiida_sis.structures.demo import rehearsal_systems
from aiida_sis.workflows.rehearsal import RehearsalWorkChain

pytestmark = pytest.mark.real

# A stage that anything survives: what is tested is that the MD and its teacher are put side by side frame by frame.
SHORT = {
    'sis': {
        'stages': [{'name': 'only', 'window_k': [0.0, 50000.0], 'length_ps': 0.2}],
        'replicas': 1,
        'systems': {'crystal': {'initial_length_fs': 40.0}},
    },
    'dp': {'training': {'numb_steps': 400}, 'learning_rate': {'decay_steps': 4}},
    'train': {'force_rmse_max': None, 'settings': {'compress': False}},
    'md': {'trajectory_interval_ps': 0.02},
}


def test_stable_dynamics_is_checked_by_its_teacher(
    real_codes: dict[str, orm.InstalledCode], submit_and_await: Any, tmp_path: Any
) -> None:
    """Every frame of the MD has its true force error, which is that of a potential which knows the crystal only."""
    melt, crystal = rehearsal_systems(1)
    builder = RehearsalWorkChain.get_builder_from_protocol(
        real_codes, {'melt': melt}, overrides=SHORT, supporting={'crystal': crystal}
    )
    rdf = {'r_max': 6.0, 'n_bins': 30, 'skip_ps': 0.0, 'n_frames': 8, 'reference_skip': 0.1}
    builder.comparison = orm.Dict({'teacher_length_ps': 0.1, 'rdf': rdf})
    node = submit_and_await(builder, timeout=600)
    assert node.is_finished_ok, node.exit_message
    results = node.outputs.results.get_dict()
    md = node.outputs.sis.trajectories.r0
    assert results['forces']['r0']['n_frames'] == md.numsteps
    errors = node.outputs.errors.r0.get_array('force_rmse')
    assert np.isfinite(errors).all()
    assert errors[-1] > 0.02, 'forty femtoseconds of crystal cannot teach the melt'
    assert set(results['rdf_difference']) == {'Cl_Cl', 'Cl_Na', 'Na_Na'}
    assert save(plot_comparison(node), tmp_path / 'checked.png').stat().st_size > 10_000
