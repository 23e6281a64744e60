"""Work directories are emptied when nothing needs them any more, and as far as the user wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.transports.plugins.local import LocalTransport

from aiida_sis.core.loop.call_labels import TRAIN, Call
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.clean import clean_workdirs
from aiida_sis.workflows.hybrid import HybridWorkChain
from aiida_sis.workflows.sis import SisWorkChain
from tests.stand_ins import ended


def job(caller: orm.Node, computer: orm.Computer, folder: Path) -> orm.RemoteData:
    """Store a job of a part, with a file in its work directory."""
    folder.mkdir()
    (folder / 'checkpoint').write_text('x')
    node = orm.CalcJobNode(computer=computer)
    node.set_option('resources', {'num_machines': 1})
    node.base.links.add_incoming(caller, LinkType.CALL_CALC, f'iteration_{folder.name}')
    node.store()
    remote = orm.RemoteData(remote_path=str(folder), computer=computer)
    remote.base.links.add_incoming(node, LinkType.CREATE, 'remote_folder')
    return remote.store()


@pytest.mark.parametrize('loop', [SisWorkChain, HybridWorkChain])
@pytest.mark.parametrize(
    ('choice', 'cleaned'),
    [('never', (False, False)), (None, (True, False)), ('finished_ok', (True, False)), ('all', (True, True))],
)
def test_which_parts_are_cleaned(
    loop: Any,
    choice: str | None,
    cleaned: tuple[bool, bool],
    stand_in_codes: dict[str, orm.InstalledCode],
    aiida_localhost: orm.Computer,
    tmp_path: Path,
) -> None:
    """All jobs of a part that went well, unless nobody wants it; those of a part that failed only if asked for."""
    structure = {'ion_pair': lifsi_ion_pair()} if loop is SisWorkChain else lifsi_ion_pair()
    overrides = {} if choice is None else {'sis': {'clean_workdir': choice}}
    builder = loop.get_builder_from_protocol(stand_in_codes, structure, overrides=overrides)
    process = instantiate_process(get_manager().get_runner(), builder)
    process.setup()
    for generation, exit_status in enumerate((0, 400)):
        part = ended({'results': orm.Dict({})}, exit_status)
        folders = [job(part, aiida_localhost, tmp_path / f'{generation}{number}') for number in range(2)]
        call = Call(generation, TRAIN)
        process.ctx[str(call)] = part
        process.part(call)
        process.part(call)  # a loop may read a part twice
        assert [folder.is_cleaned for folder in folders] == [cleaned[generation]] * 2
        assert [Path(folder.get_remote_path()).exists() for folder in folders] == [not cleaned[generation]] * 2


def test_what_cannot_be_cleaned_does_no_harm(
    aiida_localhost: orm.Computer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A computer that does not answer is named, and the run goes on."""
    part = ended({})
    remote = job(part, aiida_localhost, tmp_path / '1')

    def no_route(_: object) -> None:
        raise ConnectionError('No route to host')

    monkeypatch.setattr(LocalTransport, 'open', no_route)
    assert (
        clean_workdirs([part]) == f'work directories could not be cleaned ({aiida_localhost.label}: No route to host)'
    )
    assert not remote.is_cleaned
