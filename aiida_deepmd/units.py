"""Conversion factors of the package, all from CODATA, so that two codes can never disagree on a hartree.

Python works in eV, Å, eV/Å, K, fs for timesteps and Å/ps for velocities (as in ``TrajectoryData``). CP2K writes
atomic units; LAMMPS is run in its ``metal`` units (ps, Å, Å/ps, eV, bar), so nothing is converted there.
"""

from __future__ import annotations

from typing import Final

from scipy import constants

_EV_PER_JOULE = 1.0 / constants.physical_constants['electron volt'][0]
_ATOMIC_TIME_S = constants.physical_constants['atomic unit of time'][0]

#: Energy: 1 hartree in eV.
HARTREE_TO_EV: Final[float] = constants.physical_constants['Hartree energy in eV'][0]
#: Length: 1 bohr in Å.
BOHR_TO_ANGSTROM: Final[float] = constants.physical_constants['Bohr radius'][0] / constants.angstrom
#: Force: 1 hartree/bohr in eV/Å.
HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM: Final[float] = HARTREE_TO_EV / BOHR_TO_ANGSTROM
#: Energy: 1 kJ/mol in eV.
KJ_PER_MOL_TO_EV: Final[float] = constants.kilo / constants.Avogadro * _EV_PER_JOULE
#: Energy: 1 kcal/mol in eV.
KCAL_PER_MOL_TO_EV: Final[float] = KJ_PER_MOL_TO_EV * constants.calorie
#: Boltzmann's constant in eV/K.
BOLTZMANN_EV: Final[float] = constants.physical_constants['Boltzmann constant in eV/K'][0]
#: 1 u·Å²/fs² in eV (kinetic energies from Å/fs).
AMU_A2_FS2_TO_EV: Final[float] = constants.atomic_mass * (constants.angstrom / constants.femto) ** 2 * _EV_PER_JOULE
#: 1 u·Å²/ps² in eV (kinetic energies from Å/ps).
AMU_A2_PS2_TO_EV: Final[float] = AMU_A2_FS2_TO_EV * 1.0e-6
#: 1 atomic unit of time in fs.
ATOMIC_TIME_TO_FS: Final[float] = _ATOMIC_TIME_S / constants.femto
#: Velocity: 1 bohr per atomic unit of time (CP2K) in Å/ps (Python, LAMMPS metal).
ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS: Final[float] = BOHR_TO_ANGSTROM / (ATOMIC_TIME_TO_FS * 1.0e-3)
