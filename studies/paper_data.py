"""The real frames of the method's authors: train on some generations, test on the next, explore from a frame of it.

The frames (repository `longkunxuluke/SISMLPMD`) are not part of this project. Use, with their folder as DATA:
`AIIDA_PATH=$PWD/.sis .venv/bin/verdi run studies/paper_data.py DATA interface --steps 4500`, then with the PK that
it prints: `… paper_data.py DATA interface --explore PK`. An hour or two on two cores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction, submit
from ase import Atoms

from aiida_deepmd.calculations.import_data import import_datasets
from aiida_deepmd.units import AMU_A2_PS2_TO_EV, BOLTZMANN_EV
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.calculations.trajectories import select_snapshot
from aiida_sis.core.indicator import kinetic_temperature
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.protocols import load_protocol

TYPE_MAP = ['N', 'S', 'O', 'F', 'Li', 'C', 'H']
#: What is trained on, what is held out whole, and the neighbours within 6 Å with room to spare.
SETS: dict[str, dict[str, Any]] = {
    'interface': {
        'train': ['interface-1M/gen3', 'bulk-Li/part1', 'bulk-Li/part2', 'bulk-Li/part3'],
        'test': ['interface-1M/gen4', 'bulk-Li/part4'],
        'sel': [4, 8, 32, 8, 72, 44, 76],
        # 35.7 % of bulk configurations, as the paper has.
        'weights': [0.643, 0.119, 0.119, 0.119],
    },
    'electrolyte': {
        'train': ['electrolyte-1M/gen1', 'electrolyte-1M/gen2', 'electrolyte-1M/gen3'],
        'test': ['electrolyte-1M/gen4'],
        'sel': [4, 4, 32, 4, 4, 36, 64],
        'weights': [1 / 3, 1 / 3, 1 / 3],
    },
}
OPTIONS = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}, 'max_wallclock_seconds': 14400}


def import_part(data: Path, part: str, fractions: list[float]) -> orm.Data:
    """Import one folder, through the public function.

    :param data: folder of the frames.
    :param part: path below it.
    :param fractions: shares of train, validation and test.
    :returns: the dataset.
    """
    (found,) = import_datasets(data / part, type_map=TYPE_MAP, seed=1, settings={'label': part, 'fractions': fractions})
    assert found.dataset is not None, f'no frame of {part} was kept'
    return found.dataset


def train(data: Path, name: str, steps: int) -> orm.ProcessNode:
    """Submit the training with the network of the protocol `moderate`.

    :param data: folder of the frames.
    :param name: a key of ``SETS``.
    :param steps: number of training steps.
    :returns: the node of the training.
    """
    wanted = SETS[name]
    parts = [*wanted['train'], *wanted['test']]
    weights = [*wanted['weights'], *(0.0 for _ in wanted['test'])]
    keys = [part.replace('/', '_').replace('-', '_') for part in parts]
    datasets = {
        # A frame or two are called training frames there, but with a weight of zero they are never drawn.
        key: import_part(data, part, [0.6, 0.2, 0.2] if weight else [0.002, 0.0, 0.998])
        for key, part, weight in zip(keys, parts, weights, strict=True)
    }
    parameters = load_protocol('moderate')['dp']
    parameters['model']['type_map'] = TYPE_MAP
    parameters['model']['descriptor']['sel'] = wanted['sel']
    parameters['training'] |= {'numb_steps': steps, 'save_freq': 500}
    # So few steps have no time to go down to the 1e-7 of the protocol: half of them would learn nothing.
    parameters['learning_rate'] |= {'start_lr': 2.0e-3, 'stop_lr': 1.0e-5, 'decay_steps': max(steps // 100, 1)}
    builder = DeepmdBaseWorkChain.get_builder()
    builder.train.code = orm.load_code('dp@localhost')
    builder.train.datasets = datasets
    builder.train.parameters = orm.Dict(parameters)
    builder.train.seed = orm.Int(1)
    builder.train.settings = orm.Dict({'compress': True, 'weights': dict(zip(keys, weights, strict=True))})
    builder.train.metadata.options = OPTIONS
    return submit(builder)


@calcfunction
def start_of(dataset: orm.ArrayData, frame: orm.Int, temperature: orm.Float, seed: orm.Int) -> dict[str, Any]:
    """Take one frame of a dataset as the start of an MD, with velocities of the Maxwell-Boltzmann law.

    :param dataset: the frames.
    :param frame: number of the frame.
    :param temperature: in K.
    :param seed: seed of the velocities.
    :returns: ``structure`` and ``velocities``, in Å/ps.
    """
    frames = dataset.get_frames()
    atoms = Atoms(dataset.symbols, frames.coords[frame.value], cell=frames.cells[frame.value], pbc=True)
    masses = atoms.get_masses()[:, None]
    drawn = np.random.default_rng(seed.value).normal(size=(len(atoms), 3))
    drawn *= np.sqrt(BOLTZMANN_EV * temperature.value / (AMU_A2_PS2_TO_EV * masses))
    drawn -= (masses * drawn).sum(axis=0) / masses.sum()
    velocities = orm.ArrayData()
    found = kinetic_temperature(dataset.symbols, drawn)
    velocities.set_array('velocities', drawn * np.sqrt(temperature.value / found))
    return {'structure': orm.StructureData(ase=atoms), 'velocities': velocities}


def explore(data: Path, name: str, training: orm.ProcessNode, length_ps: float) -> orm.ProcessNode:
    """Submit the MD from the first held-out frame.

    :param data: folder of the frames.
    :param name: a key of ``SETS``.
    :param training: the node of the training.
    :param length_ps: length in ps.
    :returns: the node of the MD.
    """
    held = import_part(data, SETS[name]['test'][0], [0.6, 0.2, 0.2])
    start = start_of(held, orm.Int(0), orm.Float(300.0), orm.Int(1))
    builder = ExploreWorkChain.get_builder()
    builder.md.code = orm.load_code('lmp@localhost')
    builder.md.structure = start['structure']
    builder.md.velocities = start['velocities']
    builder.md.potential = training.outputs.potential
    builder.md.seed = orm.Int(1)
    builder.md.parameters = orm.Dict(
        {
            'temperature_k': 300.0,
            'window_k': [200.0, 500.0],
            'length_ps': length_ps,
            'timestep_fs': 0.5,
            'trajectory_interval_ps': 0.1,
        }
    )
    builder.md.metadata.options = OPTIONS
    return submit(builder)


def show(node: orm.ProcessNode) -> None:
    """Wait for a process and print its results.

    :param node: the node.
    """
    while not node.is_terminated:
        time.sleep(5)
    print(node.process_label, node.pk, node.exit_status, node.exit_message or '')
    if 'results' in node.outputs:
        for key, value in node.outputs.results.get_dict().items():
            print(f'  {key}: {value}')
    if 'snapshots' in node.outputs:
        index = node.outputs.results['t_next']['snapshot_index']
        structure = select_snapshot(node.outputs.snapshots, orm.Int(index))['structure']
        structure.get_ase().write(f't_next_{node.pk}.xyz')
        print(f'  snapshot at t_next: t_next_{node.pk}.xyz, StructureData {structure.pk}')


def main() -> None:
    """Train, or explore with what was trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', type=Path)
    parser.add_argument('name', choices=sorted(SETS))
    parser.add_argument('--steps', type=int, default=4500)
    parser.add_argument('--explore', type=int, metavar='PK', help='PK of the training')
    parser.add_argument('--length-ps', type=float, default=20.0)
    arguments = parser.parse_args()
    if arguments.explore is None:
        node = train(arguments.data, arguments.name, arguments.steps)
        print(f'training {node.pk}', flush=True)
    else:
        training = orm.load_node(arguments.explore)
        node = explore(arguments.data, arguments.name, training, arguments.length_ps)
        print(f'exploration {node.pk}', flush=True)
    show(node)


if __name__ == '__main__':
    main()
