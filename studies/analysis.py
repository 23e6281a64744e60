"""Time and memory of the analysis of a long trajectory, beside MDAnalysis and ASE doing the same work.

A synthetic trajectory of the lithium interface (the builder's cell of 207 atoms, doubled: 414 atoms, 1 ps a frame) is
written as deepmd/npy. Atoms vibrate, molecules drift, and an F leaves each FSI at a frame that is known. It is analysed
whole by this package (RDFs of all pairs of kinds, bond events, census, clusters, diffusion), and MDAnalysis, freud and
ASE do its RDFs and its neighbour search on the first frames of it. Each runs in a process of its own, on one core.

CPU time is what counts on a machine that does other things too; the wall time stands beside it. Use:
`pip install MDAnalysis freud-analysis && python studies/analysis.py`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np

R_MAX, N_BINS = 5.2, 104
#: The longest distance at which a bond or a contact is still held.
REACH = 3.72
#: An F leaves its S at these parts of the trajectory.
LEAVES = (0.2, 0.6)


def write_trajectory(folder: Path, n_frames: int, seed: int = 1) -> None:
    """Write the synthetic trajectory, and the events that are in it.

    :param folder: where.
    :param n_frames: number of frames, 1 ps apart.
    :param seed: seed of the packing and the motion.
    """
    from aiida_sis.core.analysis.topology import find_molecules
    from aiida_sis.structures.build import build

    parameters = {'n_lifsi': 1, 'n_dol': 13, 'cell_z_angstrom': 26.725}
    atoms = build('interface', parameters, seed).atoms * (2, 1, 1)
    symbols, rng = atoms.get_chemical_symbols(), np.random.default_rng(seed)
    topology = find_molecules(atoms)
    leaving = {}
    sulphurs = [k for k, kind in enumerate(topology.kinds) if kind == 'S(FSI)']
    for part, molecule in zip(LEAVES, (m for m in topology.molecules if m.name == 'FSI'), strict=True):
        fluorine = next(k for k in molecule if symbols[k] == 'F')
        nearest = min((k for k in sulphurs if k in molecule.indices), key=lambda k: atoms.get_distance(k, fluorine))
        leaving[fluorine] = (int(part * n_frames), nearest)
    set_folder = folder / 'set.000'
    set_folder.mkdir(parents=True)
    elements = sorted(set(symbols))
    (folder / 'type_map.raw').write_text('\n'.join(elements))
    (folder / 'type.raw').write_text('\n'.join(str(elements.index(symbol)) for symbol in symbols))
    shape = (n_frames, 3 * len(atoms))
    out = np.lib.format.open_memmap(set_folder / 'coord.npy', mode='w+', dtype=np.float32, shape=shape)
    np.save(set_folder / 'box.npy', np.tile(atoms.cell.array.ravel(), (n_frames, 1)))
    drift = np.zeros((len(topology.molecules), 3))
    # Ions go farther than molecules, so that contacts break and form all the time as they do at an interface.
    step = np.array([0.12 if len(molecule) == 1 else 0.05 for molecule in topology.molecules])[:, None]
    for frame in range(n_frames):
        drift += -0.05 * drift + step * rng.normal(size=drift.shape)
        positions = atoms.positions + drift[topology.molecule_of] + 0.05 * rng.normal(size=(len(atoms), 3))
        for fluorine, (when, sulphur) in leaving.items():
            if frame >= when:
                away = positions[fluorine] - positions[sulphur]
                positions[fluorine] += 1.6 * away / np.linalg.norm(away)
        out[frame] = positions.ravel()
    out.flush()
    events = sorted([when, *sorted((fluorine, sulphur))] for fluorine, (when, sulphur) in leaving.items())
    (folder / 'events.json').write_text(json.dumps(events))


def whole(folder: Path, n_frames: int) -> dict[str, Any]:
    """Analyse everything with this package.

    :param folder: the trajectory.
    :param n_frames: all of it.
    :returns: what was found, for the comparison.
    """
    from aiida_sis.core.analysis.analyse import AnalysisSettings, analyse
    from aiida_sis.core.analysis.trajectory import open_trajectory

    settings = AnalysisSettings(r_max=R_MAX, bin_width=R_MAX / N_BINS, density_axis=2, density_reference='Li')
    found = analyse(open_trajectory(folder, timestep_fs=1000.0), settings)
    broken = [[e.frame, e.i, e.j] for e in found.history.events if e.pair == 'S–F' and e.change == 'broken']
    others = [e for e in found.history.events if e.pair != 'S–F']
    assert len(found.times_fs) == n_frames
    return {'broken': broken, 'other_events': len(others), 'contacts': len(found.history.contact_events)}


def rdf_alone(folder: Path, n_frames: int) -> dict[str, Any]:
    """RDFs of all pairs of kinds with this package."""
    from itertools import islice

    from aiida_sis.core.analysis.rdf import rdfs

    frames = islice(_open(folder).read(), n_frames)
    found = rdfs(frames, _kinds(folder), R_MAX, N_BINS)
    return {'/'.join(pair): (found.neighbours[pair] * n_frames).tolist() for pair in found.pairs}


def rdf_mdanalysis(folder: Path, n_frames: int) -> dict[str, Any]:
    """RDFs of all pairs of kinds with MDAnalysis' InterRDF."""
    import MDAnalysis
    from MDAnalysis.analysis.rdf import InterRDF

    positions, cell = _arrays(folder, n_frames)
    box = np.array([*np.diag(cell), 90.0, 90.0, 90.0])
    universe = MDAnalysis.Universe.empty(positions.shape[1], trajectory=True)
    universe.load_new(positions, dimensions=np.tile(box, (n_frames, 1)))
    kinds = np.array(_kinds(folder))
    groups = {kind: universe.atoms[kinds == kind] for kind in sorted(set(kinds))}
    found = {}
    for first, second in combinations_with_replacement(groups, 2):
        same = (1, 1) if first == second else None
        rdf = InterRDF(groups[first], groups[second], nbins=N_BINS, range=(0.0, R_MAX), exclusion_block=same).run()
        found[f'{first}/{second}'] = (rdf.results.count / (2 if same else 1)).tolist()
    return found


def rdf_freud(folder: Path, n_frames: int) -> dict[str, Any]:
    """RDFs of all pairs of kinds with freud."""
    import freud

    positions, cell = _arrays(folder, n_frames)
    box = freud.box.Box(*np.diag(cell))
    freud.parallel.set_num_threads(1)
    kinds = np.array(_kinds(folder))
    found = {}
    for first, second in combinations_with_replacement(sorted(set(kinds)), 2):
        rdf = freud.density.RDF(bins=N_BINS, r_max=R_MAX)
        for frame in positions:
            system = (box, box.wrap(frame[kinds == first]))
            queries = None if first == second else box.wrap(frame[kinds == second])
            rdf.compute(system, query_points=queries, reset=False)
        found[f'{first}/{second}'] = (rdf.bin_counts / (2 if first == second else 1)).tolist()
    return found


def rdf_ase(folder: Path, n_frames: int) -> dict[str, Any]:
    """RDFs of all pairs of elements with ASE's get_rdf (it knows no other kinds)."""
    from ase import Atoms
    from ase.data import atomic_numbers
    from ase.geometry.rdf import get_rdf

    positions, cell = _arrays(folder, n_frames)
    symbols = list(_open(folder).symbols)
    pairs = list(combinations_with_replacement(sorted(set(symbols)), 2))
    for frame in positions:
        atoms = Atoms(symbols, frame, cell=cell, pbc=True)
        for first, second in pairs:
            get_rdf(atoms, R_MAX, N_BINS, elements=(atomic_numbers[first], atomic_numbers[second]))
    return {}


def pairs_alone(folder: Path, n_frames: int) -> dict[str, Any]:
    """Pairs within the reach of a bond with vesin, as this package finds them."""
    from aiida_sis.core.analysis.neighbours import NeighbourSearch

    positions, cell = _arrays(folder, n_frames)
    search = NeighbourSearch(REACH)
    return {'pairs': sum(len(search.pairs(frame.astype(float), cell)[0]) for frame in positions)}


def pairs_mdanalysis(folder: Path, n_frames: int) -> dict[str, Any]:
    """The same pairs with MDAnalysis."""
    from MDAnalysis.lib.distances import self_capped_distance

    positions, cell = _arrays(folder, n_frames)
    box = np.array([*np.diag(cell), 90.0, 90.0, 90.0], dtype=np.float32)
    return {'pairs': sum(len(self_capped_distance(frame, REACH, box=box)[0]) for frame in positions)}


def pairs_ase(folder: Path, n_frames: int) -> dict[str, Any]:
    """The same pairs with ASE."""
    from ase.neighborlist import primitive_neighbor_list

    positions, cell = _arrays(folder, n_frames)
    found = [primitive_neighbor_list('ijd', [True] * 3, cell, frame.astype(float), REACH)[0] for frame in positions]
    return {'pairs': sum(len(first) for first in found) // 2}


def pairs_freud(folder: Path, n_frames: int) -> dict[str, Any]:
    """The same pairs with freud."""
    import freud

    positions, cell = _arrays(folder, n_frames)
    freud.parallel.set_num_threads(1)
    box, total = freud.box.Box(*np.diag(cell)), 0
    for frame in positions:
        query = freud.locality.AABBQuery(box, box.wrap(frame))
        total += len(query.query(query.points, {'r_max': REACH, 'exclude_ii': True}).toNeighborList()) // 2
    return {'pairs': total}


TASKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    'whole': whole,
    'rdf aiida-sis': rdf_alone,
    'rdf MDAnalysis': rdf_mdanalysis,
    'rdf freud': rdf_freud,
    'rdf ASE': rdf_ase,
    'pairs aiida-sis': pairs_alone,
    'pairs MDAnalysis': pairs_mdanalysis,
    'pairs freud': pairs_freud,
    'pairs ASE': pairs_ase,
}


def _open(folder: Path) -> Any:
    from aiida_sis.core.analysis.trajectory import open_trajectory

    return open_trajectory(folder, timestep_fs=1000.0)


def _arrays(folder: Path, n_frames: int) -> tuple[Any, Any]:
    coords = np.load(folder / 'set.000' / 'coord.npy', mmap_mode='r')[:n_frames]
    return np.array(coords).reshape(n_frames, -1, 3), np.load(folder / 'set.000' / 'box.npy')[0].reshape(3, 3)


def _kinds(folder: Path) -> tuple[str, ...]:
    from ase import Atoms

    from aiida_sis.core.analysis.topology import find_molecules

    trajectory = _open(folder)
    positions, cell = trajectory.first()
    return find_molecules(Atoms(trajectory.symbols, positions, cell=cell, pbc=True)).kinds


def measure(task: str, folder: Path, n_frames: int) -> dict[str, Any]:
    """Run one task in a process of its own.

    :param task: its name.
    :param folder: the trajectory.
    :param n_frames: number of frames.
    :returns: ``found``, CPU and wall seconds (of ``whole`` with the imports), and the peak memory in MB.
    """
    command = [sys.executable, __file__, '--task', task, '--folder', str(folder), '--frames', str(n_frames)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f'{task} failed:\n{ended.stderr}')
    measured: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return measured


def run_task(task: str, folder: Path, n_frames: int) -> None:
    """Do one task and print what it took, as JSON.

    :param task: its name.
    :param folder: the trajectory.
    :param n_frames: number of frames.
    """
    if task != 'whole':
        TASKS[task](folder, 2)  # imports and caches are not part of the measure
    cpu, wall = time.process_time(), time.perf_counter()
    found = TASKS[task](folder, n_frames)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({'found': found, 'cpu': cpu, 'wall': wall, 'peak_mb': peak_memory()}))


def peak_memory() -> float:
    """Give the largest memory of this process in MB; on Linux without that of the process that started it."""
    status = Path('/proc/self/status')
    if status.exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if 'VmHWM' in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Make the trajectory, run every task, print times, memory and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--frames', type=int, default=10_000)
    parser.add_argument('--others', type=int, default=200, help='frames for the comparison')
    parser.add_argument('--task', choices=TASKS)
    parser.add_argument('--folder', type=Path)
    arguments = parser.parse_args()
    if arguments.task:
        run_task(arguments.task, arguments.folder, arguments.frames)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / 'interface'
        write_trajectory(folder, arguments.frames)
        n_atoms = len(_open(folder).symbols)
        n_kinds = len(set(_kinds(folder)))
        took = measure('whole', folder, arguments.frames)
        expected = json.loads((folder / 'events.json').read_text())
        assert took['found']['broken'] == expected, (took['found'], expected)
        print(f'{arguments.frames} frames of {n_atoms} atoms, {n_kinds} kinds, whole analysis on one core:')
        print(f'  CPU {took["cpu"]:.1f} s, wall {took["wall"]:.1f} s, peak memory {took["peak_mb"]:.0f} MB')
        events = f'{took["found"]["other_events"]} other bond events, {took["found"]["contacts"]} of contacts'
        print(f'  events as planted: S–F broken in frames {[frame for frame, _, _ in expected]}; {events}')
        compare('rdf', 'RDFs of all pairs of kinds to 5.2 Å', folder, arguments.others)
        compare('pairs', f'pairs nearer than {REACH} Å', folder, arguments.others)


def compare(kind: str, title: str, folder: Path, n_frames: int) -> None:
    """Print the time of each contestant and its ratio to this package's, and check that they found the same.

    :param kind: the first word of the tasks.
    :param title: what they do.
    :param folder: the trajectory.
    :param n_frames: number of frames.
    """
    print(f'{title}, {n_frames} frames:')
    ours = measure(f'{kind} aiida-sis', folder, n_frames)
    for task in (one for one in TASKS if one.startswith(kind)):
        other = ours if task.endswith('aiida-sis') else measure(task, folder, n_frames)
        largest = max(
            (
                np.abs(np.cumsum(np.subtract(values, ours['found'][key]))).max()
                for key, values in other['found'].items()
            ),
            default=None,
        )
        agreement = 'by element only' if largest is None else f'counts differ by at most {largest:.0f}'
        print(
            f'  {task.split()[1]:11} CPU {1e3 * other["cpu"] / n_frames:7.2f} ms a frame, '
            f'wall {1e3 * other["wall"] / n_frames:7.2f} ms, ratio {other["cpu"] / ours["cpu"]:5.1f}, '
            f'peak {other["peak_mb"]:.0f} MB, {agreement}'
        )


if __name__ == '__main__':
    main()
