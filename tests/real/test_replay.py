"""Single points of the real CP2K on frames that exist already."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import engine, orm
from ase.build import bulk
from ase.io import read

from aiida_deepmd.units import HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV
from aiida_sis.calculations.trajectories import take_frames
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.protocols import load_protocol
from aiida_sis.workflows.replay import ReplayWorkChain
from tests.real.teachers import FILES, SALT, gfn1_xtb, inputs_of, ion_pair

pytestmark = pytest.mark.real

GFN1_XTB = gfn1_xtb(1e-7, EPS_DEFAULT=1e-12)


def salt_frames(n_frames: int, *, variable: bool = False) -> orm.TrajectoryData:
    """Rattled rock salt of 64 atoms, 30 fs apart by its step ids."""
    crystal = bulk('NaCl', 'rocksalt', a=5.64, cubic=True).repeat(2)
    positions, cells = [], []
    for number in range(n_frames):
        atoms = crystal.copy()
        atoms.set_cell(atoms.cell * (1 + 0.001 * number * variable), scale_atoms=True)
        atoms.rattle(0.05, seed=number)
        positions.append(atoms.positions)
        cells.append(atoms.cell.array)
    frames = orm.TrajectoryData()
    frames.set_trajectory(
        symbols=crystal.get_chemical_symbols(),
        positions=np.array(positions),
        cells=np.array(cells),
        stepids=np.arange(n_frames) * 30,
        velocities=np.ones((n_frames, 64, 3)),
        pbc=(True, True, True),
    )
    return frames


def test_frames_of_an_aimd_again(real_codes):
    """The frames of an AIMD, taken out of their order in time, have the energies and forces that they had."""
    both = inputs_of(real_codes['cp2k'], GFN1_XTB, ['N', 'S', 'O', 'F', 'Li'], length_fs=8.0)
    aimd, node = engine.run_get_node(LabelWorkChain, structure=ion_pair(), **both)
    assert node.is_finished_ok, node.exit_message
    order = np.array([8, 0, 4, 1, 7])
    frames = take_frames(aimd['trajectory'], order)
    outputs, node = engine.run_get_node(ReplayWorkChain, frames=frames, **both)
    assert node.is_finished_ok, node.exit_message
    results, again = outputs['results'].get_dict(), outputs['trajectory']
    assert results['route'] == 'replay'
    assert (results['kept_frames'], results['n_single_points'], results['aimd_fs']) == (5, 5, 0.0)
    assert results['seconds_per_step'] > 0
    assert results['wall_seconds'] > results['seconds_per_step']
    assert again.get_stepids().tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(again.get_positions(), frames.get_positions(), atol=1e-8)
    difference = (again.get_array('energies') - frames.get_array('energies')) * HARTREE_TO_EV
    assert np.abs(difference).max() < 1e-5
    difference = (again.get_array('forces') - frames.get_array('forces')) * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
    assert np.abs(difference).max() < 1e-4
    assert outputs['dataset'].n_frames == 5


def test_many_classical_frames(real_codes):
    """A few hundred frames with the classical teacher: one job, every frame, the forces of the frame they stand for."""
    frames = salt_frames(300)
    both = inputs_of(real_codes['cp2k'], SALT, ['Na', 'Cl'])
    outputs, node = engine.run_get_node(ReplayWorkChain, frames=frames, **both)
    assert node.is_finished_ok, node.exit_message
    assert outputs['trajectory'].numsteps == outputs['results']['kept_frames'] == 300
    np.testing.assert_allclose(outputs['trajectory'].get_positions(), frames.get_positions(), atol=1e-8)
    assert sum(isinstance(child, orm.CalcJobNode) for child in node.called_descendants) == 1


def test_variable_cells(real_codes):
    """Each frame is computed in its own cell: its energy is that of the same frame alone."""
    frames = salt_frames(4, variable=True)
    both = inputs_of(real_codes['cp2k'], SALT, ['Na', 'Cl'])
    outputs, node = engine.run_get_node(ReplayWorkChain, frames=frames, **both)
    assert node.is_finished_ok, node.exit_message
    np.testing.assert_allclose(outputs['trajectory'].get_cells(), frames.get_cells(), atol=1e-8)
    alone, node = engine.run_get_node(ReplayWorkChain, frames=take_frames(frames, np.array([3])), **both)
    assert node.is_finished_ok, node.exit_message
    assert outputs['trajectory'].get_array('energies')[3] == pytest.approx(
        alone['trajectory'].get_array('energies')[0], abs=1e-7
    )


def test_frames_far_apart(real_codes):
    """Frames of a stable MD, two and more picoseconds apart: every one is labelled, and as it would be alone.

    From the wavefunction of the frame before, CP2K stops at the second; the fourth needs the second try.
    """
    level = load_protocol('demo')['cp2k']
    images = read(FILES / 'far-apart.xyz', ':')
    frames = orm.TrajectoryData()
    frames.set_trajectory(
        symbols=images[0].get_chemical_symbols(),
        positions=np.array([atoms.positions for atoms in images]),
        cells=np.array([atoms.cell.array for atoms in images]),
        stepids=np.arange(len(images)) * 1000,
        pbc=(True, True, True),
    )
    both = inputs_of(real_codes['cp2k'], level, ['N', 'S', 'O', 'F', 'Li'])
    outputs, node = engine.run_get_node(ReplayWorkChain, frames=frames, **both)
    assert node.is_finished_ok, node.exit_message
    assert outputs['trajectory'].get_stepids().tolist() == list(range(len(images)))
    assert (outputs['results']['failed_frames'], outputs['results']['reason']) == ({}, '')
    energies = outputs['trajectory'].get_array('energies')
    for number in (2, 7):
        alone, node = engine.run_get_node(ReplayWorkChain, frames=take_frames(frames, np.array([number])), **both)
        assert node.is_finished_ok, node.exit_message
        assert abs(alone['trajectory'].get_array('energies')[0] - energies[number]) * HARTREE_TO_EV < 1e-5


def test_a_spoilt_frame_in_the_middle(real_codes):
    """CP2K aborts twice at a frame whose atoms xTB can't charge; a third job labels the ones after it."""
    pair = ion_pair().get_ase()
    spoilt = pair.copy()
    spoilt.positions[1] = spoilt.positions[2] + [0.5, 0.0, 0.0]
    frames = orm.TrajectoryData()
    frames.set_trajectory(
        symbols=pair.get_chemical_symbols(),
        positions=np.array([pair.positions, spoilt.positions, pair.positions + 0.01 * np.eye(10, 3)]),
        cells=np.tile(pair.cell.array, (3, 1, 1)),
        stepids=np.arange(3),
        pbc=(True, True, True),
    )
    both = inputs_of(real_codes['cp2k'], GFN1_XTB, ['N', 'S', 'O', 'F', 'Li'])
    outputs, node = engine.run_get_node(ReplayWorkChain, frames=frames, **both)
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert list(results['failed_frames']) == ['1']
    assert 'atomic charges of xTB' in results['failed_frames']['1']
    assert 'The geometry is at fault' in results['failed_frames']['1']
    assert (results['n_offered'], results['kept_frames'], results['frames_not_computed']) == (3, 2, [])
    assert outputs['trajectory'].get_stepids().tolist() == [0, 2]
