#!/usr/bin/env bash
# ASE reads the velocities of a DL_POLY file 223 times and its forces 51 times too small, and writes them as much too large.
#
# One would expect   velocities of a CONFIG or HISTORY file (Å/ps) and forces (Da Å/ps²) to be converted to ASE's units,
#                    Å·sqrt(eV/Da) and eV/Å, as the positions are right.
# What happens       ASE converts them to *atomic* units (bohr, hartree) and takes the numbers for its own. An argon atom
#                    of 1 Å/ps is read with 0.0045 Å/ps, one of 1 eV/Å with 0.019 eV/Å. Writing goes the other way round,
#                    so ASE reads back what ASE wrote, and a test of ASE with itself sees nothing.
# Seen with          ase 3.29.0, format dlp4 (CONFIG); HISTORY is read with the same factors (ase/io/dlp4.py).
# Why it matters     an MD that is set up in ASE and started in DL_POLY begins at 223² ≈ 50,000 times the temperature; forces
#                    of a DL_POLY run that go into a training set through ASE are 51 times too small, with right
#                    positions and without a word.
# Documented?        no. The units of DL_POLY are in its manual (chapter on units: ps, Å, Da, 10 J/mol); ASE's page of the
#                    format names none. No report of it was found; MDAnalysis's issue 2393 is about its own reader.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet ase==3.29.0

cat > try.py <<'PYTHON'
import io
import sys

import ase
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

ANGSTROM_PER_PS = 1e-3 / units.fs  # in ASE's unit of velocity
EV_PER_ANGSTROM = 9648.5332  # in DL_POLY's unit of force, Da Å/ps²

# levcfg 2 (positions, velocities, forces), imcon 1 (cubic), one atom with 1 Å/ps and 1 eV/Å along x
config = f"""one argon atom
         2         1         1
       10.0000000000        0.0000000000        0.0000000000
        0.0000000000       10.0000000000        0.0000000000
        0.0000000000        0.0000000000       10.0000000000
Ar               1
        1.0000000000        2.0000000000        3.0000000000
        1.0000000000        0.0000000000        0.0000000000
{EV_PER_ANGSTROM:20.10f}        0.0000000000        0.0000000000
"""
atoms = read(io.StringIO(config), format='dlp4')
read_v = atoms.get_velocities()[0, 0] / ANGSTROM_PER_PS
read_f = atoms.get_forces()[0, 0]

own = Atoms('Ar', positions=[[1, 2, 3]], cell=[10, 10, 10], pbc=True)
own.set_velocities([[ANGSTROM_PER_PS, 0, 0]])
own.calc = SinglePointCalculator(own, energy=0.0, forces=[[1.0, 0, 0]])
text = io.StringIO()
write(text, own, format='dlp4', levcfg=2)
lines = text.getvalue().splitlines()
written_v, written_f = float(lines[-2].split()[0]), float(lines[-1].split()[0])

print('ase', ase.__version__)
print(f'read:    1 Å/ps  -> {read_v:.6f} Å/ps    1 eV/Å -> {read_f:.6f} eV/Å   position {atoms.positions[0]}')
print(f'written: 1 Å/ps  -> {written_v:.4f} Å/ps  1 eV/Å -> {written_f / EV_PER_ANGSTROM:.4f} eV/Å')
seen = (
    abs(read_v - 1 / 222.718) < 1e-5
    and abs(read_f - 1 / 51.4221) < 1e-5
    and abs(written_v - 222.718) < 1e-2
    and abs(written_f / EV_PER_ANGSTROM - 51.4221) < 1e-3
)
print('as seen before: factors of 222.7 and 51.42, hartree and bohr' if seen else 'CHANGED')
sys.exit(not seen)
PYTHON
venv/bin/python try.py
