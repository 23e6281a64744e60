#!/usr/bin/env bash
# An H5MD file of znh5md says that its velocities are in Å/fs; the numbers are 10.18 times larger than that.
#
# One would expect   H5MD, a format that carries the unit of every element, to say the unit that the numbers have.
# What happens       znh5md writes ASE's velocities as they are, Å·sqrt(eV/Da), and the attribute `unit` "Angstrom/fs"
#                    beside them. Positions (Å) and forces (eV/Å) of the same file are right. znh5md reads back what it
#                    wrote, without a look at the attribute.
# Seen with          znh5md 0.4.8, ase 3.29.0.
# Why it matters     whoever trusts the file (the point of H5MD) has 10.18 times the speed and 104 times the temperature:
#                    argon at 300 K is read as 31,000 K. Velocity autocorrelations and Green-Kubo integrals go by the square, too.
# Documented?        no. The option `save_units` is described as saving the units of ASE, whose unit of time is 10.18 fs, not 1 fs.
#                    No report of the factor was found; apax (pull request 307) says that znh5md does not convert and switches the units off.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet znh5md==0.4.8 ase==3.29.0

cat > try.py <<'PYTHON'
import importlib.metadata
import sys

import h5py
import numpy as np
import znh5md
from ase import Atoms, units

generator = np.random.default_rng(1)
atoms = Atoms('Ar100', positions=generator.random((100, 3)) * 20, cell=[20, 20, 20], pbc=True)
atoms.set_momenta(generator.normal(size=(100, 3)) * np.sqrt(units.kB * 300 * atoms.get_masses())[:, None])
znh5md.IO('md.h5').append(atoms)

with h5py.File('md.h5') as file:
    group = file['particles/atoms/velocity/value']
    unit, velocities = group.attrs['unit'], group[0]
    lengths = file['particles/atoms/position/value'].attrs['unit']

metres_per_second = velocities * 1e-10 / 1e-15  # what the attribute says
kinetic = 0.5 * (atoms.get_masses() * units._amu * (metres_per_second**2).sum(axis=1)).sum()
temperature = 2 * kinetic / (3 * len(atoms) * units._k)
ratio = float(np.median(velocities / (atoms.get_velocities() * units.fs)))

print('znh5md', importlib.metadata.version('znh5md'), 'ase', importlib.metadata.version('ase'))
print(f'units in the file: position {lengths}, velocity {unit}')
print(f'temperature of the atoms   {atoms.get_temperature():10.1f} K')
print(f'temperature from the file  {temperature:10.1f} K   velocities {ratio:.4f} times too large')
seen = unit == 'Angstrom/fs' and abs(ratio - 10.1805) < 1e-3 and abs(temperature / atoms.get_temperature() - 103.64) < 0.1
print('as seen before' if seen else 'CHANGED')
sys.exit(not seen)
PYTHON
venv/bin/python try.py
