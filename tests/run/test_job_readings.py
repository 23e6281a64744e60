"""The readings of running jobs, from the last lines of their files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aiida_sis.run.job_readings import COMMAND, read_cp2k, read_lammps, read_training, sections_of

ENER = [
    '#     Step Nr.          Time[fs]        Kin.[a.u.]          Temp[K]            Pot.[a.u.]        Cons Qty[a.u.]',
    '        42        42.000000         0.012825651       300.500000000       -30.123456789       -30.110631138   0.2',
]
LCURVE = [
    '# step   rmse_val    rmse_trn    rmse_e_val  rmse_e_trn    rmse_f_val  rmse_f_trn         lr',
    '  1200   3.31e+00    3.30e+00      1.31e-02    1.31e-02      1.05e-01    1.04e-01    1.0e-03',
]
LOG = [
    '   Step          Temp          PotEng         TotEng ',
    '      1000   290.5   -100.0   -99.0',
    '      2000   310.2   -100.0   -99.0',
]


def test_aimd() -> None:
    """Time in fs from the energy file, the whole length from the input."""
    parameters = {'MOTION': {'MD': {'STEPS': 150, 'TIMESTEP': '[fs] 0.5'}}}
    reading = read_cp2k('AIMD', 2, {'aiida-1.ener': ENER}, parameters)
    assert (reading.done, reading.total) == (42.0, 75.0)
    assert str(reading) == 'generation 2, AIMD: 42/75 fs, T = 300 K, 42 steps'


def test_aimd_before_its_first_step() -> None:
    """A header without a line is no reading."""
    assert read_cp2k('AIMD', 0, {'aiida-1.ener': ENER[:1]}, {}).detail == 'first SCF'


def test_geometry_optimisation() -> None:
    """Without MD in the input the steps of the optimisation are counted."""
    reading = read_cp2k('AIMD', 1, {'aiida.out': ['17']}, {'MOTION': {'GEO_OPT': {}}})
    assert (reading.what, reading.done) == ('geometry optimisation', 17)


def test_training() -> None:
    """Step and validation error of the force."""
    reading = read_training('training', 0, {'lcurve.out': LCURVE}, {'training': {'numb_steps': 3000}})
    assert (reading.done, reading.total, reading.detail) == (1200, 3000, 'force error 0.105 eV/Å')
    assert 'freezing' in read_training('', 0, {'lcurve.out': LCURVE}, {'training': {'numb_steps': 1200}}).detail
    # A job with a budget finds its number of steps itself.
    planned = {'lcurve.out': LCURVE, 'input.json': ['    "numb_steps": 2400,']}
    assert read_training('training', 0, planned, {'training': {'numb_steps': 3000}}).total == 2400


@pytest.mark.parametrize('lines', [LOG, [*LOG, 'Loop time of 3.2 on 1 procs'], [*LOG, '      3000   29']])
def test_md(lines: list[str]) -> None:
    """The last whole line counts, whatever LAMMPS is writing below it."""
    reading = read_lammps('MD, replica 1', 0, {'log.lammps': lines}, {'timestep_fs': 1.0, 'length_ps': 10.0})
    assert (reading.done, reading.total, reading.temperatures_k) == (2.0, 10.0, (290.5, 310.2))


def test_md_before_its_first_line() -> None:
    """A log with no table yet is no reading."""
    assert read_lammps('MD', 0, {'log.lammps': ['LAMMPS (22 Jul 2025)']}, {}).detail == 'starting'


def test_md_that_goes_on_after_its_time_was_up() -> None:
    """What an earlier job had run counts."""
    reading = read_lammps('MD', 0, {'log.lammps': LOG}, {'timestep_fs': 1.0, 'length_ps': 10.0, 'elapsed_ps': 4.0})
    assert reading.done == 6.0


def test_minimisation_is_no_dynamics() -> None:
    """Lines above the last header are of the minimisation."""
    lines = [LOG[0], '   0   0.0  -90.0  -90.0', *LOG]
    reading = read_lammps('MD', 0, {'log.lammps': lines}, {'window_k': [0, 1000]})
    assert reading.temperatures_k == (290.5, 310.2)
    assert reading.window_k == (0.0, 1000.0)


def test_single_points() -> None:
    """Frames of a given trajectory are counted."""
    md = {'ENSEMBLE': 'REFTRAJ', 'STEPS': 8}
    reading = read_cp2k('single points', 1, {'aiida.out': ['3']}, {'MOTION': {'MD': md}})
    assert str(reading) == 'generation 1, single points: 3/8 frames'


@pytest.mark.parametrize(('n_lines', 'n_sent'), [(3, 3), (46, 46), (60, 31), (5000, 48)])
def test_command_thins_the_latest_lines(tmp_path: Path, n_lines: int, n_sent: int) -> None:
    """The shell command sends the header, at most 48 lines of the latest 480, and the last one always."""
    header = 'Step Temp'
    rows = [f'{number} {300 + number % 7}' for number in range(n_lines)]
    (tmp_path / 'log.lammps').write_text('\n'.join(['LAMMPS', header, *rows]) + '\n')
    answer = subprocess.run(['bash', '-c', COMMAND], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = [line for line in sections_of(answer.stdout)['log.lammps'] if line[0].isdigit()]
    assert answer.stderr == ''
    assert lines[-1] == rows[-1]
    assert abs(len(lines) - n_sent) <= 1
    assert int(lines[0].split()[0]) >= n_lines - 480
