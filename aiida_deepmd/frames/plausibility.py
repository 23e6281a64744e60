"""What no labelled frame of real matter can show: the physics behind the refusals of ``examine``.

Each threshold comes from chemistry as a whole and not from any data set, so that a reaction, however violent, passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_masses, atomic_numbers, covalent_radii

from aiida_deepmd import units
from aiida_deepmd.arrays import BoolArray, FloatArray
from aiida_deepmd.frames.geometry import displacements, nearest_image
from aiida_deepmd.units import AMU_A2_FS2_TO_EV

#: Energy of the strongest chemical bond, C≡O, in eV (dissociation energy 1077 kJ/mol).
STRONGEST_BOND = 11.1
#: Shortest distance of two atoms, in units of the sum of their covalent radii. The shortest bonds for their radii are
#: the triple bonds (C≡O, N≡N: 0.79). Pressed to 0.6 (C≡O to 0.85 Å), such a bond holds about as much as breaks it.
MIN_DISTANCE = 0.6
#: Energy per atom, eV, by which a frame may differ from the median of its trajectory, beside one strongest bond for the
#: whole frame (a small molecule may break or make it). It is what a classical solid stores at 7,700 K (1.5 kT), or what
#: burning hydrogen to water releases (0.8 eV an atom of the water).
MAX_ENERGY_PER_ATOM = 1.0
#: Correlation of accelerations and forces above which frames follow each other as the steps of one MD do.
_CONTIGUOUS = 0.98
#: Logarithm of a ratio within which it is taken for that of two units.
_SAME_RATIO = 0.05


def closest_approach(coords: FloatArray, cells: FloatArray, symbols: Sequence[str]) -> FloatArray:
    """Shortest distance of each frame in units of the sum of the two covalent radii (Cordero 2008, as in ASE).

    The nearest image comes from rounding fractional coordinates, which is exact for distances below half the smallest
    height of the cell; farther ones are of no interest here.

    :param coords: (n_frames, n_atoms, 3), Å, finite.
    :param cells: (n_frames, 3, 3), Å, finite and with a volume.
    :param symbols: element of each atom, (n_atoms,).
    :return: (n_frames,), infinite for a single atom.
    """
    radii = np.array([covalent_radii[atomic_numbers[symbol]] for symbol in symbols])
    first, second = np.triu_indices(len(radii), k=1)
    sums = radii[first] + radii[second]
    closest = np.full(len(coords), np.inf)
    for i in range(len(coords) if len(sums) else 0):
        distances = np.linalg.norm(nearest_image(coords[i][first] - coords[i][second], cells[i]), axis=-1)
        closest[i] = (distances / sums).min()
    return closest


def pressed_atoms(coords: FloatArray, cell: FloatArray, symbols: Sequence[str]) -> str:
    """Say so where the geometry itself explains why a frame could not be computed.

    :param coords: (n_atoms, 3), Å.
    :param cell: (3, 3), Å.
    :param symbols: element of each atom, (n_atoms,).
    :return: one sentence, empty where no two atoms are nearer than any bond.
    """
    closest = closest_approach(coords[None], cell[None], symbols)[0]
    if closest >= MIN_DISTANCE:
        return ''
    return f'The geometry is at fault: two atoms are at {closest:.2f} of the sum of their covalent radii.'


def time_step(coords: FloatArray, cells: FloatArray, forces: FloatArray, symbols: Sequence[str]) -> float | None:
    """Time between the frames in fs; None where they do not follow each other, or too far apart for it to be seen.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param forces: (n_frames, n_atoms, 3), eV/Å.
    :param symbols: element of each atom, (n_atoms,).
    """
    correlation, square = newton(coords, cells, forces, symbols)
    return float(np.sqrt(square)) if correlation > _CONTIGUOUS else None


def driven_backwards(coords: FloatArray, cells: FloatArray, forces: FloatArray, symbols: Sequence[str]) -> bool:
    """Whether atoms are accelerated against the forces: those are gradients of the energy then, of the other sign.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param forces: (n_frames, n_atoms, 3), eV/Å.
    :param symbols: element of each atom, (n_atoms,).
    """
    return newton(coords, cells, forces, symbols)[0] < -_CONTIGUOUS


def newton(coords: FloatArray, cells: FloatArray, forces: FloatArray, symbols: Sequence[str]) -> tuple[float, float]:
    """How well Newton's law holds from frame to frame: x(t+Δ) - 2x(t) + x(t-Δ) = Δ² F/m, Verlet's step.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param forces: (n_frames, n_atoms, 3), eV/Å.
    :param symbols: element of each atom, (n_atoms,).
    :return: correlation of both sides (0 where too little moves), and Δ² in fs².
    """
    masses = np.array([atomic_masses[atomic_numbers[symbol]] for symbol in symbols])
    second = np.diff(displacements(coords, cells), axis=0)
    accelerations = forces[1:-1] / (masses[:, None] * AMU_A2_FS2_TO_EV)
    product = (second * accelerations).sum(axis=(1, 2))
    squares, lengths = (accelerations**2).sum(axis=(1, 2)), (second**2).sum(axis=(1, 2))
    usable = (squares > 0) & (lengths > 0)
    if usable.sum() < 3:
        return 0.0, 0.0
    correlation = float(np.median(product[usable] / np.sqrt(squares[usable] * lengths[usable])))
    return correlation, float(np.median(product[usable] / squares[usable]))


def step_energies(coords: FloatArray, cells: FloatArray, symbols: Sequence[str], timestep: float) -> FloatArray:
    """Largest kinetic energy with which an atom reached each frame from the one before, (n_frames,), eV; first 0.

    No atom of an MD that obeys its forces has more than the strongest bond can give it: a thermal one at 3,000 K has
    that much with a probability of 1e-18, and the fragments of a reaction share less among them.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param symbols: element of each atom, (n_atoms,).
    :param timestep: time between frames, fs.
    """
    masses = np.array([atomic_masses[atomic_numbers[symbol]] for symbol in symbols])
    squares = (displacements(coords, cells) ** 2).sum(axis=2) / timestep**2
    largest: FloatArray = (0.5 * masses * squares * AMU_A2_FS2_TO_EV).max(axis=1, initial=0.0)
    return np.concatenate([np.zeros(min(1, len(coords))), largest])


def work_ratio(coords: FloatArray, cells: FloatArray, energies: FloatArray, forces: FloatArray) -> float | None:
    """Change of energy from frame to frame over the work -F·Δx done: 1 where the forces are the energy's gradient.

    Units are what imported data have wrong most often. Where the cell changes, the pressure does work too, which the
    forces do not tell: such steps are left out.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param energies: (n_frames,), eV.
    :param forces: (n_frames, n_atoms, 3), eV/Å.
    :return: the slope of the least-squares line through the origin; None if nothing moves.
    """
    steps = displacements(coords, cells)
    fixed = (np.diff(cells, axis=0) == 0).all(axis=(1, 2))
    work = -(0.5 * (forces[:-1] + forces[1:]) * steps).sum(axis=(1, 2))[fixed]
    squares = float((work**2).sum())
    return float((np.diff(energies)[fixed] * work).sum()) / squares if squares > 0 else None


def unit_mistakes(ratio: float, n_atoms: int) -> list[str]:
    """What may have been mistaken for eV or eV/Å, where the energy changes by ``ratio`` times the work.

    :param ratio: see :func:`work_ratio`.
    :param n_atoms: number of atoms.
    """
    kcal, kj = units.KCAL_PER_MOL_TO_EV, units.KJ_PER_MOL_TO_EV
    hartree, force = units.HARTREE_TO_EV, units.HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
    causes = {
        'energies in hartree': 1 / hartree,
        'energies in rydberg': 2 / hartree,
        'energies in kcal/mol': 1 / kcal,
        'energies in kJ/mol': 1 / kj,
        'energies for each atom': 1 / n_atoms,
        'forces in hartree/bohr': force,
        'forces in rydberg/bohr': force / 2,
        'forces in hartree/Å': hartree,
        'forces in kcal/mol/Å': kcal,
        'forces in kJ/mol/nm': kj / 10,
        'energies in hartree and forces in hartree/bohr': force / hartree,
    }
    if ratio <= 0:
        return []
    return [cause for cause, wrong in causes.items() if abs(np.log(ratio / wrong)) < _SAME_RATIO and wrong != 1]


def zero_force_sites(forces: FloatArray) -> list[int]:
    """Atoms whose force is exactly zero in every frame: held in place, as no force of a moving system is.

    :param forces: (n_frames, n_atoms, 3), eV/Å.
    :return: site numbers, from 0 and ascending; none for fewer than two frames (symmetry may do it in one).
    """
    return [int(site) for site in np.flatnonzero(_zero_components(forces).all(axis=1))]


def zero_force_directions(forces: FloatArray) -> dict[int, str]:
    """Atoms that are held in one direction or two: those components of the force are exactly zero in every frame.

    :param forces: (n_frames, n_atoms, 3), eV/Å.
    :return: site number, from 0 and ascending -> its directions, ``z`` or ``xy``. A direction without any force at all
        is one of symmetry (a flat molecule) and not listed.
    """
    zero = _zero_components(forces)
    held = zero & ~zero.all(axis=0)
    sites = np.flatnonzero(held.any(axis=1) & ~zero.all(axis=1))
    return {int(site): ''.join(axis for axis, one in zip('xyz', held[site], strict=True) if one) for site in sites}


def _zero_components(forces: FloatArray) -> BoolArray:
    """Which components (n_atoms, 3) are exactly zero in every frame of two or more."""
    if len(forces) < 2:
        return np.zeros(forces.shape[1:], dtype=np.bool_)
    return np.asarray((forces == 0).all(axis=0), dtype=np.bool_)
