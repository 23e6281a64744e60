"""One pass gives what each analysis gives alone, from arrays and from files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from aiida_deepmd.read_frames import ReadError
from aiida_sis.core.analysis.analyse import AnalysisSettings, analyse, frames_on_grid, read_analysis_settings
from aiida_sis.core.analysis.bonds import bond_history
from aiida_sis.core.analysis.rdf import rdfs
from aiida_sis.core.analysis.summary import facts, unconfirmed_bonds
from aiida_sis.core.analysis.trajectory import Trajectory, from_arrays, open_trajectory
from aiida_sis.core.analysis.transport import density_profile, mean_square_displacement
from aiida_sis.structures.molecules import dioxolane, lifsi

CELL = np.array([[13.0, 0.0, 0.0], [1.0, 13.0, 0.0], [-1.0, 2.0, 14.0]])


def electrolyte() -> Atoms:
    """LiFSI and two DOL in a skewed cell."""
    first, second, third = lifsi(), dioxolane(), dioxolane()
    second.translate([6.5, 0.0, 0.0])
    third.translate([0.0, 6.5, 0.0])
    return Atoms(first + second + third, cell=CELL, pbc=True)


def moving(n_frames: int = 120) -> Trajectory:
    """Let the electrolyte vibrate and drift; an F leaves its S at frame 50."""
    atoms = electrolyte()
    rng = np.random.default_rng(2)
    path = atoms.positions + 0.02 * rng.normal(size=(n_frames, len(atoms), 3))
    path += 0.05 * np.arange(n_frames)[:, None, None] * np.array([1.0, 0.0, 0.5])
    fluorine = atoms.get_chemical_symbols().index('F')
    path[50:, fluorine] += CELL.sum(axis=0) / 2
    cells = np.tile(CELL, (n_frames, 1, 1))
    return from_arrays('moving', atoms.get_chemical_symbols(), np.arange(float(n_frames)), path, cells)


def test_one_pass_is_the_sum_of_its_parts() -> None:
    """Same functions, same frames, same numbers."""
    trajectory = moving()
    found = analyse(trajectory, AnalysisSettings(r_max=5.0, density_axis=2, density_reference='Li'))
    kinds = found.topology.kinds
    assert found.topology.counts == {'FSI': 1, 'Li': 1, 'DOL': 2}
    alone = rdfs(trajectory.read(), kinds, 5.0, 100)
    for pair in alone.pairs:
        assert found.rdfs.g[pair] == pytest.approx(alone.g[pair]), pair
    history = bond_history(trajectory.read(), trajectory.times_fs, trajectory.symbols)
    assert found.history.events == history.events
    assert [(event.pair, event.frame) for event in history.events] == [('S–F', 50)]
    height = 1 / np.linalg.norm(np.linalg.inv(CELL)[:, 2])
    profile = density_profile(trajectory.read(), kinds, round(height / 0.5), 2, 'Li')
    assert found.density is not None
    assert found.density.density['O(DOL)'] == pytest.approx(profile.density['O(DOL)'])
    path = np.array([positions for positions, _ in trajectory.read()])
    carbon = [k for k, kind in enumerate(kinds) if kind == 'C(DOL)']
    assert found.msd['C(DOL)'] == pytest.approx(mean_square_displacement(path[:, carbon]), rel=1e-3, abs=1e-4)
    assert found.census.at(0)['FSI'] == 1
    assert found.census.at(-1)['N(SO2)2F'] == 1


def test_the_start_names_the_kinds() -> None:
    """A piece that begins after the reaction still knows its FSI; a start of other atoms is refused."""
    trajectory = moving()
    late = AnalysisSettings(skip_fs=60.0, r_max=4.0)
    with_start = analyse(trajectory, late, electrolyte())
    assert 'F(FSI)' in with_start.topology.kinds
    assert with_start.times_fs[0] == 60.0
    assert with_start.history.topology.counts['F'] == 1
    with pytest.raises(ValueError, match='has other atoms'):
        analyse(trajectory, late, lifsi())


def test_settings_that_do_not_fit_are_refused() -> None:
    """By name, in one sentence."""
    trajectory = moving(5)
    for values, message in (
        ({'rmax': 3.0}, "did you mean 'r_max'"),
        ({'r_max': -1.0}, 'r_max'),
        ({'covalent': {'SF': 2.0}}, 'no pair of elements'),
    ):
        with pytest.raises(ValueError, match=message):
            read_analysis_settings(values)
    for settings, message in (
        (AnalysisSettings(r_max=9.0), 'half of the cell'),
        (AnalysisSettings(skip_fs=5.0), 'later than skip_fs, 5 fs'),
        (AnalysisSettings(diffusion=('Na',)), "no kind 'Na'"),
        (AnalysisSettings(density_axis=2, density_reference='Na'), 'no Na among'),
    ):
        with pytest.raises(ValueError, match=message):
            analyse(trajectory, settings)


def verlet(n_frames: int, timestep: float) -> list[Atoms]:
    """Two atoms on a spring, by Verlet's steps, with their forces."""
    atoms = Atoms('SF', [[4.0, 4.0, 4.0], [5.7, 4.0, 4.0]], cell=[8.0, 8.0, 8.0], pbc=True)
    masses, frames = atoms.get_masses()[:, None], []
    x = atoms.positions.copy()
    before = x.copy()
    for _ in range(n_frames):
        pull = 20.0 * (x[1] - x[0]) * (1 - 1.6 / np.linalg.norm(x[1] - x[0]))
        forces = np.array([pull, -pull])
        atoms.positions = x
        frames.append(atoms.copy())
        frames[-1].calc = SinglePointCalculator(frames[-1], energy=0.0, forces=forces)
        x, before = 2 * x - before + (timestep * units.fs) ** 2 * forces / masses, x
    return frames


def test_files_of_ase_and_deepmd_give_the_same(tmp_path: Path) -> None:
    """Their times are read off the forces, and the frames can be read again."""
    frames = verlet(80, 0.5)
    write(tmp_path / 'md.extxyz', frames)
    folder = tmp_path / 'deepmd'
    (folder / 'type.raw').parent.mkdir()
    (folder / 'type.raw').write_text('1\n0\n')
    (folder / 'type_map.raw').write_text('F S\n')
    for number, part in enumerate((frames[:50], frames[50:])):
        target = folder / f'set.{number:03d}'
        target.mkdir()
        np.save(target / 'coord.npy', [one.positions.ravel() for one in part])
        np.save(target / 'box.npy', [one.cell.array.ravel() for one in part])
        np.save(target / 'force.npy', [one.get_forces().ravel() for one in part])
    for path in (tmp_path / 'md.extxyz', folder):
        trajectory = open_trajectory(path)
        assert len(trajectory) == 80
        assert trajectory.times_fs[-1] == pytest.approx(79 * 0.5)
        assert trajectory.symbols == ('S', 'F')
        for _ in range(2):
            positions = np.array([x for x, _ in trajectory.read()])
            assert positions == pytest.approx(np.array([one.positions for one in frames]), abs=1e-6)
    assert open_trajectory(folder, timestep_fs=2.0).times_fs[-1] == 158.0


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """One sentence each, with the remedy."""
    atoms = electrolyte()
    write(tmp_path / 'still.xyz', [atoms, atoms], format='extxyz')
    write(tmp_path / 'free.xyz', [lifsi()], format='xyz')
    write(tmp_path / 'mixed.xyz', [atoms, atoms[:5]], format='extxyz')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'words.txt').write_text('hello')
    for name, message in (
        ('nowhere', 'does not exist'),
        ('still.xyz', '--timestep-fs'),
        ('free.xyz', 'no cell'),
        ('mixed.xyz', 'frame 1 of .* has other atoms'),
        ('empty', 'no type.raw'),
        ('words.txt', "ASE can't read"),
    ):
        with pytest.raises(ReadError, match=message):
            open_trajectory(tmp_path / name)
    assert len(open_trajectory(tmp_path / 'still.xyz', timestep_fs=1.0)) == 2
    for name in ('a', 'b'):
        (tmp_path / 'two' / name).mkdir(parents=True)
        (tmp_path / 'two' / name / 'type.raw').write_text('0\n')
    with pytest.raises(ReadError, match='2 systems'):
        open_trajectory(tmp_path / 'two')


def test_a_break_at_the_very_end_is_told_as_unconfirmed() -> None:
    """The bond is named, and the contacts of Li that changed with it are not."""
    trajectory = moving(55)  # the F leaves 5 fs before the end
    found = analyse(trajectory, AnalysisSettings(r_max=4.0))
    (event,) = unconfirmed_bonds(found)
    assert (event.pair, event.change, event.frame) == ('S–F', 'broken', 50)
    assert facts(found)['unconfirmed_events'] == [asdict(event)]
    atoms = electrolyte()
    lithium, fluorine = (atoms.get_chemical_symbols().index(element) for element in ('Li', 'F'))
    path = np.tile(atoms.positions, (55, 1, 1))
    path[50:, lithium] = atoms.positions[fluorine] + [0.0, 0.0, 1.8]
    moved = from_arrays('moved', atoms.get_chemical_symbols(), np.arange(55.0), path, np.tile(CELL, (55, 1, 1)))
    contacts = analyse(moved, AnalysisSettings(r_max=4.0))
    assert contacts.history.unconfirmed
    assert unconfirmed_bonds(contacts) == []


def with_times(times_fs: np.ndarray) -> Trajectory:
    """One path through the electrolyte: a frame in between lies in between."""
    atoms = electrolyte()
    rng = np.random.default_rng(7)
    knots = np.cumsum(0.2 * rng.normal(size=(200, len(atoms), 3)), axis=0)
    place = np.minimum(times_fs / 1000.0, 198.0)
    low = place.astype(int)
    share = (place - low)[:, None, None]
    path = atoms.positions + (1 - share) * knots[low] + share * knots[low + 1]
    cells = np.tile(CELL, (len(times_fs), 1, 1))
    return from_arrays('walk', atoms.get_chemical_symbols(), times_fs, path, cells)


@pytest.mark.parametrize(
    'more',
    [
        [150213.0],  # halted, or of an odd length
        [37400.0, 80200.0],  # went on after its time limit, twice
        [500.0, 150990.0],
    ],
)
def test_diffusion_takes_the_frames_on_the_grid(more: list[float]) -> None:
    """A frame off the grid changes nothing: same coefficients, same errors, same displacements."""
    grid = 1000.0 * np.arange(151)
    right = analyse(with_times(grid))
    found = analyse(with_times(np.sort(np.concatenate([grid, more]))))
    assert right.diffusion
    assert set(found.diffusion) == set(right.diffusion)
    assert found.lags_fs == pytest.approx(grid)
    for kind, one in right.diffusion.items():
        assert found.diffusion[kind].value == pytest.approx(one.value, rel=1e-4), kind
        assert found.diffusion[kind].error == pytest.approx(one.error, rel=1e-3), kind
        assert found.msd[kind] == pytest.approx(right.msd[kind], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ('times', 'kept'),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 0.3333, 0.6667, 1.0, 1.3333], [0, 1, 2, 3, 4]),
        ([0, 1, 2, 2.4, 3, 4, 4.7, 5], [0, 1, 2, 4, 5, 7]),
        ([0.7, 1, 2, 3, 3.2], [1, 2, 3]),
        ([0, 1, 2, 4, 5], []),  # a hole
        ([0, 0.1, 1.7, 2.9], []),
        ([0], [0]),
    ],
)
def test_frames_on_a_grid(times: list[float], kept: list[int]) -> None:
    """Frames between are left out, a hole leaves none."""
    assert frames_on_grid(1000.0 * np.array(times)).tolist() == kept
