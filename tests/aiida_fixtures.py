"""AiiDA's fixtures, loaded by the first module of tests that needs them, and the profile that all of those share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.engine.daemon.client import DaemonClient, get_daemon_client
from aiida.manage import get_manager
from aiida.tools.pytest_fixtures import (
    aiida_code,
    aiida_code_installed,
    aiida_computer,
    aiida_computer_local,
    aiida_config_factory,
    aiida_profile_clean,
    aiida_profile_factory,
    run_aiida_broker_service_for_profile,
    started_daemon_client,
    submit_and_await,
)
from sqlalchemy import event
from sqlalchemy.engine import Engine

from aiida_sis.setup.storage import use_write_ahead_log

__all__ = (
    'aiida_code',
    'aiida_code_installed',
    'aiida_computer',
    'aiida_computer_local',
    'aiida_config_factory',
    'aiida_profile_clean',
    'aiida_profile_factory',
    'run_aiida_broker_service_for_profile',
    'started_daemon_client',
    'submit_and_await',
)

pytest_plugins = ('tests.built_runs',)


@event.listens_for(Engine, 'connect')
def do_not_wait_for_the_disk(connection: Any, _: Any) -> None:
    """Spare the databases of the tests what only matters when the power fails."""
    connection.execute('PRAGMA synchronous = OFF')


@pytest.fixture(scope='session')
def aiida_config(tmp_path_factory: pytest.TempPathFactory, aiida_config_factory: Any) -> Iterator[Any]:
    """Make a configuration in a folder of its own, which each worker of pytest-xdist has for itself."""
    with aiida_config_factory(tmp_path_factory.mktemp('aiida')) as config:
        yield config


@pytest.fixture(scope='session')
def aiida_profile(
    aiida_config: Any, aiida_profile_factory: Any, run_aiida_broker_service_for_profile: Any
) -> Iterator[Any]:
    """Make a temporary profile with the broker that a newcomer has, so that a daemon can run without a service.

    It is no test profile: of those AiiDA's runners ask the database without a pause whether a child has ended, on a
    core that the codes need. The broker tells them, and they ask once a second, as in a newcomer's profile.
    """
    with aiida_profile_factory(aiida_config, broker_backend='core.zeromq') as profile:
        profile.is_test_profile = False
        aiida_config.update_profile(profile)
        aiida_config.set_option('runner.poll.interval', 1, scope=profile.name)
        # A machine whose cores are all busy answers late.
        aiida_config.set_option('daemon.timeout', 30, scope=profile.name)
        aiida_config.store()
        # As in a newcomer's profile: else a daemon that writes keeps the test out until it gives up.
        use_write_ahead_log(Path(profile.storage_config['filepath']) / 'database.sqlite')
        with run_aiida_broker_service_for_profile(profile):
            yield profile


@pytest.fixture(scope='session')
def daemon_client(aiida_profile: Any) -> Iterator[DaemonClient]:
    """Give what starts and stops the daemon.

    Emptying the profile stops it too; AiiDA's own fixture then waits for the answer of a daemon that is gone.
    """
    client = get_daemon_client(aiida_profile.name)
    yield client
    if client.is_daemon_running:
        client.stop_daemon(wait=True)


@pytest.fixture
def aiida_localhost(aiida_computer_local: Any) -> orm.Computer:
    """Give the computer of all codes; AiiDA's own asks it without a pause, by `ps`, whether a job has ended."""
    computer: orm.Computer = aiida_computer_local(label='localhost')
    computer.set_minimum_job_poll_interval(0.5)
    return computer


@pytest.fixture(scope='session')
def example_storage(aiida_profile: Any, example_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Import the example once, into the emptied profile, and keep a copy of its storage."""
    from aiida_sis.share.importing import import_run

    aiida_profile.reset_storage()
    import_run(example_archive)
    get_manager().reset_profile()
    copy = tmp_path_factory.mktemp('example') / 'storage'
    return Path(shutil.copytree(aiida_profile.storage_config['filepath'], copy))


@pytest.fixture
def example_run(example_storage: Path, aiida_profile_clean: Any) -> orm.WorkChainNode:
    """Give the run of that archive, in an otherwise empty profile: its storage is put in place of the emptied one."""
    storage = aiida_profile_clean.storage_config['filepath']
    get_manager().reset_profile()
    shutil.rmtree(storage)
    shutil.copytree(example_storage, storage)
    node = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:sis.sis'}).one()[0]
    assert isinstance(node, orm.WorkChainNode)
    return node
