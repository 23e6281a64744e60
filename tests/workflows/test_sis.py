"""The SIS loop step by step, with stand-ins for its children: what each outcome of a child makes the loop do."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm.utils.serialize import serialize

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.calculations.trajectory_data import MD_UNITS, make_trajectory
from aiida_sis.core.loop.call_labels import Call
from aiida_sis.core.settings.sis import Replica
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.sampling import FailedMd, is_hot
from aiida_sis.workflows.sis import SisWorkChain
from tests.stand_ins import Children, ended, labelled_frames

TYPE_MAP = ['F', 'Li', 'N', 'O', 'S']


def dataset() -> DatasetData:
    """Give labelled frames of the ion pair."""
    return labelled_frames(lifsi_ion_pair().get_ase(), TYPE_MAP, 'ion_pair')


def potential() -> PotentialData:
    """Give a potential whose model is never run."""
    return PotentialData(
        {'model.pb': b'weights'},
        type_map=TYPE_MAP,
        descriptor='se_e2_a',
        rcut=5.0,
        sel=[4, 4, 4, 8, 4],
        deepmd_backend='tensorflow',
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
        times=np.array([0.2, 0.3]),
        velocities=np.ones((2, len(atoms), 3)),
    )
    results = {
        'stable': False,
        'length_ps_reached': 0.5,
        'catastrophe': {'time_ps': 0.5, 'temperature_k': 1500.0, 'bound': 'high'},
        't_next': {'time_ps': 0.3, 'snapshot_index': 1, 'rule': 'band'},
    }
    return ended({'results': orm.Dict(results), 'snapshots': snapshots})


@pytest.fixture
def builder(stand_in_codes: dict[str, orm.InstalledCode]) -> Any:
    """The demonstration, with codes that are never run."""
    return SisWorkChain.get_builder_from_protocol(
        stand_in_codes,
        {'ion_pair': lifsi_ion_pair()},
        overrides={'sis': {'max_generations': 1, 'sampling': {'strategy': 'burst'}}},
    )


@pytest.fixture
def sis(builder: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[SisWorkChain, Children]:
    """A SIS run before its first step, and the children it submits."""
    return start(builder, monkeypatch)


def start(builder: Any, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[SisWorkChain, Children]:
    """Start a run with other settings."""
    builder.parameters = orm.Dict(builder.parameters.get_dict() | settings)
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
    assert first['parameters']['length_fs'] == 100.0
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
    assert process.begin_generation() is None
    process.label_next_starts()
    assert serialize(process.ctx), 'a daemon that is stopped here could not go on'
    assert 'label_g1_1' not in children.inputs
    label = children.inputs['label_g1_0']
    assert label['structure'].get_ase().positions == pytest.approx(lifsi_ion_pair().get_ase().positions + 0.1)
    assert label['velocities'].get_array('velocities').shape == (10, 3)
    assert label['parameters']['length_fs'] == 150.0
    end(process, label_g1_0=labelled())
    assert process.nothing_new_is_known()
    assert process.merge_labelled_data() is None
    assert not process.nothing_new_is_known()
    process.train_potential()
    training = children.inputs['train_g1']['train']
    assert set(training['datasets']) == {'g0_0', 'g0_1', 'g1_0'}
    assert training['parent'].uuid == process.ctx.potentials['g0'].uuid
    assert training['parameters']['learning_rate']['start_lr'] == 5e-3


def test_least_distances_follow_the_training_data(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each MD gets a factor of the shortest distance of each pair in the training frames."""
    sampling = builder.parameters.get_dict().get('sampling', {}) | {'least_distance': {'factor': 0.5}}
    process, children = start(builder, monkeypatch, sampling=sampling)
    end(process, label_g0_0=labelled(), label_g0_1=labelled())
    process.merge_labelled_data()
    process.ctx.potentials['g0'] = potential().store()
    process.run_molecular_dynamics()
    limits = children.inputs['explore_g0_s0_r1']['md']['parameters']['least_distances']
    frames = process.ctx.datasets['g0_0'].to_dpdata('train')
    li = process.ctx.datasets['g0_0'].symbols.index('Li')
    n = process.ctx.datasets['g0_0'].symbols.index('N')
    apart = frames['coords'][:, li] - frames['coords'][:, n]
    assert limits['Li-N'] == pytest.approx(0.5 * np.linalg.norm(apart, axis=1).min())
    # There is one Li only, so no pair of two.
    assert 'Li-Li' not in limits
    assert 'O-S' in limits
    assert serialize(process.ctx), 'a daemon that is stopped here could not go on'
    # What was found once is not looked for again.
    process.run_molecular_dynamics()
    found = orm.QueryBuilder().append(orm.CalcFunctionNode, filters={'label': 'find_shortest_distances'}).count()
    assert found == 2


def test_no_least_distance_unless_asked_for(sis: tuple[SisWorkChain, Children]) -> None:
    """The temperature alone judges by default."""
    process, children = sis
    process.ctx.potentials['g0'] = potential().store()
    process.run_molecular_dynamics()
    assert 'least_distances' not in children.inputs['explore_g0_s0_r0']['md']['parameters']


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
    """Without a frame the run ends, with a summary, and says what its label said."""
    process, _ = sis
    end(process, label_g0_0=ended({}, exit_status=401, message='The SCF did not converge: give an OUTER_SCF.'))
    code = process.merge_labelled_data()
    assert code is not None
    assert code.status == 401
    assert code.message == (
        'No AIMD of generation 0 gave a single usable frame: The SCF did not converge: give an OUTER_SCF.'
    )
    assert 'summary' in process.outputs


def spoilt_md() -> orm.WorkChainNode:
    """Give an MD whose catastrophic point came at 9 ps: close frames from 7.8 ps on, the whole in steps of 0.5 ps."""
    node = explored(False)
    point = {'time_ps': 9.0, 'temperature_k': 1500.0, 'bound': 'high'}
    results = orm.Dict(
        node.outputs.results.get_dict()
        | {'catastrophe': point, 't_next': {'time_ps': 8.5, 'snapshot_index': 7, 'rule': 'band'}}
    )
    atoms = lifsi_ion_pair().get_ase()
    outputs = {'results': results}
    for name, times in (('snapshots', np.arange(7.8, 9.0, 0.1)), ('trajectory', np.arange(0.0, 9.01, 0.5))):
        outputs[name] = orm.TrajectoryData()
        outputs[name].set_trajectory(
            symbols=atoms.get_chemical_symbols(),
            # The first coordinate tells the time.
            positions=np.stack([np.full((len(atoms), 3), time) for time in times]) + atoms.positions,
            cells=np.tile(np.asarray(atoms.cell), (len(times), 1, 1)),
            times=times,
            velocities=np.ones((len(times), len(atoms), 3)),
            stepids=np.round(times * 1000).astype(int),
        )
        outputs[name].set_array('forces', np.ones((len(times), len(atoms), 3)))
    return ended(outputs)


@pytest.mark.parametrize('strategy', ['burst', 'replay'])
def test_retreat_where_nothing_could_be_labelled(builder: Any, monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    """A corruption can be older than t_next: earlier parts of the MD are tried, as often as is allowed."""
    # 1 ps, 4 ps, 16 ps before 8.5 ps; the first is before the close frames, so the coarser ones serve.
    starts = [8.5, 7.5, 4.5, 0.0]
    process, children = start(builder, monkeypatch, sampling={'strategy': strategy, 'max_retreats': 3})
    process.ctx.potentials['g0'] = potential().store()
    end(process, explore_g0_s0_r0=spoilt_md())
    process.find_catastrophic_points()
    assert process.begin_generation() is None
    x = lifsi_ion_pair().get_ase().positions[0, 0]
    for number, wanted in enumerate(starts):
        assert process.nothing_new_is_known()
        process.label_next_starts()
        inputs = children.inputs[f'label_g1_{number}']
        first = (
            inputs['structure'].get_ase().positions[0, 0]
            if strategy == 'burst'
            else inputs['frames'].get_positions()[0, 0, 0]
        )
        assert first - x == pytest.approx(wanted)
        if strategy == 'replay' and number:
            assert inputs['frames'].get_times().max() <= starts[number - 1] + 1e-6
        assert serialize(process.ctx), 'a daemon that is stopped here could not go on'
        end(process, **{f'label_g1_{number}': ended({}, exit_status=401)})
        code = process.merge_labelled_data()
        assert (code is None) == (number + 1 < len(starts))
    assert code.status == 401


def test_retreat_ends_with_the_first_frames(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the retreat gave is learnt, and the next generation begins at its own t_next again."""
    process, _ = start(builder, monkeypatch, max_generations=2)
    process.ctx.potentials['g0'] = potential().store()
    end(process, explore_g0_s0_r0=spoilt_md())
    process.find_catastrophic_points()
    process.begin_generation()
    end(process, label_g1_0=ended({}, exit_status=401))
    assert process.merge_labelled_data() is None
    assert process.ctx.retreats == 1
    end(process, label_g1_1=labelled())
    assert process.merge_labelled_data() is None
    assert not process.nothing_new_is_known()
    assert set(process.ctx.datasets) == {'g1_1'}
    assert process.begin_generation() is None
    assert process.ctx.retreats == 0


@pytest.mark.parametrize('strategy', ['burst', 'replay', 'burst_and_replay', 'committee'])
def test_last_retreat_is_the_start_structure(builder: Any, monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    """An MD that its minimisation spoilt has no sound frame: an AIMD starts where the MD began, then the run ends."""
    process, children = start(builder, monkeypatch, sampling={'strategy': strategy})
    process.ctx.potentials['g0'] = potential().store()
    end(process, explore_g0_s0_r0=explored(False))
    process.find_catastrophic_points()
    process.begin_generation()
    end(process, label_g1_0=ended({}, exit_status=401))
    assert process.merge_labelled_data() is None
    assert process._catastrophes()[0].start_ps() == 0.0
    end(process, label_g1_1=ended({}, exit_status=401))
    assert process.merge_labelled_data() is None
    process.label_next_starts()
    assert set(children.inputs) == {'label_g1_2'}
    inputs = children.inputs['label_g1_2']
    assert inputs['structure'].uuid == process.inputs.systems['ion_pair'].uuid, 'as it was before the minimisation'
    assert 'velocities' not in inputs
    end(process, label_g1_2=ended({}, exit_status=401))
    code = process.merge_labelled_data()
    assert code is not None
    assert code.status == 401


def labels_of(frames: orm.TrajectoryData, errors: list[float]) -> orm.TrajectoryData:
    """Give the labels of the first frames of an MD: its forces are 1 eV/Å, those of the teacher as much less."""
    n_frames, n_atoms = len(errors), len(frames.symbols)
    arrays = {
        'positions': frames.get_positions()[:n_frames],
        'cells': frames.get_cells()[:n_frames],
        'energies': np.zeros(n_frames),
        'forces': np.ones((n_frames, n_atoms, 3)) - np.array(errors)[:, None, None],
        'steps': np.arange(n_frames),
    }
    units = {'energies': 'eV', 'forces': 'eV/angstrom'}
    return make_trajectory(frames.symbols, arrays, MD_UNITS | units)


def climb(process: SisWorkChain, children: Children, errors: list[float]) -> None:
    """Let an MD fail, and label as many rungs of its ladder as there are errors."""
    process.ctx.potentials['g0'] = potential().store()
    process.ctx.datasets['g0_0'] = dataset().store()
    end(process, explore_g0_s0_r0=spoilt_md())
    process.find_catastrophic_points()
    process.begin_generation()
    assert process.takes_ladders()
    process.label_ladders()
    inputs = children.inputs['label_g1_0']
    outputs: dict[str, orm.Data] = {'results': orm.Dict({'route': 'replay', 'n_single_points': len(errors)})}
    if errors:
        outputs |= {'dataset': dataset(), 'trajectory': labels_of(inputs['frames'], errors)}
    node = ended(outputs, exit_status=0 if errors else 301, inputs={'frames': inputs['frames']})
    end(process, label_g1_0=node)
    process.measure_next_starts()


# 10, 20, 40 … fs before 9 ps, as close frames every 0.1 ps and coarse ones every 0.5 ps allow, and the first.
RUNGS = [0.0, 3.5, 6.0, 7.5, 8.3, 8.6, 8.8, 8.9]


def test_measured_t_next_starts_the_burst(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest rung whose force error is within twice the limit of the verification; the rungs are taught only."""
    process, children = start(builder, monkeypatch, sampling={'strategy': 'ladder_and_burst'})
    climb(process, children, [0.02, 0.1, 0.1, 0.5, 0.29, 0.31, 0.9])
    ladder = children.inputs['label_g1_0']
    assert ladder['frames'].get_times().tolist() == pytest.approx(RUNGS)
    assert ladder['parameters']['dataset']['fractions'] == [1.0, 0.0, 0.0]
    assert ladder['parameters']['stop_at_failed_frame'] is True
    largest = np.linalg.norm(dataset().get_array('forces'), axis=2).max()
    assert ladder['parameters']['dataset']['max_force'] == pytest.approx(3 * largest)
    measured = process.ctx.record['ladder_g1_0']
    assert measured['t_next_ps'] == pytest.approx(8.3)
    process.label_next_starts()
    burst = children.inputs['label_g1_1']
    x = lifsi_ion_pair().get_ase().positions[0, 0]
    assert burst['structure'].get_ase().positions[0, 0] - x == pytest.approx(8.3)
    assert 'stop_at_failed_frame' not in burst['parameters'].get_dict()
    assert serialize(process.ctx), 'a daemon that is stopped here could not go on'
    end(process, label_g1_1=labelled())
    assert process.merge_labelled_data() is None
    assert set(process.ctx.datasets) == {'g0_0', 'g1_0', 'g1_1'}
    assert not process.nothing_new_is_known()
    process.results()
    ladders = process.outputs['summary']['generations'][1]['ladders']
    assert [rung['state'] for rung in ladders[0]['rungs']] == [
        *('right', 'right', 'right', 'wrong', 'right', 'wrong', 'wrong', 'failed'),
    ]


def test_a_ladder_alone_starts_nothing(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rungs are the data of the generation."""
    process, children = start(builder, monkeypatch, sampling={'strategy': 'ladder'})
    climb(process, children, [0.02, 0.5])
    assert process.nothing_new_is_known()
    process.label_next_starts()
    assert set(children.inputs) == {'label_g1_0'}
    assert process.merge_labelled_data() is None
    assert set(process.ctx.datasets) == {'g0_0', 'g1_0'}


def test_no_rung_is_right(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the burst starts from the first one: what is far back is nearest to being right."""
    process, children = start(builder, monkeypatch, sampling={'strategy': 'ladder_and_burst'})
    climb(process, children, [0.7, 0.8, 0.9])
    assert process.ctx.record['ladder_g1_0']['t_next_ps'] is None
    process.label_next_starts()
    x = lifsi_ion_pair().get_ase().positions[0, 0]
    assert children.inputs['label_g1_1']['structure'].get_ase().positions[0, 0] == pytest.approx(x)


@pytest.mark.parametrize('strategy', ['ladder', 'ladder_and_burst'])
def test_a_lost_ladder(builder: Any, monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    """Without a single rung an AIMD from the start structure is the last retreat."""
    process, children = start(builder, monkeypatch, sampling={'strategy': strategy})
    climb(process, children, [])
    process.label_next_starts()
    last = 2 if strategy == 'ladder_and_burst' else 1
    if strategy == 'ladder_and_burst':
        end(process, label_g1_1=ended({}, exit_status=401))
    assert process.merge_labelled_data() is None
    process.label_next_starts()
    retreat = children.inputs[f'label_g1_{last}']
    assert retreat['structure'].uuid == process.inputs.systems['ion_pair'].uuid
    end(process, **{f'label_g1_{last}': ended({}, exit_status=401)})
    code = process.merge_labelled_data()
    assert code is not None
    assert code.status == 401


def survived() -> orm.WorkChainNode:
    """Give a stable MD of 11 frames, 1 ps apart."""
    atoms = lifsi_ion_pair().get_ase()
    times = np.arange(11.0)
    shape = (len(times), len(atoms), 3)
    arrays = {
        'positions': times[:, None, None] + np.broadcast_to(atoms.positions, shape),
        'cells': np.tile(np.asarray(atoms.cell), (len(times), 1, 1)),
        'forces': np.ones(shape),
        'times': times,
        'steps': (1000 * times).astype(int),
    }
    outputs = {
        'results': orm.Dict({'stable': True, 'length_ps_reached': 10.0, 'catastrophe': None, 't_next': None}),
        'trajectory': make_trajectory(atoms.get_chemical_symbols(), arrays, MD_UNITS),
        'series': orm.ArrayData({'time_ps': times, 'potential_energy': np.zeros(len(times))}),
    }
    window = {'temperature_k': 300.0, 'window_k': [20.0, 850.0], 'length_ps': 10.0}
    return ended(outputs, inputs={'md__parameters': orm.Dict(window)})


def verify(process: SisWorkChain, children: Children, error: float, replicas: int = 2, n_labelled: int = 4) -> Any:
    """Pass the last stage, and label some frames of its MD."""
    number = len(process.settings.stages) - 1
    generation = process.ctx.generation
    end(process, **{f'explore_g{generation}_s{number}_r{index}': survived() for index in range(replicas)})
    process.find_catastrophic_points()
    assert not process.is_not_stable()
    assert process.must_verify()
    process.label_stable_dynamics()
    for index in range(replicas):
        key = f'verify_g{generation}_s{number}_r{index}'
        frames = children.inputs[key]['frames']
        outputs: dict[str, orm.Data] = {'results': orm.Dict({'route': 'replay', 'n_single_points': n_labelled})}
        if n_labelled:
            outputs |= {'dataset': dataset(), 'trajectory': labels_of(frames, [error] * n_labelled)}
        end(process, **{key: ended(outputs, exit_status=0 if n_labelled else 403, inputs={'frames': frames})})
    return process.find_true_error()


@pytest.fixture
def at_last_stage(builder: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[SisWorkChain, Children]:
    """A run whose potential has the last stage before it, and eight frames to be labelled then."""
    process, children = start(builder, monkeypatch, verification={'n_frames': 8}, max_generations=9)
    process.ctx.potentials['g0'] = potential().store()
    process.ctx.stage = 1
    return process, children


def test_stable_and_verified(at_last_stage: tuple[SisWorkChain, Children]) -> None:
    """Frames of every replica after the grace time are labelled; within the limit the run is over."""
    process, children = at_last_stage
    assert verify(process, children, 0.1) is None
    inputs = children.inputs['verify_g0_s1_r1']
    assert inputs['frames'].get_times().tolist() == pytest.approx([1.0, 4.0, 7.0, 10.0])
    assert inputs['parameters']['dataset']['fractions'] == [0.8, 0.0, 0.2]
    assert inputs['seed'].value != children.inputs['verify_g0_s1_r0']['seed'].value
    assert not process.is_not_stable()
    assert not process.met_catastrophic_point()
    process.results()
    summary = process.outputs['summary']
    assert summary['outcome'] == 'stable and verified'
    assert summary['verification']['force_rmse_ev_per_angstrom'] == pytest.approx(0.1)
    assert process.outputs['errors'].get_array('force_rmse') == pytest.approx(np.full(8, 0.1))
    assert set(process.outputs['datasets']) == {'g0_s1_r0', 'g0_s1_r1'}, 'what was labelled is kept'


def test_a_wrong_stable_md_is_learnt(at_last_stage: tuple[SisWorkChain, Children]) -> None:
    """Its frames join the data, the potential is fine-tuned, and the last stage runs again."""
    process, children = at_last_stage
    assert verify(process, children, 0.2) is None
    assert process.is_not_stable()
    assert process.met_catastrophic_point()
    process.begin_generation()
    assert not process.takes_ladders()
    assert not process.nothing_new_is_known(), 'the frames are labelled already'
    assert process.must_train()
    process.train_potential()
    training = children.inputs['train_g1']['train']
    assert set(training['datasets']) == {'g0_s1_r0', 'g0_s1_r1'}
    assert training['parent'].uuid == process.ctx.potentials['g0'].uuid
    end(process, train_g1=trained())
    process.inspect_potential()
    process.run_molecular_dynamics()
    assert set(children.inputs) >= {'explore_g1_s1_r0', 'explore_g1_s1_r1'}
    assert verify(process, children, 0.1) is None
    process.results()
    assert process.outputs['summary']['outcome'] == 'stable and verified'
    assert set(process.outputs['datasets']) == {'g0_s1_r0', 'g0_s1_r1', 'g1_s1_r0', 'g1_s1_r1'}


def test_a_verification_that_fails_for_good(at_last_stage: tuple[SisWorkChain, Children]) -> None:
    """After as many as are allowed the run ends with its own code and everything it has."""
    process, children = at_last_stage
    process.ctx.n_not_verified = process.settings.verification.max_verifications - 1
    code = verify(process, children, 0.2)
    assert code.status == 411
    assert 'True force error along the stable MD: 0.200 eV/Å RMSE, 0.15 allowed (8 of 8 frames' in code.message
    assert process.outputs['summary']['outcome'] == 'stable, not verified'
    assert {'potential', 'datasets', 'errors', 'trajectories'} <= set(process.outputs)


def test_the_last_generation_is_not_verified(at_last_stage: tuple[SisWorkChain, Children]) -> None:
    """No generation is left that could learn the frames: the code says that it is not right, not that it failed."""
    process, children = at_last_stage
    process.ctx.generation = 9
    process.ctx.potentials['g9'] = potential().store()
    assert verify(process, children, 0.2).status == 411


def test_a_verification_of_few_frames(at_last_stage: tuple[SisWorkChain, Children]) -> None:
    """Where the teacher could treat one frame of four, a small error proves nothing; what there is, is learnt."""
    process, children = at_last_stage
    assert verify(process, children, 0.01, n_labelled=1) is None
    assert process.met_catastrophic_point()
    assert set(process.ctx.datasets) == {'g0_s1_r0', 'g0_s1_r1'}


def test_a_verification_that_labels_nothing(at_last_stage: tuple[SisWorkChain, Children]) -> None:
    """There is nothing to learn then, so the run ends; the MD is stable all the same."""
    process, children = at_last_stage
    code = verify(process, children, 0.0, n_labelled=0)
    assert code.status == 411
    assert 'unknown, 0 of 8 frames could be labelled' in code.message
    assert process.outputs['summary']['outcome'] == 'stable, not verified'


def test_a_wrong_potential_is_found_out_early(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short stage is verified too, so the long one is not run with a potential that is wrong already."""
    process, children = start(builder, monkeypatch, verification={'n_frames': 8})
    process.ctx.potentials['g0'] = potential().store()
    end(process, explore_g0_s0_r0=survived(), explore_g0_s0_r1=survived())
    process.find_catastrophic_points()
    assert process.must_verify()
    process.label_stable_dynamics()
    frames = children.inputs['verify_g0_s0_r0']['frames']
    outputs: dict[str, orm.Data] = {'results': orm.Dict({}), 'dataset': dataset()}
    outputs['trajectory'] = labels_of(frames, [0.5] * 4)
    end(process, verify_g0_s0_r0=ended(outputs, inputs={'frames': frames}))
    end(process, verify_g0_s0_r1=ended({}, exit_status=403, inputs={'frames': frames}))
    assert process.find_true_error() is None
    assert not process.stages_remain()
    assert process.ctx.stage == 0
    assert process.met_catastrophic_point()


def test_the_last_stage_alone_is_verified(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that is asked for, an earlier stage is passed by being stable."""
    process, _ = start(builder, monkeypatch, verification={'stages': 'last'})
    process.ctx.potentials['g0'] = potential().store()
    end(process, explore_g0_s0_r0=survived(), explore_g0_s0_r1=survived())
    process.find_catastrophic_points()
    assert not process.must_verify()
    assert process.stages_remain()


def test_verification_is_off(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stable is then all that is said."""
    process, _ = start(builder, monkeypatch, verification={'enabled': False})
    process.ctx.potentials['g0'] = potential().store()
    process.ctx.stage = 1
    end(process, explore_g0_s1_r0=survived(), explore_g0_s1_r1=survived())
    process.find_catastrophic_points()
    assert not process.must_verify()
    process.results()
    assert process.outputs['summary']['outcome'] == 'stable'


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


def test_hot_snapshot_gives_its_place_only() -> None:
    """An AIMD that starts hotter than it may be would be thrown away at its first frame."""
    pair = Replica('ion_pair', 300.0)
    failed = FailedMd(orm.WorkChainNode(), pair, (), start_structure=lifsi_ion_pair(), hot_sigmas=5.0)
    for speed, hot in ((30.0, True), (3.0, False)):
        velocities = orm.ArrayData()
        velocities.set_array('velocities', np.full((10, 3), speed))
        assert is_hot(failed, lifsi_ion_pair(), velocities) is hot


def test_supporting_system_is_labelled_and_never_explored(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its own length, temperature, level of theory and share; the weights follow the shares."""
    builder.supporting = {'pair': lifsi_ion_pair()}
    own = {'share': 0.25, 'initial_length_fs': 50.0, 'temperatures_k': [400.0], 'initial_labels': 1}
    own |= {'cp2k': {'FORCE_EVAL': {'DFT': {'UKS': True}}}, 'fixed_atoms': [0, 3]}
    process, children = start(builder, monkeypatch, systems={'pair': own, 'ion_pair': {'share': 0.75}})
    process.label_start_structures()
    assert set(children.inputs) == {'label_g0_0', 'label_g0_1', 'label_g0_2'}
    label = children.inputs['label_g0_2']
    expected = {'length_fs': 50.0, 'temperature_k': 400.0, 'label': 'pair', 'fixed_atoms': [0, 3]}
    assert label['parameters'].get_dict().items() >= expected.items()
    assert label['cp2k']['cp2k']['parameters']['FORCE_EVAL']['DFT']['UKS'] is True
    assert 'UKS' not in children.inputs['label_g0_0']['cp2k']['cp2k']['parameters']['FORCE_EVAL']['DFT']
    supporting = dataset()
    supporting.base.attributes.set('label', 'pair')
    end(
        process, label_g0_0=labelled(), label_g0_2=ended({'dataset': supporting, 'results': orm.Dict({})}, label='pair')
    )
    process.merge_labelled_data()
    process.train_potential()
    weights = children.inputs['train_g0']['train']['settings']['weights']
    assert weights == pytest.approx({'g0_0': 0.75, 'g0_2': 0.25})
    process.ctx.potentials['g0'] = potential().store()
    process.run_molecular_dynamics()
    explored_systems = {inputs['md']['structure'].uuid for key, inputs in children.inputs.items() if 'explore' in key}
    assert explored_systems == {process.inputs.systems.ion_pair.uuid}


def test_start_from_data_and_a_potential(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is labelled; the first training continues from the potential on the frames that were given."""
    builder.datasets = {'old': dataset()}
    builder.potential = potential()
    process, children = start(builder, monkeypatch, initial_labels=0)
    assert process.must_train_first()
    process.label_start_structures()
    assert children.inputs == {}
    assert process.merge_labelled_data() is None
    assert process.must_train()
    process.train_potential()
    train = children.inputs['train_g0']['train']
    assert set(train['datasets']) == {'start_old'}
    assert train['parent'].uuid == process.inputs.potential.uuid
    assert train['settings']['start'] == 'continue'


def test_a_potential_that_was_given_is_fine_tuned(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generation 0 starts at the rate of fine-tunings, and costs what a first training may."""
    builder.datasets = {'old': dataset()}
    builder.potential = potential()
    settings = builder.train.train.settings.get_dict()
    builder.train.train.settings = orm.Dict({**settings, 'budget': {'core_minutes': 20.0}})
    learning = {'fine_tune_lr': 5e-4, 'fine_tune_steps': 1250}
    process, children = start(builder, monkeypatch, initial_labels=0, learning=learning)
    process.train_potential()
    first = children.inputs['train_g0']['train']
    assert first['parameters']['learning_rate']['start_lr'] == 5e-4
    assert first['settings']['budget'] == {'core_minutes': 20.0}
    process.ctx.potentials['g0'] = process.inputs.potential
    process.ctx.generation = 1
    process.train_potential()
    second = children.inputs['train_g1']['train']
    assert second['parameters']['learning_rate']['start_lr'] == 5e-4
    # 1250 steps where a first training has 2500.
    assert second['settings']['budget'] == {'core_minutes': 10.0}


def test_start_with_exploring(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The potential is taken as it is; the next generation is trained from it."""
    builder.potential = potential()
    process, _ = start(builder, monkeypatch, start='explore', initial_labels=0)
    assert not process.must_train_first()
    assert not process.must_train()
    assert process.ctx.potentials['g0'].uuid == process.inputs.potential.uuid


def test_committee_is_trained_and_explores_together(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each member has its own seed and, later, its own parent; one of them drives the MD."""
    process, children = start(builder, monkeypatch, sampling={'strategy': 'committee', 'committee_size': 3})
    end(process, label_g0_0=labelled())
    process.merge_labelled_data()
    process.train_potential()
    names = ['train_g0', 'train_g0_m1', 'train_g0_m2']
    assert sorted(children.inputs) == names
    assert len({children.inputs[name]['train']['seed'].value for name in names}) == 3
    nodes = {name: trained() for name in names}
    end(process, **nodes)
    assert process.inspect_potential() is None
    process.run_molecular_dynamics()
    md = children.inputs['explore_g0_s0_r0']['md']
    assert [node.uuid for node in md['committee'].values()] == [nodes[n].outputs.potential.uuid for n in names[1:]]
    assert md['parameters']['deviation']['low_ev_per_angstrom'] == 0.15
    process.ctx.generation = 1
    process.train_potential()
    assert children.inputs['train_g1_m2']['train']['parent'].uuid == nodes['train_g0_m2'].outputs.potential.uuid


POINT = {'time_ps': 0.5, 'temperature_k': 1500.0, 'bound': 'high'}
START = {'time_ps': 0.3, 'snapshot_index': 1, 'rule': 'band'}


def test_no_result_of_a_parser_makes_the_loop_raise(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stable, or its catastrophe is labelled, or the run ends and says that an MD could not be read."""
    process, children = start(builder, monkeypatch, max_generations=100)
    monkeypatch.setattr(process, 'results', lambda: None)
    process.ctx.potentials['g0'] = potential().store()
    snapshots = explored(False).outputs.snapshots
    shapes = product((0, 420), (True, False, None), (POINT, None), (START, None), ((), ('snapshots',), ('results',)))
    for exit_status, stable, point, t_next, missing in shapes:
        process.ctx.generation = process.ctx.stage = 0
        process.ctx.catastrophes, process.ctx.cause = [], None
        children.inputs.clear()
        results = orm.Dict({'stable': stable, 'length_ps_reached': 0.5, 'catastrophe': point, 't_next': t_next})
        outputs = {'results': results, 'snapshots': snapshots.clone()}
        left = {name: node for name, node in outputs.items() if name not in missing}
        md = ended(left, exit_status, message='The machine ended 3 jobs.' if exit_status else None)
        end(process, explore_g0_s0_r0=md)
        monkeypatch.setattr(process, 'calls', lambda kind, stage=None: [Call(0, kind, 0, stage)])
        code = process.find_catastrophic_points()
        is_read = exit_status == 0 and 'results' not in missing
        if is_read and point is None and stable:
            assert code is None
            assert process.ctx.stage == 1
        elif is_read and point and t_next and 'snapshots' not in missing:
            assert code is None
            if not stable:
                assert process.begin_generation() is None
                monkeypatch.setattr(process, 'calls', lambda *_: [])
                process.label_next_starts()
                assert 'label_g1_0' in children.inputs
        else:
            assert code is not None
            assert code.status == 403
            assert ('The machine ended' if exit_status else 'says neither') in code.message


def test_an_md_that_was_not_read_is_no_verdict(sis: tuple[SisWorkChain, Children]) -> None:
    """The machine ended it: the run did not finish, and nothing is said of the potential."""
    process, _ = sis
    process.ctx.potentials['g0'] = potential().store()
    end(process, explore_g0_s0_r0=ended({}, 420, message='The machine ended 3 jobs in a row'))
    assert process.find_catastrophic_points().status == 403
    assert process.outputs['summary']['outcome'] == 'not finished'


def test_last_generation_allowed(sis: tuple[SisWorkChain, Children]) -> None:
    """After it the run ends with all it has, and a code that says that the MD is not stable."""
    process, _ = sis
    process.ctx.generation = 1
    process.ctx.potentials['g1'] = potential().store()
    end(process, explore_g1_s0_r0=explored(False))
    process.find_catastrophic_points()
    code = process.begin_generation()
    assert code is not None
    assert code.status == 410
    assert process.outputs['summary']['outcome'] == 'not stable'
    assert process.outputs['potential'].uuid == process.ctx.potentials['g1'].uuid
