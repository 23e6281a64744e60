"""The readings of running jobs, from the last lines of their files and from a job's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from aiida.common.datastructures import CalcJobState
from aiida.common.links import LinkType
from plumpy import ProcessState

from aiida_sis.report.live import LiveReader, read_cp2k, read_lammps, read_training

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
    assert str(reading) == 'generation 2, AIMD: 42/75 fs, 42 steps, T = 300 K'


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


@pytest.mark.parametrize('lines', [LOG, [*LOG, 'Loop time of 3.2 on 1 procs'], [*LOG, '      3000   29']])
def test_md(lines: list[str]) -> None:
    """The last whole line counts, whatever LAMMPS is writing below it."""
    reading = read_lammps('MD, replica 1', 0, {'log.lammps': lines}, {'timestep_fs': 1.0, 'length_ps': 10.0})
    assert (reading.done, reading.total, reading.detail) == (2.0, 10.0, 'T = 310 K')


def test_md_before_its_first_line() -> None:
    """A log with no table yet is no reading."""
    assert read_lammps('MD', 0, {'log.lammps': ['LAMMPS (22 Jul 2025)']}, {}).detail == 'starting'


def test_reader_reads_through_the_transport(aiida_profile_clean, aiida_localhost: orm.Computer, tmp_path: Path) -> None:
    """A running job three levels down is found and its files are read where they are."""
    (tmp_path / 'lcurve.out').write_text('\n'.join(LCURVE) + '\n')
    run, train = orm.WorkChainNode().store(), orm.WorkChainNode()
    train.base.links.add_incoming(run, LinkType.CALL_WORK, 'train_g1')
    train.store()
    parameters = orm.Dict({'training': {'numb_steps': 3000}}).store()
    job = orm.CalcJobNode(computer=aiida_localhost)
    job.base.links.add_incoming(train, LinkType.CALL_CALC, 'iteration_01')
    job.base.links.add_incoming(parameters, LinkType.INPUT_CALC, 'parameters')
    job.set_remote_workdir(str(tmp_path))
    job.set_process_state(ProcessState.WAITING)
    job.set_state(CalcJobState.WITHSCHEDULER)
    job.store()
    with LiveReader(run) as reader:
        assert [str(reading) for reading in reader.read()] == [
            'generation 1, training: 1200/3000 steps, force error 0.105 eV/Å'
        ]
        (tmp_path / 'lcurve.out').unlink()
        assert [str(reading) for reading in reader.read()] == ['generation 1, training, starting']
        train.set_process_state(ProcessState.FINISHED)
        assert reader.read() == []
