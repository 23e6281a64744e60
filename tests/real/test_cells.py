"""The real `lmp` moves atoms in any cell as they move in the frame of the structure, left-handed or strongly tilted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.lj import LennardJones
from ase.md.verlet import VelocityVerlet

from aiida_sis.core.lammps.dump import parse_dump
from aiida_sis.core.lammps.script import LammpsCell, write_data

pytestmark = pytest.mark.real

RIGHT = np.array([[9.0, 0.0, 0.0], [1.5, 9.5, 0.0], [-2.0, 1.0, 10.0]])
CELLS = {
    'right-handed': RIGHT,
    'two vectors swapped': RIGHT[[1, 0, 2]],
    'one vector reversed': RIGHT * np.array([[1.0], [1.0], [-1.0]]),
    'strongly tilted': np.array([[9.0, 0.0, 0.0], [8.0, 9.5, 0.0], [-8.5, 8.0, 10.0]]),
    'left-handed, tilted, turned': np.array([[1.0, 9.0, 7.0], [9.0, 0.5, -3.0], [0.3, -8.0, 9.0]]),
}
SCRIPT = """units metal
atom_style atomic
boundary p p p
read_data structure.data
pair_style lj/cut 6.0
pair_coeff * * 0.05 2.8
timestep 0.001
fix 1 all nve
dump 1 all custom 20 out.lammpstrj id type xu yu zu vx vy vz fx fy fz
dump_modify 1 sort id format float %.17g
run 20
"""


@pytest.mark.parametrize('name', CELLS)
def test_the_same_dynamics_in_any_cell(name: str, tmp_path: Path) -> None:
    """20 steps of LAMMPS, turned back, beside 20 steps of ASE that never left the frame of the structure."""
    cell = CELLS[name]
    rng = np.random.default_rng(5)
    places = np.array(np.meshgrid([0.1, 0.6], [0.1, 0.6], [0.1, 0.6])).reshape(3, -1).T
    atoms = Atoms('LiF' * 4, scaled_positions=places, cell=cell, pbc=True)
    atoms.positions += rng.normal(0.0, 0.3, (8, 3))
    velocities = rng.normal(0.0, 5.0, (8, 3))  # Å/ps
    symbols = atoms.get_chemical_symbols()
    (tmp_path / 'structure.data').write_text(write_data(symbols, atoms.positions, cell, ['F', 'Li'], velocities))
    (tmp_path / 'in.lmp').write_text(SCRIPT)
    executable = shutil.which('lmp')
    assert executable is not None, 'lmp is not on the PATH: run the tests through `make test`.'
    done: Any = subprocess.run(
        [executable, '-in', 'in.lmp', '-log', 'none'], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, last = parse_dump((tmp_path / 'out.lammpstrj').read_text())
    back = LammpsCell.from_cell(cell)

    atoms.calc = LennardJones(epsilon=0.05, sigma=2.8, rc=6.0)
    atoms.set_velocities(velocities / (1000.0 * units.fs))
    forces = atoms.get_forces()
    assert np.abs(forces).max() > 0.01
    np.testing.assert_allclose(back.from_lammps(first.positions), atoms.positions, atol=1e-12)
    np.testing.assert_allclose(back.from_lammps(first.forces), forces, atol=1e-9)
    VelocityVerlet(atoms, 1.0 * units.fs).run(20)
    np.testing.assert_allclose(back.from_lammps(last.positions), atoms.positions, atol=1e-6)
    np.testing.assert_allclose(back.from_lammps(last.velocities), atoms.get_velocities() * 1000.0 * units.fs, atol=1e-4)
    np.testing.assert_allclose(back.from_lammps(last.forces), atoms.get_forces(), atol=1e-5)
