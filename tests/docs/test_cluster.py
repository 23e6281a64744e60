"""The pages on clusters and GPUs: `verdi` takes their files, and their options give the job scripts that they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.cmdline.commands import cmd_code, cmd_computer
from aiida.common.extendeddicts import AttributeDict
from aiida.engine import run
from aiida.manage import get_manager
from click.testing import CliRunner

from aiida_deepmd.data.dataset import DatasetData
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.sis import SisWorkChain

DOCS = Path(__file__).parents[2] / 'docs'


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of one language of a page in order."""
    text = (DOCS / page).read_text(encoding='utf-8')
    return re.findall(rf'^```{language}\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)


def set_up(page: str, computer: str, folder: Path) -> None:
    """Set up computer and codes from the files of a page."""
    for number, text in enumerate(blocks(page, 'yaml')):
        file = folder / f'{page}.{number}.yml'
        file.write_text(text)
        command = cmd_code.verdi_code if number else cmd_computer.verdi_computer
        verb = ['create', 'core.code.installed'] if number else ['setup']
        verdi(command, *verb, '--non-interactive', '--config', str(file))
    words = ('configure', 'core.ssh_async', computer, '--non-interactive', '--safe-interval', '15')
    assert ' '.join(words[:3]) in blocks(page, 'bash')[0]
    verdi(cmd_computer.verdi_computer, *words)


def builder_of(page: str) -> Any:
    """Return the builder that the script of a page makes."""
    names: dict[str, Any] = {'SisWorkChain': SisWorkChain, 'interface': lifsi_ion_pair()}
    exec(compile(blocks(page, 'python')[0], page, 'exec'), names)
    return names['builder']


def test_job_scripts(
    aiida_profile_clean: Any,
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Set up computer and codes from the files of the page, then write the jobs of its builder without a cluster."""
    monkeypatch.chdir(tmp_path)
    set_up('cluster.md', 'cluster', tmp_path)
    builder = builder_of('cluster.md')
    label = builder.label.cp2k.cp2k
    label.structure, label.parameters = lifsi_ion_pair(), orm.Dict({'GLOBAL': {'RUN_TYPE': 'ENERGY'}})
    train = builder.train.train
    train.datasets, train.parameters, train.seed = deepmd_datasets, orm.Dict(deepmd_parameters), orm.Int(1)
    for process, inputs, shown in zip((label, train), (label, train), blocks('cluster.md', 'text'), strict=True):
        script = written(process.code, inputs)
        assert [line for line in shown.splitlines() if line not in script] == []


def test_job_script_on_a_gpu(
    aiida_profile_clean: Any,
    deepmd_datasets: dict[str, DatasetData],
    deepmd_parameters: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The training asks for the GPU and goes into its environment; MD does so too, and CP2K does not."""
    monkeypatch.chdir(tmp_path)
    set_up('cluster.md', 'cluster', tmp_path)
    set_up('gpu.md', 'gpu', tmp_path)
    builder = builder_of('gpu.md')
    train, md = builder.train.train, builder.explore.md
    train.datasets, train.parameters, train.seed = deepmd_datasets, orm.Dict(deepmd_parameters), orm.Int(1)
    script = written(train.code, train)
    (shown,) = blocks('gpu.md', 'text')
    assert [line for line in shown.splitlines() if line not in script] == []
    gpu = '#SBATCH --gres=gpu:1'
    assert md.metadata.options.custom_scheduler_commands == gpu
    assert (md.metadata.options.queue_name, md.metadata.options.max_wallclock_seconds) == ('gpu', 14400)
    assert 'custom_scheduler_commands' not in builder.label.cp2k.cp2k.metadata.options


def verdi(command: Any, *words: str) -> None:
    """Run a command of AiiDA on the profile of the tests."""
    manager = get_manager()
    known = AttributeDict({'config': manager.get_config(), 'profile': manager.get_profile()})
    answer = CliRunner().invoke(command, words, obj=known)
    assert answer.exit_code == 0, f'{answer.output}{answer.exception!r}'


def written(code: orm.AbstractCode, inputs: Any) -> list[str]:
    """Return the lines of the job script, which AiiDA writes into a folder of its own."""
    job = code.get_builder()
    job._merge(dict(inputs))
    job.metadata.dry_run = True
    job.metadata.store_provenance = False
    run(job)
    folder = max((Path.cwd() / 'submit_test').iterdir())
    return [line.partition(' > ')[0].rstrip() for line in (folder / '_aiidasubmit.sh').read_text().splitlines()]
