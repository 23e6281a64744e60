"""Formats that dpdata reads: a left-handed cell, SCFs that did not converge, a damaged step."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from aiida_deepmd.read_frames import ReadError, read_systems

CELL = np.array([[4.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.5, 0.0, 6.0]])


def outcar(path: Path, cell: np.ndarray = CELL, unconverged: int = -1, damaged: int = -1) -> np.ndarray:
    """The lines of an OUTCAR that readers look at: two atoms, four steps. Returns positions and forces (4, 2, 6)."""
    rows = np.random.default_rng(0).random((4, 2, 6)).round(5)
    lines = [' POTCAR:    PAW_PBE Li_sv 10Sep2004', ' POTCAR:    PAW_PBE F 08Apr2002']
    lines += [*lines, '   ions per type =               1   1', '   NELM   =     60;   NELMIN=  2; NELMDL= -5']
    for step in range(4):
        lines.append(f'----- Iteration    {step + 1}(  {60 if step == unconverged else 9})  -----')
        lines += [' VOLUME and BASIS-vectors are now :', ' ---', '  energy-cutoff  :  400', '  volume of cell :  120']
        lines.append('      direct lattice vectors                 reciprocal lattice vectors')
        lines += [''.join(f'{number:13.9f}' for number in [*row, 0, 0, 0]) for row in cell]
        lines += [' POSITION                                       TOTAL-FORCE (eV/Angst)', ' ' + '-' * 80]
        table = [''.join(f'{number:13.5f}' for number in row) for row in rows[step]]
        lines += table[:1] if step == damaged else table
        lines += [' ' + '-' * 80, f'  free  energy   TOTEN  =      {-10.0 - step:14.8f} eV']
    path.write_text('\n'.join([*lines, '']))
    return rows


def test_frames_stay_in_the_axes_of_the_file(tmp_path: Path) -> None:
    rows = outcar(tmp_path / 'OUTCAR')
    (system,) = read_systems(tmp_path / 'OUTCAR')
    assert system.symbols == ['Li', 'F']
    np.testing.assert_array_equal(system.frames.cells[0], CELL)
    np.testing.assert_array_equal(system.frames.coords, rows[:, :, :3])
    np.testing.assert_array_equal(system.frames.forces, rows[:, :, 3:])
    assert system.frames.energies.tolist() == [-10, -11, -12, -13]


def test_a_left_handed_cell(tmp_path: Path) -> None:
    """dpdata turns cells of these formats and stops there, by an AssertionError without a word."""
    rows = outcar(tmp_path / 'OUTCAR', CELL * [[1], [1], [-1]])
    (system,) = read_systems(tmp_path / 'OUTCAR')
    assert np.linalg.det(system.frames.cells[0]) == pytest.approx(-120)
    np.testing.assert_array_equal(system.frames.forces, rows[:, :, 3:])


def test_steps_whose_scf_did_not_converge_are_counted(tmp_path: Path) -> None:
    outcar(tmp_path / 'OUTCAR', unconverged=2)
    (system,) = read_systems(tmp_path / 'OUTCAR')
    assert dict(system.flaws) == {'unconverged': (2,)}
    assert len(system.frames) == 4


@pytest.mark.parametrize(('name', 'fmt'), [('01.OUTCAR', None), ('run-OUTCAR', None), ('OUTCAR', 'vasp-out')])
def test_whatever_the_file_is_called(name: str, fmt: str | None, tmp_path: Path) -> None:
    """ASE has a reader for these too, which does not tell of the SCF."""
    outcar(tmp_path / name, unconverged=2)
    (system,) = read_systems(tmp_path / name, fmt)
    assert dict(system.flaws) == {'unconverged': (2,)}


def test_a_compressed_file(tmp_path: Path) -> None:
    outcar(tmp_path / 'OUTCAR')
    (tmp_path / 'OUTCAR.gz').write_bytes(gzip.compress((tmp_path / 'OUTCAR').read_bytes()))
    with pytest.raises(ReadError, match=r'is compressed, .* unpack it first'):
        read_systems(tmp_path / 'OUTCAR.gz')


def test_what_dpdata_leaves_out_is_said(tmp_path: Path) -> None:
    outcar(tmp_path / 'OUTCAR', damaged=1)
    (system,) = read_systems(tmp_path / 'OUTCAR')
    assert system.frames.energies.tolist() == [-10, -12, -13]
    assert len(system.notes) == 1
    assert 'frame 2' in system.notes[0]


def test_no_labels(tmp_path: Path) -> None:
    outcar(tmp_path / 'OUTCAR')
    text = (tmp_path / 'OUTCAR').read_text().replace('TOTAL-FORCE', 'NOTHING')
    (tmp_path / 'OUTCAR').write_text(text)
    with pytest.raises(ReadError, match=r'dpdata can.t read .* cannot find forces'):
        read_systems(tmp_path / 'OUTCAR')
