"""The record is right for a run that goes on, one that has ended well and one that has failed."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from plumpy import ProcessState

from aiida_sis.core.loop.call_labels import VERDICT, VERIFY, Call
from aiida_sis.run.record import called, collect
from tests.built_runs import calculated


def test_finished_run(make_run) -> None:
    """Every number of the graph is in the record, in its place."""
    record = collect(make_run(), with_series=True)
    assert record.state == 'finished'
    assert record.outcome == 'stable'
    assert [generation.generation for generation in record.generations] == [0, 1]
    first, second = record.generations
    assert (first.n_frames, first.labels[0].route, first.labels[0].aimd_fs) == (100, 'direct', 100.0)
    assert first.training is not None
    assert first.training.force_rmse_ev_per_angstrom == pytest.approx(0.2)
    assert [md.replica for md in first.md] == [0, 1]
    assert (first.md[0].t_cp_ps, first.md[0].bound, first.md[0].window_k) == (0.12, 'high', (0.0, 1000.0))
    assert first.md[0].t_next_ps == pytest.approx(0.072)
    assert first.md[0].series.time_ps.shape == first.md[0].series.temperature.shape == (401,)
    assert first.md[1].stable is True
    assert second.stages == (0, 1)
    assert record.stage_name(1) == 'fine'
    assert record.aimd_ps == 0.2


def test_running_run(make_run) -> None:
    """Before the end there is no summary: the AIMD is counted from the labels and the open MD has no result."""
    record = collect(make_run(ProcessState.WAITING, None))
    assert record.is_running
    assert record.summary == {}
    assert record.aimd_ps == pytest.approx(0.2)
    open_md = record.generations[1].md[-1]
    assert (open_md.state, open_md.stable, open_md.t_cp_ps) == ('running', None, None)
    assert open_md.series.time_ps.size == 0
    assert record.code_seconds is None
    assert record.framework_share is None


def test_failed_run(make_run) -> None:
    """A failed run keeps its generations and says its exit code."""
    run = make_run(ProcessState.FINISHED, 410)
    record = collect(run)
    assert (record.state, record.exit_status) == ('failed', 410)
    assert len(record.generations) == 2


def test_unknown_children_are_ignored(make_run) -> None:
    """A calcfunction between the steps has another label and is no part of a generation."""
    run = make_run(ProcessState.WAITING, None)
    other = orm.CalcFunctionNode()
    other.set_process_state(ProcessState.FINISHED)
    other.base.links.add_incoming(run, LinkType.CALL_CALC, 'select_snapshot')
    other.store()
    assert [generation.generation for generation in collect(run).generations] == [0, 1]


def test_run_without_children(aiida_profile_clean) -> None:
    """A run that was just submitted has an empty record."""
    run = orm.WorkChainNode()
    run.set_process_state(ProcessState.CREATED)
    run.store()
    record = collect(run)
    assert (record.state, record.generations, called(run)) == ('waiting', (), [])


def test_ladder_and_verification(make_run) -> None:
    """They stand in their generation, and no label of a stable MD is taken for an exploration."""
    run = make_run(ProcessState.WAITING, None)
    rung = {'time_ps': 0.08, 'before_t_cp_fs': 40.0, 'state': 'right', 'force_rmse_ev_per_angstrom': 0.1}
    found = {'rungs': [rung], 't_cp_ps': 0.12, 't_next_ps': 0.08, 'n_learnt': 1, 'force_rmse_max': 0.3}
    calculated(run, 'ladder_g1_0', 'result', found)
    label = orm.WorkChainNode()
    label.set_process_state(ProcessState.WAITING)
    label.base.links.add_incoming(run, LinkType.CALL_WORK, str(Call(1, VERIFY, 0, 0)))
    label.store()
    last = collect(run).generations[1]
    assert [(ladder.index, ladder.t_next_ps, ladder.rungs[0].state) for ladder in last.ladders] == [(0, 0.08, 'right')]
    (ladder,) = last.ladders
    assert ladder.is_right_to_the_last
    wrong = ladder.rungs[0].model_copy(update={'state': 'wrong'})
    assert not ladder.model_copy(update={'rungs': (*ladder.rungs, wrong)}).is_right_to_the_last
    assert not ladder.model_copy(update={'rungs': ()}).is_right_to_the_last
    assert [(one.index, one.state) for one in last.stable_labels] == [(0, 'running')]
    assert last.verification is None
    assert len(last.md) == 2
    verdict = {'verified': True, 'n_offered': 24, 'n_frames': 23, 'force_rmse_max': 0.15}
    calculated(run, str(Call(1, VERDICT, 0, 0)), 'results', verdict | {'force_rmse_ev_per_angstrom': 0.11})
    judged = collect(run).generations[1].verification
    assert judged is not None
    assert (judged.verified, judged.n_frames, judged.force_rmse_ev_per_angstrom) == (True, 23, 0.11)
