"""The calcfunctions of the ladder and of the verification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm

from aiida_deepmd.units import HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV
from aiida_sis.calculations.single_points import (
    judge_stable_md,
    measure_t_next,
    select_rungs,
    select_verification_frames,
)
from aiida_sis.calculations.trajectory_data import CP2K_UNITS, MD_UNITS, make_trajectory

pytestmark = pytest.mark.usefixtures('aiida_profile')

SYMBOLS = ['Na', 'Cl']


def md(times: Any, forces: float = 1.0) -> orm.TrajectoryData:
    """Give frames of an MD; the first coordinate tells the time, every force component is the same."""
    times = np.asarray(times, dtype=float)
    shape = (len(times), 2, 3)
    arrays = {
        'positions': np.broadcast_to(times[:, None, None], shape) + np.array([[[0.0] * 3, [2.5] * 3]]),
        'cells': np.tile(10 * np.eye(3), (len(times), 1, 1)),
        'velocities': np.zeros(shape),
        'forces': np.full(shape, forces),
        'times': times,
        'steps': np.round(times * 1000).astype(int),
    }
    return make_trajectory(SYMBOLS, arrays, MD_UNITS)


def labels(frames: orm.TrajectoryData, numbers: list[int], forces: list[float], energy: Any = 0.0) -> Any:
    """Label some frames as CP2K would, in its units: every force component of a frame in eV/Å, its energy in eV."""
    arrays = {
        'positions': frames.get_positions()[numbers],
        'cells': frames.get_cells()[numbers],
        'energies': np.broadcast_to(np.asarray(energy, dtype=float) / HARTREE_TO_EV, (len(numbers),)),
        'forces': np.asarray(forces)[:, None, None] * np.ones((1, 2, 3)) / HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
        'steps': np.asarray(numbers),
    }
    return make_trajectory(SYMBOLS, arrays, CP2K_UNITS)


def failed_at(time_ps: float) -> orm.Dict:
    """Give the results of an MD that met its catastrophe."""
    return orm.Dict({'catastrophe': {'time_ps': time_ps, 'temperature_k': 900.0, 'bound': 'high'}})


def test_rungs_come_from_all_stored_frames() -> None:
    """Close frames near the end, those further apart before; a frame that both hold is taken once."""
    close, coarse = md([1.0, 2.4, 2.41, 2.5, 2.59]), md([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    rungs = select_rungs(failed_at(2.6), orm.Dict({'first_rung_fs': 100.0}), close, coarse)
    # 0.1, 0.2, 0.4, 0.8, 1.6 ps before 2.6 ps, and the first frame.
    assert rungs.get_times().tolist() == [0.0, 1.0, 1.5, 2.0, 2.4, 2.5]
    assert rungs.get_stepids().tolist() == [0, 1, 2, 3, 4, 5]
    assert rungs.get_array('forces').shape == (6, 2, 3)


def test_rungs_of_an_md_without_a_trajectory() -> None:
    """The close frames alone serve."""
    rungs = select_rungs(failed_at(2.6), orm.Dict({'first_rung_fs': 100.0}), md([2.4, 2.41, 2.5, 2.59]))
    assert rungs.get_times().tolist() == [2.4, 2.5]


def test_measured_t_next() -> None:
    """Forces of 1 eV/Å against those of the teacher: the latest rung within 0.3 is t_next, in the unit of the MD."""
    frames = md([0.0, 0.5, 0.9, 0.95, 0.98])
    teacher = labels(frames, [0, 1, 2, 3], [1.0, 1.2, 2.0, 9.0])
    found = measure_t_next(frames, failed_at(1.0), orm.Dict({'force_rmse_max': 0.3, 'max_force': 10.0}), teacher)
    assert (found['t_next_ps'], found['snapshot_index'], found['n_learnt']) == (0.5, 1, 3)
    assert [rung['state'] for rung in found['rungs']] == ['right', 'right', 'wrong', 'unphysical', 'failed']
    assert found['rungs'][1]['force_rmse_ev_per_angstrom'] == pytest.approx(0.2)
    assert found['rungs'][3]['largest_force_ev_per_angstrom'] == pytest.approx(9 * np.sqrt(3))


def test_a_ladder_without_labels_measures_nothing() -> None:
    """A lost job leaves every rung failed, and no t_next."""
    found = measure_t_next(md([0.0, 0.5]), failed_at(1.0), orm.Dict({'force_rmse_max': 0.3, 'max_force': 10.0}))
    assert (found['t_next_ps'], found['n_learnt']) == (None, 0)
    assert {rung['state'] for rung in found['rungs']} == {'failed'}


def test_frames_that_stand_for_a_stable_md() -> None:
    """From after the grace time to the end, evenly."""
    frames = select_verification_frames(md(np.arange(11.0)), orm.Dict({'n_frames': 3, 'start_ps': 0.5}))
    assert frames.get_times().tolist() == pytest.approx([1.0, 5.0, 10.0], abs=0.5)
    assert frames.get_stepids().tolist() == [0, 1, 2]


def test_an_md_within_its_grace_time() -> None:
    """A short one has frames all the same."""
    assert select_verification_frames(md([0.0, 0.1]), orm.Dict({'n_frames': 3, 'start_ps': 0.5})).numsteps == 2


def series(times: list[float], energies: list[float]) -> orm.ArrayData:
    """Give the energies of an MD in eV."""
    return orm.ArrayData({'time_ps': np.array(times), 'potential_energy': np.array(energies)})


def stable(limit: float, **parts: Any) -> dict[str, Any]:
    """Judge two replicas of four frames each."""
    frames = md([1.0, 2.0, 3.0, 4.0])
    energies = series([0.5, 1.0, 2.0, 3.0, 4.0], [0.0, -1.0, -1.0, -1.0, -1.0])
    given = {f'{key}_{kind}': node for key in ('r0', 'r1') for kind, node in (('frames', frames), ('series', energies))}
    return judge_stable_md(orm.Dict({'force_rmse_max': limit}), **given, **parts)  # type: ignore[no-any-return]


def test_true_error_of_a_stable_md() -> None:
    """Their root mean square over both replicas, the worst frame, the error of the energy and its drift."""
    frames = md([1.0, 2.0, 3.0, 4.0])
    outputs = stable(
        0.25,
        r0_labels=labels(frames, [0, 1, 2, 3], [1.1] * 4, [-1.0, -1.2, -1.4, -1.6]),
        r1_labels=labels(frames, [0, 1, 2, 3], [1.3, 1.3, 0.6, 1.1], [-1.0, -1.2, -1.4, -1.6]),
    )
    found = outputs['results']
    assert found['force_rmse_ev_per_angstrom'] == pytest.approx(np.sqrt((4 * 0.01 + 2 * 0.09 + 0.16 + 0.01) / 8))
    assert found['verified'] is True
    assert (found['worst_replica'], found['worst_time_ps']) == (1, 3.0)
    assert found['largest_force_rmse_ev_per_angstrom'] == pytest.approx(0.4)
    # 0, 0.2, 0.4, 0.6 eV too high, over two atoms.
    assert found['energy_rmse_ev_per_atom'] == pytest.approx(np.sqrt((0.01 + 0.04 + 0.09) / 4))
    assert found['energy_drift_ev_per_atom_per_ps'] == pytest.approx(0.1)
    assert found['replicas']['r0']['force_rmse_ev_per_angstrom'] == pytest.approx(0.1)
    assert outputs['errors'].get_array('replica').tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_an_error_above_the_limit_is_not_verified() -> None:
    """0.3 eV/Å is more than 0.25."""
    frames = md([1.0, 2.0, 3.0, 4.0])
    right = labels(frames, [0, 1, 2, 3], [1.3] * 4)
    assert stable(0.25, r0_labels=right, r1_labels=right)['results']['verified'] is False


@pytest.mark.parametrize(('numbers', 'verified'), [([0, 1, 2, 3], True), ([0, 1, 2], False)])
def test_half_of_the_frames_must_be_labelled(numbers: list[int], verified: bool) -> None:
    """Frames that the teacher can't treat are no proof that the potential is right: three of eight are too few."""
    found = stable(0.25, r0_labels=labels(md([1.0, 2.0, 3.0, 4.0]), numbers, [1.0] * len(numbers)))['results']
    assert (found['n_frames'], found['n_offered'], found['verified']) == (len(numbers), 8, verified)
    assert found['force_rmse_ev_per_angstrom'] == pytest.approx(0.0, abs=1e-9)
    assert found['replicas']['r1'] == {'n_offered': 4, 'n_frames': 0}


def test_a_verification_without_a_label() -> None:
    """Nothing is known then, and said so."""
    outputs = stable(0.25)
    assert outputs['results']['verified'] is False
    assert outputs['results']['n_frames'] == 0
    assert outputs['errors'].get_arraynames() == []
