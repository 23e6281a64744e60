"""A run made of stored nodes and links, with no process behind it: what the report reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from plumpy import ProcessState

MakeRun = Callable[..., orm.WorkChainNode]

STAGES = [
    {'name': 'coarse', 'window_k': [0.0, 1000.0], 'length_ps': 2.0},
    {'name': 'fine', 'window_k': [50.0, 800.0], 'length_ps': 10.0},
]


def process(
    state: ProcessState, exit_status: int | None = None, caller: orm.Node | None = None, label: str = ''
) -> Any:
    """Store a workchain node in a state, called by another one under a label."""
    node = orm.WorkChainNode()
    node.set_process_state(state)
    if exit_status is not None:
        node.set_exit_status(exit_status)
    if caller is not None:
        node.base.links.add_incoming(caller, LinkType.CALL_WORK, label)
    return node.store()


def returned(node: orm.Node, name: str, data: orm.Data) -> None:
    """Make data an output of a workchain."""
    data.store().base.links.add_incoming(node, LinkType.RETURN, name)


def md_series(length_ps: float, explode: bool) -> orm.ArrayData:
    """Make a temperature series around 300 K, which explodes at its end if asked to."""
    times = np.linspace(0, length_ps, 401)
    temperatures = 300 + 40 * np.sin(40 * times / length_ps)
    if explode:
        temperatures += 1200 * np.exp((times - length_ps) / (0.02 * length_ps))
    node = orm.ArrayData()
    node.set_array('time_ps', times)
    node.set_array('temperature', temperatures)
    return node


def add_md(run: orm.Node, key: str, stage: int, t_cp: float | None, length_ps: float) -> orm.WorkChainNode:
    """Add one finished MD with its input and outputs."""
    parameters = orm.Dict({'temperature_k': 300.0, **{k: STAGES[stage][k] for k in ('window_k', 'length_ps')}}).store()
    node = orm.WorkChainNode()
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(0)
    node.base.links.add_incoming(run, LinkType.CALL_WORK, key)
    node.base.links.add_incoming(parameters, LinkType.INPUT_WORK, 'md__parameters')
    node.store()
    results = {
        'stable': t_cp is None,
        'length_ps_reached': length_ps,
        'catastrophe': None if t_cp is None else {'time_ps': t_cp, 'temperature_k': 1120.0, 'bound': 'high'},
        't_next': None if t_cp is None else {'time_ps': 0.6 * t_cp, 'snapshot_index': 3, 'rule': 'band'},
    }
    returned(node, 'results', orm.Dict(results))
    returned(node, 'series', md_series(length_ps, explode=t_cp is not None))
    return node


@pytest.fixture
def make_run(aiida_profile_clean: Any) -> MakeRun:
    """Return a function that stores a run of two generations in a given state."""

    def make(state: ProcessState = ProcessState.FINISHED, exit_status: int | None = 0) -> orm.WorkChainNode:
        settings = orm.Dict({'stages': STAGES, 'temperature_k': 300.0}).store()
        run = orm.WorkChainNode()
        run.set_process_state(state)
        if exit_status is not None:
            run.set_exit_status(exit_status)
        run.base.links.add_incoming(settings, LinkType.INPUT_WORK, 'parameters')
        run.store()
        for generation in (0, 1):
            label = process(ProcessState.FINISHED, 0, run, f'label_g{generation}_0')
            dataset = orm.ArrayData()
            dataset.set_array('x', np.zeros(1))
            dataset.base.attributes.set('n_frames', 100)
            returned(label, 'dataset', dataset)
            returned(label, 'results', orm.Dict({'route': 'direct', 'aimd_fs': 100.0, 'max_temperature_k': 512.0}))
            training = process(ProcessState.FINISHED, 0, run, f'train_g{generation}')
            errors = {'force_rmse_ev_per_angstrom': 0.2 - 0.1 * generation, 'energy_rmse_ev_per_atom': 0.004}
            returned(training, 'results', orm.Dict({**errors, 'n_steps': 3000, 'wall_seconds': 21.0}))
        add_md(run, 'explore_g0_s0_r0', 0, 0.12, 0.12)
        add_md(run, 'explore_g0_s0_r1', 0, None, 2.0)
        add_md(run, 'explore_g1_s0_r0', 0, None, 2.0)
        if state is ProcessState.FINISHED:
            add_md(run, 'explore_g1_s1_r0', 1, None, 10.0)
            summary = {'outcome': 'stable', 'aimd_ps': 0.2, 'md_ps': 10.0, 'acceleration_ratio': 50.0}
            returned(run, 'summary', orm.Dict(summary))
        else:
            process(ProcessState.WAITING, None, run, 'explore_g1_s1_r0')
        return run

    return make
