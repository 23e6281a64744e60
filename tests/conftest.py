"""Fixtures for the three tiers of test: pure, AiiDA without real codes, the real codes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aiida import orm

    from aiida_deepmd.data.dataset import DatasetData

# TensorFlow then looks for the old Keras, which is not here, and goes on without the new one, which DeePMD-kit does not
# use and which loads Matplotlib: a second at each of some fifty starts of `dp`.
os.environ['TF_USE_LEGACY_KERAS'] = '1'

HERE = Path(__file__).parent
#: What is tested here knows nothing of AiiDA, and pytest does not load it there.
PURE = ('core', 'deepmd/files', 'deepmd/frames', 'deepmd/read_frames', 'install')


def is_pure(path: Path) -> bool:
    """Tell whether the tests of a file do without AiiDA."""
    return path.relative_to(HERE).as_posix().startswith(tuple(f'{room}/' for room in PURE))


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Load AiiDA's fixtures with the first file that needs them."""
    if isinstance(collector, pytest.Module) and not is_pure(collector.path):
        collector.config.pluginmanager.import_plugin('tests.aiida_fixtures')


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, what takes long goes first, so that no worker is left alone with it: first what needs a daemon.

    Each worker has a profile, and so a daemon, of its own.
    """

    def needs_daemon(item: pytest.Item) -> bool:
        return 'submit_and_await' in getattr(item, 'fixturenames', ())

    if hasattr(config, 'workerinput'):
        for mark in ('slow', 'real'):
            items.sort(key=lambda item, mark=mark: item.get_closest_marker(mark) is None)
        items.sort(key=lambda item: not needs_daemon(item))


@pytest.fixture(scope='module', autouse=True)
def profile_unless_pure(request: pytest.FixtureRequest) -> None:
    """Load the profile for every test that is not pure."""
    if not is_pure(request.path):
        request.getfixturevalue('aiida_profile')


@pytest.fixture
def stand_in_codes(aiida_code_installed: Any) -> dict[str, orm.InstalledCode]:
    """Codes of the right kinds that are never run."""
    plugins = {'cp2k': 'cp2k', 'dp': 'deepmd.train', 'lmp': 'sis.lammps.md'}
    return {
        label: aiida_code_installed(label=label, default_calc_job_plugin=plugin, filepath_executable='/bin/true')
        for label, plugin in plugins.items()
    }


def install_codes(install: Any, prefix: str, **more: Any) -> dict[str, orm.InstalledCode]:
    """Install the three real codes on one core each; a test that needs them fails, and does not skip, without one."""
    plugins = {'cp2k': ('cp2k', 'cp2k.psmp'), 'dp': ('deepmd.train', 'dp'), 'lmp': ('sis.lammps.md', 'lmp')}
    threads = 'export OMP_NUM_THREADS=1 DP_INTRA_OP_PARALLELISM_THREADS=1 DP_INTER_OP_PARALLELISM_THREADS=1'
    codes = {}
    for label, (plugin, command) in plugins.items():
        executable = shutil.which(command)
        assert executable is not None, f'{command} is not on the PATH: run the tests through `make test`.'
        codes[label] = install(
            label=f'{prefix}-{label}',
            default_calc_job_plugin=plugin,
            filepath_executable=executable,
            prepend_text=threads,
            **more,
        )
    return codes


@pytest.fixture
def real_codes(aiida_code_installed: Any) -> dict[str, orm.InstalledCode]:
    """Give the three real codes on this machine."""
    return install_codes(aiida_code_installed, 'real')


@pytest.fixture
def dp_that_only_trains(
    real_codes: dict[str, orm.InstalledCode], aiida_code_installed: Any, tmp_path: Path
) -> orm.InstalledCode:
    """The real `dp train` for a test that needs the learning curve alone; the other commands do nothing.

    Each start of `dp` takes seconds. The training job finds no model (exit code 304), and its curve is attached.
    """
    real = real_codes['dp']
    script = tmp_path / 'dp'
    script.write_text(f'#!/bin/sh\n[ "$1" != train ] || exec {real.filepath_executable} "$@"\n')
    script.chmod(0o755)
    code: orm.InstalledCode = aiida_code_installed(
        label='dp-that-only-trains',
        default_calc_job_plugin='deepmd.train',
        filepath_executable=str(script),
        prepend_text=real.prepend_text,
    )
    return code


@pytest.fixture(scope='session')
def example_archive() -> Path:
    """The archive of the demonstration in `examples/`: two generations, two catastrophes, then stable."""
    return HERE.parent / 'examples' / 'lifsi_ion_pair.aiida'


@pytest.fixture
def deepmd_files() -> Path:
    """Folder of real outputs of DeePMD-kit; its `make.py` says how they were made."""
    return HERE / 'files' / 'deepmd'


@pytest.fixture
def deepmd_parameters(deepmd_files: Path) -> dict[str, Any]:
    """The training input those outputs were made with, without systems and seeds."""
    parameters: dict[str, Any] = json.loads((deepmd_files / 'parameters.json').read_text())
    return parameters


@pytest.fixture
def deepmd_datasets(
    aiida_profile: Any, deepmd_files: Path, deepmd_parameters: dict[str, Any]
) -> dict[str, DatasetData]:
    """The two datasets of 15 frames those outputs were made with: a Li-FSI ion pair, GFN1-xTB, 300 K."""
    import numpy as np

    from aiida_deepmd import frames, units
    from aiida_deepmd.data.dataset import DatasetData

    raw = np.load(deepmd_files / 'frames.npz')
    type_map = deepmd_parameters['model']['type_map']
    datasets = {}
    for number in (0, 1):
        chosen = slice(15 * number, 15 * number + 15)
        datasets[f'aimd_{number}'] = DatasetData(
            coords=raw['coords'][chosen],
            cells=raw['cells'][chosen],
            energies=raw['energies_hartree'][chosen] * units.HARTREE_TO_EV,
            forces=raw['forces_hartree_per_bohr'][chosen] * units.HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
            atom_types=[type_map.index(symbol) for symbol in raw['symbols']],
            type_map=type_map,
            split=frames.split(15, seed=number),
            label=f'AIMD {number}',
        )
    return datasets
