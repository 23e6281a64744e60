"""The SIS loop step by step, with stand-ins for its children: what each outcome of a child makes the loop do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from plumpy.process_states import ProcessState

from aiida_sis.data.dataset import DatasetData
from aiida_sis.data.potential import PotentialData
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.sis import SisWorkChain

TYPE_MAP = ['F', 'Li', 'N', 'O', 'S']


class Children:
    """Stand-ins for submitted workchains: they end at once, as each test wants them to."""

    def __init__(self) -> None:
        """Start without any."""
        self.inputs: dict[str, Any] = {}

    def submit(self, _process: Any, **inputs: Any) -> orm.WorkChainNode:
        """Take the inputs instead of submitting."""
        self.inputs[inputs['metadata']['call_link_label']] = inputs
        return orm.WorkChainNode().store()


def ended(outputs: Mapping[str, orm.Data], exit_status: int = 0, label: str = 'ion_pair') -> orm.WorkChainNode:
    """Give the node of a workchain that has ended."""
    node = orm.WorkChainNode()
    parameters = orm.Dict({'label': label}).store()
    node.base.links.add_incoming(parameters, LinkType.INPUT_WORK, 'parameters')
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(exit_status)
    node.store()
    for name, value in outputs.items():
        value.store().base.links.add_incoming(node, LinkType.RETURN, name)
    return node


def dataset(n_frames: int = 10) -> DatasetData:
    """Give labelled frames of the ion pair, all alike but for noise."""
    atoms = lifsi_ion_pair().get_ase()
    rng = np.random.default_rng(0)
    return DatasetData(
        coords=atoms.positions + 0.01 * rng.normal(size=(n_frames, len(atoms), 3)),
        cells=np.tile(np.asarray(atoms.cell), (n_frames, 1, 1)),
        energies=rng.normal(size=n_frames),
        forces=rng.normal(size=(n_frames, len(atoms), 3)),
        atom_types=[TYPE_MAP.index(symbol) for symbol in atoms.get_chemical_symbols()],
        type_map=TYPE_MAP,
        split=np.arange(n_frames) % 3,
        generation=0,
        label='ion_pair',
    )


def potential() -> PotentialData:
    """Give a potential whose model is never run."""
    return PotentialData(
        {'model.pb': b'weights'},
        type_map=TYPE_MAP,
        descriptor='se_e2_a',
        rcut=6.0,
        sel=[4] * 5,
        deepmd_backend='tensorflow',
        generation=0,
        deepmd_version='3.2.0',
        compressed=False,
    )


def labelled() -> orm.WorkChainNode:
    """Give a label that went well."""
    return ended({'dataset': dataset(), 'results': orm.Dict({'route': 'direct', 'aimd_fs': 100.0, 'kept_frames': 10})})


def trained() -> orm.WorkChainNode:
    """Give a training that went well."""
    return ended({'potential': potential(), 'results': orm.Dict({'force_rmse_ev_per_angstrom': 0.1})})


def explored(stable: bool) -> orm.WorkChainNode:
    """Give an MD that survived, or that met a catastrophic point at 0.5 ps."""
    if stable:
        survived = {'stable': True, 'length_ps_reached': 2.0, 'catastrophe': None, 't_next': None}
        return ended({'results': orm.Dict(survived)})
    atoms = lifsi_ion_pair().get_ase()
    snapshots = orm.TrajectoryData()
    snapshots.set_trajectory(
        symbols=atoms.get_chemical_symbols(),
        positions=np.stack([atoms.positions, atoms.positions + 0.1]),
        cells=np.tile(np.asarray(atoms.cell), (2, 1, 1)),
        times=np.array([0.2, 0.5]),
        velocities=np.ones((2, len(atoms), 3)),
    )
    results = {
        'stable': False,
        'length_ps_reached': 0.5,
        'catastrophe': {'time_ps': 0.5, 'temperature_k': 1500.0, 'bound': 'high'},
        't_next': {'time_ps': 0.2, 'snapshot_index': 1, 'rule': 'band'},
    }
    return ended({'results': orm.Dict(results), 'snapshots': snapshots})


@pytest.fixture
def builder(stand_in_codes: dict[str, orm.InstalledCode]) -> Any:
    """The demonstration, with codes that are never run."""
    return SisWorkChain.get_builder_from_protocol(
        stand_in_codes, {'ion_pair': lifsi_ion_pair()}, overrides={'sis': {'max_generations': 1}}
    )


@pytest.fixture
def sis(builder: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[SisWorkChain, Children]:
    """A SIS run before its first step, and the children it submits."""
    process = instantiate_process(get_manager().get_runner(), builder)
    assert isinstance(process, SisWorkChain)
    children = Children()
    monkeypatch.setattr(process, 'submit', children.submit)
    monkeypatch.setattr(process, 'to_context', lambda **_: None)
    process.setup()
    return process, children


def end(process: SisWorkChain, **nodes: orm.WorkChainNode) -> None:
    """Put ended children into the context, as the engine does."""
    for key, node in nodes.items():
        process.ctx[key] = node


def test_first_labels_have_their_own_seeds(sis: tuple[SisWorkChain, Children]) -> None:
    """The AIMD runs of generation 0 start from one structure, with different seeds and their own length."""
    process, children = sis
    process.label_start_structures()
    first, second = children.inputs['label_g0_0'], children.inputs['label_g0_1']
    assert first['seed'].value != second['seed'].value
    assert first['parameters']['length_fs'] == 250.0
    assert first['structure'].uuid == process.inputs.systems.ion_pair.uuid


def test_catastrophe_leads_to_a_label_from_t_next(sis: tuple[SisWorkChain, Children]) -> None:
    """One of two replicas fails: its snapshot starts the next AIMD, and the next training continues on all data."""
    process, children = sis
    end(process, label_g0_0=labelled(), label_g0_1=labelled())
    assert process.merge_labelled_data() is None
    process.train_potential()
    assert 'parent' not in children.inputs['train_g0']['train']
    end(process, train_g0=trained())
    assert process.inspect_potential() is None
    assert process.stages_remain()
    process.run_molecular_dynamics()
    assert children.inputs['explore_g0_s0_r0']['md']['parameters']['window_k'] == [0.0, 1000.0]
    end(process, explore_g0_s0_r0=explored(True), explore_g0_s0_r1=explored(False))
    assert process.find_catastrophic_points() is None
    assert not process.stages_remain()
    assert process.met_catastrophic_point()
    assert process.select_next_starts() is None
    process.label_next_starts()
    assert 'label_g1_1' not in children.inputs
    label = children.inputs['label_g1_0']
    assert label['structure'].get_ase().positions == pytest.approx(lifsi_ion_pair().get_ase().positions + 0.1)
    assert label['velocities'].get_array('velocities').shape == (10, 3)
    assert label['parameters']['length_fs'] == 150.0
    end(process, label_g1_0=labelled())
    assert process.merge_labelled_data() is None
    process.train_potential()
    training = children.inputs['train_g1']['train']
    assert set(training['datasets']) == {'g0_0', 'g0_1', 'g1_0'}
    assert training['parent'].uuid == process.ctx.potentials['g0'].uuid
    assert training['parameters']['learning_rate']['start_lr'] == pytest.approx(2e-3 * 0.9)


def test_stage_is_passed_only_when_every_replica_survives(sis: tuple[SisWorkChain, Children]) -> None:
    """Then the next stage runs with the same potential, in its own window and with other seeds."""
    process, children = sis
    process.ctx.potentials['g0'] = potential().store()
    process.run_molecular_dynamics()
    end(process, explore_g0_s0_r0=explored(True), explore_g0_s0_r1=explored(True))
    process.find_catastrophic_points()
    assert process.ctx.stage == 1
    assert process.stages_remain()
    process.run_molecular_dynamics()
    assert children.inputs['explore_g0_s1_r0']['md']['parameters']['length_ps'] == 50.0
    seeds = {inputs['md']['seed'].value for inputs in children.inputs.values()}
    assert len(seeds) == 4
    end(process, explore_g0_s1_r0=explored(True), explore_g0_s1_r1=explored(True))
    process.find_catastrophic_points()
    assert not process.is_not_stable()
    process.results()
    assert process.outputs['summary']['outcome'] == 'stable'
    assert process.outputs['potential'].uuid == process.ctx.potentials['g0'].uuid


def test_failed_label_keeps_what_it_gave(sis: tuple[SisWorkChain, Children]) -> None:
    """A label that failed halfway still gives its frames."""
    process, _ = sis
    end(process, label_g0_0=ended({'dataset': dataset()}, exit_status=402), label_g0_1=ended({}, exit_status=401))
    assert process.merge_labelled_data() is None
    assert set(process.ctx.datasets) == {'g0_0'}


def test_no_frames_at_all(sis: tuple[SisWorkChain, Children]) -> None:
    """Without a frame the run ends, with a summary."""
    process, _ = sis
    end(process, label_g0_0=ended({}, exit_status=401))
    code = process.merge_labelled_data()
    assert code is not None
    assert code.status == 401
    assert 'summary' in process.outputs


def test_failed_training_returns_the_data(sis: tuple[SisWorkChain, Children]) -> None:
    """The frames are outputs although no potential came of them."""
    process, _ = sis
    end(process, label_g0_0=labelled())
    process.merge_labelled_data()
    end(process, train_g0=ended({}, exit_status=402))
    code = process.inspect_potential()
    assert code is not None
    assert code.status == 402
    assert set(process.outputs['datasets']) == {'g0_0'}
    assert 'potential' not in process.outputs


def test_unreadable_md_is_no_proof_of_stability(sis: tuple[SisWorkChain, Children]) -> None:
    """A replica that could not be read neither passes a stage nor is a catastrophe."""
    process, _ = sis
    process.ctx.potentials['g0'] = potential().store()
    end(process, explore_g0_s0_r0=explored(True), explore_g0_s0_r1=ended({}, exit_status=302))
    code = process.find_catastrophic_points()
    assert code is not None
    assert code.status == 403
    assert process.ctx.stage == 0
    assert 'potential' in process.outputs


def test_catastrophe_beside_an_unreadable_md_is_used(sis: tuple[SisWorkChain, Children]) -> None:
    """A fan-out keeps the children that succeeded."""
    process, _ = sis
    process.ctx.potentials['g0'] = potential().store()
    end(process, explore_g0_s0_r0=explored(False), explore_g0_s0_r1=ended({}, exit_status=302))
    assert process.find_catastrophic_points() is None
    assert process.met_catastrophic_point()


def test_hot_snapshot_gives_its_place_only(sis: tuple[SisWorkChain, Children]) -> None:
    """An AIMD that starts hotter than it may be would be thrown away at its first frame."""
    process, _ = sis
    structure = lifsi_ion_pair()
    velocities = orm.ArrayData()
    velocities.set_array('velocities', np.full((10, 3), 30.0))
    assert process._is_hot(structure, velocities)
    velocities = orm.ArrayData()
    velocities.set_array('velocities', np.full((10, 3), 3.0))
    assert not process._is_hot(structure, velocities)


def test_last_generation_allowed(sis: tuple[SisWorkChain, Children]) -> None:
    """After it the run ends with all it has, and a code that says that the MD is not stable."""
    process, _ = sis
    process.ctx.generation = 1
    process.ctx.potentials['g1'] = potential().store()
    end(process, explore_g1_s0_r0=explored(False))
    process.find_catastrophic_points()
    code = process.select_next_starts()
    assert code is not None
    assert code.status == 410
    assert process.outputs['summary']['outcome'] == 'not stable'
    assert process.outputs['potential'].uuid == process.ctx.potentials['g1'].uuid
