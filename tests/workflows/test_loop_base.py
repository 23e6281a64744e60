"""Both loops keep one contract: parts of the same kinds under the same labels, and all that was computed at the end."""

from __future__ import annotations

from typing import Any

import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm.utils.serialize import deserialize_unsafe, serialize

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, TRAIN, Call, read_call
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.hybrid import HybridWorkChain
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.loop_base import LoopWorkChain
from aiida_sis.workflows.sis import SisWorkChain
from tests.stand_ins import ended

#: What each loop starts from, and its step that submits the first label.
LOOPS: dict[type[LoopWorkChain], tuple[Any, str]] = {
    SisWorkChain: (lambda structure: {'ion_pair': structure}, 'label_start_structures'),
    HybridWorkChain: (lambda structure: structure, 'run_aimd'),
}
PROCESSES = {LABEL: LabelWorkChain, TRAIN: DeepmdBaseWorkChain, EXPLORE: ExploreWorkChain}


class Submitted(dict[Call, tuple[type, Any]]):
    """The parts that a loop submitted: their processes and inputs."""

    def submit(self, process: type, **inputs: Any) -> orm.WorkChainNode:
        """Take the inputs instead of submitting."""
        call = read_call(inputs['metadata']['call_link_label'])
        assert call is not None, 'a part whose label no reader knows'
        self[call] = (process, inputs)
        return orm.WorkChainNode().store()


@pytest.fixture(params=LOOPS, ids=lambda loop: loop.__name__)
def loop(
    request: pytest.FixtureRequest, stand_in_codes: dict[str, orm.InstalledCode], monkeypatch: pytest.MonkeyPatch
) -> tuple[LoopWorkChain, Submitted]:
    """A loop before its first step, and the parts that it submits."""
    given, _ = LOOPS[request.param]
    builder = request.param.get_builder_from_protocol(stand_in_codes, given(lifsi_ion_pair()))
    process = instantiate_process(get_manager().get_runner(), builder)
    submitted = Submitted()
    monkeypatch.setattr(process, 'submit', submitted.submit)
    monkeypatch.setattr(process, 'to_context', lambda **_: None)
    process.setup()
    return process, submitted


def run_generation(process: Any, dataset: DatasetData) -> PotentialData:
    """Submit the parts of generation 0, up to its MD; label and training go well."""
    getattr(process, LOOPS[type(process)][1])()
    process.ctx.datasets[Call(0, LABEL).key] = dataset.store()
    process.train_potential()
    potential = PotentialData({'model.pb': b'weights'}, type_map=dataset.type_map)
    results = orm.Dict({'force_rmse_ev_per_angstrom': 0.1})
    process.ctx[str(Call(0, TRAIN))] = ended({'potential': potential, 'results': results})
    assert process.inspect_potential() is None
    process.run_molecular_dynamics()
    return potential


def test_parts_of_a_generation(loop: tuple[LoopWorkChain, Submitted], deepmd_datasets: dict[str, DatasetData]) -> None:
    """One kind of process for each kind of part, filled alike, with a seed of its own."""
    process, submitted = loop
    potential = run_generation(process, next(iter(deepmd_datasets.values())))
    assert {call.kind: part for call, (part, _) in submitted.items()} == PROCESSES
    label, train, md = (submitted[call][1] for call in (Call(0, LABEL), Call(0, TRAIN), Call(0, EXPLORE, stage=0)))
    assert {'structure', 'type_map', 'seed', 'parameters', 'cp2k'} <= set(label)
    assert label['parameters']['temperature_k'] == 300.0
    assert set(train['train']['datasets']) == {'g0_0'}
    assert md['md']['potential'].uuid == potential.uuid
    assert {'temperature_k', 'window_k', 'length_ps'} <= set(md['md']['parameters'].get_dict())
    parts = [inputs.get('train', inputs.get('md', inputs)) for _, inputs in submitted.values()]
    assert len({part['seed'].value for part in parts}) == len(submitted)


def test_a_branch_is_of_the_first_training_alone(
    loop: tuple[LoopWorkChain, Submitted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend stays, the branch of a pretrained model is named where that is fine-tuned."""
    process, _ = loop
    exposed = process.exposed_inputs

    def with_settings(*arguments: Any, **keywords: Any) -> Any:
        inputs = exposed(*arguments, **keywords)
        inputs['train']['settings'] = orm.Dict({'backend': 'pytorch', 'model_branch': 'ours'})
        return inputs

    monkeypatch.setattr(process, 'exposed_inputs', with_settings)
    for changes, expected in (({'start': 'finetune'}, 'ours'), ({'start': 'continue'}, None), ({}, None)):
        made = process.training_inputs(orm.Int(1), None, changes)['train']['settings'].get_dict()
        assert (made['backend'], made.get('model_branch')) == ('pytorch', expected)


def test_calls_outlive_the_daemon(
    loop: tuple[LoopWorkChain, Submitted], deepmd_datasets: dict[str, DatasetData]
) -> None:
    """What the context holds is written when a daemon stops, and read by the next one."""
    process, submitted = loop
    run_generation(process, next(iter(deepmd_datasets.values())))
    for call in submitted:
        process.ctx[str(call)] = ended({}, exit_status=302)
    process.ctx.held = process.calls(EXPLORE, 0)
    again = deserialize_unsafe(serialize(process.ctx))
    assert again.held == [call for call in submitted if call.kind == EXPLORE]
    assert set(again.record) == {'train_g0'}


def test_failed_training(loop: tuple[LoopWorkChain, Submitted], deepmd_datasets: dict[str, DatasetData]) -> None:
    """The run ends with its data and a summary."""
    process, _ = loop
    process.ctx.datasets['g0_0'] = next(iter(deepmd_datasets.values())).store()
    process.ctx[str(Call(0, TRAIN))] = ended({}, exit_status=402)
    code = process.inspect_potential()
    assert (code.status, code.message) == (402, 'The training of generation 0 failed.')
    assert set(process.outputs) == {'summary', 'datasets'}
    assert set(process.outputs['datasets']) == {'g0_0'}


def test_ports_that_both_have() -> None:
    """Whoever fills or reads one loop can fill or read the other."""
    sis, hybrid = (loop.spec() for loop in LOOPS)
    for name in ('label', 'train', 'explore'):
        assert set(sis.inputs[name]) == set(hybrid.inputs[name])
    assert {'type_map', 'parameters', 'seed'} <= set(sis.inputs) & set(hybrid.inputs)
    assert {'summary', 'potential', 'datasets'} <= set(sis.outputs) & set(hybrid.outputs)
    own = [
        {code.status: code.message for code in spec.exit_codes.values() if code.status > 400} for spec in (sis, hybrid)
    ]
    assert own[1].items() <= own[0].items()
