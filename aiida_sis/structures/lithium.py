"""Lithium metal: the bulk, the (100) slab and small patches of it."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bcc100, bulk
from ase.neighborlist import neighbor_list

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.settings import at_least
from aiida_sis.structures.molecules import lifsi
from aiida_sis.structures.packing import pack

# Two metal atoms at rest are 3.0 Å apart. The Li+ of an ion pair is kept almost so far from the metal.
_LITHIUM_TO_LITHIUM = 2.7
_LAYER_TOLERANCE = 0.5


def bulk_lithium(repeat: int, lattice_parameter: float, rattle: float, seed: int) -> Atoms:
    """Build a supercell of bcc lithium.

    :param repeat: number of cubic cells along each edge, of two atoms each.
    :param lattice_parameter: in Å.
    :param rattle: standard deviation of a random displacement, in Å; 0 leaves the crystal.
    :param seed: seed of the displacement.
    :returns: the periodic cell.
    """
    atoms = bulk('Li', 'bcc', a=lattice_parameter, cubic=True) * (repeat, repeat, repeat)
    return rattled(atoms, rattle, seed)


def disordered_lithium(n_atoms: int, cell: float, seed: int) -> Atoms:
    """Build lithium without order: atoms at random places, none nearer than 2 Å to another.

    :param n_atoms: number of atoms.
    :param cell: edge of the cube, in Å.
    :param seed: seed of the packing.
    :returns: the periodic cell.
    :raises PackingError: if they do not fit.
    """
    atoms, _ = pack([(Atoms('Li'), n_atoms)], (cell, cell, cell), seed)
    return atoms


def lithium_100(repeat: int, layers: int, lattice_parameter: float, vacuum: float) -> Atoms:
    """Build a slab of lithium with its (100) faces along z, the lower half of the vacuum beneath it.

    :param repeat: number of surface cells along x and y.
    :param layers: number of atomic layers.
    :param lattice_parameter: in Å.
    :param vacuum: distance from its upper face to the lower face of its image, in Å.
    :returns: the periodic cell, atoms layer by layer from the bottom.
    """
    slab = bcc100('Li', (repeat, repeat, layers), a=lattice_parameter, vacuum=vacuum / 2, periodic=True)
    return Atoms('Li' * len(slab), slab.get_positions(), cell=slab.cell.lengths(), pbc=True)


def bottom_layers(atoms: Atoms, n_layers: int) -> list[int]:
    """Number the atoms of the lowest layers of lithium, for ``fixed_atoms``.

    :param atoms: a slab with its face normal to z, alone or under an electrolyte.
    :param n_layers: number of layers.
    :returns: 0-based site numbers, sorted.
    :raises ValueError: if there are fewer layers.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    heights = atoms.get_positions()[:, 2]
    levels = np.unique(np.round(heights[symbols == 'Li'], 6))
    starts = levels[np.insert(np.diff(levels) > _LAYER_TOLERANCE, 0, True)] if len(levels) else levels
    if not 0 <= n_layers <= len(starts):
        raise ValueError(f'{n_layers} layers are to be fixed, but lithium has {len(starts)}: fix that many at most.')
    if n_layers == 0:
        return []
    top = starts[n_layers] if n_layers < len(starts) else np.inf
    return [int(i) for i in np.flatnonzero((symbols == 'Li') & (heights < top - _LAYER_TOLERANCE / 2))]


def lithium_patch(n_atoms: int, lattice_parameter: float) -> Atoms:
    """Cut a patch of two layers from Li(100): the sites nearest to the axis through a hollow of the upper layer.

    :param n_atoms: 4 to 9 atoms: the square of the upper layer, then sites of the lower one.
    :param lattice_parameter: in Å.
    :returns: atoms without a cell, the upper layer at z = 0; Å.
    """
    half = lattice_parameter / 2
    upper = [(x, y, 0.0) for x in (-half, half) for y in (-half, half)]
    ends = [(0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)]
    lower = [(x * lattice_parameter, y * lattice_parameter, -half) for x, y in ends]
    return Atoms('Li' * n_atoms, (upper + lower)[:n_atoms])


def cluster_with_lifsi(n_lithium: int, lattice_parameter: float, distance: float, cell: float, seed: int) -> Atoms:
    """Set an LiFSI ion pair, turned at random, on a patch of lithium.

    :param n_lithium: number of metal atoms, 4 to 9.
    :param lattice_parameter: of the metal, in Å.
    :param distance: the nearest that N, S, O and F come to the metal, in Å.
    :param cell: edge of the cubic cell, in Å.
    :param seed: seed of the orientation.
    :returns: the periodic cell with the cluster in its middle: the metal, then the ion pair.
    :raises ValueError: if an image comes nearer than that, so that the cell is too small.
    """
    patch, pair = lithium_patch(n_lithium, lattice_parameter), lifsi()
    generator = np.random.default_rng(seed)
    pair.positions = pair.positions @ _random_rotation(generator).T
    allowed = np.where(np.array(pair.get_chemical_symbols()) == 'Li', max(distance, _LITHIUM_TO_LITHIUM), distance)
    # The pair goes down along the axis until its first atom touches a metal atom.
    apart = pair.positions[:, None, :] - patch.positions[None, :, :]
    reach = allowed[:, None] ** 2 - (apart[..., :2] ** 2).sum(axis=2)
    pair.positions[:, 2] += float(np.where(reach > 0, np.sqrt(np.maximum(reach, 0)) - apart[..., 2], -np.inf).max())
    atoms: Atoms = patch + pair
    atoms.set_cell([cell, cell, cell])
    atoms.set_pbc(True)
    atoms.positions += cell / 2 - (atoms.positions.min(axis=0) + atoms.positions.max(axis=0)) / 2
    _refuse_near_images(atoms, cell)
    return atoms


def rattled(atoms: Atoms, rattle: float, seed: int) -> Atoms:
    """Displace every atom at random.

    :param atoms: changed in place.
    :param rattle: standard deviation along each axis, in Å.
    :param seed: seed of the displacement.
    :returns: the same atoms.
    """
    if rattle > 0:
        atoms.positions += np.random.default_rng(seed).normal(scale=rattle, size=(len(atoms), 3))
    return atoms


def _random_rotation(generator: np.random.Generator) -> FloatArray:
    """Draw a rotation, all orientations alike: the QR decomposition of a Gaussian matrix, made a proper rotation."""
    q, r = np.linalg.qr(generator.normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return q


def _refuse_near_images(atoms: Atoms, cell: float) -> None:
    images = neighbor_list('S', atoms, _IMAGE_DISTANCE)
    if np.any(images):
        size = float(np.ptp(atoms.positions, axis=0).max())
        raise ValueError(
            f'The cell of {cell:g} Å is too small: the cluster is {size:.1f} Å long and comes nearer than '
            f'{_IMAGE_DISTANCE:g} Å to its own image. Make it {at_least(size + _IMAGE_DISTANCE, 1)} Å or larger.'
        )


# Less than this from a cluster to its image, and it is no cluster any more.
_IMAGE_DISTANCE = 3.0
