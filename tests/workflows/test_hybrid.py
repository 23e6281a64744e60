"""The hybrid run step by step, with stand-ins for its children."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm.utils.serialize import serialize
from ase.build import bulk

from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.units import ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
from aiida_sis.calculations.hybrid import end_of_aimd, join_pieces
from aiida_sis.workflows.hybrid import HybridWorkChain
from tests.stand_ins import Children, ended, labelled_frames

TYPE_MAP = ['Cl', 'Na']
SALT = bulk('NaCl', 'rocksalt', a=5.64, cubic=True)
OVERRIDES = {'hybrid': {'cycles': 2, 'window_k': [0.0, 4000.0], 'frame_interval_fs': 10.0, 'aimd_length_fs': 20.0}}


def frames(n_frames: int, interval_ps: float, forces: float, shift: float = 0.0) -> orm.TrajectoryData:
    """Give frames in which every ion moves along x by a thousandth of an Å a frame."""
    node = orm.TrajectoryData()
    moved = shift + 0.001 * np.arange(n_frames)[:, None, None] * [1.0, 0.0, 0.0]
    node.set_trajectory(
        symbols=SALT.get_chemical_symbols(),
        positions=SALT.positions + moved,
        cells=np.tile(np.asarray(SALT.cell), (n_frames, 1, 1)),
        stepids=np.arange(n_frames),
        times=np.arange(n_frames) * interval_ps,
        velocities=np.full((n_frames, len(SALT), 3), 2.0),
    )
    node.set_array('forces', np.full((n_frames, len(SALT), 3), forces))
    return node


def restart(positions: Any, velocity: float) -> orm.FolderData:
    """Give what CP2K leaves."""
    symbols = SALT.get_chemical_symbols()
    lines = ['&COORD', *(' '.join([s, *map(repr, map(float, p))]) for s, p in zip(symbols, positions, strict=True))]
    lines += ['&END COORD', '&VELOCITY', *[f'{velocity} {velocity} {velocity}'] * len(SALT), '&END VELOCITY', '']
    folder = orm.FolderData()
    folder.base.repository.put_object_from_bytes('\n'.join(lines).encode(), 'aiida-1.restart')
    return folder


def burst(n_frames: int = 11) -> orm.WorkChainNode:
    """Give an AIMD that went well, and left the restart file of its last frame."""
    trajectory = frames(n_frames, 0.002, forces=0.1)
    trajectory.set_array('energies', np.zeros(n_frames))
    results = {'aimd_fs': 2.0 * (n_frames - 1), 'route': 'direct', 'aimds': [{'n_good_frames': n_frames}]}
    outputs = {
        'dataset': labelled_frames(SALT, TYPE_MAP, 'salt'),
        'trajectory': trajectory,
        'results': orm.Dict(results),
    }
    return ended(outputs, retrieved=restart(trajectory.get_positions()[-1], 1e-4))


def trained() -> orm.WorkChainNode:
    """Give a training that went well."""
    potential = PotentialData({'model.pb': b'weights'}, type_map=TYPE_MAP)
    return ended({'potential': potential, 'results': orm.Dict({'force_rmse_ev_per_angstrom': 0.1})})


def explored(stable: bool) -> orm.WorkChainNode:
    """Give an MD of 50 fs, or one that met a catastrophic point at 40 fs."""
    trajectory = frames(6, 0.01, forces=0.1, shift=0.01)
    if stable:
        survived = {'stable': True, 'length_ps_reached': 0.05, 'catastrophe': None, 't_next': None}
        return ended({'results': orm.Dict(survived), 'trajectory': trajectory})
    results = {
        'stable': False,
        'length_ps_reached': 0.04,
        'catastrophe': {'time_ps': 0.04, 'temperature_k': 9000.0, 'bound': 'high'},
        't_next': {'time_ps': 0.02, 'snapshot_index': 1, 'rule': 'band'},
    }
    snapshots = frames(3, 0.02, forces=0.1, shift=0.5)
    return ended({'results': orm.Dict(results), 'trajectory': trajectory, 'snapshots': snapshots})


@pytest.fixture
def hybrid(
    stand_in_codes: dict[str, orm.InstalledCode], monkeypatch: pytest.MonkeyPatch
) -> tuple[HybridWorkChain, Children]:
    """A hybrid run before its first step, and the children it submits."""
    structure = orm.StructureData(ase=SALT)
    builder = HybridWorkChain.get_builder_from_protocol(stand_in_codes, structure, 'rehearsal', OVERRIDES)
    process = instantiate_process(get_manager().get_runner(), builder)
    assert isinstance(process, HybridWorkChain)
    children = Children()
    monkeypatch.setattr(process, 'submit', children.submit)
    monkeypatch.setattr(process, 'to_context', lambda **_: None)
    process.setup()
    return process, children


def run_cycle(process: HybridWorkChain, md: orm.WorkChainNode) -> None:
    """Go once through the loop."""
    cycle = process.ctx.generation
    process.run_aimd()
    process.ctx[f'label_g{cycle}_0'] = burst()
    assert process.add_frames() is None
    process.train_potential()
    process.ctx[f'train_g{cycle}'] = trained()
    assert process.inspect_potential() is None
    process.run_molecular_dynamics()
    process.ctx[f'explore_g{cycle}_s0_r0'] = md
    assert process.find_next_start() is None
    assert serialize(process.ctx), 'a daemon that is stopped here could not go on'


def test_cycles_go_on_from_each_other(hybrid: tuple[HybridWorkChain, Children]) -> None:
    """With positions and velocities, each way; the second training starts from the first potential."""
    process, children = hybrid
    run_cycle(process, explored(True))
    md = children.inputs['explore_g0_s0_r0']['md']
    expected = 1e-4 * ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS
    assert md['velocities'].get_array('velocities') == pytest.approx(np.full((8, 3), expected))
    assert md['structure'].get_ase().positions[:, 0] == pytest.approx(SALT.positions[:, 0] + 0.01)
    assert md['parameters']['minimise'] == {'enabled': False}
    assert md['parameters']['trajectory_interval_ps'] == pytest.approx(0.01)
    process.run_aimd()
    label = children.inputs['label_g1_0']
    assert label['structure'].get_ase().positions[:, 0] == pytest.approx(SALT.positions[:, 0] + 0.015)
    assert (label['velocities'].get_array('velocities') == 2.0).all()
    assert label['parameters']['length_fs'] == 20.0
    assert children.inputs['label_g0_0']['parameters']['length_fs'] == 100.0
    run_cycle(process, explored(True))
    assert not process.cycles_remain()
    train = children.inputs['train_g1']['train']
    assert set(train['datasets']) == {'g0_0', 'g1_0'}
    assert train['parent'].uuid != process.ctx.potential.uuid
    assert children.inputs['label_g0_0']['seed'].value != children.inputs['label_g1_0']['seed'].value
    process.results()
    summary = process.outputs['summary']
    assert summary['outcome'] == 'finished'
    assert summary['acceleration_ratio'] == pytest.approx((0.1 + 0.04) / 0.04)
    trajectory = process.outputs['trajectory']
    assert trajectory.get_times() == pytest.approx(np.arange(15) * 0.01)
    assert trajectory.get_array('is_aimd').tolist() == [1] * 3 + [0] * 5 + [1] * 2 + [0] * 5
    assert trajectory.get_array('cycle').tolist() == [0] * 8 + [1] * 7
    # hartree/bohr of the AIMD and eV/Å of the MD become one unit.
    forces = trajectory.get_array('forces')[:, 0, 0]
    assert forces[0] == pytest.approx(0.1 * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM)
    assert forces[3] == 0.1


def test_a_catastrophe_sets_the_trajectory_back_to_t_next(hybrid: tuple[HybridWorkChain, Children]) -> None:
    """What the MD did after it is neither counted nor kept."""
    process, children = hybrid
    run_cycle(process, explored(False))
    process.run_aimd()
    assert children.inputs['label_g1_0']['structure'].get_ase().positions[:, 0] == pytest.approx(
        SALT.positions[:, 0] + 0.501
    )
    process.results()
    assert process.outputs['summary']['md_ps'] == pytest.approx(0.02)
    assert process.outputs['summary']['outcome'] == 'ended early'
    assert process.outputs['trajectory'].get_times() == pytest.approx(np.arange(5) * 0.01)


def test_failures_return_what_there_is(hybrid: tuple[HybridWorkChain, Children]) -> None:
    """Each with its own code."""
    process, _ = hybrid
    process.ctx.label_g0_0 = ended({'results': orm.Dict({'aimd_fs': 5.0})}, exit_status=403)
    code = process.add_frames()
    assert code is not None
    assert code.status == 401
    assert process.outputs['summary']['aimd_ps'] == pytest.approx(0.005)


def test_failed_training_and_unreadable_md(hybrid: tuple[HybridWorkChain, Children]) -> None:
    """The data and the potential are outputs."""
    process, _ = hybrid
    process.ctx.label_g0_0 = burst()
    process.add_frames()
    process.ctx.train_g0 = ended({}, exit_status=402)
    code = process.inspect_potential()
    assert code is not None
    assert code.status == 402
    assert set(process.outputs['datasets']) == {'g0_0'}
    process.ctx.explore_g0_s0_r0 = ended({}, exit_status=302)
    code = process.find_next_start()
    assert code is not None
    assert code.status == 403


def test_restart_of_another_frame_gives_no_velocities() -> None:
    """CP2K draws new ones rather than going on with wrong ones."""
    trajectory = frames(3, 0.002, forces=0.1)
    same = end_of_aimd(trajectory, restart(trajectory.get_positions()[-1], 1e-4))
    assert set(same) == {'structure', 'velocities'}
    other = end_of_aimd(trajectory, restart(trajectory.get_positions()[-2], 1e-4))
    assert set(other) == {'structure'}
    assert set(end_of_aimd(trajectory, orm.FolderData())) == {'structure'}


def test_only_the_last_aimd_of_a_label_is_part_of_the_trajectory() -> None:
    """A first try that heated gave frames to learn from, but the trajectory goes on from the second."""
    pieces = [{'name': 'a', 'kind': 'aimd', 'cycle': 0, 'duration_ps': 0.004}]
    facts = {'interval_fs': 2.0, 'timestep_fs': 2.0, 'pieces': pieces}
    joined = join_pieces(orm.Dict(facts), a=frames(10, 0.002, forces=0.1))
    assert joined.get_positions()[:, 0, 0] == pytest.approx(SALT.positions[0, 0] + np.array([0.007, 0.008, 0.009]))
    assert joined.get_times() == pytest.approx([0.0, 0.002, 0.004])


@pytest.mark.parametrize(
    ('own', 'sentence'),
    [
        ({'window_k': [0.0, 1300.0]}, 'is narrower than the thermal fluctuation|would be left'),
        ({'fixed_atoms': [8]}, 'fixed_atoms` has 8'),
        ({'frame_interval_fs': 0.1}, '`trajectory_interval_ps`'),
        ({'cycle': 1}, "did you mean 'cycles'"),
    ],
)
def test_refusals(stand_in_codes: dict[str, orm.InstalledCode], own: dict[str, Any], sentence: str) -> None:
    """Before anything is submitted, in the words of the SIS run."""
    structure = orm.StructureData(ase=SALT)
    overrides = {'hybrid': OVERRIDES['hybrid'] | own}
    with pytest.raises(ValueError, match=sentence):
        instantiate_process(
            get_manager().get_runner(),
            HybridWorkChain.get_builder_from_protocol(stand_in_codes, structure, 'rehearsal', overrides),
        )
