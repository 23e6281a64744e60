"""The parameters of a label and the verdict on an AIMD."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sis.core.cp2k import verdict
from aiida_sis.core.cp2k.output import EnergySeries
from aiida_sis.core.settings import label


def series(temperatures, seconds=0.1):
    """Make a series of 1 fs steps."""
    count = len(temperatures)
    steps = np.arange(count)
    other = np.zeros(count)
    return EnergySeries(
        steps, steps * 1.0, other, np.array(temperatures, dtype=float), other, other, np.full(count, seconds)
    )


SETTINGS = label.read_label_settings({'timestep_fs': 1.0, 'length_fs': 9.0})


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({}, None),
        ({'max_seconds_per_step': None, 'dataset': {'stride': 5}}, None),
        ({'length': 10.0}, "did you mean 'length_fs'"),
        ({'optimisation': {'max_step': 10}}, "did you mean 'max_steps'"),
        ({'optimisation': 10}, 'give a dictionary of settings'),
        ({'length_fs': 0}, "0 of 'length_fs' in the label parameters is not valid: it must be above 0"),
        ({'timestep_fs': -1.0}, "-1.0 of 'timestep_fs'"),
        ({'temperature_k': None}, "None of 'temperature_k'"),
        ({'hot_sigmas': True}, "True of 'hot_sigmas'"),
        ({'length_fs': float('nan')}, 'give a finite number'),
        ({'length_fs': 0.2}, 'shorter than one timestep'),
        ({'optimisation': {'max_steps': 2.5}}, 'whole number'),
        ({'dataset': {'fractions': [0.5, 0.5]}}, "'dataset.fractions.2'"),
        ({'dataset': {'fractions': [0.5, 0.4, 0.3]}}, 'add up to 1'),
        ({'dataset': {'split': 'random'}}, "give 'shuffled' or 'blocks'"),
        ({'dataset': {'choice': 'entropy', 'max_frames': 20}}, None),
        ({'dataset': {'choice': 'best'}}, "'best' of 'dataset.choice'"),
        ({'dataset': {'choice': 'farthest_point'}}, 'give max_frames'),
        ({'dataset': {'choice': 'stride'}}, 'needs a spacing'),
        ({'dataset': {'choice': 'stride', 'stride': 3}}, None),
        ({'fixed_atoms': [3, 1]}, None),
        (
            {'fixed_atoms': [1, 1]},
            "[1, 1] of 'fixed_atoms' in the label parameters is not valid: a site is named more than once",
        ),
        ({'fixed_atoms': [-1]}, "-1 of 'fixed_atoms.0'"),
        ({'fixed_atoms': [0.5]}, 'whole number'),
        ({'fixed_atoms': 3}, 'give a list'),
    ],
)
def test_check_label_parameters(parameters, words):
    """One sentence that names the parameter and the remedy."""
    problem = label.check_label_parameters(parameters)
    assert problem is None if words is None else words in problem
    if words is not None:
        with pytest.raises(ValueError, match='parameters'):
            label.read_label_settings(parameters)


def test_check_start():
    """The elements are those of the run, the velocities those of the structure."""
    assert label.check_start(['Li', 'F'], 2, ['F', 'Li'], {'velocities': (2, 3)}) is None
    assert 'lacks' in label.check_start(['Li', 'F'], 2, ['F'], None)
    assert '(2, 3)' in label.check_start(['Li'], 2, ['Li'], {'velocities': (3, 3)})
    assert '(2, 3)' in label.check_start(['Li'], 2, ['Li'], {'v': (2, 3)})


def test_check_fixed_atoms():
    """They are sites of the structure, and leave enough to have a temperature."""
    assert label.check_start(['Li'], 4, ['Li'], fixed_atoms=(0, 1)) is None
    assert 'holds 4, 7, but the structure has the sites 0 to 3' in label.check_start(
        ['Li'], 4, ['Li'], fixed_atoms=(0, 4, 7)
    )
    assert 'holds 4 of the 4 atoms' in label.check_start(['Li'], 4, ['Li'], fixed_atoms=(0, 1, 2, 3))
    assert 'holds 3 of the 4 atoms' in label.check_start(['Li'], 4, ['Li'], fixed_atoms=(0, 1, 2))
    assert label.read_label_settings({'fixed_atoms': [3, 1]}).fixed_atoms == (1, 3)


def test_normal():
    """All frames count, and the initial one is no time."""
    found = verdict.judge('aimd_1', series([300.0] * 10), SETTINGS, 10)
    assert (found.verdict, found.reason) == ('normal', '')
    assert (found.n_frames, found.n_good_frames, found.last_good_step) == (10, 10, 9)
    assert found.aimd_fs == 9.0


def test_hot():
    """The frames before it left its ensemble are good; the time after that was computed all the same."""
    found = verdict.judge('aimd_1', series([300.0] * 4 + [2700.0] * 6), SETTINGS, 10)
    assert found.verdict == 'hot'
    assert '2700 K' in found.reason
    assert (found.n_good_frames, found.last_good_step) == (4, 3)
    assert found.aimd_fs == 9.0


def test_failed_and_hot():
    """A run that heated and then aborted has failed, and keeps what came before the heat."""
    found = verdict.judge('aimd_1', series([300.0, 300.0, 9000.0]), SETTINGS, 10, failure='The SCF did not converge.')
    assert (found.verdict, found.reason, found.n_good_frames) == ('failed', 'The SCF did not converge.', 2)


def test_failed_before_the_first_frame():
    """Nothing to judge, nothing to keep."""
    found = verdict.judge('aimd_1', series([]), SETTINGS, 10, failure='why')
    assert (found.verdict, found.n_good_frames, found.last_good_step, found.aimd_fs) == ('failed', 0, -1, 0.0)
    assert found.max_temperature_k is None


def test_unconverged():
    """A few frames without a converged SCF are left out, many are a failure."""
    few = verdict.judge('aimd_1', series([300.0] * 100), SETTINGS, 10, n_unconverged=2)
    many = verdict.judge('aimd_1', series([300.0] * 100), SETTINGS, 10, n_unconverged=20)
    assert (few.verdict, many.verdict) == ('normal', 'failed')
    assert '20 of 100' in many.reason
    assert verdict.judge('aimd_1', series([300.0] * 3), SETTINGS, 10, n_unconverged=1).verdict == 'normal'


def test_slow():
    """Over the budget, whether it came to its end or was stopped at it."""
    settings = label.read_label_settings({'timestep_fs': 1.0, 'length_fs': 9.0, 'max_seconds_per_step': 1.0})
    assert verdict.judge('aimd_1', series([300.0] * 10, seconds=2.0), settings, 10).verdict == 'slow'
    stopped = verdict.judge(
        'aimd_1', series([300.0] * 2, seconds=0.5), settings, 10, failure='out of time', ran_out_of_time=True
    )
    assert stopped.verdict == 'slow'
    assert verdict.judge('aimd_1', series([300.0] * 10), settings, 10).verdict == 'normal'
    assert settings.walltime_s == label.START_ALLOWANCE_S + 9.0
    assert SETTINGS.walltime_s is None


def test_queue_limit_says_nothing_of_the_structure():
    """Without a budget, an AIMD whose job was out of time gives its frames, and no optimisation follows."""
    found = verdict.judge(
        'aimd_1', series([300.0] * 8), SETTINGS, 10, failure='exceeded requested execution time', ran_out_of_time=True
    )
    assert found.verdict == 'normal'
    assert found.n_good_frames == 8
    assert 'cut short: the time of the job was up after 7 of 9 fs' in found.reason
    assert (found.asked_fs, found.aimd_fs, found.cut_short) == (9.0, 7.0, True)
    assert not verdict.judge('aimd_1', series([300.0] * 10), SETTINGS, 10).cut_short


def test_fixed_atoms_widen_the_band():
    """Fewer atoms that move fluctuate more: 500 K is far out for 30 of them and nothing for 3."""
    held = label.read_label_settings({'timestep_fs': 1.0, 'length_fs': 9.0, 'fixed_atoms': list(range(27))})
    temperatures = [300.0] * 9 + [600.0]
    assert verdict.judge('aimd_1', series(temperatures), SETTINGS, 30).verdict == 'hot'
    assert verdict.judge('aimd_1', series(temperatures), held, 30).verdict == 'normal'
    assert verdict.cp2k_degrees_of_freedom(64) == 189
    assert verdict.cp2k_degrees_of_freedom(64, 8) == 165


COOL, HOT = [300.0] * 10, [300.0] * 6 + [9000.0] * 4


@pytest.mark.parametrize(
    ('runs', 'heating'),
    [
        ([], 'normal'),
        ([(COOL, False)], 'normal'),
        ([(HOT, False), (COOL, True)], 'unphysical snapshot'),
        ([(HOT, False), (HOT, True)], 'possible exotherm'),
        ([(COOL, False), (HOT, True)], 'possible exotherm'),
        ([(HOT, True)], 'possible exotherm'),
        ([(HOT, False)], 'undecided'),
        ([(HOT, False), ([], True)], 'undecided'),
    ],
)
def test_what_heat_means(runs, heating):
    """The AIMD from the optimised snapshot is what tells an artefact from a reaction."""
    verdicts = [
        verdict.judge(f'aimd_{n}', series(temperatures), SETTINGS, 10, from_optimised=optimised)
        for n, (temperatures, optimised) in enumerate(runs, start=1)
    ]
    facts = verdict.describe(verdicts, optimise_first=False, optimisation=None)
    assert facts['heating'] == heating
    assert facts['possible_exotherm'] is (heating == 'possible exotherm')


def test_a_run_that_failed_of_its_heat_has_heated():
    """CP2K aborts sooner or later where atoms fly: that is heat all the same."""
    failed = verdict.judge('aimd_1', series(HOT), SETTINGS, 10, failure='The SCF did not converge.')
    assert failed.verdict == 'failed'
    assert verdict.judge_heating([failed]) == 'undecided'
