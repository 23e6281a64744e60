"""Trajectories as nodes: made here with the unit of each array, and read here in eV, Å and ps whatever that unit is.

The unit of an array is the attribute `units|<array>`, as aiida-core names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_deepmd.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV

_MOTION = {'positions': 'angstrom', 'cells': 'angstrom', 'times': 'ps', 'velocities': 'angstrom/ps'}
#: What the arrays of an MD and of a hybrid run are in.
MD_UNITS = {**_MOTION, 'forces': 'eV/angstrom'}
#: What aiida-cp2k leaves CP2K's numbers in.
CP2K_UNITS = {**_MOTION, 'energies': 'hartree', 'forces': 'hartree/bohr'}
_FACTORS = {
    **dict.fromkeys(('angstrom', 'ps', 'angstrom/ps', 'eV', 'eV/angstrom'), 1.0),
    'bohr': BOHR_TO_ANGSTROM,
    'hartree': HARTREE_TO_EV,
    'hartree/bohr': HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
}


def make_trajectory(
    symbols: Sequence[str],
    arrays: Mapping[str, NDArray[Any]],
    units: Mapping[str, str],
    pbc: tuple[bool, bool, bool] | None = None,
) -> orm.TrajectoryData:
    """Make a node of arrays.

    :param symbols: element of each atom, (n_atoms,).
    :param arrays: `positions` (n_frames, n_atoms, 3) and `cells` (n_frames, 3, 3); others, with one entry a frame.
    :param units: unit of each array that has one, in the words of :data:`MD_UNITS`; others may be named too.
    :param pbc: whether each direction is periodic, all three if nothing is said.
    :returns: the node, not stored.
    """
    stacks = dict(arrays)
    node = orm.TrajectoryData()
    node.set_trajectory(
        symbols=list(symbols),
        positions=stacks.pop('positions'),
        stepids=stacks.pop('steps', None),
        cells=stacks.pop('cells'),
        times=stacks.pop('times', None),
        velocities=stacks.pop('velocities', None),
        pbc=pbc or (True, True, True),
    )
    for name, values in stacks.items():
        node.set_array(name, values)
    for name in arrays:
        if name in units:
            node.base.attributes.set(f'units|{name}', units[name])
    return node


def units_of(trajectory: orm.TrajectoryData) -> dict[str, str]:
    """Say what the arrays of a trajectory are in.

    aiida-cp2k marks no unit, but it alone stores energies; an MD without a mark is of before they were set.

    :param trajectory: any trajectory.
    :returns: the unit by the name of the array.
    """
    names = trajectory.get_arraynames()
    unmarked = CP2K_UNITS if 'energies' in names else MD_UNITS
    units = {name: trajectory.base.attributes.get(f'units|{name}', unmarked.get(name)) for name in names}
    return {name: unit for name, unit in units.items() if unit is not None}


def values_of(trajectory: orm.TrajectoryData, name: str) -> FloatArray:
    """Read an array in Å, ps, Å/ps, eV or eV/Å.

    :param trajectory: any trajectory.
    :param name: the array.
    :returns: its values, with one entry a frame.
    :raises ValueError: if it is in a unit that is not known.
    """
    unit = units_of(trajectory).get(name)
    if unit is not None and unit not in _FACTORS:
        known = ', '.join(_FACTORS)
        raise ValueError(f'The {name} of trajectory {trajectory.pk} are in {unit}, which is not known: use {known}.')
    values = np.asarray(trajectory.get_array(name), dtype=np.float64)
    return values if unit is None or _FACTORS[unit] == 1.0 else values * _FACTORS[unit]


def take_frames(
    trajectory: orm.TrajectoryData, numbers: IntArray | Sequence[int] | slice, *, renumber: bool = False
) -> orm.TrajectoryData:
    """Copy some frames into a new node.

    :param trajectory: any trajectory with cells.
    :param numbers: numbers of the frames, from 0.
    :param renumber: whether the step ids begin at 0, which aiida-cp2k needs, or stay as they are.
    :returns: the node, not stored; every array with one entry a frame is in it, in its unit.
    """
    arrays = {name: trajectory.get_array(name) for name in trajectory.get_arraynames()}
    taken = {name: values[numbers] for name, values in arrays.items() if len(values) == trajectory.numsteps}
    if renumber:
        taken['steps'] = np.arange(len(taken['steps']))
    return make_trajectory(trajectory.symbols, taken, units_of(trajectory), trajectory.pbc)


def structure_at(trajectory: orm.TrajectoryData, number: int) -> orm.StructureData:
    """Make a structure of one frame.

    :param trajectory: a trajectory with cells; numbers behind the names of its elements are left out.
    :param number: of the frame; a negative one counts from the end.
    :returns: the structure, not stored.
    """
    cell = values_of(trajectory, 'cells')[number]
    structure = orm.StructureData(cell=cell.tolist(), pbc=trajectory.pbc or (True, True, True))
    places = values_of(trajectory, 'positions')[number].tolist()
    for symbol, place in zip(trajectory.symbols, places, strict=True):
        structure.append_atom(position=place, symbols=symbol.rstrip('0123456789'))
    return structure
