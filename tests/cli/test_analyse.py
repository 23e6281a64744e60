"""``aiida-sis analyse``, as it is typed: files, trajectories, runs, and what it refuses."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.manage.configuration import get_config
from ase import Atoms
from ase.io import write
from click.testing import CliRunner, Result
from plumpy import ProcessState

from aiida_sis.cli import main
from aiida_sis.core.lammps.script import LammpsCell
from aiida_sis.structures.molecules import dioxolane, lifsi

CELL = 13.0 * np.eye(3)


def electrolyte() -> Atoms:
    """LiFSI and one DOL."""
    second = dioxolane()
    second.translate([6.5, 0.0, 0.0])
    return Atoms(lifsi() + second, cell=CELL, pbc=True)


def path_of(n_frames: int = 110) -> np.ndarray:
    """Let it vibrate and diffuse; an F leaves at frame 40."""
    atoms, rng = electrolyte(), np.random.default_rng(0)
    path = atoms.positions + 0.02 * rng.normal(size=(n_frames, len(atoms), 3))
    path[40:, atoms.get_chemical_symbols().index('F')] += 6.5
    return path


def trajectory(times: bool = True) -> orm.TrajectoryData:
    """Put the frames, 2 fs apart, into a node."""
    path, node = path_of(), orm.TrajectoryData()
    node.set_trajectory(
        symbols=electrolyte().get_chemical_symbols(),
        positions=path,
        cells=np.tile(CELL, (len(path), 1, 1)),
        stepids=np.arange(len(path)),
        times=0.002 * np.arange(len(path)) if times else None,
        pbc=(True, True, True),
    )
    return node


def typed(*words: Any) -> Result:
    """Type the command with the profile of the tests."""
    return CliRunner().invoke(main, ['analyse', *map(str, words), '-p', str(get_config().default_profile_name)])


@pytest.fixture
def run_node(aiida_profile_clean: Any) -> orm.WorkChainNode:
    """Store a run that has ended with two trajectories."""
    run = orm.WorkChainNode()
    run.set_process_state(ProcessState.FINISHED)
    run.set_exit_status(0)
    structure = orm.StructureData(ase=electrolyte()).store()
    run.base.links.add_incoming(structure, LinkType.INPUT_WORK, 'systems__electrolyte')
    run.store()
    for key in ('r0', 'r1'):
        calculation = orm.CalcFunctionNode().store()
        node = trajectory()
        node.base.links.add_incoming(calculation, LinkType.CREATE, 'trajectory')
        node.store()
        node.base.links.add_incoming(run, LinkType.RETURN, f'trajectories__{key}')
    return run


def test_a_file_with_numbers_and_a_figure(tmp_path: Path) -> None:
    """No profile is needed; the tables, the CSV files and the picture say the same."""
    atoms = electrolyte()
    frames = [Atoms(atoms.get_chemical_symbols(), x, cell=CELL, pbc=True) for x in path_of()]
    write(tmp_path / 'md.extxyz', frames)
    words = [tmp_path / 'md.extxyz', '--timestep-fs', 2, '--density', 'z', '--reference', 'Li']
    words += ['--csv', tmp_path / 'numbers', '--figure', tmp_path / 'figure.png']
    result = CliRunner().invoke(main, ['analyse', *map(str, words)])
    assert result.exit_code == 0, result.output
    assert '110 frames of 21 atoms, 0 to 218 fs, 2 fs apart' in result.output
    assert '80 fs   broken   S–F' in result.output
    assert 'FSI 1' in result.output
    with (tmp_path / 'numbers' / 'bond_events.csv').open() as handle:
        (row,) = csv.DictReader(handle)
    assert (row['time_fs'], row['change'], row['pair']) == ('80', 'broken', 'S–F')
    names = {'rdf', 'bonds', 'bond_events', 'contact_events', 'molecules', 'salts', 'msd', 'density', 'coordination'}
    assert names <= {path.stem for path in (tmp_path / 'numbers').iterdir()}
    rdf = np.genfromtxt(tmp_path / 'numbers' / 'rdf.csv', delimiter=',', names=True)
    assert len(rdf) == 120
    assert (tmp_path / 'figure.png').stat().st_size > 20_000


def test_a_dump_names_its_types_by_an_option(tmp_path: Path) -> None:
    """As our own MD writes it; without the option no element is invented."""
    atoms = electrolyte()
    elements = ['N', 'S', 'O', 'F', 'Li', 'C', 'H']
    path = tmp_path / 'trajectory.lammpstrj'
    # Lower triangular, as LAMMPS wants it.
    frame = LammpsCell.from_cell(CELL)
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = frame.cell
    low, high = min(0, xy, xz, xy + xz), max(0, xy, xz, xy + xz)
    box = f'{low} {lx + high} {xy}\n{min(0, yz)} {ly + max(0, yz)} {xz}\n0 {lz} {yz}\n'
    with path.open('w') as handle:
        for step, positions in enumerate(path_of()):
            handle.write(f'ITEM: TIMESTEP\n{1000 * step}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\n')
            handle.write(f'ITEM: BOX BOUNDS xy xz yz pp pp pp\n{box}ITEM: ATOMS id type xu yu zu\n')
            for number, (symbol, row) in enumerate(zip(atoms.symbols, frame.to_lammps(positions), strict=True), 1):
                handle.write(f'{number} {elements.index(symbol) + 1} {row[0]} {row[1]} {row[2]}\n')
    refused = CliRunner().invoke(main, ['analyse', str(path), '--timestep-fs', '2'])
    assert refused.exit_code == 1
    assert '--type-map Na,Cl,O,H for example' in ' '.join(refused.output.split())
    result = CliRunner().invoke(main, ['analyse', str(path), '--timestep-fs', '2', '--type-map', ','.join(elements)])
    assert result.exit_code == 0, result.output
    assert '110 frames of 21 atoms, 0 to 218 fs, 2 fs apart' in result.output
    assert '80 fs   broken   S–F' in result.output
    assert 'FSI 1' in result.output


def test_a_run(run_node: orm.WorkChainNode) -> None:
    """Its first trajectory, and another one by its key."""
    for words in ((run_node.pk,), (run_node.pk, '--replica', 'r1'), (run_node.uuid,)):
        result = typed(*words)
        assert result.exit_code == 0, result.output
        assert '110 frames of 21 atoms' in result.output
        assert 'broken' in result.output
    assert 'Others of this run: r0' in typed(run_node.pk, '--replica', 'r1').output
    refused = typed(run_node.pk, '--replica', 'r7')
    assert refused.exit_code == 1
    assert "there is no 'r7': the trajectories of" in refused.output


def test_the_analysis_is_kept_with_its_provenance(run_node: orm.WorkChainNode) -> None:
    """The trajectory and the start structure of the run are its inputs."""
    result = typed(run_node.pk, '--store', '--r-max', 5)
    assert result.exit_code == 0, result.output
    assert 'Stored by process' in result.output
    query = orm.QueryBuilder().append(orm.CalcFunctionNode, filters={'attributes.process_label': 'analyse_trajectory'})
    (process,) = query.all(flat=True)
    assert process.inputs.trajectory.uuid == run_node.outputs.trajectories.r0.uuid
    assert process.inputs.structure.uuid == run_node.inputs.systems.electrolyte.uuid
    assert process.outputs.results['first_broken'] == {'FSI 1': {'S–F': 80.0}}
    assert process.outputs.rdf.get_array('r')[-1] < 5.0


def test_a_trajectory_without_times(aiida_profile_clean: Any) -> None:
    """Of CP2K's AIMD the timestep is found in the input of the job; without a job it is asked for."""
    node = trajectory(times=False)
    computer = orm.Computer(label='here', hostname='h', transport_type='core.local', scheduler_type='core.direct')
    job = orm.CalcJobNode(computer=computer.store(), process_type='aiida.calculations:cp2k')
    job.set_option('resources', {'num_machines': 1})
    parameters = orm.Dict({'MOTION': {'MD': {'TIMESTEP': '[fs] 0.5'}}}).store()
    job.base.links.add_incoming(parameters, LinkType.INPUT_CALC, 'parameters')
    job.store()
    node.base.links.add_incoming(job, LinkType.CREATE, 'output_trajectory')
    result = typed(node.store().pk)
    assert result.exit_code == 0, result.output
    assert '0 to 54.5 fs, 0.5 fs apart' in result.output
    alone = trajectory(times=False).store()
    refused = typed(alone.pk)
    assert refused.exit_code == 1
    assert 'give --timestep-fs' in refused.output
    assert '0 to 109 fs' in typed(alone.pk, '--timestep-fs', 1).output


def test_what_cannot_be_analysed_is_refused(run_node: orm.WorkChainNode, tmp_path: Path) -> None:
    """In one sentence each."""
    write(tmp_path / 'one.extxyz', electrolyte())
    for words, message in (
        (['nowhere.xyz'], "'nowhere.xyz' does not exist"),
        (['999999'], 'there is no node 999999'),
        ([orm.Int(1).store().pk], 'is a Int: give a run or a trajectory'),
        ([orm.WorkChainNode().store().pk], 'has no trajectory'),
        ([run_node.pk, '--r-max', 9], 'half of the cell (6.500 Å)'),
        ([run_node.pk, '--skip-ps', 3], 'later than --skip-ps'),
        ([run_node.pk, '--reference', 'Li'], '--reference needs --density'),
        ([run_node.pk, '--density', 'z', '--reference', 'Na'], 'no Na among'),
        ([tmp_path / 'one.extxyz', '--store'], '--store keeps the analysis of a node'),
    ):
        result = typed(*words)
        assert result.exit_code in (1, 2), words
        assert message in result.output, (words, result.output)
    assert typed(tmp_path / 'one.extxyz').exit_code == 0
