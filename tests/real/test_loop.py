"""A short SIS loop on the three real codes through a real daemon."""

from __future__ import annotations

from typing import Any

import pytest
from aiida import orm

from aiida_sis.run.clock import wall_time
from aiida_sis.run.record import collect
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.sis import SisWorkChain

pytestmark = pytest.mark.real

# So few frames and so slow a learning that the potential must fail: what is tested is what the loop makes of that.
STARVED = {
    'sis': {
        'initial_length_fs': 40.0,
        'sampling': {'strategy': 'burst'},
        'max_generations': 1,
        'learning': {'fine_tune_steps': 200, 'fine_tune_lr': 2e-3},
    },
    'label': {'length_fs': 20.0},
    'dp': {
        'training': {'numb_steps': 500},
        'learning_rate': {'type': 'exp', 'start_lr': 2e-3, 'stop_lr': 1e-5, 'decay_steps': 5},
    },
    'train': {'force_rmse_max': None},
}


def run_starved(codes: dict[str, orm.InstalledCode], submit_and_await: Any) -> orm.WorkChainNode:
    """Run the starved loop through the daemon, and look at all that it gives at its end."""
    builder = SisWorkChain.get_builder_from_protocol(codes, {'ion_pair': lifsi_ion_pair()}, overrides=STARVED, seed=3)
    node: orm.WorkChainNode = submit_and_await(builder, timeout=900)
    summary = node.outputs.summary.get_dict()
    assert node.exit_status == SisWorkChain.exit_codes.ERROR_MAX_GENERATIONS.status, node.exit_message
    assert summary['outcome'] == 'not stable'
    assert len(summary['generations']) == 2

    failed = [run for run in summary['generations'][0]['md'] if not run['stable']]
    assert failed
    assert len(summary['generations'][1]['labels']) == len(failed)
    for run in failed:
        assert run['t_next_ps'] <= run['t_cp_ps']
        assert run['steps_past_t_cp'] <= 5

    assert set(node.outputs.potentials) == {'g0', 'g1'}
    assert node.outputs.potential.uuid == node.outputs.potentials.g1.uuid
    assert {'g0_0', 'g0_1', 'g1_0'} <= set(node.outputs.datasets)
    assert node.outputs.potential.type_map == ['F', 'Li', 'N', 'O', 'S']

    # Every dataset of generation 1 descends from a catastrophe of generation 0, without a hole in the graph.
    ancestors = orm.QueryBuilder()
    ancestors.append(orm.Node, filters={'uuid': node.outputs.potentials.g0.uuid}, tag='potential')
    ancestors.append(orm.Node, with_ancestors='potential', filters={'uuid': node.outputs.datasets.g1_0.uuid})
    assert ancestors.count() > 0

    # The frames and the weights are nodes of their own: no job keeps a second copy of them.
    for job in node.called_descendants:
        if isinstance(job, orm.CalcJobNode):
            files = [name for _, _, names in job.base.repository.walk() for name in names]
            assert not [name for name in files if name.endswith(('.npy', '.pb'))]

    record = collect(node)
    clock = wall_time(node, record.wall_seconds)
    assert clock.jobs >= 8
    assert 0 < clock.codes <= clock.wall
    return node


def test_loop_through_the_daemon(real_codes: dict[str, orm.InstalledCode], submit_and_await: Any) -> None:
    """The starved loop meets catastrophes, labels from before them, trains on, and gives all it has at its end."""
    run_starved(real_codes, submit_and_await)
