"""The record of a run reads what the nodes hold, whole or not, and says it under the keys of ``status --json``."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from aiida_sis.core.loop.record import Catastrophe, Generation, Label, Md, MdResults, NextStart, TrainingResults

FAILED = MdResults(
    stable=False,
    length_ps_reached=0.12,
    catastrophe=Catastrophe(0.12, 1120.0, 'high'),
    t_next=NextStart(time_ps=0.07, requested_time_ps=0.072, snapshot_index=3, rule='band'),
    steps_past_t_cp=2,
)


def md(replica: int, stage: int = 0, **known: object) -> Md:
    """Give the record of an MD."""
    own = {'pk': 1, 'generation': 0, 'stage': stage, 'replica': replica, 'state': 'finished'}
    return Md.model_validate(known | own)


def test_node_and_back() -> None:
    """What a parser writes is plain data under the keys that the nodes had from the first version on, and two more."""
    content = FAILED.model_dump()
    contact = {'pair': None, 'distance_angstrom': None}
    assert content['catastrophe'] == {'time_ps': 0.12, 'temperature_k': 1120.0, 'bound': 'high'} | contact
    assert content['t_next'] == {'time_ps': 0.07, 'requested_time_ps': 0.072, 'snapshot_index': 3, 'rule': 'band'}
    assert MdResults.model_validate(content) == FAILED


def test_outcome_of_an_md() -> None:
    """The flat keys are fields of the record of an MD; a stable one has no points."""
    assert md(0, **FAILED.outcome).t_next_ps == 0.07
    assert set(FAILED.outcome) <= set(Md.model_fields)
    point = {'t_cp_ps': 0.12, 'temperature_cp_k': 1120.0, 'bound': 'high', 't_next_ps': 0.07}
    assert FAILED.points == point | {'pair_cp': None, 'distance_cp_angstrom': None}
    assert MdResults(stable=True, length_ps_reached=2.0).points == dict.fromkeys(FAILED.points)


def test_nothing_is_known_yet() -> None:
    """A part that runs, or failed before it was read, has a record all the same."""
    assert set(MdResults.model_validate({}).outcome.values()) == {None}
    assert TrainingResults.model_validate({}).force_rmse_ev_per_angstrom is None
    assert Label.model_validate({'pk': 1, 'index': 0, 'state': 'running'}).aimd_fs is None


def test_temperature_that_is_no_number() -> None:
    """The database holds nothing in its place."""
    point = {'time_ps': 0.5, 'temperature_k': None, 'bound': 'non_finite'}
    assert MdResults.model_validate({'catastrophe': point}).catastrophe == Catastrophe(0.5, None, 'non_finite')


def test_keys_of_the_nodes() -> None:
    """Two keys have another name in the node; keys that nobody reads are left out."""
    label = Label.model_validate({'pk': 1, 'index': 0, 'state': 'finished', 'kept_frames': 7, 'heating': 'normal'})
    assert label.n_frames == 7
    assert 'kept_frames' not in label.model_dump()
    assert 'heating' not in label.model_dump()
    assert TrainingResults.model_validate({'wall_seconds': 21.0}).seconds == 21.0


def test_a_record_is_not_changed() -> None:
    """It says what was read at one moment."""
    with pytest.raises(ValidationError, match='frozen'):
        FAILED.stable = True  # type: ignore[misc]


def test_stable_time_of_a_generation() -> None:
    """Of each replica the longest stage counts, up to its catastrophe."""
    runs = (md(0, length_ps=2.0), md(0, 1, length_ps=7.0, t_cp_ps=5.0), md(1, length_ps=0.3, t_cp_ps=0.3), md(2))
    generation = Generation(generation=0, md=runs)
    assert generation.stable_ps == {0: 5.0, 1: 0.3}
    assert generation.stages == (0, 1)
