"""The branches of a replay, played by a stand-in for CP2K that leaves prepared files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aiida import engine, orm

from aiida_sis.workflows.replay import MAX_JOBS_WITHOUT_FRAME, ReplayWorkChain

pytestmark = pytest.mark.slow

LEVEL = {
    'FORCE_EVAL': {
        'METHOD': 'QUICKSTEP',
        'DFT': {'QS': {'METHOD': 'XTB'}, 'SCF': {'OT': {'MINIMIZER': 'DIIS'}}},
    }
}
DONE = ' PROGRAM STOPPED IN /tmp\n'
KILLED = ' SCF WAVEFUNCTION OPTIMIZATION\n'
ABORT = """
 *******************************************************************************
 * [ABORT]                                                                     *
 *  \\___/                          xTB Charges                                 *
 *******************************************************************************
"""
UNKNOWN = ABORT.replace('xTB Charges', 'found an unknown keyword {} in section REFTRAJ')
HEADER = ' CP2K| version string:                                       CP2K version {}\n'
WARNING = ' *** WARNING in qs_scf.F:601 :: SCF run NOT converged ***\n'
PLAYER = """#!/bin/bash
# Plays CP2K: leaves the files of the next prepared run, and remembers the frame it was asked to start from.
grep FIRST_SNAPSHOT aiida.inp >> {folder}/asked
grep -c STEPSIZE aiida.inp >> {folder}/careful
grep -o '^ *EVAL[A-Z_]*' aiida.inp | head -1 >> {folder}/keywords
number=$(wc -l < {folder}/asked)
cp {folder}/run_$number/aiida-* . 2>/dev/null
cat {folder}/run_$number/output
"""


def length(number: int) -> float:
    """Bond length of a frame in Å."""
    return 1.5 + 0.05 * number


def block(number: int, value: float, x: float) -> str:
    """One frame of LiF as CP2K writes it, its numbers from 1."""
    comment = f' i = {number + 1}, time = 0.000, E = {value:.10f}'
    return f'2\n{comment}\n Li 0.0 0.0 0.0\n F {x:.10f} 0.0 0.0\n'


class Stage:
    """A folder of prepared runs.

    :param folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.n_runs = 0

    def run(
        self, numbers: list[int], output: str = DONE, *, unconverged: tuple[int, ...] = (), n_told: int | None = None
    ) -> None:
        """Prepare a run that computes these frames and ends with that output; frame −1 is the one CP2K starts from.

        Its output has the energies of the first `n_told` frames, or of all.
        """
        self.n_runs += 1
        run = self.folder / f'run_{self.n_runs}'
        run.mkdir()
        values = [-1.0 - 0.01 * number for number in numbers]
        lines = [
            (WARNING if number in unconverged else '')
            + f' ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]: {value:.12f}\n'
            for number, value in zip(numbers, values, strict=True)
        ]
        (run / 'output').write_text(''.join(lines[:n_told]) + output)
        if not numbers:
            return
        xs = [length(number) for number in numbers]
        (run / 'aiida-pos-1.xyz').write_text(''.join(map(block, numbers, values, xs)))
        (run / 'aiida-frc-1.xyz').write_text(''.join(map(block, numbers, values, [0.01 * n for n in numbers])))
        cell = '6.0 0.0 0.0 0.0 6.0 0.0 0.0 0.0 6.0 216.0'
        (run / 'aiida-1.cell').write_text('# cells\n' + ''.join(f'{n + 1} 0.0 {cell}\n' for n in numbers))
        rows = [f'{n + 1} 0.0 0.0 0.0 {value} 0.0 0.5\n' for n, value in zip(numbers, values, strict=True)]
        (run / 'aiida-1.ener').write_text('# energies\n' + ''.join(rows))

    def starts(self) -> list[int]:
        """The frames that the runs were asked to start from, from 1 as CP2K counts."""
        return [int(line.split()[-1]) for line in (self.folder / 'asked').read_text().splitlines()]

    def keywords(self) -> list[str]:
        """The keywords by which the runs were asked for energies and forces."""
        return (self.folder / 'keywords').read_text().split()

    def careful(self) -> list[bool]:
        """Whether the runs were asked for short first steps."""
        return [line != '0' for line in (self.folder / 'careful').read_text().splitlines()]


@pytest.fixture
def stage(tmp_path) -> Stage:
    """An empty stage."""
    return Stage(tmp_path)


def frames(n_frames: int = 6, step: int = 10, nearest: float = length(0)) -> orm.TrajectoryData:
    """Frames of an MD with its own step ids and velocities; the bond of the first has the length `nearest` in Å."""
    positions = np.zeros((n_frames, 2, 3))
    positions[:, 1, 0] = [nearest, *(length(number) for number in range(1, n_frames))]
    node = orm.TrajectoryData()
    node.set_trajectory(
        symbols=['Li', 'F'],
        positions=positions,
        cells=np.tile(np.eye(3) * 6.0, (n_frames, 1, 1)),
        stepids=np.arange(n_frames) * step,
        velocities=np.ones((n_frames, 2, 3)),
        pbc=(True, True, True),
    )
    return node


@pytest.fixture
def inputs(stage, aiida_localhost) -> dict:
    """The inputs of a replay of LiF by the stand-in."""
    player = stage.folder / 'player.sh'
    player.write_text(PLAYER.format(folder=stage.folder))
    player.chmod(0o755)
    code = orm.InstalledCode(
        label='player', computer=aiida_localhost, filepath_executable=str(player), default_calc_job_plugin='cp2k'
    ).store()
    return {
        'frames': frames(),
        'type_map': orm.List(['Li', 'F']),
        'seed': orm.Int(1),
        'parameters': orm.Dict({'label': 'lif'}),
        'cp2k': {
            'cp2k': {
                'code': code,
                'parameters': orm.Dict(LEVEL),
                'metadata': {
                    'options': {
                        'withmpi': False,
                        'resources': {'num_machines': 1},
                        'max_wallclock_seconds': 600,
                    }
                },
            }
        },
    }


def run(inputs: dict):
    """Run a replay and give its outputs, its results and its node."""
    outputs, node = engine.run_get_node(ReplayWorkChain, **inputs)
    return outputs, outputs['results'].get_dict() if 'results' in outputs else {}, node


def test_all_frames_and_the_one_that_cp2k_begins_with(stage, inputs):
    """One job; a frame that was not asked for is no label."""
    stage.run([-1, 0, 1, 2, 3, 4, 5])
    outputs, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert (results['route'], results['kept_frames'], results['n_single_points']) == ('replay', 6, 7)
    assert (results['aimd_fs'], results['max_temperature_k'], results['possible_exotherm']) == (0.0, None, False)
    assert (results['seconds_per_step'], results['wall_seconds']) == (0.5, 3.5)
    assert (results['failed_frames'], results['frames_not_computed']) == ({}, [])
    assert outputs['trajectory'].get_stepids().tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(outputs['trajectory'].get_array('forces')[:, 1, 0], 0.01 * np.arange(6))
    assert outputs['dataset'].label == 'lif'
    labels = {link.link_label for link in node.base.links.get_outgoing().all()}
    assert {'prepared', 'replay_1_input', 'replay_1', 'replay_1_frames', 'dataset', 'summary'} <= labels


def test_frames_that_are_numbered_already_are_not_copied(stage, inputs):
    """The job gets the very node that was given."""
    inputs['frames'] = frames(step=1)
    stage.run([0, 1, 2, 3, 4, 5])
    _, _, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    job = next(child for child in node.called_descendants if isinstance(child, orm.CalcJobNode))
    assert job.inputs.trajectory.uuid == node.inputs.frames.uuid


def test_spoilt_unconverged_and_interrupted(stage, inputs):
    """The frame that CP2K aborts at twice is left out, a job that was killed is taken up where it was."""
    stage.run([0, 1], ABORT, unconverged=(1,))
    stage.run([], ABORT)
    stage.run([3], KILLED)
    stage.run([4, 5])
    outputs, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert stage.starts() == [1, 3, 4, 5]
    assert list(results['failed_frames']) == ['2']
    assert 'atomic charges' in results['failed_frames']['2']
    assert 'geometry' not in results['failed_frames']['2']
    assert (results['unconverged_frames'], results['frames_not_computed']) == ([1], [])
    assert outputs['trajectory'].get_stepids().tolist() == [0, 3, 4, 5]
    assert (results['n_offered'], results['kept_frames'], results['n_single_points']) == (6, 4, 5)


def test_a_frame_has_a_second_try(stage, inputs):
    """Where the SCF went astray it begins with shorter steps, for that frame and those after it: nothing is lost."""
    stage.run([0, 1], ABORT)
    stage.run([2, 3, 4, 5])
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert (stage.starts(), stage.careful()) == ([1, 3], [False, True])
    assert (results['failed_frames'], results['kept_frames'], results['reason']) == ({}, 6, '')


def test_a_second_try_that_is_interrupted(stage, inputs):
    """A job that ran out of time before its frame says nothing of the frame: it is tried again, as carefully."""
    stage.run([0, 1], ABORT)
    stage.run([], KILLED)
    stage.run([2], ABORT)
    stage.run([4, 5])
    _, results, _ = run(inputs)
    assert (stage.starts(), stage.careful()) == ([1, 3, 3, 5], [False, True, True, True])
    assert list(results['failed_frames']) == ['3']


def test_what_the_output_does_not_mention_is_computed_again(stage, inputs):
    """A job that was killed leaves frames that its output had not reached: whether their SCF converged nobody knows."""
    stage.run([0, 1, 2, 3], KILLED, n_told=2)
    stage.run([2, 3, 4, 5])
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert stage.starts() == [1, 3]
    assert (results['kept_frames'], results['unconverged_frames'], results['n_single_points']) == (6, [], 6)


def test_an_output_of_another_kind(stage, inputs):
    """Nothing is learnt on trust."""
    stage.run([0, 1, 2, 3, 4, 5], n_told=0)
    outputs, _, node = run(inputs)
    assert node.exit_status == ReplayWorkChain.exit_codes.ERROR_NO_GOOD_FRAMES.status
    assert 'aiida.out has no energy of its frames' in node.exit_message
    assert 'dataset' not in outputs


def test_geometry_is_named_where_it_is_at_fault(stage, inputs):
    """Only distances that no bond has make an SCF that failed the fault of the frame."""
    inputs['frames'] = frames(3, nearest=0.7)
    for numbers in ([], [], [1, 2]):
        stage.run(numbers, DONE if numbers else ABORT)
    _, results, _ = run(inputs)
    assert 'The geometry is at fault: two atoms are at 0.38 of' in results['failed_frames']['0']


@pytest.mark.parametrize(
    ('version', 'keyword'), [('2023.1', 'EVAL_ENERGY_FORCES'), ('2025.1', 'EVAL'), ('2026.2', 'EVAL')]
)
def test_the_keyword_follows_the_version(stage, inputs, version, keyword):
    """The newest job of the code tells it; a code that has not run yet takes the keyword that most versions know."""
    for _ in range(2):
        stage.run([0, 1, 2, 3, 4, 5], HEADER.format(version) + DONE)
    for _ in range(2):
        node = run(inputs)[2]
        assert node.is_finished_ok, node.exit_message
    assert stage.keywords() == ['EVAL_ENERGY_FORCES', keyword]


def test_the_other_keyword_where_the_first_is_unknown(stage, inputs):
    """One short job finds out; a second refusal is none of the keyword, and no try of a frame is lost by the first."""
    stage.run([], UNKNOWN.format('EVAL_ENERGY_FORCES'))
    stage.run([0, 1], HEADER.format('2026.2') + ABORT)
    stage.run([2, 3, 4, 5])
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert stage.keywords() == ['EVAL_ENERGY_FORCES', 'EVAL', 'EVAL']
    assert (stage.careful(), results['kept_frames']) == ([False, False, True], 6)


def test_exit_403(stage, inputs):
    """Where nothing can be labelled, jobs are not tried for ever."""
    for _ in range(MAX_JOBS_WITHOUT_FRAME + 1):
        stage.run([], ABORT)
    outputs, results, node = run(inputs)
    assert node.exit_status == ReplayWorkChain.exit_codes.ERROR_NO_GOOD_FRAMES.status
    assert 'atomic charges' in node.exit_message
    assert 'dataset' not in outputs
    assert len(results['failed_frames']) == MAX_JOBS_WITHOUT_FRAME
    assert results['frames_not_computed'] == [3, 4, 5]


def test_exit_420(stage, inputs):
    """The machine ended job after job before a frame was labelled: it is named, and no frame is at fault."""
    for _ in range(MAX_JOBS_WITHOUT_FRAME + 1):
        stage.run([], KILLED)
    _, results, node = run(inputs)
    assert node.exit_status == ReplayWorkChain.exit_codes.ERROR_CUT_SHORT.status
    assert 'killed' in node.exit_message
    assert (results['failed_frames'], len(results['frames_not_computed'])) == ({}, 6)


def test_interruptions_are_counted_against_frames(stage, inputs):
    """A job that labels a frame wipes out those that were ended before one, however many there are."""
    for number in range(6):
        stage.run([], KILLED)
        stage.run([number], KILLED if number < 5 else DONE)
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert results['kept_frames'] == 6


def test_exit_301(inputs, monkeypatch):
    """Jobs whose files can't be had leave nothing to read."""

    def refuse(*_: object) -> None:
        raise OSError('the disk is full')

    monkeypatch.setattr('aiida_cp2k.calculations.Cp2kCalculation.prepare_for_submission', refuse)
    _, results, node = run(inputs)
    assert node.exit_status == ReplayWorkChain.exit_codes.ERROR_NO_OUTPUT.status
    assert results['kept_frames'] == 0


@pytest.mark.parametrize(
    ('changes', 'status', 'words'),
    [
        ({'type_map': ['Li']}, 201, 'holds F'),
        ({'level': {'FORCE_EVAL': {'METHOD': 'FIST'}}}, 202, 'no CHARGE for F, Li'),
        ({'level': {'FORCE_EVAL': {'DFT': {'QS': {'METHOD': 'XTB'}, 'CHARGE': -1}}}}, 202, 'set UKS true'),
    ],
)
def test_exit_201_and_202(inputs, changes, status, words):
    """Elements must be those of the run, and the level of theory must cover them."""
    if 'type_map' in changes:
        inputs['type_map'] = orm.List(changes['type_map'])
    else:
        inputs['cp2k']['cp2k']['parameters'] = orm.Dict(changes['level'])
    _, _, node = run(inputs)
    assert node.exit_status == status
    assert words in node.exit_message
    assert not node.called
