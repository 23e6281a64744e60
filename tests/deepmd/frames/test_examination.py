"""Which frames may teach: each reason for a refusal."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import atomic_masses

from aiida_deepmd import frames as fr
from aiida_deepmd.units import AMU_A2_FS2_TO_EV, BOLTZMANN_EV


def make(n_frames: int = 20, n_atoms: int = 3) -> fr.Frames:
    """Good frames: small random displacements and forces, energies that scatter by 10 meV."""
    rng = np.random.default_rng(0)
    return fr.Frames(
        coords=np.arange(n_atoms * 3, dtype=float).reshape(n_atoms, 3) + rng.normal(0, 0.1, (n_frames, n_atoms, 3)),
        cells=np.tile(np.eye(3) * 10.0, (n_frames, 1, 1)),
        energies=-100.0 + rng.normal(0, 0.01, n_frames),
        forces=rng.normal(0, 1.0, (n_frames, n_atoms, 3)),
    )


def test_good_frames_are_all_kept() -> None:
    report = fr.examine(make())
    assert report.kept.tolist() == list(range(20))
    assert not any(report.refused.values())


@pytest.mark.parametrize('name', ['coords', 'cells', 'energies', 'forces'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_non_finite(name: str, value: float) -> None:
    frames = make()
    getattr(frames, name)[7] = value
    report = fr.examine(frames)
    assert report.refused['non_finite'] == [7]
    assert 7 not in report.kept


def test_duplicates_but_not_their_original() -> None:
    frames = make()
    frames.coords[5] = frames.coords[4]
    frames.coords[11] = frames.coords[4] + 1e-8
    assert fr.examine(frames).refused['duplicate'] == [5, 11]


def test_same_coordinates_in_another_cell_are_another_frame() -> None:
    frames = make()
    frames.coords[5] = frames.coords[4]
    frames.cells[5] *= 1.01
    assert fr.examine(frames).refused['duplicate'] == []


def test_one_femtosecond_at_10_k_is_no_duplicate() -> None:
    frames = make(2, 1)
    speed = np.sqrt(BOLTZMANN_EV * 10 / (atomic_masses[82] * AMU_A2_FS2_TO_EV))  # of lead, along one axis, Å/fs
    frames.coords[1] = frames.coords[0] + speed * 1.0
    assert fr.examine(frames).refused['duplicate'] == []


def test_what_the_caller_knows_is_one_of_the_reasons() -> None:
    frames = make()
    frames.forces[2] = frames.energies[2] = frames.cells[3] = np.nan
    frames.cells[5] = 0.0
    frames.coords[7] = frames.coords[6]
    report = fr.examine(frames, known={'incomplete': [2], 'no_cell': [3, 4], 'duplicate': [6]})
    assert {reason: numbers for reason, numbers in report.found.items() if numbers} == {
        'incomplete': [2],
        'no_cell': [3, 4, 5],
        'duplicate': [6],
    }


def test_a_left_handed_cell_is_a_cell() -> None:
    frames = make()
    frames.cells[:, [0, 1]] = frames.cells[:, [1, 0]]
    assert fr.examine(frames, symbols=['Li', 'O', 'H']).kept.tolist() == list(range(20))


def test_force_limit_is_on_the_norm() -> None:
    frames = make()
    frames.forces[3, 1] = [40.0, 40.0, 0.0]
    frames.forces[4, 1] = [40.0, 0.0, 0.0]
    assert fr.examine(frames).refused['force_limit'] == [3]
    assert fr.examine(frames, fr.Limits(max_force=60.0)).refused['force_limit'] == []


def test_energy_outlier_is_flagged_and_refused_on_request() -> None:
    frames = make()
    frames.energies[9] += 5.0
    assert fr.examine(frames).energy_outliers == [9]
    assert 9 in fr.examine(frames).kept
    strict = fr.examine(frames, fr.Limits(refuse_energy_outliers=True))
    assert strict.refused['energy_outlier'] == [9]
    assert 9 not in strict.kept


def test_outliers_cannot_hide_each_other() -> None:
    frames = make(21)
    frames.energies[:8] += 1e4
    assert fr.examine(frames).energy_outliers == list(range(8))


def test_incomplete_and_unconverged() -> None:
    frames = make()
    cut = fr.Frames(frames.coords, frames.cells, frames.energies, frames.forces[:18])
    report = fr.examine(cut, known={'unconverged': (2, 40)})
    assert report.refused['incomplete'] == [18, 19]
    assert report.refused['unconverged'] == [2]
    assert report.n_offered == 20


def test_summary_counts_each_frame_once() -> None:
    frames = make()
    frames.forces[3] = np.nan
    frames.coords[4] = frames.coords[2]
    frames.forces[4] = 1e3
    summary = fr.examine(frames).summary()
    assert summary['n_offered'] == 20
    assert summary['n_good'] == 18
    assert (summary['n_non_finite'], summary['n_duplicate'], summary['n_force_limit']) == (1, 1, 0)
    assert summary['refused_frames'] == {'non_finite': [3], 'duplicate': [4]}


@pytest.mark.parametrize(
    ('name', 'shape'), [('coords', (20, 9)), ('cells', (20, 9)), ('energies', (20, 1)), ('forces', (20, 4, 3))]
)
def test_wrong_shape_names_the_array(name: str, shape: tuple[int, ...]) -> None:
    arrays = {**vars(make()), name: np.zeros(shape)}
    with pytest.raises(fr.FramesError, match=name):
        fr.examine(fr.Frames(**arrays))
