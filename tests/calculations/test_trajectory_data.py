"""Units are written on every trajectory, and read from it."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_deepmd.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV
from aiida_sis.calculations.trajectory_data import (
    CP2K_UNITS,
    MD_UNITS,
    make_trajectory,
    structure_at,
    take_frames,
    units_of,
    values_of,
)

pytestmark = pytest.mark.usefixtures('aiida_profile')


def arrays(n_frames: int = 4) -> dict[str, np.ndarray]:
    """Give the arrays of an MD of LiF, of one step in two."""
    numbers = np.arange(n_frames, dtype=float)
    return {
        'positions': numbers[:, None, None] * 0.1 * np.ones((1, 2, 3)),
        'cells': np.tile(np.eye(3) * 6.0, (n_frames, 1, 1)),
        'steps': 2 * np.arange(n_frames),
        'times': numbers,
        'velocities': np.ones((n_frames, 2, 3)),
        'forces': np.full((n_frames, 2, 3), 0.5),
        'cycle': np.arange(n_frames),
    }


def unmarked(**more: np.ndarray) -> orm.TrajectoryData:
    """Give a trajectory as aiida-cp2k leaves it, or this package before it wrote units."""
    given = arrays()
    node = orm.TrajectoryData()
    node.set_trajectory(['Li', 'F'], given['positions'], given['steps'], given['cells'], pbc=(True, True, True))
    for name, values in more.items():
        node.set_array(name, values)
    return node


def test_units_are_attributes() -> None:
    """In the names of aiida-core, for the arrays that have one."""
    node = make_trajectory(['Li', 'F'], arrays(), MD_UNITS)
    marks = {name: value for name, value in node.base.attributes.all.items() if name.startswith('units|')}
    assert marks == {f'units|{name}': unit for name, unit in MD_UNITS.items()}
    assert 'energies' not in units_of(node)


@pytest.mark.parametrize(('units', 'factor'), [(MD_UNITS, 1.0), (CP2K_UNITS, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM)])
def test_values_follow_the_mark(units: dict[str, str], factor: float) -> None:
    """The same array is in eV/Å whatever wrote it, and what has no unit stays as it is."""
    node = make_trajectory(['Li', 'F'], arrays(), units)
    assert (values_of(node, 'forces') == 0.5 * factor).all()
    assert (values_of(node, 'positions') == arrays()['positions']).all()
    assert values_of(node, 'cycle').tolist() == [0, 1, 2, 3]


def test_a_mark_goes_before_the_rule() -> None:
    """A trajectory with energies need not be of CP2K, and one may be in bohr."""
    node = make_trajectory(
        ['Li', 'F'],
        {**arrays(), 'energies': np.ones(4)},
        {'energies': 'eV', 'forces': 'eV/angstrom', 'positions': 'bohr'},
    )
    assert (values_of(node, 'energies') == 1.0).all()
    assert (values_of(node, 'forces') == 0.5).all()
    assert values_of(node, 'positions')[1, 0, 0] == pytest.approx(0.1 * BOHR_TO_ANGSTROM)


def test_without_a_mark() -> None:
    """aiida-cp2k stores energies and nobody else."""
    forces = np.full((4, 2, 3), 0.5)
    of_cp2k = unmarked(forces=forces, energies=np.ones(4))
    assert (values_of(of_cp2k, 'energies') == HARTREE_TO_EV).all()
    assert (values_of(of_cp2k, 'forces') == 0.5 * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM).all()
    assert (values_of(unmarked(forces=forces), 'forces') == 0.5).all()


def test_unknown_unit() -> None:
    """Nothing is read on trust."""
    node = make_trajectory(['Li', 'F'], arrays(), {**MD_UNITS, 'forces': 'Ry/bohr'})
    with pytest.raises(ValueError, match='are in Ry/bohr, which is not known: use angstrom'):
        values_of(node, 'forces')


def test_frames_that_are_taken_keep_units_and_steps() -> None:
    """Unless they are numbered anew, for aiida-cp2k."""
    node = make_trajectory(['Li', 'F'], arrays(), {**MD_UNITS, 'forces': 'hartree/bohr'})
    some = take_frames(node, [1, 3])
    assert (some.get_stepids().tolist(), some.get_times().tolist()) == ([2, 6], [1.0, 3.0])
    assert units_of(some) == units_of(node)
    assert take_frames(node, slice(1, None), renumber=True).get_stepids().tolist() == [0, 1, 2]
    assert units_of(take_frames(unmarked(energies=np.ones(4)), [0]))['energies'] == 'hartree'


def test_structure_of_a_frame() -> None:
    """The numbers that CP2K's kinds may have are no elements."""
    structure = structure_at(make_trajectory(['Li1', 'F'], arrays(), MD_UNITS), -1)
    assert structure.get_ase().get_chemical_symbols() == ['Li', 'F']
    assert structure.sites[0].position == pytest.approx((0.3, 0.3, 0.3))
