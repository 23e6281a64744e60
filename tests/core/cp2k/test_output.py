"""Reading CP2K: every job was run by 2023.1 and by 2025.1, whose lines differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aiida_sis.core.cp2k import output as cp2k_output
from aiida_sis.core.cp2k.abort import abort_reason

FILES = Path(__file__).parents[2] / 'files' / 'cp2k'
VERSIONS = ('2023.1', '2025.1')
WARNING = ' *** WARNING in qs_scf.F:609 :: SCF run NOT converged ***\n'


def text(case: str, name: str) -> str:
    """Read a file of a job, empty where it left none."""
    path = FILES / case / name
    return path.read_text() if path.exists() else ''


def frames(case: str) -> cp2k_output.AimdFrames:
    """Read the frames of a job."""
    names = ('aiida-pos-1.xyz', 'aiida-frc-1.xyz', 'aiida-1.cell', 'aiida.out')
    return cp2k_output.read_frames(*(text(case, name) for name in names))


JOBS = [
    # job, evaluations, first step, frames of which the SCF is known, of which it converged
    ('2023.1/xtb-aimd', 11, 0, 11, 11),
    ('2025.1/xtb-aimd', 11, 0, 11, 11),
    ('2023.1/pbe-dimer-aimd', 4, 0, 4, 4),
    ('2025.1/pbe-dimer-aimd', 4, 0, 4, 4),
    ('2023.1/xtb-reftraj-from-3', 2, 3, 2, 2),
    ('2025.1/xtb-reftraj-from-3', 2, 3, 2, 2),
    ('2023.1/unconverged-some', 7, 0, 7, 6),
    ('2025.1/unconverged-some', 0, None, 0, 0),
    ('2023.1/unconverged-ignored', 0, None, 0, 0),
    ('2025.1/unconverged-ignored', 7, 0, 7, 6),
    ('2023.1/walltime', 2, 0, 1, 0),
    ('2025.1/walltime', 21, 0, 20, 20),
    ('2023.1/walltime-first-scf', 2, 0, 1, 0),
    ('2025.1/walltime-first-scf', 2, 0, 1, 0),
    ('2023.1/walltime-reftraj', 1, None, 0, 0),
    ('2025.1/walltime-reftraj', 1, None, 0, 0),
    ('2023.1/xtb-aimd-exit-file', 27, 0, 26, 26),
    ('2025.1/xtb-aimd-exit-file', 11, 0, 10, 10),
    ('2025.1/xtb-aimd-killed', 9, 0, 9, 9),
]


@pytest.mark.parametrize(('job', 'evaluations', 'first', 'known', 'converged'), JOBS)
def test_jobs_of_both_versions(job, evaluations, first, known, converged):
    """What was computed, what of it is in all files, and which frames are fit to be learnt."""
    found = frames(job)
    assert cp2k_output.count_evaluations(text(job, 'aiida.out')) == evaluations
    assert (found.steps[0] if len(found.steps) else None) == first
    assert (int(found.known.sum()), int(found.converged.sum())) == (known, converged)
    assert np.isfinite(found.energies).all()
    assert np.isfinite(found.forces).all()
    assert found.forces.shape == found.positions.shape
    series = cp2k_output.read_ener(text(job, 'aiida-1.ener'))
    shared = np.isin(series.steps, found.steps)
    np.testing.assert_allclose(series.potential[shared], found.energies[: shared.sum()], atol=1e-8)


@pytest.mark.parametrize('job', ['xtb-aimd', 'pbe-dimer-aimd', 'xtb-reftraj-from-3'])
def test_both_versions_read_alike(job):
    """The same input has the same frames, whatever the lines of the output look like."""
    old, new = (frames(f'{version}/{job}') for version in VERSIONS)
    assert old.symbols == new.symbols
    np.testing.assert_array_equal(old.steps, new.steps)
    np.testing.assert_allclose(old.energies, new.energies, atol=1e-7)
    np.testing.assert_allclose(old.forces, new.forces, atol=1e-5)
    np.testing.assert_allclose(old.cells, new.cells)


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize(
    ('job', 'reason'),
    [
        ('xtb-aimd', None),
        ('xtb-aimd-exit-file', None),
        ('walltime', 'CP2K ran out of its wall time.'),
        ('abort-charges', 'The SCF failed: in it the atomic charges of xTB left their range ('),
        ('abort-keyword', 'CP2K aborted: found an unknown keyword FOO in section SCF'),
        ('xtb-geo-opt-max-iter', None),
    ],
)
def test_why_it_stopped(version, job, reason):
    """The reasons are told alike by both."""
    found = abort_reason(text(f'{version}/{job}', 'aiida.out'))
    assert found is reason is None or found.startswith(reason)


def test_an_scf_that_does_not_converge_names_the_remedy():
    """From 2024.1 on it costs the whole AIMD: CP2K aborts."""
    reason = abort_reason(text('2025.1/unconverged-some', 'aiida.out'))
    assert reason.startswith('The SCF did not converge: ')
    for remedy in ('OUTER_SCF', 'MAX_SCF', 'SMEAR', 'IGNORE_CONVERGENCE_FAILURE'):
        assert remedy in reason
    assert 'killed' in abort_reason(text('2025.1/xtb-aimd-killed', 'aiida.out'))


@pytest.mark.parametrize(
    ('charge', 'remedy'),
    [(' 1.06', 'CHECK_ATOMIC_CHARGES false'), ('-2.72', 'STEPSIZE 0.03'), ('2.37', 'CHECK_ATOMIC_CHARGES false')],
    ids=['salt', 'overshot', 'perchlorate'],
)
def test_charges_of_xtb_are_not_called_geometry(charge, remedy):
    """A perfect crystal of NaCl has charges a hundredth beyond CP2K's limit: that is the method."""
    line = f' Charge outside chemical range:  Kind Atom=  1     1   Limit=1.05  Charge= {charge}\n'
    reason = abort_reason(line + ' * [ABORT]\n *  \\___/    xTB Charges   *\n ****\n')
    assert remedy in reason
    assert charge.strip() in reason
    assert 'geometry' not in reason


@pytest.mark.parametrize('version', VERSIONS)
def test_version_and_clock(version):
    """Both say what they are and how long they took."""
    output = text(f'{version}/xtb-aimd', 'aiida.out')
    assert cp2k_output.read_version(output) == version
    assert 5 < cp2k_output.wall_seconds(output) < 600
    assert cp2k_output.read_version(text(f'{version}/abort-keyword', 'aiida.out')) is None


def step(number: int, unit: str, *, extra: str = '', warning: str = '') -> str:
    """What CP2K prints of a step at the print level of the package."""
    return f'{warning}\n ENERGY| Total FORCE_EVAL ( QS ) energy {unit} {-1.0 - number:26.15f}\n{extra}'


SIRIUS = (
    '\n ENERGY| Total FORCE_EVAL ( QS ) gap [hartree]             0.012345678901234\n'
    '\n ENERGY| Total FORCE_EVAL ( QS ) free energy [hartree]     -9.012345678901234\n'
)


@pytest.mark.parametrize(
    ('unit', 'extra'),
    [('(a.u.):', ''), ('[a.u.]:', ''), ('[hartree]', ''), ('[hartree]', SIRIUS)],
    ids=['7.1', '2023.1', '2025.1', '2025.1 with SIRIUS'],
)
@pytest.mark.parametrize('warning', [WARNING, ' SCF not converged! \n'], ids=['SCF', 'LS_SCF'])
def test_one_energy_a_step(unit, extra, warning):
    """The lines of a gap and of a free energy are no energies; the warning belongs to the step that follows it."""
    output = ''.join(step(n, unit, extra=extra, warning=warning if n == 1 else '') for n in range(3))
    energies, converged = cp2k_output.read_evaluations(output)
    assert energies.tolist() == [-1.0, -2.0, -3.0]
    assert converged.tolist() == [True, False, True]


@pytest.mark.parametrize(
    'change',
    [
        lambda output: output.replace('[hartree]', '[eV]').replace('-39.', '-1085.'),
        lambda output: output.replace('ENERGY| Total', 'ENERGIES: total'),
        lambda output: '',
    ],
    ids=['another unit', 'a line of a version to come', 'no output'],
)
def test_what_the_output_does_not_tell_is_not_learnt(change):
    """A frame counts as converged only by its own energy in the output: nothing is taken on trust."""
    names = ('aiida-pos-1.xyz', 'aiida-frc-1.xyz', 'aiida-1.cell')
    output = change(text('2025.1/unconverged-ignored', 'aiida.out'))
    found = cp2k_output.read_frames(*(text('2025.1/unconverged-ignored', name) for name in names), output)
    assert len(found.steps) == 7
    assert not found.known.any()
    assert not found.converged.any()


def test_jobs_of_a_replay_are_joined():
    """Each frame once, as the last job has it, under its own number; what the output does not tell is not computed."""
    run = frames('2025.1/xtb-reftraj-from-3')
    asked = np.concatenate([np.zeros((2, *run.positions.shape[1:])), run.positions])
    again = replace(run, energies=run.energies + 1.0).take(np.array([1]))
    joined = cp2k_output.join_replay([run, again], asked)
    assert joined.steps.tolist() == [2, 3]
    assert joined.energies.tolist() == [run.energies[0], run.energies[1] + 1.0]
    untold = replace(run, known=np.array([True, False]))
    assert cp2k_output.join_replay([untold], asked).steps.tolist() == [2]
    assert cp2k_output.join_replay([untold], asked + 1.0).steps.tolist() == []
