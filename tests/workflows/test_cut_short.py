"""Labels whose CP2K the machine cuts short, played by a stand-in that leaves what a killed CP2K leaves."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sis.workflows.label import LabelWorkChain
from tests.workflows.test_label import KILLED, LATE, NORMAL, inputs, restart, run, stage  # noqa: F401

pytestmark = pytest.mark.slow


def jobs_of(node: orm.WorkChainNode) -> list[orm.CalcJobNode]:
    """The CP2K jobs of a label in their order."""
    jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
    return sorted(jobs, key=lambda job: job.ctime)


def input_of(job: orm.CalcJobNode) -> dict:
    """The CP2K input of a job."""
    return job.inputs.parameters.get_dict()


def words(node: orm.ProcessNode) -> str:
    """All that a workchain and its parts reported."""
    nodes = [node, *node.called_descendants]
    return ' '.join(log.message for one in nodes for log in orm.Log.collection.get_logs_for(one))


@pytest.mark.parametrize('ending', [KILLED, LATE])
def test_an_aimd_goes_on_from_its_restart_file(stage, inputs, ending):  # noqa: F811
    """Killed or out of time: no optimisation, every step once, and the next job begins at the step of the file."""
    stage.aimd(NORMAL[:6], ending)
    stage.aimd(NORMAL[6:], first=6)
    outputs, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert results['route'] == 'direct'
    assert (results['aimd_fs'], results['kept_frames'], results['cut_short']) == (9.0, 10, False)
    assert outputs['trajectory'].get_stepids().tolist() == list(range(10))
    lengths = outputs['trajectory'].get_positions()[:, 1, 0]
    assert lengths[5] == pytest.approx(1.650)  # of the first job
    assert lengths[6] == pytest.approx(1.661)  # of the second
    first, second = jobs_of(node)
    assert not first.base.caching.is_valid_cache
    assert input_of(second)['MOTION']['MD']['STEPS'] == 4
    assert input_of(second)['EXT_RESTART'] == {'RESTART_FILE_NAME': 'aiida-continued.restart'}
    assert input_of(second)['FORCE_EVAL']['DFT']['WFN_RESTART_FILE_NAME'] == 'parent_calc/aiida-RESTART.wfn'
    assert second.inputs.parent_calc_folder.uuid == first.outputs.remote_folder.uuid
    assert 'STEP_START_VAL  5' in second.inputs.file.continued_from.get_content()


def test_a_restart_file_that_was_being_written(stage, inputs):  # noqa: F811
    """CP2K was killed in it: the one before is taken, and the step that is computed again is there once."""
    stage.aimd(NORMAL[:6], KILLED)
    half = stage.folder / 'aimd_1' / 'aiida-1.restart'
    half.write_text(half.read_text()[:120])
    (stage.folder / 'aimd_1' / 'aiida-1.restart.bak-1').write_text(restart(1.64, 4))
    stage.aimd(NORMAL[5:], first=5)
    outputs, _, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert outputs['trajectory'].get_stepids().tolist() == list(range(10))
    assert outputs['trajectory'].get_positions()[5, 1, 0] == pytest.approx(1.651)  # of the second job
    assert input_of(jobs_of(node)[1])['MOTION']['MD']['STEPS'] == 5


def test_nothing_to_go_on_from(stage, inputs):  # noqa: F811
    """Killed before the first step: the same job is run again, and it has the whole length."""
    stage.aimd([], KILLED)
    stage.aimd(NORMAL)
    outputs, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert (results['route'], results['kept_frames']) == ('direct', 10)
    assert outputs['trajectory'].get_stepids().tolist() == list(range(10))
    assert 'EXT_RESTART' not in input_of(jobs_of(node)[1])


def test_repeats_are_counted_against_progress(stage, inputs):  # noqa: F811
    """Killed five times, and never three times in a row at the same step: all frames, none twice."""
    stage.aimd(NORMAL[:3], KILLED)
    stage.aimd([], KILLED)
    stage.aimd([], KILLED)
    stage.aimd(NORMAL[3:5], KILLED, first=3)
    stage.aimd([], KILLED)
    stage.aimd(NORMAL[5:], first=5)
    outputs, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert outputs['trajectory'].get_stepids().tolist() == list(range(10))
    assert results['kept_frames'] == 10
    # A wave function that CP2K died on is not read again.
    assert ['parent_calc_folder' in job.inputs for job in jobs_of(node)] == [False, True, False, False, True, False]


def test_exit_420(stage, inputs):  # noqa: F811
    """Three in a row got nowhere: the machine is named, nothing is optimised, and the frames are a dataset."""
    stage.aimd(NORMAL[:6], KILLED)
    for _ in range(3):
        stage.aimd([], KILLED)
    outputs, results, node = run(inputs)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_CUT_SHORT.status
    assert 'The machine ended 3 jobs in a row' in node.exit_message
    assert 'Good frames kept: 6' in node.exit_message
    assert outputs['dataset'].n_frames == results['kept_frames'] == 6
    assert (results['route'], results['heating'], results['cut_short']) == ('direct', 'normal', True)
    assert [one['verdict'] for one in results['aimds']] == ['normal']


def test_killed_after_its_last_step(stage, inputs):  # noqa: F811
    """All frames are there: no second job is needed for the closing lines."""
    stage.aimd(NORMAL, KILLED)
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert len(jobs_of(node)) == 1
    assert results['kept_frames'] == 10


def test_an_optimisation_goes_on_from_its_last_structure(stage, inputs):  # noqa: F811
    """Killed in the middle; it is no failure of the geometry."""
    stage.optimisation(KILLED)
    stage.optimisation()
    stage.aimd(NORMAL)
    _, results, node = run(inputs, optimise_first=True)
    assert node.is_finished_ok, node.exit_message
    assert results['optimisation'] == {'converged': True, 'reason': ''}
    assert jobs_of(node)[1].inputs.structure.uuid == jobs_of(node)[0].outputs.output_structure.uuid


def test_a_full_disk_is_named(stage, inputs):  # noqa: F811
    """It is repeated like a kill; the report names the disk."""
    stage.aimd(NORMAL[:4], 'Fortran runtime error: No space left on device\n')
    stage.aimd(NORMAL[4:], first=4)
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert results['kept_frames'] == 10
    assert jobs_of(node)[0].exit_status == 311
    assert 'The disk of the work directory is full' in words(node)


def test_a_program_that_dies_by_its_own_fault_is_not_repeated(stage, inputs):  # noqa: F811
    """A structure can do that to CP2K: it is optimised, as after any failure."""
    stage.aimd(NORMAL[:4], 'Program received signal SIGSEGV: Segmentation fault\n')
    stage.optimisation()
    stage.aimd(NORMAL)
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert results['route'] == 'fallback'
    assert 'SIGSEGV' in results['reason']


def test_a_budget_is_not_stretched_over_another_job(stage, inputs):  # noqa: F811
    """Where the budget of a step is what stopped CP2K, the AIMD is slow, as before."""
    stage.aimd(NORMAL[:4], LATE, seconds=9.0)
    stage.optimisation()
    stage.aimd(NORMAL)
    _, results, node = run(inputs, max_seconds_per_step=1.0)
    assert node.is_finished_ok, node.exit_message
    assert [one['verdict'] for one in results['aimds']] == ['slow', 'normal']
