"""The parser on real outputs: each exit code, each kind of catastrophe."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common import LinkType
from aiida.engine import ProcessState
from ase.io import read

from aiida_deepmd.data.potential import PotentialData
from aiida_sis.calculations.md import LammpsMdCalculation
from aiida_sis.calculations.trajectories import select_snapshot
from aiida_sis.core.lammps.dump import parse_dump
from aiida_sis.core.lammps.script import LammpsCell
from aiida_sis.parsers.md import LammpsMdParser

FILES = Path(__file__).parents[1] / 'files' / 'lammps'
START = Path(__file__).parents[2] / 'aiida_sis' / 'structures' / 'lifsi_ion_pair.xyz'
PARAMETERS: dict[str, Any] = {'temperature_k': 300, 'timestep_fs': 1.0, 'window_k': [0, 1000], 'length_ps': 5}

Parse = Callable[..., tuple[dict[str, Any], Any]]


@pytest.fixture
def parse(aiida_profile: Any, aiida_localhost: orm.Computer, tmp_path: Path) -> Parse:
    """Parse the outputs of one case, as the engine would."""

    def function(
        name: str,
        remove: tuple[str, ...] = (),
        committee: bool = False,
        cell: Any = None,
        ring: bool = False,
        files: dict[str, str] | None = None,
        **changes: Any,
    ) -> tuple[dict[str, Any], Any]:
        atoms = read(START)
        atoms.cell, atoms.pbc = np.eye(3) * 9.0 if cell is None else cell, True
        node = orm.CalcJobNode(computer=aiida_localhost, process_type='aiida.calculations:sis.lammps.md')
        node.set_option('resources', {'num_machines': 1})
        node.set_option('scheduler_stderr', '_scheduler-stderr.txt')
        inputs = {
            'structure': orm.StructureData(ase=atoms),
            'potential': PotentialData(files={'model.pb': b'-'}, type_map=['N', 'S', 'O', 'F', 'Li']),
            'parameters': orm.Dict(PARAMETERS | changes),
            'seed': orm.Int(1),
        }
        if committee:
            inputs['committee__other'] = PotentialData(files={'model.pb': b'+'}, type_map=['N', 'S', 'O', 'F', 'Li'])
        for label, data in inputs.items():
            node.base.links.add_incoming(data.store(), LinkType.INPUT_CALC, label)
        node.set_process_state(ProcessState.FINISHED)
        node.store()
        folder = tmp_path / str(node.pk)
        shutil.copytree(FILES / name, folder)
        for path in remove:
            target = folder / path
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        for file, content in (files or {}).items():
            (folder / file).write_text(content)
        if ring:
            (folder / 'ring').mkdir()
            frames = (folder / 'trajectory.lammpstrj').read_text().split('ITEM: TIMESTEP\n')[1:]
            for number, frame in enumerate(frames):
                (folder / 'ring' / f'snap.{number}.lammpstrj').write_text(f'ITEM: TIMESTEP\n{frame}')
        retrieved = orm.FolderData()
        for file in ('log.lammps', '_scheduler-stderr.txt'):
            if (folder / file).exists():
                retrieved.base.repository.put_object_from_file(str(folder / file), file)
        retrieved.base.links.add_incoming(node, LinkType.CREATE, 'retrieved')
        retrieved.store()
        outputs, result = LammpsMdParser.parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(folder)
        )
        return outputs, result

    return function


def label_of(status: int) -> str:
    """Label of an exit code."""
    codes = LammpsMdCalculation.exit_codes
    return next(label for label, code in codes.items() if code.status == status)


def test_stable(parse: Parse) -> None:
    outputs, result = parse('stable', length_ps=0.2)
    assert result.exit_status == 0
    results = outputs['results'].get_dict()
    assert results['stable'] is True
    assert results['catastrophe'] is None
    assert results['t_next'] is None
    assert results['length_ps_reached'] == pytest.approx(0.2)
    assert results['steps_per_second'] > 0
    assert 'snapshots' not in outputs
    trajectory = outputs['trajectory']
    assert trajectory.get_array('times') == pytest.approx([0.0, 0.1, 0.2])
    assert trajectory.get_velocities().shape == (3, 10, 3)
    assert trajectory.get_array('forces').shape == (3, 10, 3)
    assert trajectory.base.attributes.get('units|forces') == 'eV/angstrom'
    series = outputs['series']
    assert series.get_array('time_ps')[-1] == pytest.approx(0.2)
    assert set(series.get_arraynames()) >= {
        'step', 'time_ps', 'temperature', 'potential_energy', 'total_energy', 'pressure', 'conserved', 'max_force'
    }  # fmt: skip


def test_halted(parse: Parse) -> None:
    outputs, result = parse('halted', t_next={'margin_fs': 50})
    assert result.exit_status == 0
    results = outputs['results'].get_dict()
    assert results['stable'] is False
    assert results['catastrophe']['bound'] == 'high'
    assert results['catastrophe']['time_ps'] == pytest.approx(0.096)
    assert results['steps_past_t_cp'] == 0
    assert results['symptoms']['min_distance_angstrom'] > 1.0
    # The last sample within 55 to 545 K is that at 80 fs; the margin is 50 fs.
    assert results['t_next'] == {
        'time_ps': pytest.approx(0.03),
        'requested_time_ps': pytest.approx(0.03),
        'snapshot_index': 3,
        'rule': 'band',
    }
    assert outputs['snapshots'].get_array('times')[3] == pytest.approx(0.03)


def test_a_snapshot_starts_the_next_calculation(parse: Parse) -> None:
    snapshots = parse('halted')[0]['snapshots'].store()
    selected = select_snapshot(snapshots, orm.Int(3))
    structure, velocities = selected['structure'], selected['velocities'].get_array('velocities')
    assert [site.kind_name for site in structure.sites] == snapshots.symbols
    # A structure keeps 14 digits, the velocities keep every bit.
    positions = [site.position for site in structure.sites]
    assert np.allclose(positions, snapshots.get_positions()[3], rtol=1e-12, atol=0)
    assert np.array_equal(velocities, snapshots.get_velocities()[3])
    assert structure.cell == [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]
    assert structure.pbc == (True, True, True)
    last = select_snapshot(snapshots, orm.Int(-1))
    assert last['structure'].sites[0].position == pytest.approx(tuple(snapshots.get_positions()[-1][0]))
    with pytest.raises(ValueError, match=r'`index` is 99, but `snapshots` has \d+ frames'):
        select_snapshot(snapshots, orm.Int(99))


def test_the_trajectory_helps_where_the_ring_does_not_reach_back(parse: Parse) -> None:
    outputs, result = parse('short_ring', trajectory_interval_ps=0.1, t_next={'margin_fs': 100})
    assert result.exit_status == 0
    t_next = outputs['results']['t_next']
    times = outputs['snapshots'].get_array('times')
    assert times[1:] == pytest.approx([0.28, 0.29, 0.30, 0.31])
    assert t_next['snapshot_index'] == 0
    assert times[0] == pytest.approx(t_next['time_ps'])
    assert t_next['time_ps'] <= t_next['requested_time_ps'] < 0.28


def test_without_a_trajectory_the_earliest_frame_must_do(parse: Parse) -> None:
    outputs, _ = parse('short_ring', remove=('trajectory.lammpstrj',), t_next={'margin_fs': 100})
    assert outputs['results']['t_next']['snapshot_index'] == 0
    assert outputs['results']['t_next']['time_ps'] == pytest.approx(0.28)


def test_nan(parse: Parse) -> None:
    outputs, result = parse('nan', length_ps=0.3)
    assert result.exit_status == 0
    results = outputs['results'].get_dict()
    assert results['catastrophe']['bound'] == 'non_finite'
    assert np.isfinite(outputs['snapshots'].get_positions()).all()
    assert any('left out' in warning for warning in results['warnings'])


def test_two_atoms_that_came_too_near(parse: Parse) -> None:
    limits = {'F-Li': 1.35, 'Li-N': 2.24, 'O-S': 1.6}
    outputs, result = parse('near', thermo_interval_fs=5.0, least_distances=limits)
    assert result.exit_status == 0
    results = outputs['results'].get_dict()
    assert results['stable'] is False
    point = results['catastrophe']
    assert (point['bound'], point['pair'], point['time_ps']) == ('distance', 'Li-N', pytest.approx(0.035))
    last = outputs['trajectory'].get_positions()[-1]
    symbols = list(outputs['trajectory'].symbols)
    apart = last[symbols.index('Li')] - last[symbols.index('N')]
    assert point['distance_angstrom'] == pytest.approx(np.linalg.norm(apart - 9.0 * np.round(apart / 9.0)))
    assert point['distance_angstrom'] < 2.24
    assert results['t_next']['time_ps'] == 0.0
    assert any('O-S was nearer than 1.60 Å at the start' in warning for warning in results['warnings'])
    # The pair that is not watched is not named either, however near it is.
    outputs, _ = parse('near', remove=('final.lammpstrj',), thermo_interval_fs=5.0, least_distances=limits)
    point = outputs['results']['catastrophe']
    assert (point['bound'], point['pair']) == ('distance', None)


def test_lost_atoms(parse: Parse) -> None:
    outputs, result = parse(
        'lost', temperature_k=60000, timestep_fs=20.0, window_k=[0, 1e7], length_ps=20, thermo_interval_fs=200,
        ring_interval_fs=200,
    )  # fmt: skip
    assert result.exit_status == 0
    results = outputs['results'].get_dict()
    assert results['catastrophe']['bound'] == 'lost_atoms'
    assert results['lammps_error'] == 'Lost atoms: original 10 current 9'
    assert results['t_next'] is not None


def test_a_crash_in_mid_dynamics_is_a_catastrophe(parse: Parse) -> None:
    outputs, result = parse('segfault', window_k=[0, 1e5], length_ps=50, thermo_interval_fs=200)
    assert result.exit_status == 0
    assert outputs['results']['catastrophe']['bound'] == 'crash'
    assert any('Segmentation fault' in warning for warning in outputs['results']['warnings'])


LEVELS = {'low_ev_per_angstrom': 0.3, 'high_ev_per_angstrom': 0.9, 'interval_fs': 5, 'max_candidates': 3}


def test_committee(parse: Parse) -> None:
    outputs, result = parse('committee', committee=True, length_ps=0.3, deviation=LEVELS)
    assert result.exit_status == 0
    results = outputs['results'].get_dict()
    assert results['catastrophe']['time_ps'] == pytest.approx(0.063)
    assert results['deviation'] == {'n_accurate': 1, 'n_candidate': 10, 'n_failed': 2, 'max': 1.234097}
    deviation, candidates = outputs['deviation'], outputs['candidates']
    assert deviation.get_array('time_ps').tolist() == pytest.approx([0.005 * number for number in range(13)])
    assert deviation.get_array('max_force_deviation')[0] == 0.1873353
    assert deviation.get_array('mean_force_deviation')[0] == 0.08181955
    assert candidates.get_array('times') == pytest.approx([0.005, 0.025, 0.05])
    # The very frames of the dynamics: one of them is in the ring too.
    ring = outputs['snapshots']
    assert candidates.get_positions()[2] == pytest.approx(ring.get_positions()[ring.get_index_from_stepid(50)])


def test_committee_that_agrees(parse: Parse) -> None:
    levels = {'low_ev_per_angstrom': 2.0, 'high_ev_per_angstrom': 3.0, 'interval_fs': 5}
    outputs, result = parse('committee', committee=True, length_ps=0.3, deviation=levels)
    assert result.exit_status == 0
    assert outputs['results']['deviation']['n_accurate'] == 13
    assert 'candidates' not in outputs


def test_committee_without_its_file(parse: Parse) -> None:
    outputs, result = parse('committee', ('model_devi.out',), committee=True, length_ps=0.3, deviation=LEVELS)
    assert label_of(result.exit_status) == 'ERROR_NO_DEVIATION'
    assert outputs['results']['t_next'] is not None
    outputs, result = parse('stable', length_ps=0.2)
    assert outputs['results']['deviation'] is None


def test_committee_whose_frames_were_lost(parse: Parse) -> None:
    outputs, result = parse('committee', ('candidates.lammpstrj',), committee=True, length_ps=0.3, deviation=LEVELS)
    assert result.exit_status == 0
    assert 'candidates' not in outputs
    assert outputs['results']['deviation']['n_candidate'] == 10


def test_fixed_atoms_widen_the_band(parse: Parse) -> None:
    # One mobile atom fluctuates more, so the last healthy sample comes later.
    all_move = parse('halted', t_next={'margin_fs': 50})[0]['results']['t_next']['requested_time_ps']
    few = parse('halted', t_next={'margin_fs': 50}, fixed_atoms=list(range(9)))[0]['results']
    assert few['t_next']['requested_time_ps'] > all_move


def test_killed_from_outside(parse: Parse) -> None:
    outputs, result = parse('killed', window_k=[0, 1e5], length_ps=50, thermo_interval_fs=200)
    assert label_of(result.exit_status) == 'ERROR_LOG_TRUNCATED'
    assert outputs['results']['stable'] is False
    assert outputs['results']['length_ps_reached'] > 0.2
    assert outputs['series'].get_shape('step')[0] > 1
    assert outputs['trajectory'].numsteps == 1


def test_a_window_left_in_a_truncated_log_is_still_a_result(parse: Parse) -> None:
    outputs, result = parse('segfault', remove=('_scheduler-stderr.txt',), length_ps=50)
    assert result.exit_status == 0
    assert outputs['results']['catastrophe']['bound'] == 'high'


def test_out_of_time(parse: Parse) -> None:
    outputs, result = parse('walltime', window_k=[0, 1e5], length_ps=50)
    assert label_of(result.exit_status) == 'ERROR_OUT_OF_WALLTIME'
    assert outputs['results']['stable'] is False
    assert outputs['trajectory'].get_array('times')[-1] == pytest.approx(outputs['results']['length_ps_reached'])


def test_out_of_time_gives_its_latest_snapshots(parse: Parse) -> None:
    """A catastrophe soon after the continuation goes back to them."""
    outputs, result = parse('walltime', ring=True, window_k=[0, 1e5], length_ps=50)
    assert label_of(result.exit_status) == 'ERROR_OUT_OF_WALLTIME'
    text = (FILES / 'walltime' / 'trajectory.lammpstrj').read_text()
    written = [frame.step for frame in parse_dump(text)]
    assert outputs['snapshots'].get_stepids().tolist() == written
    assert outputs['results']['t_next'] is None


CELLS = {
    'left-handed': np.diag([9.0, 9.5, 10.0])[[1, 0, 2]],
    'mirrored': np.diag([9.0, 9.5, -10.0]),
    'left-handed and skewed': np.array([[1.0, 9.0, -2.0], [9.0, 0.5, 1.0], [0.3, -0.7, 9.0]]),
    'turned': np.array([[0.0, 9.0, 0.0], [0.0, 0.0, 9.5], [10.0, 0.0, 0.0]]),
}


@pytest.mark.parametrize('name', CELLS)
def test_a_snapshot_is_in_the_frame_of_its_structure(name: str, parse: Parse) -> None:
    """Positions, velocities and forces alike: CP2K is given all of them with the cell of the structure."""
    cell = CELLS[name]
    outputs, _ = parse('halted', cell=cell)
    lammps = LammpsCell.from_cell(cell).cell
    assert np.linalg.det(lammps) > 0
    (written,) = parse_dump((FILES / 'halted' / 'ring' / 'snap.30.lammpstrj').read_text())
    frame = outputs['snapshots'].get_index_from_stepid(30)
    selected = select_snapshot(outputs['snapshots'].store(), orm.Int(frame))
    got = {
        'positions': np.array([site.position for site in selected['structure'].sites]),
        'velocities': selected['velocities'].get_array('velocities'),
        'forces': outputs['snapshots'].get_array('forces')[frame],
    }
    assert np.allclose(selected['structure'].cell, cell, rtol=0, atol=1e-12)
    for key, values in got.items():
        # The components along the cell vectors do not know the frame.
        assert np.allclose(values @ np.linalg.inv(cell), getattr(written, key) @ np.linalg.inv(lammps), atol=1e-9), key


def test_an_error_that_is_not_the_physics(parse: Parse) -> None:
    outputs, result = parse('bad_element')
    assert label_of(result.exit_status) == 'ERROR_LAMMPS'
    assert 'element Na not found' in result.exit_message
    assert 'series' not in outputs
    assert outputs['results']['lammps_error']


def test_a_start_that_is_not_a_number(parse: Parse) -> None:
    _, result = parse('bad_start')
    assert label_of(result.exit_status) == 'ERROR_START_FAILED'


def test_no_log(parse: Parse) -> None:
    outputs, result = parse('stable', remove=('log.lammps',))
    assert label_of(result.exit_status) == 'ERROR_NO_LOG'
    assert not {'series', 'results'} & set(outputs)


def test_no_snapshots(parse: Parse) -> None:
    outputs, result = parse('halted', remove=('ring', 'trajectory.lammpstrj', 'final.lammpstrj'))
    assert label_of(result.exit_status) == 'ERROR_NO_SNAPSHOTS'
    assert outputs['results']['catastrophe']['bound'] == 'high'
    assert 'series' in outputs


def test_no_trajectory(parse: Parse) -> None:
    outputs, result = parse('stable', remove=('trajectory.lammpstrj', 'final.lammpstrj'), length_ps=0.2)
    assert label_of(result.exit_status) == 'ERROR_NO_TRAJECTORY'
    assert outputs['results']['stable'] is True


def test_a_log_without_a_dynamics(parse: Parse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / 'files'
    shutil.copytree(FILES / 'stable', copy / 'stable')
    log = (copy / 'stable' / 'log.lammps').read_text()
    (copy / 'stable' / 'log.lammps').write_text(log.replace('SIS_BEGIN_MD\n', '\n'))
    monkeypatch.setattr(f'{__name__}.FILES', copy)
    _, result = parse('stable')
    assert label_of(result.exit_status) == 'ERROR_LOG_UNREADABLE'


def test_exit_307(parse: Parse) -> None:
    """A hole in a log that ends in good order leaves no reason to stop: the MD is neither stable nor a catastrophe."""
    log = (FILES / 'stable' / 'log.lammps').read_text()
    lines = [line for line in log.splitlines(keepends=True) if not line.startswith(('Loop time', 'SIS_FINAL'))]
    begin = next(number for number, line in enumerate(lines) if line.strip() == 'SIS_BEGIN_MD')
    rows = [number for number, line in enumerate(lines[begin:], begin) if line.split() and line.split()[0].isdecimal()]
    kept = [line for number, line in enumerate(lines) if number not in rows[len(rows) // 2 :]]
    outputs, result = parse('stable', files={'log.lammps': ''.join(kept)}, length_ps=0.2)
    assert result.exit_status == LammpsMdCalculation.exit_codes.ERROR_LOG_DAMAGED.status
    assert outputs['results']['stable'] is False
    assert 'a part of it is lost' in result.exit_message


def test_exit_311(parse: Parse) -> None:
    """A full disk is the machine's, whether LAMMPS or the shell says so; the ring is there to go on from."""
    words = 'Error writing dump sis_ring: No space left on device'
    log = (FILES / 'stable' / 'log.lammps').read_text()
    cut = log[: log.rindex('Loop time')] + f'ERROR: {words} (src/dump.cpp:1)\n'
    outputs, result = parse('stable', files={'log.lammps': cut}, ring=True, length_ps=5)
    assert result.exit_status == LammpsMdCalculation.exit_codes.ERROR_DISK_FULL.status
    assert words in result.exit_message
    assert outputs['snapshots'].numsteps > 0
    _, result = parse('stable', remove=('log.lammps',), files={'_scheduler-stderr.txt': f'{words}\n'})
    assert result.exit_status == LammpsMdCalculation.exit_codes.ERROR_DISK_FULL.status


def test_what_a_machine_can_cause_is_never_taken_from_the_cache() -> None:
    """All but what follows from the inputs."""
    codes = LammpsMdCalculation.exit_codes.values()
    by_physics = {code.status for code in codes if code.status >= 300 and not code.invalidates_cache}
    assert by_physics == {310, 410}
