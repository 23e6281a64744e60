"""The state of a run under the keys that scripts rely on."""

from __future__ import annotations

import json

from aiida import orm
from aiida.common.links import LinkType
from plumpy import ProcessState

from aiida_sis.run.job_readings import read_lammps
from aiida_sis.run.record import collect, loop_of
from aiida_sis.run.status import RunStatus, current_status, run_status

#: Removing or renaming one of these breaks scripts: then ``SCHEMA_VERSION`` must change.
KEYS = [
    'schema_version', 'pk', 'uuid', 'label', 'state', 'outcome', 'exit_status', 'message', 'started', 'wall_seconds',
    'generation', 'max_generations', 'stage', 'aimd_ps', 'md_ps', 'acceleration_ratio', 'jobs', 'waits_for',
    'generations',
]  # fmt: skip
PART_KEYS = {
    'labels': [
        'pk', 'index', 'state', 'route', 'aimd_fs', 'asked_fs', 'cut_short', 'n_frames', 'max_temperature_k',
    ],
    'training': [
        'pk', 'state', 'n_frames_total', 'force_rmse_ev_per_angstrom', 'energy_rmse_ev_per_atom', 'n_steps', 'seconds',
        'warnings',
    ],
    'md': [
        'pk', 'stage', 'replica', 'state', 'stable', 'length_ps', 't_cp_ps', 'temperature_cp_k', 'bound', 't_next_ps',
    ],
}  # fmt: skip


def test_finished(make_run) -> None:
    """A run that ended stable, through JSON and back."""
    node = make_run()
    status = current_status(node)
    content = json.loads(status.model_dump_json())
    assert set(KEYS) <= set(content)
    assert content['schema_version'] == 1
    for kind, keys in PART_KEYS.items():
        parts = content['generations'][0][kind]
        assert set(keys) <= set(parts[0] if isinstance(parts, list) else parts), kind
    assert json.loads(RunStatus.model_validate(content).model_dump_json()) == content
    assert (status.state, status.outcome, status.exit_status) == ('finished', 'stable', 0)
    assert (status.md_ps, status.acceleration_ratio) == (10.0, 50.0)
    assert status.jobs == status.waits_for == ()
    assert status.stage.name == 'fine'
    assert status.generations[0].training.force_rmse_ev_per_angstrom == 0.2
    assert status.generations[0].md[0].t_cp_ps == 0.12
    assert content['generations'][1]['training']['warnings'] == ['sel of type 4 (Li) is not enough! 13 are needed']


def test_failed(make_run) -> None:
    """A run that ended otherwise keeps its exit code."""
    status = current_status(make_run(ProcessState.FINISHED, 410))
    assert (status.state, status.exit_status) == ('failed', 410)


def test_running(make_run) -> None:
    """The stage that runs, and a temperature that is no number, which JSON cannot hold."""
    node = make_run(ProcessState.WAITING, None)
    rows = ['Step Temp', '1000 300.123', '2000 nan']
    reading = read_lammps('MD, replica 0', 1, {'log.lammps': rows}, {'timestep_fs': 1.0, 'length_ps': 10.0})
    content = json.loads(run_status(node, collect(node), [reading]).model_dump_json())
    assert content['stage']['index'] == 1
    assert content['jobs'][0]['temperatures_k'] == [300.12, None]
    assert content['md_ps'] is None


def test_first_moment(aiida_profile_clean) -> None:
    """A run that nobody has begun yet has all keys."""
    node = orm.WorkChainNode()
    node.set_process_state(ProcessState.CREATED)
    status = current_status(node.store())
    assert (status.state, status.generation, status.stage) == ('waiting', None, None)
    assert status.waits_for


def test_paused_run(make_run) -> None:
    """A paused run names the remedy."""
    node = make_run(ProcessState.WAITING, None)
    node.pause()
    assert any(f'process play {node.pk}` lets it' in sentence for sentence in current_status(node).waits_for)


def test_loop_of_a_rehearsal(aiida_profile_clean) -> None:
    """The loop inside is what is shown."""
    outer, loop = orm.WorkChainNode().store(), orm.WorkChainNode()
    loop.base.links.add_incoming(outer, LinkType.CALL_WORK, 'sis')
    loop.store()
    assert loop_of(outer).pk == loop.pk
    assert loop_of(loop) == loop


def test_every_key_is_described() -> None:
    """The schema says what each key means."""
    schema = RunStatus.model_json_schema()
    for model in (schema, *schema['$defs'].values()):
        for key, value in model['properties'].items():
            assert value.get('description'), key
