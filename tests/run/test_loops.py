"""Every reader of a run reads both loops."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from plumpy import ProcessState

from aiida_sis.core.settings.sis import read_settings
from aiida_sis.run import graph, runs
from aiida_sis.run.cost import costs
from aiida_sis.run.inputs import read_facts
from aiida_sis.run.loops import settings_of, systems_of
from aiida_sis.run.record import collect
from aiida_sis.run.running_jobs import LiveReader
from aiida_sis.run.status import current_status
from aiida_sis.run.trajectories import read_details

BOTH = pytest.mark.parametrize('loop', ['make_run', 'make_hybrid_run'])


@BOTH
def test_generations_of_a_run_that_has_ended(loop: str, request: pytest.FixtureRequest) -> None:
    """Labels, training and MD of both generations, in the record, the status and the page."""
    run = request.getfixturevalue(loop)()
    record = collect(run, with_series=True)
    for generation in record.generations:
        assert generation.labels[0].aimd_fs == 100.0
        assert generation.training is not None
        assert generation.md[0].window_k == (0.0, 1000.0)
    assert [generation.generation for generation in current_status(run).generations] == [0, 1]
    details = read_details(run)
    assert details.run.aimd_ps == pytest.approx(0.2)
    assert len(details.run.generations) == 2
    (row,) = runs([run.pk])
    assert (row.n_generations, row.aimd_ps) == (2, pytest.approx(0.2))
    rows = costs([run.pk], by_generation=True)
    assert [row.generation for row in rows] == [0, 1]


@BOTH
def test_what_runs_now(loop: str, request: pytest.FixtureRequest) -> None:
    """The MD that has not ended."""
    run = request.getfixturevalue(loop)(ProcessState.WAITING, None)
    with LiveReader(run) as reader:
        (reading,) = reader.read()
    assert (reading.what, reading.generation) == ('MD, replica 0', 1)
    status = current_status(run)
    assert status.stage is not None
    assert status.generation == 1


def test_a_hybrid_run_as_one_system_in_one_stage(make_hybrid_run) -> None:
    """Its settings are valid ones of a SIS run; its structure is the system."""
    run = make_hybrid_run()
    settings = read_settings(settings_of(run))
    assert [stage.length_ps for stage in settings.stages] == [2.0]
    assert settings.max_generations == 1
    assert set(systems_of(run)) == {'structure'}
    assert read_facts(run).systems['structure'].startswith('Cl₄Na₄, 8 atoms')
    assert runs([run.pk])[0].systems == ('structure',)


def test_settings_of_another_version(aiida_profile_clean) -> None:
    """A hybrid run whose settings cannot be read is shown without a stage."""
    run = orm.WorkChainNode(process_type=graph.HYBRID)
    run.base.links.add_incoming(orm.Dict({'cycle_count': 3}).store(), LinkType.INPUT_WORK, 'parameters')
    run.set_process_state(ProcessState.WAITING)
    assert settings_of(run.store()) == {}
    assert current_status(run).stage is None
