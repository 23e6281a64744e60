"""Graphs that the example has not: single points, a training that was continued, jobs without a clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_sis import run as query
from aiida_sis.run import graph


def workchain(process_type: str, caller: orm.Node | None = None, label: str = 'CALL') -> orm.WorkChainNode:
    """Store a workchain, called by another one under a label."""
    node = orm.WorkChainNode(process_type=process_type)
    if caller is not None:
        node.base.links.add_incoming(caller, LinkType.CALL_WORK, label)
    node.store()
    return node


def created(node: orm.Node, by: orm.Node, label: str) -> Any:
    """Store what a calculation made."""
    node.base.links.add_incoming(by, LinkType.CREATE, label)
    return node.store()


def trajectory() -> orm.TrajectoryData:
    """One frame of one atom."""
    node = orm.TrajectoryData()
    node.set_trajectory(symbols=['Li'], positions=np.zeros((1, 1, 3)))
    return node


@pytest.mark.parametrize('joined', [False, True])
def test_origin_of_single_points(aiida_profile_clean, deepmd_datasets: dict[str, DatasetData], joined: bool) -> None:
    """Frames that a replay took from an MD lead to that MD and its catastrophe, also where it took several jobs."""
    run = workchain(graph.SIS)
    explore = workchain(graph.EXPLORE, run, 'explore_g0_s0_r1')
    job = orm.CalcJobNode(process_type=graph.MD_JOB)
    job.base.links.add_incoming(explore, LinkType.CALL_CALC, 'iteration_01')
    job.store()
    point = {'catastrophe': {'time_ps': 1.5, 'temperature_k': 900.0, 'bound': 'high'}, 't_next': {'time_ps': 1.2}}
    created(orm.Dict(point), job, 'results')
    snapshots = created(trajectory(), job, 'snapshots')
    if joined:
        earlier = orm.CalcJobNode(process_type=graph.MD_JOB).store()
        parts = orm.CalcFunctionNode()
        parts.base.links.add_incoming(created(trajectory(), earlier, 'trajectory'), LinkType.INPUT_CALC, 'part_000')
        parts.base.links.add_incoming(created(trajectory(), job, 'trajectory'), LinkType.INPUT_CALC, 'part_001')
        parts.store()
        snapshots = created(trajectory(), parts, 'result')
    selection = orm.CalcFunctionNode()
    selection.base.links.add_incoming(snapshots, LinkType.INPUT_CALC, 'snapshots')
    selection.store()
    frames = created(trajectory(), selection, 'result')
    replay = orm.WorkChainNode(process_type=graph.REPLAY)
    replay.base.links.add_incoming(run, LinkType.CALL_WORK, 'label_g1_0')
    replay.base.links.add_incoming(frames, LinkType.INPUT_WORK, 'frames')
    replay.store()
    dataset = deepmd_datasets['aimd_0'].store()
    dataset.base.links.add_incoming(replay, LinkType.RETURN, 'dataset')
    (row,) = query.origins([dataset.pk])
    assert (row.kind, row.place, row.explored_as) == ('frames', 'label_g1_0', 'explore_g0_s0_r1')
    assert (row.t_cp_ps, row.temperature_cp_k, row.bound, row.t_next_ps) == (1.5, 900.0, 'high', 1.2)
    assert row.exploration is not None
    assert row.exploration.pk == explore.pk


def test_continued_training_counts_once(aiida_profile_clean) -> None:
    """Of a training that was continued, the potential that its workchain returned is listed."""
    train = workchain(graph.TRAIN, workchain(graph.SIS), 'train_g0')
    potentials = []
    for number, error in enumerate((0.3, 0.1)):
        job = orm.CalcJobNode(process_type=graph.TRAIN_JOB)
        job.base.links.add_incoming(train, LinkType.CALL_CALC, f'iteration_{number:02d}')
        job.store()
        created(orm.Dict({'force_rmse_ev_per_angstrom': error}), job, 'results')
        potentials.append(created(PotentialData({'model.pb': bytes([number])}, ['Li']), job, 'potential'))
    potentials[1].base.links.add_incoming(train, LinkType.RETURN, 'potential')
    (row,) = query.models()
    assert row.potential.pk == potentials[1].pk
    assert (row.place, row.force_rmse_ev_per_angstrom, row.elements) == ('train_g0', 0.1, 'Li')


def test_jobs_without_a_clock_are_counted(aiida_profile_clean) -> None:
    """A job that says nothing of its time is named as missing; the scheduler's time counts where it is there."""
    run = workchain(graph.SIS)
    explore = workchain(graph.EXPLORE, run, 'explore_g0_s0_r0')
    for seconds in (0, 7200):
        job = orm.CalcJobNode(process_type=graph.MD_JOB)
        job.base.attributes.set('last_job_info', {'wallclock_time_seconds': seconds})
        job.base.attributes.set('resources', {'num_machines': 2, 'num_mpiprocs_per_machine': 4})
        job.base.links.add_incoming(explore, LinkType.CALL_CALC, f'iteration_{seconds}')
        job.store()
    (row,) = query.costs()
    assert (row.n_jobs, row.n_untimed_jobs) == (2, 1)
    assert row.core_hours_lmp == pytest.approx(2 * 8)


def test_many_values_are_asked_in_parts(aiida_profile_clean, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of PKs longer than a database takes at once gives the same rows."""
    nodes = [orm.Int(number).store() for number in range(5)]
    monkeypatch.setattr(graph, '_CHUNK', 2)
    found = graph.table(orm.Int, graph.pks([node.pk for node in nodes]), ('attributes.value',))
    assert [row[0] for row in found] == [0, 1, 2, 3, 4]
