"""A run made of stored nodes and links, with no process behind it: what the report reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase.build import bulk
from plumpy import ProcessState

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.calculations.hybrid import summarise_hybrid
from aiida_sis.calculations.trajectories import select_snapshot
from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, LADDER, TRAIN, VERDICT, Call

MakeRun = Callable[..., orm.WorkChainNode]

STAGES = [
    {'name': 'coarse', 'window_k': [0.0, 1000.0], 'length_ps': 2.0},
    {'name': 'fine', 'window_k': [50.0, 800.0], 'length_ps': 10.0},
]


def process(
    state: ProcessState, exit_status: int | None = None, caller: orm.Node | None = None, label: str = ''
) -> Any:
    """Store a workchain node in a state, called by another one under a label."""
    node = orm.WorkChainNode()
    node.set_process_state(state)
    if exit_status is not None:
        node.set_exit_status(exit_status)
    if caller is not None:
        node.base.links.add_incoming(caller, LinkType.CALL_WORK, label)
    return node.store()


def returned(node: orm.Node, name: str, data: orm.Data) -> None:
    """Make data an output of a workchain."""
    data.store().base.links.add_incoming(node, LinkType.RETURN, name)


def md_series(length_ps: float, explode: bool) -> orm.ArrayData:
    """Make a temperature series around 300 K, which explodes at its end if asked to."""
    times = np.linspace(0, length_ps, 401)
    temperatures = 300 + 40 * np.sin(40 * times / length_ps)
    if explode:
        temperatures += 1200 * np.exp((times - length_ps) / (0.02 * length_ps))
    node = orm.ArrayData()
    node.set_array('time_ps', times)
    node.set_array('temperature', temperatures)
    return node


def add_md(run: orm.Node, key: str, stage: int, t_cp: float | None, length_ps: float) -> orm.WorkChainNode:
    """Add one finished MD with its input and outputs."""
    parameters = orm.Dict({'temperature_k': 300.0, **{k: STAGES[stage][k] for k in ('window_k', 'length_ps')}}).store()
    node = orm.WorkChainNode()
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(0)
    node.base.links.add_incoming(run, LinkType.CALL_WORK, key)
    node.base.links.add_incoming(parameters, LinkType.INPUT_WORK, 'md__parameters')
    node.store()
    results = {
        'stable': t_cp is None,
        'length_ps_reached': length_ps,
        'catastrophe': None if t_cp is None else {'time_ps': t_cp, 'temperature_k': 1120.0, 'bound': 'high'},
        't_next': None if t_cp is None else {'time_ps': 0.6 * t_cp, 'snapshot_index': 3, 'rule': 'band'},
    }
    returned(node, 'results', orm.Dict(results))
    returned(node, 'series', md_series(length_ps, explode=t_cp is not None))
    return node


def calculated(run: orm.Node, label: str, name: str, content: orm.Data | dict[str, Any], **inputs: orm.Data) -> None:
    """Add a calcfunction to a run, whether it is sealed or not, and something that it gave: a node or a dictionary."""
    run.backend_entity.set_attribute('sealed', False)
    node = orm.CalcFunctionNode()
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(0)
    node.base.links.add_incoming(run, LinkType.CALL_CALC, label)
    for port, data in inputs.items():
        node.base.links.add_incoming(data, LinkType.INPUT_CALC, port)
    node.store()
    given = orm.Dict(content) if isinstance(content, dict) else content
    given.base.links.add_incoming(node, LinkType.CREATE, name)
    given.store()


def add_single_points(run: orm.Node) -> None:
    """Add a ladder of three rungs, the middle one failed, and four labelled frames of the stable MD of generation 1."""
    rungs = [
        {'time_ps': 0.04, 'before_t_cp_fs': 80.0, 'state': 'right', 'force_rmse_ev_per_angstrom': 0.1},
        {'time_ps': 0.08, 'before_t_cp_fs': 40.0, 'state': 'failed'},
        {'time_ps': 0.1, 'before_t_cp_fs': 20.0, 'state': 'wrong', 'force_rmse_ev_per_angstrom': 0.9},
    ]
    ladder = {'rungs': rungs, 't_cp_ps': 0.12, 't_next_ps': 0.04, 'n_learnt': 2, 'force_rmse_max': 0.3}
    calculated(run, str(Call(1, LADDER)), 'result', ladder)
    errors = orm.ArrayData()
    errors.set_array('replica', np.array([0, 0, 1, 1]))
    errors.set_array('time_ps', np.array([1.0, 9.0, 1.0, 9.0]))
    errors.set_array('force_rmse', np.array([0.1, 0.1, 0.1, 0.3]))
    calculated(run, str(Call(1, VERDICT, stage=1)), 'errors', errors)


@pytest.fixture
def make_run(aiida_profile_clean: Any) -> MakeRun:
    """Return a function that stores a run of two generations in a given state."""

    def make(state: ProcessState = ProcessState.FINISHED, exit_status: int | None = 0) -> orm.WorkChainNode:
        settings = orm.Dict({'stages': STAGES, 'temperature_k': 300.0}).store()
        run = orm.WorkChainNode(process_type='aiida.workflows:sis.sis')
        run.set_process_state(state)
        if exit_status is not None:
            run.set_exit_status(exit_status)
        run.base.links.add_incoming(settings, LinkType.INPUT_WORK, 'parameters')
        run.store()
        for generation in (0, 1):
            label = process(ProcessState.FINISHED, 0, run, f'label_g{generation}_0')
            dataset = orm.ArrayData()
            dataset.set_array('x', np.zeros(1))
            dataset.base.attributes.set('n_frames', 100)
            returned(label, 'dataset', dataset)
            returned(label, 'results', orm.Dict({'route': 'direct', 'aimd_fs': 100.0, 'max_temperature_k': 512.0}))
            training = process(ProcessState.FINISHED, 0, run, f'train_g{generation}')
            errors = {'force_rmse_ev_per_angstrom': 0.2 - 0.1 * generation, 'energy_rmse_ev_per_atom': 0.004}
            warnings = [f'sel of type 4 (Li) is not enough! {12 + generation} are needed']
            results = {**errors, 'n_steps': 3000, 'wall_seconds': 21.0, 'warnings': warnings}
            returned(training, 'results', orm.Dict(results))
        add_md(run, 'explore_g0_s0_r0', 0, 0.12, 0.12)
        add_md(run, 'explore_g0_s0_r1', 0, None, 2.0)
        add_md(run, 'explore_g1_s0_r0', 0, None, 2.0)
        if state is ProcessState.FINISHED:
            add_md(run, 'explore_g1_s1_r0', 1, None, 10.0)
            summary = {'outcome': 'stable', 'aimd_ps': 0.2, 'md_ps': 10.0, 'acceleration_ratio': 50.0}
            returned(run, 'summary', orm.Dict(summary))
        else:
            process(ProcessState.WAITING, None, run, 'explore_g1_s1_r0')
        return run

    return make


@pytest.fixture
def make_hybrid_run(aiida_profile_clean: Any) -> MakeRun:
    """Return a function that stores a hybrid run of two cycles, the first of which met a catastrophic point."""

    def make(state: ProcessState = ProcessState.FINISHED, exit_status: int | None = 0) -> orm.WorkChainNode:
        structure = orm.StructureData(ase=bulk('NaCl', 'rocksalt', a=5.64, cubic=True)).store()
        own = {'cycles': 2, 'window_k': [0.0, 1000.0], 'md_length_ps': 2.0, 'aimd_length_fs': 100.0}
        run = orm.WorkChainNode(process_type='aiida.workflows:sis.hybrid')
        run.set_process_label('HybridWorkChain')
        run.set_process_state(state)
        if exit_status is not None:
            run.set_exit_status(exit_status)
        run.base.links.add_incoming(orm.Dict(own).store(), LinkType.INPUT_WORK, 'parameters')
        run.base.links.add_incoming(structure, LinkType.INPUT_WORK, 'structure')
        run.base.links.add_incoming(orm.Int(7).store(), LinkType.INPUT_WORK, 'seed')
        run.store()
        results = {}
        for generation, t_cp in enumerate((0.12, None)):
            label = process(ProcessState.FINISHED, 0, run, str(Call(generation, LABEL)))
            training = process(ProcessState.FINISHED, 0, run, str(Call(generation, TRAIN)))
            results[str(Call(generation, LABEL))] = orm.Dict({'route': 'direct', 'aimd_fs': 100.0})
            results[str(Call(generation, TRAIN))] = orm.Dict({'force_rmse_ev_per_angstrom': 0.1})
            returned(label, 'results', results[str(Call(generation, LABEL))])
            returned(training, 'results', results[str(Call(generation, TRAIN))])
            call = Call(generation, EXPLORE, stage=0)
            if generation and state is not ProcessState.FINISHED:
                process(ProcessState.WAITING, None, run, str(call))
                return run
            md = add_md(run, str(call), 0, t_cp, t_cp or 2.0)
            results[str(call)] = md.outputs.results
        outcome = orm.Str('ended early' if exit_status else 'finished')
        returned(run, 'summary', summarise_hybrid(outcome, orm.Dict(own), orm.List([True, True]), **results))
        return run

    return make


# --- a run with everything in it, from real frames of an ion pair -----------------------------------------------------

N_FRAMES = 12
#: The anion loses a fluorine at this frame of the stable MD.
BREAKS_AT = 6


def trajectory(frames: Any, symbols: list[str], spacing_ps: float, broken: int | None = None) -> orm.TrajectoryData:
    """Make a trajectory of labelled frames, in which the last F leaves its S at the frame ``broken``."""
    positions = np.array(frames.coords[:N_FRAMES])
    if broken is not None:
        leaving = max(index for index, symbol in enumerate(symbols) if symbol == 'F')
        sulphur = [index for index, symbol in enumerate(symbols) if symbol == 'S']
        bonds = positions[:, leaving, None] - positions[:, sulphur]
        bonds -= np.rint(bonds / frames.cells[0, 0, 0]) * frames.cells[0, 0, 0]
        nearest = bonds[0][np.argmin(np.linalg.norm(bonds[0], axis=1))]
        positions[broken:, leaving] += 3.0 * nearest / np.linalg.norm(nearest)
    node = orm.TrajectoryData()
    node.set_trajectory(
        symbols,
        positions,
        stepids=np.arange(N_FRAMES),
        cells=frames.cells[:N_FRAMES],
        pbc=[True, True, True],
        times=spacing_ps * np.arange(N_FRAMES),
        velocities=np.zeros_like(positions),
    )
    return node


def add_job(caller: orm.Node, computer: orm.Computer, start: float, seconds: float, **inputs: orm.Data) -> Any:
    """Add a job that reports its clock."""
    job = orm.CalcJobNode(computer=computer)
    job.set_process_state(ProcessState.FINISHED)
    job.set_exit_status(0)
    job.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 2})
    job.set_option('scheduler_stdout', 'out')
    for name, data in inputs.items():
        job.base.links.add_incoming(data, LinkType.INPUT_CALC, name)
    job.base.links.add_incoming(caller, LinkType.CALL_CALC, 'iteration_01')
    job.store()
    retrieved = orm.FolderData()
    retrieved.base.repository.put_object_from_bytes(
        f'SIS_CLOCK_START {start}\nSIS_CLOCK_END {start + seconds}\n'.encode(), 'out'
    )
    created(job, 'retrieved', retrieved)
    return job


def created(job: orm.Node, name: str, data: orm.Data) -> None:
    """Make data an output of a job."""
    data.base.links.add_incoming(job, LinkType.CREATE, name)
    data.store()


def add_label(
    run: orm.Node, generation: int, structure: orm.Data, dataset: DatasetData, computer: orm.Computer
) -> None:
    """Add one labelled AIMD."""
    label = orm.WorkChainNode()
    label.set_process_state(ProcessState.FINISHED)
    label.set_exit_status(0)
    parameters = orm.Dict({'timestep_fs': 1.0}).store()
    label.base.links.add_incoming(run, LinkType.CALL_WORK, f'label_g{generation}_0')
    label.base.links.add_incoming(structure, LinkType.INPUT_WORK, 'structure')
    label.base.links.add_incoming(parameters, LinkType.INPUT_WORK, 'parameters')
    label.store()
    add_job(label, computer, 100.0 * generation, 20.0)
    returned(label, 'dataset', dataset)
    returned(label, 'trajectory', trajectory(dataset.get_frames(), dataset.symbols, 0.001))
    returned(label, 'results', orm.Dict({'route': 'direct', 'aimd_fs': 15.0, 'max_temperature_k': 400.0}))


def add_training(
    run: orm.Node, generation: int, datasets: dict[str, DatasetData], computer: orm.Computer, keep: bool
) -> orm.Node:
    """Add a training that got every held-out force wrong by 0.1 eV/Å and every energy by 0.02 eV."""
    train = process(ProcessState.FINISHED, 0, run, f'train_g{generation}')
    used = dict(list(datasets.items())[: generation + 1])
    inputs = {f'datasets__g{number}_0': dataset for number, dataset in enumerate(used.values())}
    job = add_job(train, computer, 30.0 + 100 * generation, 40.0, **inputs)
    curve = orm.ArrayData()
    steps = np.arange(0, 501, 100)
    for name, scale in (('rmse_f_trn', 1.0), ('rmse_f_val', 1.2), ('rmse_e_trn', 0.01), ('rmse_e_val', 0.012)):
        curve.set_array(name, scale / (1 + steps / 100))
    curve.set_array('step', steps)
    errors = {'force_rmse_ev_per_angstrom': 0.2 - 0.1 * generation, 'energy_rmse_ev_per_atom': 0.002}
    results = {
        **errors,
        'n_steps': 500,
        'wall_seconds': 39.0,
        'deepmd_version': '3.2.0',
        'per_element': {'F': 0.1, 'Li': 0.05, 'N': 0.2, 'O': 0.15, 'S': 0.3},
        'per_dataset': {f'g{number}_0': {'n_frames': 3, **errors} for number in range(len(used))},
    }
    predictions = orm.ArrayData()
    for number, dataset in enumerate(used.values()):
        held_out = dataset.get_split('test')
        predictions.set_array(f'g{number}_0__frames', held_out)
        predictions.set_array(f'g{number}_0__energies', dataset.get_array('energies')[held_out] + 0.02)
        predictions.set_array(f'g{number}_0__forces', dataset.get_array('forces')[held_out] + 0.1)
    potential = PotentialData(files={'model.pb': b'graph'}, type_map=next(iter(used.values())).type_map)
    outputs = {'learning_curve': curve, 'results': orm.Dict(results), 'potential': potential}
    outputs |= {'predictions': predictions} if keep else {}
    for name, data in outputs.items():
        created(job, name, data)
    return train


@pytest.fixture
def make_full_run(
    aiida_profile_clean: Any, aiida_localhost: orm.Computer, deepmd_datasets: dict[str, DatasetData]
) -> MakeRun:
    """Return a function that stores a run with every part that a report shows."""

    def make(label: str = '', keep_predictions: bool = True) -> orm.WorkChainNode:
        datasets = dict(zip(('g0_0', 'g1_0'), (node.store() for node in deepmd_datasets.values()), strict=True))
        first = datasets['g0_0']
        frames, symbols = first.get_frames(), first.symbols
        structure = orm.StructureData(cell=frames.cells[0].tolist())
        for symbol, place in zip(symbols, frames.coords[0].tolist(), strict=True):
            structure.append_atom(position=place, symbols=symbol)
        settings = orm.Dict({'stages': STAGES, 'temperature_k': 300.0}).store()
        run = orm.WorkChainNode(label=label)
        run.set_process_type('aiida.workflows:sis.sis')
        run.set_process_label('SisWorkChain')
        run.set_process_state(ProcessState.FINISHED)
        run.set_exit_status(0)
        run.base.attributes.set('version', {'core': '2.9.4', 'plugin': '0.1.0'})
        run.base.links.add_incoming(settings, LinkType.INPUT_WORK, 'parameters')
        run.base.links.add_incoming(structure.store(), LinkType.INPUT_WORK, 'systems__ion_pair')
        run.base.links.add_incoming(orm.Int(7).store(), LinkType.INPUT_WORK, 'seed')
        run.store()
        start: orm.Data = structure
        for generation, dataset in enumerate(datasets.values()):
            add_label(run, generation, start, dataset, aiida_localhost)
            add_training(run, generation, datasets, aiida_localhost, keep_predictions)
            if generation == 0:
                md = add_md(run, 'explore_g0_s0_r0', 0, 0.12, 0.12)
                snapshots = trajectory(frames, symbols, 0.01)
                returned(md, 'snapshots', snapshots)
                start = select_snapshot(snapshots, orm.Int(3))['structure']
        add_md(run, 'explore_g1_s0_r0', 0, None, 2.0)
        stable = add_md(run, 'explore_g1_s1_r0', 1, None, 10.0)
        add_job(stable, aiida_localhost, 180.0, 60.0)
        returned(stable, 'trajectory', trajectory(frames, symbols, 1.0, broken=BREAKS_AT))
        summary = {'outcome': 'stable', 'aimd_ps': 0.03, 'md_ps': 10.0, 'acceleration_ratio': 333.3}
        returned(run, 'summary', orm.Dict(summary))
        add_single_points(run)
        return run

    return make


@pytest.fixture(scope='session')
def written_pages() -> dict[str, str]:
    """Keep the page of that run: it takes seconds to draw, and many tests look at it."""
    return {}


@pytest.fixture
def full_page(written_pages: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Write the report of that run."""
    from aiida_sis.run.trajectories import read_details
    from aiida_sis.show.page.page import make_page

    if 'full' not in written_pages:
        run = request.getfixturevalue('make_full_run')()
        written_pages['full'] = make_page(read_details(run))
    path = tmp_path / 'report.html'
    path.write_text(written_pages['full'], encoding='utf-8')
    return path
