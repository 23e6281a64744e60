#!/usr/bin/env bash
# Two frames labelled 1_23 and 12_3 in an extended XYZ file are both 123 when ASE has written and read them.
#
# One would expect   a string in `atoms.info` to come back as that string, or at least as something else for something else.
# What happens       ASE writes the string without quotes where it has no blanks, and reads each value as an integer if Python
#                    takes it for one; and Python takes an underscore between digits as a separator of thousands: 1_23 is
#                    123. So 'run_frame' labels of digits become integers, and different ones the same. With 30 runs of 30 frames
#                    900 labels become 864 numbers. Beside that 0012 becomes 12, T becomes True, 1234e5 becomes 123400000.0.
#                    The format's own C library, as a plug-in of the same ASE (format "cextxyz"), keeps 1_23 and 0012 as
#                    strings, and reads 1d5 as 100000.0, which ASE keeps as a string.
# Seen with          ase 3.29.0 (format extxyz), ase-extxyz 0.1.2 with extxyz 0.4.6 (format cextxyz).
# Why it matters     extended XYZ is the common format of training data. Frames are split into training and test set, are
#                    looked up and are weighted (`config_type`) by such labels: two runs fall into one, and a frame of the
#                    test set may be one of the training set.
# Documented?        that values are guessed is. Of the underscore nothing was found, in ASE, in the specification (its integers
#                    are digits with a sign) or in an issue.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet ase==3.29.0 ase-extxyz==0.1.2 extxyz==0.4.6

cat > try.py <<'PYTHON'
import importlib.metadata
import sys

from ase import Atoms
from ase.io import read, write

labels = ['1_23', '12_3', '0012', 'T', '1234e5', '1d5']
labels += [f'{run}_{frame}' for run in range(1, 31) for frame in range(1, 31)]
frames = [Atoms('Ar', cell=[9, 9, 9], pbc=True, info={'label': label}) for label in labels]
write('frames.xyz', frames, format='extxyz')

for package in ('ase', 'ase-extxyz', 'extxyz'):
    print(package, importlib.metadata.version(package))
found = {}
for name in ('extxyz', 'cextxyz'):
    values = [frame.info['label'] for frame in read('frames.xyz', index=':', format=name)]
    found[name] = [value.item() if hasattr(value, 'item') else value for value in values]
print(f'{"written":10s} {labels[:6]}')
for name, values in found.items():
    print(f'{name:10s} {values[:6]}  900 labels run_frame: {len(set(values[6:]))} different')
seen = (
    found['extxyz'][:6] == [123, 123, 12, True, 123400000.0, '1d5']
    and found['cextxyz'][:6] == ['1_23', '12_3', '0012', True, 123400000.0, 100000.0]
    and len(set(found['extxyz'][6:])) == 864
    and len(set(found['cextxyz'][6:])) == 900
)
print('as seen before' if seen else 'CHANGED')
sys.exit(not seen)
PYTHON
venv/bin/python try.py
