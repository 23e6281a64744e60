"""Text that LAMMPS reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aiida_sis.core.lammps.dump import parse_dump
from aiida_sis.core.lammps.script import LammpsCell, write_data, write_script
from aiida_sis.core.settings.md import read_md_settings

FINITE = st.floats(-1e3, 1e3, allow_nan=False)
TYPE_MAP = ['N', 'Li', 'F']


def script(given_temperature: float | None = None, committee: tuple[str, ...] = (), **changes: Any) -> list[str]:
    """Lines of a script."""
    parameters = {'temperature_k': 300, 'window_k': [0, 1000], 'length_ps': 1, 'timestep_fs': 1.0} | changes
    settings = read_md_settings(parameters)
    return write_script(
        settings, TYPE_MAP, 'model.pb', 7, given_temperature, committee_filenames=committee
    ).splitlines()


def read_section(text: str, name: str, columns: slice) -> np.ndarray[Any, Any]:
    """Numbers of a section of a data file."""
    body = text.split(f'\n{name}', 1)[1].split('\n\n', 2)[1]
    return np.array([[float(word) for word in line.split()[columns]] for line in body.strip().splitlines()])


@given(arrays(np.float64, (2, 3), elements=FINITE), arrays(np.float64, (2, 3), elements=FINITE))
def test_positions_and_velocities_keep_every_bit(positions: Any, velocities: Any) -> None:
    text = write_data(['Li', 'F'], positions, np.diag([9.0, 9.1, 9.2]), TYPE_MAP, velocities)
    assert np.array_equal(read_section(text, 'Atoms', slice(2, 5)), positions)
    assert np.array_equal(read_section(text, 'Velocities', slice(1, 4)), velocities)


def test_types_follow_the_type_map_and_masses_cover_it() -> None:
    text = write_data(['F', 'Li'], np.zeros((2, 3)), np.eye(3) * 9, TYPE_MAP)
    assert '3 atom types' in text
    assert read_section(text, 'Atoms', slice(1, 2)).ravel().tolist() == [3.0, 2.0]
    assert read_section(text, 'Masses', slice(1, 2)).ravel() == pytest.approx([14.007, 6.94, 18.998], abs=1e-3)


def test_an_element_outside_the_type_map() -> None:
    with pytest.raises(ValueError, match='but the structure has S too'):
        write_data(['S'], np.zeros((1, 3)), np.eye(3), TYPE_MAP)


def test_a_line_in_the_place_of_an_element() -> None:
    """What is no element never reaches a script: LAMMPS has a command for the shell."""
    stranger = ['Li', 'X\nshell touch f']
    with pytest.raises(ValueError, match='no chemical element'):
        write_data(['Li'], np.zeros((1, 3)), 5 * np.eye(3), stranger)
    settings = read_md_settings({'temperature_k': 300, 'window_k': [0, 1000], 'length_ps': 1})
    with pytest.raises(ValueError, match='no chemical element'):
        write_script(settings, stranger, 'model.pb', 7)


def test_no_cell() -> None:
    with pytest.raises(ValueError, match='no cell volume'):
        write_data(['Li'], np.zeros((1, 3)), np.zeros((3, 3)), TYPE_MAP)


def test_a_triclinic_cell_gets_tilt_factors() -> None:
    text = write_data(['Li'], np.zeros((1, 3)), np.array([[9.0, 0, 0], [1, 8, 0], [2, 3, 7]]), TYPE_MAP)
    assert '1.0 2.0 3.0 xy xz yz' in text


@given(arrays(np.float64, (3, 3), elements=st.floats(-2, 2)), arrays(np.float64, (4, 3), elements=FINITE))
def test_any_cell_is_rotated_and_rotated_back(noise: Any, vectors: Any) -> None:
    cell = np.diag([9.0, 10.0, 11.0]) + noise
    frame = LammpsCell.from_cell(cell)
    assert np.all(np.triu(frame.cell, 1) == 0)
    assert np.all(np.diag(frame.cell) > 0)
    assert frame.from_lammps(frame.cell) == pytest.approx(cell, abs=1e-9)
    assert frame.from_lammps(frame.to_lammps(vectors)) == pytest.approx(vectors, abs=1e-8)
    # Distances, and with them energies, are those of the structure.
    lengths = np.linalg.norm(frame.to_lammps(vectors), axis=1)
    assert lengths == pytest.approx(np.linalg.norm(vectors, axis=1), abs=1e-8)


def test_the_watch_is_on_every_step_and_false_for_what_is_not_a_number() -> None:
    lines = script(window_k=[10, 900])
    condition = '(temp >= 10) && (temp <= 900) && (pe >= -1.0e300) && (pe <= 1.0e300)'
    assert f'variable sis_ok equal "{condition}"' in lines
    assert 'fix sis_halt all halt 1 v_sis_ok == 0 error soft message yes' in lines


def test_the_grace_time_keeps_a_guard() -> None:
    condition = next(line for line in script(window_k=[200, 500]) if line.startswith('variable sis_ok'))
    assert '(step < 500) && (temp <= 5000)' in condition
    assert '(temp >= 200) && (temp <= 500)' in condition


def test_without_least_distances_nothing_is_counted() -> None:
    assert not any('sis_near' in line or 'coord/atom' in line for line in script())


def test_pairs_are_counted_within_their_limits() -> None:
    lines = script(least_distances={'F-Li': 1.4, 'Li-Li': 2.0})
    assert 'compute sis_count_F_Li sis_F coord/atom cutoff 1.4 2' in lines
    assert 'compute sis_count_Li_Li sis_Li coord/atom cutoff 2 2' in lines
    halt = 'fix sis_near all halt 10 v_sis_too_near > 0 error soft message yes'
    # The pairs that are too near at the start are found before the dynamics begins, and the halt comes with it.
    order = [lines.index(line) for line in ('run 0 post no', 'print "SIS_BEGIN_MD"', halt)]
    assert order == sorted(order)
    # The watch of the temperature is as before.
    assert set(script()) <= set(lines)


def test_two_fixed_atoms_are_never_counted() -> None:
    lines = script(least_distances={'F-Li': 1.4}, fixed_atoms=[0])
    assert 'compute sis_count_F_Li sis_mobile_F coord/atom cutoff 1.4 2' in lines
    assert 'compute sis_count_Li_F sis_mobile_Li coord/atom cutoff 1.4 3' in lines


def test_a_least_distance_of_an_unknown_element() -> None:
    with pytest.raises(ValueError, match='least_distances has S, but the potential knows N, Li, F'):
        script(least_distances={'Li-S': 2.0})


def test_time_starts_after_the_minimisation() -> None:
    lines = script()
    starts = (
        'run 0',
        'minimize',
        'velocity all create 600 7',
        'print "SIS_BEGIN_MD"',
        'reset_timestep 0',
        'dump',
        'run 1000',
    )
    order = [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in starts]
    assert order == sorted(order)


def test_thermo_modify_follows_thermo_style() -> None:
    lines = script()
    style = next(i for i, line in enumerate(lines) if line.startswith('thermo_style'))
    assert lines[style + 1].startswith('thermo_modify')


def test_given_velocities_are_neither_drawn_nor_spoilt_by_a_minimisation() -> None:
    text = '\n'.join(script(given_temperature=310.0))
    assert 'minimize' not in text
    assert 'velocity' not in text


def test_thermostats() -> None:
    csvr = script()
    assert 'fix sis_nve all nve' in csvr
    assert 'fix sis_bath all temp/csvr 300 300 0.1 7' in csvr
    nose = script(thermostat={'style': 'nose_hoover', 'time_constant_fs': 50})
    assert 'fix sis_nvt all nvt temp 300 300 0.05' in nose
    assert not any('nve' in line for line in nose)
    free = script(thermostat={'style': 'none'})
    assert not any('temp/csvr' in line or 'nvt' in line for line in free)


def test_a_committee_is_asked_in_the_dynamics_only() -> None:
    levels = {'low_ev_per_angstrom': 0.05, 'high_ev_per_angstrom': 0.2, 'interval_fs': 20}
    lines = script(committee=('other.pb',), deviation=levels)
    alone = lines.index('pair_style deepmd model.pb')
    together = lines.index('pair_style deepmd model.pb other.pb out_file model_devi.out out_freq 20')
    minimisation = next(index for index, line in enumerate(lines) if line.startswith('minimize'))
    assert alone < minimisation < together < lines.index('print "SIS_BEGIN_MD"')
    assert lines[together + 1] == 'pair_coeff * * N Li F'
    # The frames that are judged are those that can be chosen.
    assert any(line.startswith('dump sis_candidates all custom 20 ') for line in lines)
    assert not any('committee' in line or 'candidates' in line for line in script())


def test_fixed_atoms_neither_move_nor_count() -> None:
    lines = script(fixed_atoms=[4, 0])
    assert 'group sis_fixed id 1 5' in lines
    assert 'compute_modify sis_temp extra/dof 0' in lines
    assert any(line.startswith('thermo_modify') and line.endswith('temp sis_temp') for line in lines)
    minimisation = next(index for index, line in enumerate(lines) if line.startswith('minimize'))
    assert lines[minimisation - 1] == 'fix sis_freeze sis_fixed setforce 0.0 0.0 0.0'
    assert lines[minimisation + 1] == 'unfix sis_freeze'
    assert 'velocity sis_mobile create 600 7 mom no rot no dist gaussian temp sis_temp' in lines
    assert 'fix sis_nve sis_mobile nve' in lines
    assert 'fix_modify sis_bath temp sis_temp' in lines
    assert 'fix_modify sis_nvt temp sis_temp' in script(fixed_atoms=[0], thermostat={'style': 'nose_hoover'})
    assert 'velocity sis_fixed set 0.0 0.0 0.0' in script(given_temperature=300.0, fixed_atoms=[0])
    assert not any('fix_modify' in line for line in script(fixed_atoms=[0], thermostat={'style': 'none'}))
    assert not any('sis_mobile' in line or 'sis_temp' in line for line in script())


def test_the_ring_holds_the_first_frame_whatever_its_step() -> None:
    """A dynamics that goes on may fail before its next multiple of the interval."""
    assert any(line.startswith('dump_modify sis_ring') and 'first yes' in line for line in script(elapsed_ps=0.505))


CELLS = [
    np.array([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]]),  # two rows swapped
    np.diag([9.0, -10.0, 11.0]),
    np.array([[9.0, 0.0, 0.0], [8.0, 9.0, 0.0], [-8.5, 8.8, 9.0]]),  # strongly tilted
    np.array([[8.0, 9.0, 1.0], [9.0, 0.5, 0.0], [-8.0, 8.0, 9.0]]),  # left-handed and strongly tilted
]


@pytest.mark.parametrize('cell', CELLS)
def test_there_and_back_in_one_frame(cell: Any) -> None:
    """What is written for LAMMPS and read from it is where it was, positions, velocities and forces alike."""
    rng = np.random.default_rng(3)
    positions, velocities, forces = (rng.normal(0.0, 5.0, (4, 3)) for _ in range(3))
    text = write_data(['Li', 'F', 'N', 'Li'], positions, cell, TYPE_MAP, velocities)
    frame = LammpsCell.from_cell(cell)
    box = frame.cell
    assert np.linalg.det(box) == pytest.approx(abs(np.linalg.det(cell)))
    # All lengths and angles between what is written are those of the structure.
    there = np.concatenate(
        [read_section(text, 'Atoms', slice(2, 5)), read_section(text, 'Velocities', slice(1, 4)), box]
    )
    here = np.concatenate([positions, velocities, cell])
    assert there @ there.T == pytest.approx(here @ here.T, abs=1e-9)
    low = [min(0, box[1, 0], box[2, 0], box[1, 0] + box[2, 0]), min(0, box[2, 1]), 0]
    high = [max(0, box[1, 0], box[2, 0], box[1, 0] + box[2, 0]), max(0, box[2, 1]), 0]
    tilts = (box[1, 0], box[2, 0], box[2, 1])
    bounds = [f'{low[i]} {box[i, i] + high[i]} {tilts[i]}' for i in range(3)]
    rows = np.hstack([there[:4], there[4:8], frame.to_lammps(forces)])
    body = [f'{i} 1 {" ".join(repr(float(value)) for value in row)}' for i, row in enumerate(rows, 1)]
    columns = 'id type xu yu zu vx vy vz fx fy fz'
    head = ['ITEM: TIMESTEP', '7', 'ITEM: NUMBER OF ATOMS', '4', 'ITEM: BOX BOUNDS xy xz yz pp pp pp']
    (read,) = parse_dump('\n'.join([*head, *bounds, f'ITEM: ATOMS {columns}', *body]) + '\n')
    assert frame.from_lammps(read.cell) == pytest.approx(cell, abs=1e-9)
    for got, wanted in ((read.positions, positions), (read.velocities, velocities), (read.forces, forces)):
        assert frame.from_lammps(got) == pytest.approx(wanted, abs=1e-9)
