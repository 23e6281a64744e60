"""CP2K's input and output, against files that CP2K 2023.1 wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_deepmd.units import ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS
from aiida_sis.core.cp2k import input as cp2k
from aiida_sis.core.cp2k import output as cp2k_output
from aiida_sis.core.cp2k.abort import abort_reason

FILES = Path(__file__).parents[2] / 'files' / 'cp2k'
XTB = {'FORCE_EVAL': {'METHOD': 'QUICKSTEP', 'DFT': {'QS': {'METHOD': 'XTB'}, 'SCF': {'EPS_SCF': 1e-6}}}}
KIND_LI = {'_': 'Li', 'BASIS_SET': 'DZVP-MOLOPT-SR-GTH-q3', 'POTENTIAL': 'GTH-PBE-q3'}
AIMD = {'n_steps': 10, 'timestep_fs': 1.0, 'temperature_k': 300.0, 'time_constant_fs': 50.0, 'seed': 3}


def text(case: str, name: str) -> str:
    """Read one of the files of a run."""
    return (FILES / case / name).read_text()


def frames(case: str) -> cp2k_output.AimdFrames:
    """Read the frames of a run."""
    return cp2k_output.read_frames(
        text(case, 'aiida-pos-1.xyz'),
        text(case, 'aiida-frc-1.xyz'),
        text(case, 'aiida-1.cell'),
        text(case, 'aiida.out'),
    )


def test_aimd_input():
    """Every frame, force and cell is printed; the level of theory stays as it was."""
    tree = cp2k.aimd_input(XTB, **AIMD, walltime_s=99.6)
    assert tree['GLOBAL']['RUN_TYPE'] == 'MD'
    assert tree['GLOBAL']['WALLTIME'] == 100
    assert tree['MOTION']['MD']['THERMOSTAT'] == {'TYPE': 'CSVR', 'CSVR': {'TIMECON': 50.0}}
    for name in ('TRAJECTORY', 'FORCES', 'CELL', 'RESTART'):
        assert tree['MOTION']['PRINT'][name]['EACH'] == {'MD': 1}
    assert tree['FORCE_EVAL']['DFT']['SCF']['EPS_SCF'] == 1e-6
    assert 'SUBSYS' not in tree['FORCE_EVAL']
    assert 'MOTION' not in XTB


def test_user_keeps_the_print_level():
    """The quiet print level is only a default."""
    tree = cp2k.aimd_input({**XTB, 'GLOBAL': {'PRINT_LEVEL': 'MEDIUM'}}, **AIMD)
    assert tree['GLOBAL']['PRINT_LEVEL'] == 'MEDIUM'


def test_velocities_are_in_atomic_units():
    """One line an atom; one atomic unit of velocity is 21 877 Å/ps."""
    lines = cp2k.aimd_input(XTB, **AIMD, velocities=np.array([[ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS, 0.0, -1.0]]))[
        'FORCE_EVAL'
    ]['SUBSYS']['VELOCITY']['']
    values = [float(word) for word in lines[0].split()]
    assert values == pytest.approx([1.0, 0.0, -1.0 / ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS], rel=1e-10)


def test_optimisation_input():
    """The limit of the force is in eV/Å outside and hartree/bohr inside; only xTB has charges to leave unchecked."""
    tree = cp2k.optimisation_input(XTB, max_steps=7, max_force=0.05)
    assert tree['MOTION']['GEO_OPT']['MAX_ITER'] == 7
    assert float(tree['MOTION']['GEO_OPT']['MAX_FORCE']) == pytest.approx(9.723e-4, rel=1e-3)
    assert tree['FORCE_EVAL']['DFT']['QS']['XTB'] == {'CHECK_ATOMIC_CHARGES': False}
    fist = cp2k.optimisation_input({'FORCE_EVAL': {'METHOD': 'FIST'}}, max_steps=7, max_force=0.05)
    assert 'DFT' not in fist['FORCE_EVAL']


def test_fixed_atoms():
    """They are counted from 1 in CP2K, in ranges, in both motions; a velocity of theirs is dropped."""
    tree = cp2k.aimd_input(XTB, **AIMD, velocities=np.ones((9, 3)), fixed_atoms=(0, 1, 2, 5, 7, 8))
    assert tree['MOTION']['CONSTRAINT'] == {'FIXED_ATOMS': {'LIST': '1..3 6 8..9'}}
    lines = tree['FORCE_EVAL']['SUBSYS']['VELOCITY']['']
    still = [number for number, line in enumerate(lines) if not any(map(float, line.split()))]
    assert still == [0, 1, 2, 5, 7, 8]
    optimisation = cp2k.optimisation_input(XTB, max_steps=7, max_force=0.05, fixed_atoms=[4])
    assert optimisation['MOTION']['CONSTRAINT'] == {'FIXED_ATOMS': {'LIST': '5'}}
    assert 'CONSTRAINT' not in cp2k.aimd_input(XTB, **AIMD)['MOTION']


def test_replay_input():
    """Each frame is a single point: the user's motion is left out, and every SCF starts afresh."""
    fixed = {**XTB, 'MOTION': {'CONSTRAINT': {'FIXED_ATOMS': {'LIST': '1'}}}}
    tree = cp2k.replay_input(fixed, n_frames=12, first_frame=4, walltime_s=99.6)
    assert 'CONSTRAINT' not in tree['MOTION']
    assert (tree['MOTION']['MD']['ENSEMBLE'], tree['MOTION']['MD']['STEPS']) == ('REFTRAJ', 8)
    frames = tree['MOTION']['MD']['REFTRAJ']
    assert (frames['FIRST_SNAPSHOT'], frames['LAST_SNAPSHOT']) == (5, 12)
    assert 'CELL_FILE_NAME' not in frames
    assert tree['FORCE_EVAL']['DFT']['QS'] == {'METHOD': 'XTB', 'EXTRAPOLATION': 'USE_GUESS'}
    assert tree['GLOBAL']['WALLTIME'] == 100
    variable = cp2k.replay_input({'FORCE_EVAL': {'METHOD': 'FIST'}}, n_frames=2, variable_cell=True)
    assert variable['MOTION']['MD']['REFTRAJ']['CELL_FILE_NAME'] == 'aiida-reftraj.cell'
    assert 'DFT' not in variable['FORCE_EVAL']


@pytest.mark.parametrize(
    ('dft', 'scf'),
    [
        ({'QS': {'EXTRAPOLATION': 'ASPC', 'EXTRAPOLATION_ORDER': 3}}, {}),
        ({'KPOINTS': {'SCHEME': 'GAMMA'}, 'QS': {'EXTRAPOLATION': 'USE_PREV_P'}}, {}),
        (
            {'SCF': {'SCF_GUESS': 'RESTART', 'MAX_SCF': 9, 'MAX_SCF_HISTORY': 2, 'EPS_SCF_HISTORY': 1e-3}},
            {'MAX_SCF': 9},
        ),
        ({'SCF': {'SCF_GUESS': 'history_restart'}}, {}),
        ({'SCF': {'SCF_GUESS': 'MOPAC'}}, {'SCF_GUESS': 'MOPAC'}),
        ({'SCF': {'SCF_GUESS': 'RESTART'}, 'WFN_RESTART_FILE_NAME': 'my.wfn'}, {'SCF_GUESS': 'RESTART'}),
    ],
)
def test_no_frame_of_a_replay_knows_the_frame_before(dft, scf):
    """What makes an AIMD fast is wrong for frames far apart: extrapolation, restart file, limits of a history."""
    made = cp2k.replay_input({'FORCE_EVAL': {'DFT': dft}}, n_frames=2)['FORCE_EVAL']['DFT']
    assert made['QS']['EXTRAPOLATION'] == 'USE_GUESS'
    assert {key: value for key, value in made['SCF'].items() if key != 'PRINT'} == scf


def test_careful_replay_that_diagonalises():
    """It mixes little, and DIIS sets in later; the first try is as the user has it."""
    scf = {'DIAGONALIZATION': {}, 'MIXING': {'METHOD': 'DIRECT_P_MIXING', 'ALPHA': 0.2}, 'EPS_DIIS': 1.0}
    level = {'FORCE_EVAL': {'DFT': {'SCF': scf}}}
    made = [cp2k.replay_input(level, n_frames=2, careful=careful)['FORCE_EVAL']['DFT']['SCF'] for careful in (0, 1)]
    for one in made:
        one.pop('PRINT', None)
    assert made[0] == scf
    assert made[1] == scf | {'MIXING': {'METHOD': 'DIRECT_P_MIXING', 'ALPHA': 0.05}, 'EPS_DIIS': 0.01}


def test_careful_replay():
    """The second try takes shorter first steps, where the SCF has any."""
    scf = {'OT': {'MINIMIZER': 'DIIS'}, 'EPS_SCF': 1e-6}
    level = {'FORCE_EVAL': {'DFT': {'SCF': scf}}}
    made = [cp2k.replay_input(level, n_frames=2, careful=careful)['FORCE_EVAL']['DFT']['SCF'] for careful in (0, 1)]
    assert [one['OT'] for one in made] == [{'MINIMIZER': 'DIIS'}, {'MINIMIZER': 'DIIS', 'STEPSIZE': 0.03}]
    assert 'OT' not in cp2k.replay_input(XTB, n_frames=2, careful=True)['FORCE_EVAL']['DFT']['SCF']


def test_cost():
    """What CP2K computed and how long it took, by its own account."""
    output = text('finished', 'aiida.out')
    assert cp2k_output.count_evaluations(output) == 5
    series = cp2k_output.read_ener(text('finished', 'aiida-1.ener'))
    assert series.seconds.sum() < cp2k_output.wall_seconds(output) < 600
    assert cp2k_output.wall_seconds(text('truncated', 'aiida.out')) is None


def test_a_label_never_gets_to_another_frame():
    """Frames are told by CP2K's number and by their place; what is not one of those asked for is none."""
    run = frames('finished')
    asked = run.positions[1:4]
    assert cp2k_output.match_frames(run, asked).tolist() == [-1, 0, 1, 2, -1]
    assert cp2k_output.match_frames(run, asked[::-1]).tolist() == [-1, -1, 1, -1, -1]
    assert cp2k_output.match_frames(run, asked[:, :-1]).tolist() == [-1] * 5
    nothing = cp2k_output.read_frames('', '', '', '')
    assert cp2k_output.match_frames(nothing, asked).tolist() == []


@pytest.mark.parametrize(
    ('parameters', 'elements', 'words'),
    [
        (XTB, ['Li', 'F', 'Rn'], None),
        (XTB, ['Li', 'U'], 'GFN1-xTB has no parameters for U'),
        ({'FORCE_EVAL': {'SUBSYS': {'KIND': KIND_LI}}}, ['Li'], None),
        ({'FORCE_EVAL': {'SUBSYS': {'KIND': [KIND_LI]}}}, ['Li', 'F'], 'no BASIS_SET for F'),
        ({'FORCE_EVAL': {'SUBSYS': {'KIND': [{'_': 'Li1', 'BASIS_SET': 'DZVP'}]}}}, ['Li'], 'no POTENTIAL for Li'),
        ({'FORCE_EVAL': {'SUBSYS': {'KIND': [{**KIND_LI, '_': 'X', 'ELEMENT': 'Li'}]}}}, ['Li'], None),
        ({'FORCE_EVAL': {'SUBSYS': {'KIND': [{**KIND_LI, '_': 'DEFAULT'}]}}}, ['Li', 'F'], None),
        ({'FORCE_EVAL': {'METHOD': 'FIST'}}, ['Na'], 'no CHARGE for Na'),
        (
            {'FORCE_EVAL': {'METHOD': 'FIST', 'MM': {'FORCEFIELD': {'CHARGE': {'ATOM': 'Na', 'CHARGE': 1.0}}}}},
            ['Na'],
            None,
        ),
        ({'FORCE_EVAL': {'METHOD': 'FIST', 'MM': {'FORCEFIELD': {'PARM_FILE_NAME': 'x'}}}}, ['Na'], None),
        ({'FORCE_EVAL': {'METHOD': 'NNP'}}, ['Na'], None),
        ({'FORCE_EVAL': {'DFT': {'QS': {'METHOD': 'PM6'}}}}, ['Na'], None),
    ],
)
def test_check_elements(parameters, elements, words):
    """Each method has its own way of knowing an element."""
    problem = cp2k.check_elements(parameters, elements)
    assert problem is None if words is None else words in problem


def test_check_elements_with_nodes_of_aiida_cp2k():
    """Basis sets and potentials may come as nodes."""
    parameters = {'FORCE_EVAL': {'METHOD': 'QUICKSTEP'}}
    assert cp2k.check_elements(parameters, ['Li'], with_basis={'Li'}, with_potential={'Li'}) is None
    assert 'POTENTIAL' in cp2k.check_elements(parameters, ['Li'], with_basis={'Li'})


def test_check_level_of_theory():
    """There is exactly one level of theory."""
    assert cp2k.check_level_of_theory(XTB) is None
    assert 'FORCE_EVAL' in cp2k.check_level_of_theory({'GLOBAL': {}})
    for motion, words in (
        ({'PRINT': {'TRAJECTORY': {'UNIT': 'bohr'}}}, 'TRAJECTORY/UNIT is set'),
        ({'PRINT': {'FORCES': {'UNIT': 'eV*angstrom^-1'}}}, 'FORCES/UNIT is set'),
        ({'PRINT': {'TRAJECTORY': {'FORMAT': 'DCD'}}}, 'TRAJECTORY/FORMAT is set'),
        ({'CONSTRAINT': {'FIXED_ATOMS': {'LIST': '1'}}}, 'learnt as zero'),
    ):
        assert words in (cp2k.check_level_of_theory({**XTB, 'MOTION': motion}) or '')
    for cell, words in (({'PERIODIC': 'NONE'}, 'PERIODIC is NONE'), ({'MULTIPLE_UNIT_CELL': '2 1 1'}, 'is 2 1 1')):
        tree = {'FORCE_EVAL': {**XTB['FORCE_EVAL'], 'SUBSYS': {'CELL': cell}}}
        assert words in (cp2k.check_level_of_theory(tree) or '')
    assert cp2k.check_level_of_theory({'FORCE_EVAL': {'SUBSYS': {'CELL': {'PERIODIC': 'xyz'}}}}) is None
    assert 'FORCE_EVAL' in cp2k.check_level_of_theory({'FORCE_EVAL': [{}, {}]})


def test_finished_run():
    """All files of a run that came to its end have the same frames."""
    run = frames('finished')
    series = cp2k_output.read_ener(text('finished', 'aiida-1.ener'))
    assert run.steps.tolist() == series.steps.tolist() == [0, 1, 2, 3, 4]
    assert run.positions.shape == run.forces.shape == (5, 10, 3)
    assert run.cells[0].tolist() == np.diag([9.0, 9.0, 9.0]).tolist()
    assert run.symbols == ('N', 'S', 'S', 'O', 'O', 'O', 'O', 'F', 'F', 'Li')
    assert run.converged.all()
    np.testing.assert_allclose(run.energies, series.potential, atol=1e-8)
    assert series.temperatures[0] == pytest.approx(169.786, abs=1e-3)
    assert 0 < series.seconds_per_step < 60
    assert abort_reason(text('finished', 'aiida.out')) is None


def test_truncated_run():
    """Half a line, half a frame and files of different lengths: what is whole in all of them is read."""
    run = frames('truncated')
    series = cp2k_output.read_ener(text('truncated', 'aiida-1.ener'))
    np.testing.assert_array_equal(run.positions, frames('finished').positions[: len(run.steps)])
    assert 0 < len(run.steps) < 5
    assert 0 < len(series.steps) < 5
    assert 'killed' in abort_reason(text('truncated', 'aiida.out'))


def test_unconverged_frames_are_known():
    """CP2K 2023.1 goes on after an SCF that did not converge; the frame is told by its energy."""
    run = frames('unconverged')
    assert run.converged.tolist() == [False, False] + [True] * 10
    assert abort_reason(text('unconverged', 'aiida.out')) is None


def test_empty_files():
    """A run that never began has no frame."""
    run = cp2k_output.read_frames('', '', '', '')
    assert len(run.steps) == 0
    assert cp2k_output.read_ener('').seconds_per_step is None


def test_overflow_in_the_energy_file():
    """A field that overflowed is NaN and not the end of the series."""
    row = '         1            1.0         0.01  **************       -39.9        -39.8         0.4\n'
    assert np.isnan(cp2k_output.read_ener(row).temperatures).tolist() == [True]


def test_restarted_run_has_every_step_once():
    """A restart repeats the steps since its restart file: the later ones count, and so do the frames before."""
    whole = frames('finished')
    first, second = whole.take(whole.steps <= 3), whole.take(whole.steps >= 2)
    assert cp2k_output.join_frames([first, second]).steps.tolist() == [0, 1, 2, 3, 4]
    series = cp2k_output.read_ener(text('finished', 'aiida-1.ener'))
    assert cp2k_output.join_series([series, series]).steps.tolist() == [0, 1, 2, 3, 4]


BOX = """
 *******************************************************************************
 *   ___                                                                       *
 *  /   \\                                                                      *
 * [ABORT]                                                                     *
 *  \\___/   found an unknown keyword FOO in section SCF at line 20 of the      *
 *    |     input                                                              *
 *  O/|                                                                        *
 * /| |                                                                        *
 * / \\                                               input/input_parsing.F:246 *
 *******************************************************************************
"""
SCF = """
 *  \\___/  SCF run NOT converged. To continue the calculation regardless,  *
 * [ABORT]
"""


@pytest.mark.parametrize(
    ('output', 'reason'),
    [
        (BOX, 'CP2K aborted: found an unknown keyword FOO in section SCF at line 20 of the input'),
        (SCF, 'The SCF did not converge: give FORCE_EVAL'),
        ('exceeded requested execution time\n PROGRAM STOPPED IN /tmp', 'CP2K ran out of its wall time.'),
        (text('abort_charges', 'aiida.out'), 'The SCF failed: in it the atomic charges of xTB'),
    ],
)
def test_abort_reason(output, reason):
    """One sentence for a chemist."""
    assert abort_reason(output).startswith(reason)


def test_eval_keyword():
    """CP2K from 2024.1 on has one keyword, from 2026.2 on only that; older ones have two others."""
    known = {version: cp2k.knows_eval(version) for version in ('9.1', '2023.2', '2024.1', '2025.1', '2026.2', None)}
    assert list(known.values()) == [False, False, True, True, True, False]
    old, new = (
        cp2k.replay_input(XTB, n_frames=2, eval_keyword=flag)['MOTION']['MD']['REFTRAJ'] for flag in (False, True)
    )
    assert {key: value for key, value in old.items() if 'EVAL' in key} == {
        'EVAL_ENERGY_FORCES': True,
        'EVAL_FORCES': True,
    }
    assert {key: value for key, value in new.items() if 'EVAL' in key} == {'EVAL': 'ENERGY_FORCES'}
