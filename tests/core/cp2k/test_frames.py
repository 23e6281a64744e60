"""AIMD made by hand with CP2K 2023.1 (two water molecules, GFN1-xTB), as people have it in a folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from aiida_deepmd.read_frames import Hints, ReadError, System, guess_format, read_systems
from aiida_deepmd.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV
from aiida_sis.core.cp2k.input_facts import read_input

FILES = Path(__file__).parents[2] / 'files'
RUNS = FILES / 'cp2k_by_hand'
#: The table of the forces in an output of CP2K 2025.1, and the energy line before it.
OUTPUT_2025 = """ GLOBAL| Project name                                                      water
 ENERGY| Total FORCE_EVAL ( QS ) energy [hartree]            -11.543915036321444

 FORCES| Atomic forces [hartree/bohr]
 FORCES|   Atom     x               y               z               |f|
 FORCES|      1 -2.26810000E-04  1.01160000E-04 -3.16680000E-04   4.02440000E-04
 FORCES|      2 -2.00482000E-03  4.84600000E-04  2.74200000E-05   2.06276000E-03
 FORCES|      3  2.03162000E-03  4.51800000E-04  3.75510000E-04   2.11487000E-03
 FORCES|      4 -5.01300000E-05 -3.06962400E-02 -2.32960000E-04   3.06971000E-02
 FORCES|      5  2.38981500E-02  1.49125000E-02  2.41545700E-02   3.71000000E-02
 FORCES|      6 -2.36479900E-02  1.47461700E-02 -2.40078600E-02   3.68000000E-02
 FORCES| Sum    -0.00000000E-01 -0.00000000E-01  0.00000000E-01
"""


def copy(case: str, target: Path, *without: str) -> Path:
    """A run without some of its files."""
    shutil.copytree(RUNS / case, target)
    for name in without:
        (target / name).unlink()
    return target


def read(path: Path, hints: Hints | None = None) -> System:
    """The one run of a path."""
    (system,) = read_systems(path, hints=hints)
    return system


def numbers(file: Path, frame: int) -> np.ndarray:
    """What an XYZ file of six atoms has for a frame, as it stands there."""
    lines = file.read_text().splitlines()[8 * frame + 2 : 8 * frame + 8]
    return np.array([[float(word) for word in line.split()[1:]] for line in lines])


def test_a_fixed_cell_comes_from_the_restart_file_or_the_input(tmp_path: Path) -> None:
    assert guess_format(RUNS / 'nvt') == 'cp2k'
    system = read(RUNS / 'nvt')
    assert (system.name, system.symbols, len(system.frames)) == ('', ['O', 'H', 'H', 'O', 'H', 'H'], 9)
    assert (dict(system.flaws), system.notes) == ({}, ())
    np.testing.assert_allclose(system.frames.energies[1], -11.5439596159 * HARTREE_TO_EV, atol=1e-10)
    for frame in (0, 8):
        np.testing.assert_allclose(
            system.frames.coords[frame], numbers(RUNS / 'nvt/water-pos-1.xyz', frame), atol=1e-12
        )
        expected = numbers(RUNS / 'nvt/water-frc-1.xyz', frame) * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
        np.testing.assert_allclose(system.frames.forces[frame], expected, atol=1e-12)
    np.testing.assert_allclose(system.frames.cells, np.tile(np.diag([7.0, 7.5, 8.0]), (9, 1, 1)), atol=1e-12)
    for missing in ('water-1.restart', 'water.inp'):
        other = read(copy('nvt', tmp_path / missing, missing))
        np.testing.assert_allclose(other.frames.cells, system.frames.cells, atol=1e-12)
        assert missing not in [file.name for file in other.files]
    with pytest.raises(ReadError, match=r'no water-1.cell .* and no restart file or input of project water'):
        read(copy('nvt', tmp_path / 'nothing', 'water-1.restart', 'water.inp'))


def test_a_cell_that_changes_must_be_printed(tmp_path: Path) -> None:
    system = read(RUNS / 'npt')
    assert system.frames.cells[3].tolist() == np.diag([7.0171451805, 7.5183698362, 8.0195944920]).tolist()
    assert len(system.frames) == 7
    for kept in ('npt-run-1.restart', 'water.inp', 'water.out'):
        path = copy('npt', tmp_path / kept, 'npt-run-1.cell')
        inp = path / 'water.inp'
        for name in {'npt-run-1.restart', 'water.inp', 'water.out'} - {kept, 'water.inp'}:
            (path / name).unlink()
        if kept != 'water.inp':
            inp.write_text(inp.read_text().replace('NPT_I', 'NVT'))
        with pytest.raises(ReadError, match='the cell changed during the run: print it'):
            read(path)


def test_steps_that_a_restart_computed_again_count_once() -> None:
    """Steps 4 and 5 are there twice, with energies that differ in the ninth digit: the later ones hold."""
    system = read(RUNS / 'restart')
    assert dict(system.flaws) == {'duplicate': (4, 5)}
    np.testing.assert_allclose(
        system.frames.energies[[5, 7]], np.array([-11.5458188901, -11.5458188921]) * HARTREE_TO_EV
    )
    assert system.usable().tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 10]


def test_runs_one_after_the_other_are_no_restart(tmp_path: Path) -> None:
    path = copy('nvt', tmp_path / 'two')
    for kind in ('pos', 'frc'):
        file = path / f'water-{kind}-1.xyz'
        other = (RUNS / f'output/water-{kind}-1.xyz').read_text() if kind == 'pos' else ''
        file.write_text(file.read_text() + other + file.read_text())
    system = read(path)
    assert len(system.frames) == 23
    assert dict(system.flaws) == {'incomplete': tuple(range(9, 14))}
    np.testing.assert_array_equal(system.frames.forces[14:], system.frames.forces[:9])


def test_forces_go_to_the_frame_of_their_energy(tmp_path: Path) -> None:
    """The forces of a later run that was killed must not get to the frames of an earlier one with the same steps."""
    path = copy('nvt', tmp_path / 'mixed')
    (path / 'water-pos-1.xyz').write_text((RUNS / 'output/water-pos-1.xyz').read_text())
    with pytest.raises(ReadError, match='5 with no energy or no forces'):
        read(path)


def test_forces_of_the_output(tmp_path: Path) -> None:
    system = read(RUNS / 'output')
    text = (RUNS / 'output/water.out').read_text()
    rows = re.findall(r'^ +\d+ +\d+ +[OH] +(\S+) +(\S+) +(\S+)', text, flags=re.M)
    expected = np.array(rows, dtype=float).reshape(5, 6, 3) * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
    np.testing.assert_allclose(system.frames.forces, expected, atol=1e-12)
    assert system.frames.forces[0, 3, 1] == pytest.approx(-0.03069624 * 51.4220675)
    assert 'the forces are those of the output (water.out)' in system.notes[0]
    np.testing.assert_allclose(system.frames.cells[0], [[7, 0, 0], [0.5, 7.5, 0], [0.2, 0.3, 8]], atol=1e-12)
    path = copy('output', tmp_path / 'new')
    (path / 'water.out').write_text(OUTPUT_2025)
    newer = read(path)
    np.testing.assert_allclose(newer.frames.forces[0], system.frames.forces[0], atol=1e-9)
    assert newer.flaws['incomplete'] == (1, 2, 3, 4)
    (path / 'water.out').unlink()
    with pytest.raises(ReadError, match=r'water-frc-1.xyz is not there, and no output with forces is: print them'):
        read(path)


def test_unconverged_steps_are_told_by_the_output(tmp_path: Path) -> None:
    path = tmp_path / 'run'
    shutil.copytree(FILES / 'cp2k/unconverged', path)
    (path / 'aiida.inp').write_text('&GLOBAL\nPROJECT aiida\n&END')
    assert dict(read(path).flaws) == {'unconverged': (0, 1)}
    (path / 'aiida.out').unlink()
    assert 'whether their SCF converged is not known' in read(path).notes[-1]


def test_half_frames_of_killed_runs(tmp_path: Path) -> None:
    """CP2K appends after a restart, so a half frame can stand in the middle."""
    path = copy('nvt', tmp_path / 'killed')
    whole = (RUNS / 'nvt/water-frc-1.xyz').read_text().splitlines(keepends=True)
    (path / 'water-frc-1.xyz').write_text(''.join(whole[:21] + whole[24:-2]) + whole[-2][:20])
    system = read(path)
    assert dict(system.flaws) == {'incomplete': (2, 8)}
    np.testing.assert_array_equal(system.frames.forces[3:8], read(RUNS / 'nvt').frames.forces[3:8])


def test_many_runs_in_one_tree(tmp_path: Path) -> None:
    copy('nvt', tmp_path / 'a/300K')
    copy('npt', tmp_path / 'a/pressure')
    assert [system.name for system in read_systems(tmp_path)] == ['a/300K/water', 'a/pressure/npt-run']
    file = tmp_path / 'a/300K/water-frc-1.xyz'
    assert guess_format(file) == 'cp2k'
    assert len(read(file).frames) == 9
    shutil.copytree(FILES / 'deepmd', tmp_path / 'd')
    (tmp_path / 'd/type.raw').write_text('0')
    with pytest.raises(ReadError, match='say which, --format deepmd/npy or --format cp2k'):
        read_systems(tmp_path)


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('&FORCES', '&FORCES\nUNIT eV*angstrom^-1', r'FORCES in eV\*angstrom\^-1'),
        ('&TRAJECTORY', '&TRAJECTORY\nUNIT bohr', 'TRAJECTORY in bohr'),
        ('ABC 7.0 7.5 8.0', 'ABC 7.0 7.5 8.0\nPERIODIC XY', 'no cell in all three'),
        ('ABC 7.0 7.5 8.0', 'ABC ${L} 7.5 8.0', 'no restart file or input of project water with the cell in numbers'),
        ('ABC 7.0 7.5 8.0', 'ABC 7.0 7.5 8.0\nMULTIPLE_UNIT_CELL 2 1 1', 'MULTIPLE_UNIT_CELL'),
        ('PROJECT water', 'PROJECT other', 'no restart file or input of project water'),
    ],
)
def test_what_an_input_says_against_it(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = copy('nvt', tmp_path / 'run', 'water-1.restart')
    (path / 'water.inp').write_text((path / 'water.inp').read_text().replace(old, new))
    with pytest.raises(ReadError, match=words):
        read(path)


def test_cells_of_an_input() -> None:
    def cell(*lines: str) -> np.ndarray | None:
        return read_input('\n'.join(['&FORCE_EVAL', '&SUBSYS', '&CELL', *lines, '&END', '&END', '&END'])).cell

    np.testing.assert_allclose(cell('ABC [bohr] 10 20 30'), np.diag([10, 20, 30]) * BOHR_TO_ANGSTROM)
    hexagonal = cell('abc 3 3 5  ! comment', 'ALPHA_BETA_GAMMA 90 90 120')
    np.testing.assert_allclose(hexagonal, [[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 5]], atol=1e-12)
    np.testing.assert_allclose(cell('A [nm] .5 0 0', 'B 0 6 0', 'C 0 0 7'), np.diag([5, 6, 7]))
    assert cell('CELL_FILE_NAME some.cif') is None
    assert read_input('&MOTION\n&PRINT\n&CELL\n&END CELL\n&END\n&END').cell is None


@pytest.mark.parametrize(
    ('lines', 'expected'),
    [
        # what CP2K 2023.1 printed as its cell for these
        (['ABC 7 7.5 8', 'ANGLES 90 90 100'], [[7, 0, 0], [-1.302, 7.386, 0], [0, 0, 8]]),
        (['ABC 7 7.5 8', 'ALPHA_BETA_GAMMA [rad] 1.5707963 1.5707963 1.2'], [[7, 0, 0], [2.718, 6.990, 0], [0, 0, 8]]),
        (['ABC 7 [bohr] 15 16'], [[7, 0, 0], [0, 7.938, 0], [0, 0, 8.467]]),
        (['ABC 7 [bohr] 15 [angstrom] 8'], [[7, 0, 0], [0, 7.938, 0], [0, 0, 8]]),
        (['ABC [pm] 700 750 800'], [[7, 0, 0], [0, 7.5, 0], [0, 0, 8]]),
        (['ABC 14/2 7.5D0 8'], [[7, 0, 0], [0, 7.5, 0], [0, 0, 8]]),
        (['A 7 0 0', 'B 0 7.5 0', 'C 0 0 8', 'ABC 9 9 9'], [[9, 0, 0], [0, 9, 0], [0, 0, 9]]),
        (['A 0 7.5 0', 'B 7 0 0', 'C 0 0 8'], [[0, 7.5, 0], [7, 0, 0], [0, 0, 8]]),
    ],
)
def test_units_and_other_names_in_the_cell_of_an_input(lines: list[str], expected: list[list[float]]) -> None:
    found = read_input('\n'.join(['&FORCE_EVAL', '&SUBSYS', '&CELL', *lines, '&END', '&END', '&END'])).cell
    np.testing.assert_allclose(found, expected, atol=6e-4)


def test_a_cell_that_cp2k_makes_symmetric_is_not_that_of_the_input() -> None:
    """Without angles a hexagonal one has 60 degrees in CP2K, not 90; in a restart file the vectors are there."""

    def cell(*lines: str) -> object:
        return read_input('\n'.join(['&FORCE_EVAL', '&SUBSYS', '&CELL', *lines, '&END', '&END', '&END'])).cell

    assert cell('ABC 8 8 10', 'SYMMETRY HEXAGONAL') is None
    assert cell('ABC 8 9 10', 'SYMMETRY ORTHORHOMBIC') is not None
    assert cell('A 8 0 0', 'B 4 6.93 0', 'C 0 0 10', 'SYMMETRY HEXAGONAL') is not None


def test_inputs_of_other_people(tmp_path: Path) -> None:
    """Lower case, a project by a variable, other names of files, line ends of Windows, backups and binary files."""
    path = copy('nvt', tmp_path / 'run', 'water-1.restart')
    text = (path / 'water.inp').read_text().replace('PROJECT water', 'PROJECT ${NAME}')
    for word in ('&FORCE_EVAL', '&SUBSYS', '&CELL', 'ABC'):
        text = text.replace(word, word.lower())
    (path / 'input.txt').write_text('@SET NAME water\n' + text, newline='\r\n')
    (path / 'water.inp').unlink()
    (path / 'water.out').rename(path / 'slurm-123')
    (path / 'water-pos-1.xyz.bak-1').write_text('old')
    (path / 'water-RESTART.wfn').write_bytes(b'&GLOBAL\0\1')
    system = read(path)
    names = ['water-pos-1.xyz', 'water-frc-1.xyz', 'input.txt', 'slurm-123']
    assert [file.name for file in system.files] == names
    np.testing.assert_allclose(system.frames.cells[0], np.diag([7.0, 7.5, 8.0]), atol=1e-12)
    assert (dict(system.flaws), system.notes) == ({}, ())


def test_kinds_that_are_no_elements(tmp_path: Path) -> None:
    path = copy('nvt', tmp_path / 'run')
    for kind in ('pos', 'frc'):
        file = path / f'water-{kind}-1.xyz'
        file.write_text(re.sub(r'^ +O ', ' OX ', file.read_text(), flags=re.M))
    with pytest.raises(ReadError, match=r'atoms called OX, which are no elements: .* --elements OX=Na'):
        read(path)
    assert read(path, Hints(elements=(('OX', 'O'),))).symbols == ['O', 'H', 'H', 'O', 'H', 'H']


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ReadError, match=r'no type.raw \(DeePMD-kit\) and no PROJECT-pos-1.xyz \(CP2K\)'):
        read_systems(tmp_path / 'empty')
    with pytest.raises(ReadError, match=r'no PROJECT-pos-1.xyz of CP2K: give the folder of a run'):
        read_systems(tmp_path / 'empty', 'cp2k/aimd_output')


@pytest.mark.parametrize('name', ['water.inp', 'water.out', 'water-1.restart'])
def test_one_file_of_a_run(name: str) -> None:
    with pytest.raises(ReadError, match='is one file of a CP2K run: give its folder'):
        read_systems(RUNS / 'nvt' / name)


def test_the_file_of_cells(tmp_path: Path) -> None:
    """Another unit is refused; a line that a killed run left half is no cell, whatever stands behind it."""
    path = copy('npt', tmp_path / 'run')
    file = path / 'npt-run-1.cell'
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(''.join([*lines[:3], lines[3][:60], *lines[4:]]))
    assert dict(read(path).flaws) == {'no_cell': (2, 3)}
    file.write_text(''.join(lines).replace('[Angstrom]', '[bohr]'))
    with pytest.raises(ReadError, match='is not in Å: its first line says'):
        read(path)
    file.write_text(''.join(lines[1:]))  # without the first line the numbers are the same
    assert not read(path).flaws


def test_restarts_under_pressure(tmp_path: Path) -> None:
    """Cells of steps that were computed twice go with the positions of their own turn."""
    path = copy('npt', tmp_path / 'run')
    pos, frc, cell = (path / f'npt-run-{name}' for name in ('pos-1.xyz', 'frc-1.xyz', '1.cell'))
    pos.write_text(pos.read_text() + ''.join(pos.read_text().splitlines(keepends=True)[40:]))
    frc.write_text(frc.read_text() + ''.join(frc.read_text().splitlines(keepends=True)[40:]))
    lines = cell.read_text().splitlines(keepends=True)
    again = [line.replace('7.5171535278', '7.6171535278') for line in lines[6:]]
    cell.write_text(''.join([*lines, *again]))
    system = read(path)
    assert dict(system.flaws) == {'duplicate': (5, 6)}
    assert system.frames.cells[[5, 7], 1, 1].tolist() == [7.5171535278, 7.6171535278]
    cell.write_text(''.join([*lines, *again[:1]]))  # step 6 has one cell for two frames, but it is the same twice over
    assert read(path).frames.cells[[6, 8], 1, 1].tolist() == [7.5107813028, 7.5107813028]
