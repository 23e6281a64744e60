"""Each handler of the restart workchains, fired by the failure it is for."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessBuilder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from plumpy.process_states import ProcessState

from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.calculations.md import LammpsMdCalculation
from aiida_sis.calculations.trajectories import join_series, join_trajectories
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.explore import ExploreWorkChain

TYPE_MAP = ['F', 'Li', 'N', 'O', 'S']


def potential() -> PotentialData:
    """Give a potential whose model is never run."""
    return PotentialData({'model.pb': b'weights'}, TYPE_MAP, 'se_e2_a', 6.0, [4] * 5, deepmd_version='3.2.0')


def ended(exit_code: Any, outputs: dict[str, orm.Data], computer: orm.Computer) -> orm.CalcJobNode:
    """Give the node of a job that has ended."""
    node = orm.CalcJobNode(computer=computer)
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(getattr(exit_code, 'status', exit_code))
    node.store()
    for name, value in outputs.items():
        value.base.links.add_incoming(node, LinkType.CREATE, name)
        value.store()
    return node


def frames(*steps: int) -> orm.TrajectoryData:
    """Give a trajectory of the ion pair whose frames carry their step in every number."""
    atoms = lifsi_ion_pair().get_ase()
    node = orm.TrajectoryData()
    numbers = np.array(steps, dtype=float)
    node.set_trajectory(
        symbols=atoms.get_chemical_symbols(),
        positions=np.stack([atoms.positions + 0.001 * number for number in numbers]),
        stepids=np.array(steps),
        cells=np.tile(np.asarray(atoms.cell), (len(steps), 1, 1)),
        times=numbers * 1e-3,
        velocities=np.stack([np.full((len(atoms), 3), number) for number in numbers]),
        pbc=(True, True, True),
    )
    return node


def series(*steps: int) -> orm.ArrayData:
    """Give a series."""
    node = orm.ArrayData()
    node.set_array('step', np.array(steps))
    node.set_array('temperature', np.array(steps, dtype=float))
    return node


@pytest.fixture
def explore(stand_in_codes: dict[str, orm.InstalledCode]) -> ExploreWorkChain:
    """An MD workchain before its first job."""
    builder: ProcessBuilder = ExploreWorkChain.get_builder()
    builder.md = {
        'code': stand_in_codes['lmp'],
        'structure': lifsi_ion_pair(),
        'potential': potential(),
        'seed': orm.Int(1),
        'parameters': orm.Dict({'temperature_k': 300.0, 'window_k': [0, 1000], 'length_ps': 2.0, 'timestep_fs': 1.0}),
    }
    process = instantiate_process(get_manager().get_runner(), builder)
    assert isinstance(process, ExploreWorkChain)
    process.setup()
    return process


@pytest.fixture
def train(stand_in_codes: dict[str, orm.InstalledCode], deepmd_datasets: dict[str, DatasetData],
          deepmd_parameters: dict[str, Any]) -> DeepmdBaseWorkChain:  # fmt: skip
    """A training workchain before its first job."""
    builder: ProcessBuilder = DeepmdBaseWorkChain.get_builder()
    builder.train = {
        'code': stand_in_codes['dp'],
        'datasets': deepmd_datasets,
        'seed': orm.Int(1),
        'parameters': orm.Dict(deepmd_parameters),
    }
    builder.force_rmse_max = orm.Float(0.15)
    builder.max_extensions = orm.Int(1)
    process = instantiate_process(get_manager().get_runner(), builder)
    assert isinstance(process, DeepmdBaseWorkChain)
    process.setup()
    return process


def test_md_out_of_time_goes_on_from_its_last_frame(explore: ExploreWorkChain, aiida_localhost: orm.Computer) -> None:
    """With its velocities and the time that was run; the length stays, the noise is new."""
    job = ended(LammpsMdCalculation.exit_codes.ERROR_OUT_OF_WALLTIME, {'trajectory': frames(0, 500)}, aiida_localhost)
    assert explore.continue_out_of_walltime(job) is not None
    assert explore.ctx.inputs.parameters['elapsed_ps'] == 0.5
    assert explore.ctx.inputs.parameters['length_ps'] == 2.0
    assert explore.ctx.inputs.seed.value != explore.inputs.md.seed.value
    assert (explore.ctx.inputs.velocities.get_array('velocities') == 500).all()
    # A job that made no step would go on for ever.
    again = ended(LammpsMdCalculation.exit_codes.ERROR_OUT_OF_WALLTIME, {'trajectory': frames(500)}, aiida_localhost)
    assert [explore.continue_out_of_walltime(again).exit_code.status for _ in range(3)] == [0, 0, 420]


MACHINE = [
    code for code in LammpsMdCalculation.exit_codes.values() if code.invalidates_cache and 300 <= code.status < 400
]


@pytest.mark.parametrize('code', [c for c in MACHINE if c.status not in (304, 306)], ids=lambda code: str(code.status))
def test_md_that_the_machine_ended_goes_on_from_its_newest_frame(
    code: Any, explore: ExploreWorkChain, aiida_localhost: orm.Computer
) -> None:
    """Of the ring where that is newer than the trajectory; the job is never taken from the cache."""
    left = {'trajectory': frames(0, 1000), 'snapshots': frames(1190, 1200)}
    job = ended(code, left, aiida_localhost)
    report = explore.repeat_cut_short(job)
    assert report is not None
    assert report.exit_code.status == 0
    assert explore.ctx.inputs.parameters['elapsed_ps'] == pytest.approx(1.2)
    assert (explore.ctx.inputs.velocities.get_array('velocities') == 1200).all()
    assert explore.ctx.inputs.seed.value != explore.inputs.md.seed.value
    assert job.base.extras.get('_aiida_valid_cache') is False


def test_kills_of_an_md_are_counted_against_its_progress(
    explore: ExploreWorkChain, aiida_localhost: orm.Computer
) -> None:
    """An MD of weeks may be killed often; three in a row that got nowhere are its end, and the machine is named."""
    code = LammpsMdCalculation.exit_codes.ERROR_LOG_TRUNCATED
    for step in (100, 200, 300, 400, 500):
        for _ in range(2):
            assert explore.repeat_cut_short(ended(code, {}, aiida_localhost)).exit_code.status == 0
        job = ended(code, {'snapshots': frames(step)}, aiida_localhost)
        assert explore.repeat_cut_short(job).exit_code.status == 0
    reports = [explore.repeat_cut_short(ended(code, {}, aiida_localhost)) for _ in range(3)]
    assert reports[-1].exit_code.status == 420
    assert 'The machine ended 3 jobs in a row' in reports[-1].exit_code.message
    assert len(explore.ctx.parts) == 5


def test_a_disk_that_stays_full_pauses_the_md(
    explore: ExploreWorkChain, aiida_localhost: orm.Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is repeated; then a person must make room, and after `verdi process play` it goes on."""
    said: list[str] = []
    monkeypatch.setattr(explore, 'pause', lambda message: said.append(message))
    code = LammpsMdCalculation.exit_codes.ERROR_DISK_FULL
    for _ in range(4):
        assert explore.repeat_cut_short(ended(code, {}, aiida_localhost)).exit_code.status == 0
    assert len(said) == 2
    assert said[0] == (
        'The disk of the work directories on localhost is full: make room, then `verdi process play '
        f'{explore.node.pk}`.'
    )


def test_parts_are_joined_without_overlap() -> None:
    """The frame at which a job ended is the first of the next one."""
    joined = join_series(part_000=series(0, 10, 20), part_001=series(20, 30))
    assert joined.get_array('temperature').tolist() == [0, 10, 20, 30]
    trajectory = join_trajectories(part_000=frames(0, 10, 20), part_001=frames(20, 30))
    assert trajectory.get_stepids().tolist() == [0, 10, 20, 30]
    assert trajectory.get_times()[-1] == pytest.approx(0.03)
    assert trajectory.get_velocities()[1, 0, 0] == 10


def watched(start: int, stop: int, hot_from: int) -> orm.ArrayData:
    """Give the series of a job: 300 K every 10 fs, and hotter than its band from one step on."""
    steps = np.arange(start, stop + 1, 10)
    node = orm.ArrayData()
    node.set_array('step', steps)
    node.set_array('time_ps', steps * 1e-3)
    node.set_array('temperature', np.where(steps >= hot_from, 900.0, 300.0))
    node.set_array('potential_energy', np.zeros(len(steps)))
    return node


@pytest.mark.parametrize(
    ('t_cp', 'hot_from', 'rings', 'interval', 'right'),
    [
        # 250 fs before the last healthy sample, in the ring of the job before.
        (0.600, 590, (list(range(100, 500, 10)), [505, *range(510, 601, 10)]), 500, 0.330),
        # Already hot where the time was up: the whole of the last job is no healthy sample.
        (0.560, 480, (list(range(100, 500, 10)), [505, *range(510, 561, 10)]), 500, 0.220),
        # The ring of the job before does not reach back, its trajectory does.
        (0.600, 590, (list(range(450, 500, 10)), [505, *range(510, 601, 10)]), 300, 0.300),
        # The last job alone reaches back: as if there had been no other.
        (0.900, 890, (list(range(100, 500, 10)), [505, *range(510, 901, 10)]), 500, 0.630),
    ],
)
def test_t_next_reaches_back_into_the_job_before(
    t_cp: float,
    hot_from: int,
    rings: tuple[list[int], list[int]],
    interval: int,
    right: float,
    explore: ExploreWorkChain,
    aiida_localhost: orm.Computer,
) -> None:
    """An MD that went on at 505 fs and failed soon after goes back to before that, not to where it went on."""
    last = round(t_cp * 1000)
    first = {'snapshots': frames(*rings[0]), 'series': watched(0, 500, hot_from)}
    first['trajectory'] = frames(*range(0, 505, interval), 505)
    out_of_time = ended(LammpsMdCalculation.exit_codes.ERROR_OUT_OF_WALLTIME, first, aiida_localhost)
    assert explore.continue_out_of_walltime(out_of_time) is not None
    results = orm.Dict(
        {
            'catastrophe': {'time_ps': t_cp, 'temperature_k': 1200.0, 'bound': 'high'},
            't_next': {'time_ps': 0.505, 'requested_time_ps': 0.3, 'snapshot_index': 0, 'rule': 'band'},
            'deviation': None,
        }
    )
    second = {'snapshots': frames(*rings[1]), 'series': watched(510, last, hot_from), 'results': results}
    second['trajectory'] = frames(*(step for step in range(0, last, interval) if step > 505), last)
    job = ended(0, second, aiida_localhost)
    outputs = explore.get_outputs(job)
    t_next, snapshots = outputs['results']['t_next'], outputs['snapshots']
    assert t_next['time_ps'] == pytest.approx(right)
    assert t_next['time_ps'] <= t_next['requested_time_ps'] + 1e-9
    index = t_next['snapshot_index']
    # Every number of a frame is its step.
    assert snapshots.get_velocities()[index, 0, 0] == pytest.approx(1000 * right)
    assert snapshots.get_times()[-1] == pytest.approx(t_cp)
    assert (np.diff(snapshots.get_stepids()) > 0).all()
    # All that the last job had is there too.
    assert set(rings[1]) <= set(snapshots.get_stepids().tolist())


def test_a_stable_continuation_has_no_snapshots_to_choose(
    explore: ExploreWorkChain, aiida_localhost: orm.Computer
) -> None:
    """The job before gave its ring, but nothing failed."""
    first = {'snapshots': frames(490, 500), 'series': watched(0, 500, 10**6), 'trajectory': frames(0, 500)}
    job = ended(LammpsMdCalculation.exit_codes.ERROR_OUT_OF_WALLTIME, first, aiida_localhost)
    assert explore.continue_out_of_walltime(job) is not None
    results = orm.Dict({'catastrophe': None, 't_next': None, 'deviation': None})
    second = {'results': results, 'series': watched(500, 900, 10**6), 'trajectory': frames(500, 900)}
    outputs = explore.get_outputs(ended(0, second, aiida_localhost))
    assert outputs['results']['t_next'] is None
    assert 'snapshots' not in outputs


def test_undertrained_potential_is_trained_on(train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer) -> None:
    """From its own weights, more slowly, and no more often than allowed."""
    before = train.ctx.inputs.parameters['learning_rate']['start_lr']
    results = orm.Dict({'force_rmse_ev_per_angstrom': 0.3})
    job = ended(0, {'potential': potential(), 'results': results}, aiida_localhost)
    assert train.extend_undertrained(job) is not None
    assert train.ctx.inputs.parent.uuid == job.outputs.potential.uuid
    assert train.ctx.inputs.parameters['learning_rate']['start_lr'] < before
    assert train.extend_undertrained(job) is None


def test_an_extension_is_a_whole_schedule_from_half_the_rate(
    train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer, deepmd_parameters: dict[str, Any]
) -> None:
    """Half of the last training's rate each time, as many steps, and never below the rate at the end."""
    deepmd_parameters['learning_rate'] = {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 4e-3}
    train.ctx.inputs.parameters = orm.Dict(copy.deepcopy(deepmd_parameters))
    del deepmd_parameters['learning_rate']['start_lr']
    starts = []
    for error in (0.8, 0.6, 0.4):
        train.ctx.extensions = 0
        job = ended(0, {'potential': potential(), 'results': errors(error)}, aiida_localhost)
        assert train.extend_undertrained(job) is not None
        parameters = train.ctx.inputs.parameters.get_dict()
        starts.append(parameters['learning_rate'].pop('start_lr'))
        assert parameters == deepmd_parameters
    assert starts == [5e-3, 4e-3, 4e-3]


def errors(force_rmse: float) -> orm.Dict:
    """Give the results of a training."""
    return orm.Dict({'force_rmse_ev_per_angstrom': force_rmse})


@pytest.mark.parametrize(('second', 'goes_on'), [(0.26, True), (0.28, False), (0.4, False)])
def test_no_extension_follows_one_that_did_not_help(
    second: float, goes_on: bool, train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer
) -> None:
    """Less than a tenth of the error gained, or the error risen: the best so far is taken."""
    train.inputs.max_extensions = orm.Int(3)
    jobs = [ended(0, {'potential': potential(), 'results': errors(e)}, aiida_localhost) for e in (0.3, second)]
    assert train.extend_undertrained(jobs[0]) is not None
    assert (train.extend_undertrained(jobs[1]) is not None) == goes_on
    assert train.ctx.best == jobs[second < 0.3]


@pytest.mark.parametrize('share', [-0.1, 1.0])
def test_no_share_of_the_error(share: float) -> None:
    """Refused before anything runs."""
    builder: Any = DeepmdBaseWorkChain.get_builder()
    with pytest.raises(ValueError, match=f'`min_improvement` is {share:g}; give a share'):
        builder.min_improvement = orm.Float(share)


def test_a_rate_without_an_end_is_halved(train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer) -> None:
    """DeePMD-kit also takes the end as a ratio."""
    parameters = train.ctx.inputs.parameters.get_dict()
    parameters['learning_rate'] = {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr_ratio': 1e-3}
    train.ctx.inputs.parameters = orm.Dict(parameters)
    train.lower_learning_rate(ended(DeepmdTrainCalculation.exit_codes.ERROR_LOSS_NOT_FINITE, {}, aiida_localhost))
    assert train.ctx.inputs.parameters['learning_rate']['start_lr'] == 5e-3


def test_failed_continuation_does_not_lose_the_potential(
    train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer
) -> None:
    """The first training gave a potential; the continuation diverged: the first is what comes out."""
    results = orm.Dict({'force_rmse_ev_per_angstrom': 0.3})
    good = ended(0, {'potential': potential(), 'results': results}, aiida_localhost)
    train.ctx.children, train.ctx.iteration = [good], 1
    assert train.inspect_process().status == 0
    assert train.should_run_process()
    bad = ended(DeepmdTrainCalculation.exit_codes.ERROR_DIVERGED, {}, aiida_localhost)
    train.ctx.children, train.ctx.iteration = [good, bad], 2
    assert train.inspect_process() is None
    assert not train.should_run_process()
    assert train.get_outputs(bad)['potential'].uuid == good.outputs.potential.uuid


def test_good_potential_is_taken(train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer) -> None:
    """An error below the limit needs no more training."""
    results = orm.Dict({'force_rmse_ev_per_angstrom': 0.1})
    assert train.extend_undertrained(ended(0, {'results': results}, aiida_localhost)) is None


def test_loss_that_became_nan(train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer) -> None:
    """Half the start learning rate."""
    before = train.ctx.inputs.parameters['learning_rate']['start_lr']
    job = ended(DeepmdTrainCalculation.exit_codes.ERROR_LOSS_NOT_FINITE, {}, aiida_localhost)
    assert train.lower_learning_rate(job) is not None
    assert train.ctx.inputs.parameters['learning_rate']['start_lr'] == before / 2


INTERRUPTED = DeepmdTrainCalculation.exit_codes.ERROR_TRAINING_INTERRUPTED
NOT_EVALUATED = DeepmdTrainCalculation.exit_codes.ERROR_NOT_EVALUATED


def cut(step: int | None, computer: orm.Computer, code: Any = INTERRUPTED) -> orm.CalcJobNode:
    """Give a training that was cut short after a checkpoint, or before any."""
    remote = orm.RemoteData(remote_path=f'/tmp/nowhere/{step}', computer=computer)
    results = orm.Dict({'n_steps': 150, 'checkpoint_step': step})
    return ended(code, {'results': results, 'remote_folder': remote}, computer)


def test_training_killed_before_its_first_checkpoint_is_repeated(
    train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer
) -> None:
    """From its parent, as the first time; three times in a row are the end, and the machine is named."""
    parent = potential().store()
    train.ctx.parent = train.ctx.inputs.parent = parent
    job = cut(None, aiida_localhost)
    assert train.restart_interrupted(job).exit_code.status == 0
    assert train.ctx.inputs.parent.uuid == parent.uuid
    assert 'restart_folder' not in train.ctx.inputs
    assert job.base.extras.get('_aiida_valid_cache') is False
    assert train.restart_interrupted(job).exit_code.status == 0
    assert train.restart_interrupted(job).exit_code.status == 420


def test_killed_training_goes_on_from_its_checkpoint(train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer) -> None:
    """As often as it gets further; a job without a checkpoint of its own leaves that of the one before."""
    for step in (100, 200, 300, 400, 500, 600):
        job = cut(step, aiida_localhost)
        assert train.restart_interrupted(job).exit_code.status == 0
        assert train.ctx.inputs.restart_folder.uuid == job.outputs.remote_folder.uuid
        assert 'parent' not in train.ctx.inputs
        assert train.restart_interrupted(cut(None, aiida_localhost)).exit_code.status == 0
        assert train.ctx.inputs.restart_folder.uuid == job.outputs.remote_folder.uuid


def test_a_test_alone_is_repeated_alone(train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer) -> None:
    """The training is complete: no step of it is trained again, however often freeze or test are killed."""
    job = cut(600, aiida_localhost, NOT_EVALUATED)
    assert train.restart_interrupted(job).exit_code.status == 0
    assert train.ctx.inputs.only_evaluate.value
    assert train.ctx.inputs.restart_folder.uuid == job.outputs.remote_folder.uuid
    again = [train.restart_interrupted(cut(600, aiida_localhost, NOT_EVALUATED)) for _ in range(3)]
    assert train.ctx.inputs.restart_folder.uuid == job.outputs.remote_folder.uuid
    assert [report.exit_code.status for report in again] == [0, 0, 420]


def test_a_continuation_trains_after_a_test_was_repeated_alone(
    train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer
) -> None:
    """What was meant for the evaluation does not reach the next training."""
    train.restart_interrupted(cut(600, aiida_localhost, NOT_EVALUATED))
    assert train.extend_undertrained(ended(0, {'potential': potential(), 'results': errors(0.3)}, aiida_localhost))
    assert 'only_evaluate' not in train.ctx.inputs
    assert 'restart_folder' not in train.ctx.inputs


def test_a_checkpoint_that_cannot_be_read(train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer) -> None:
    """It was cut off: the training begins anew. An error without a checkpoint is DeePMD-kit's own."""
    failed = ended(DeepmdTrainCalculation.exit_codes.ERROR_TRAINING_FAILED, {}, aiida_localhost)
    assert train.leave_a_spoilt_checkpoint(failed) is None
    train.restart_interrupted(cut(100, aiida_localhost))
    assert train.leave_a_spoilt_checkpoint(failed).exit_code.status == 0
    assert 'restart_folder' not in train.ctx.inputs


def test_the_rate_is_not_halved_for_ever(train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer) -> None:
    """A loss that stays NaN is a failure."""
    job = ended(DeepmdTrainCalculation.exit_codes.ERROR_LOSS_NOT_FINITE, {}, aiida_localhost)
    assert [train.lower_learning_rate(job) is None for _ in range(5)] == [False] * 4 + [True]


def test_nan_after_an_interruption_keeps_the_parent(train: DeepmdBaseWorkChain, aiida_localhost: orm.Computer) -> None:
    """A fine-tuning must not start from random weights because its checkpoint was of no use."""
    parent = potential().store()
    train.ctx.parent = train.ctx.inputs.parent = parent
    remote = orm.RemoteData(remote_path='/tmp/nowhere', computer=aiida_localhost)
    code = DeepmdTrainCalculation.exit_codes.ERROR_TRAINING_INTERRUPTED
    train.restart_interrupted(
        ended(code, {'results': orm.Dict({'checkpoint_step': 1000}), 'remote_folder': remote}, aiida_localhost)
    )
    train.lower_learning_rate(ended(DeepmdTrainCalculation.exit_codes.ERROR_LOSS_NOT_FINITE, {}, aiida_localhost))
    assert train.ctx.inputs.parent.uuid == parent.uuid
    assert 'restart_folder' not in train.ctx.inputs
