"""Train a Deep Potential on labelled frames: verdi run examples/train_potential.py FOLDER. It needs no aiida_sis."""

from __future__ import annotations

import argparse
from typing import Any

from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_deepmd.calculations.import_data import import_datasets
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.files.input import suggest_sel
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain


def main() -> None:
    """Import the frames, train, print the errors on the frames that were held out, and write the potential."""
    given = read_arguments()
    try:
        found = import_datasets(given.folder, seed=given.seed, settings={'fixed_atoms': given.fixed_atoms})
    except ValueError as error:
        raise SystemExit(f'Error: {error}') from error
    for system in found:
        refused = {reason: len(frames) for reason, frames in system.report['refused_frames'].items()}
        print(f'{system.name or given.folder}: {system.report["n_kept"]} frames kept, refused {refused or "none"}')
        for warning in system.report['warnings']:
            print(f'  Warning: {warning}')
    datasets = {f'set_{number}': system.dataset for number, system in enumerate(found) if system.dataset}
    if not datasets:
        raise SystemExit('Error: no frame is left to train on.')
    outputs, node = run_get_node(
        DeepmdBaseWorkChain,
        train={
            'code': orm.load_code(given.code),
            'datasets': datasets,
            'parameters': orm.Dict(training_input(list(datasets.values()), given.rcut, given.steps)),
            'seed': orm.Int(given.seed),
        },
        force_rmse_max=orm.Float(given.force_rmse_max),
    )
    if not node.is_finished_ok:
        raise SystemExit(f'Error: {node.process_label}<{node.pk}> failed [{node.exit_status}]: {node.exit_message}')
    print_errors(outputs['results'].get_dict(), {key: dataset.label for key, dataset in datasets.items()})
    written = outputs['potential'].export(given.output, overwrite=True)
    print(f'PotentialData<{outputs["potential"].pk}> was written to {", ".join(written)}')


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog='verdi run train_potential.py', formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        'folder', help='folder with systems of deepmd/npy at any depth, or another set of labelled frames'
    )
    parser.add_argument('--code', default='dp@localhost', help='code that runs `dp`')
    parser.add_argument('--steps', type=int, default=20000, help='training steps')
    parser.add_argument('--rcut', type=float, default=6.0, help='cutoff radius in Å')
    parser.add_argument('--seed', type=int, default=1, help='seed of the split and of the training')
    parser.add_argument(
        '--fixed-atoms', choices=('refuse', 'mask', 'train'), default='refuse', help='atoms without force'
    )
    parser.add_argument('--force-rmse-max', type=float, default=0.15, help='eV/Å; above it the training is continued')
    parser.add_argument('--output', default='potential', help='folder that the potential is written to')
    return parser.parse_args()


def training_input(datasets: list[DatasetData], rcut: float, steps: int) -> dict[str, Any]:
    """Make the input of `dp train` for these elements and neighbours; the data and the seeds are added by the job.

    :param datasets: what it is trained on.
    :param rcut: cutoff radius in Å.
    :param steps: number of training steps.
    """
    type_map = datasets[0].type_map
    structures = [
        Atoms(dataset.symbols, positions=coords, cell=cell, pbc=True)
        for dataset in datasets
        for coords, cell in zip(dataset.get_array('coords')[[0, -1]], dataset.get_array('cells')[[0, -1]], strict=True)
    ]
    descriptor = {
        'type': 'se_e2_a',
        'rcut': rcut,
        'rcut_smth': 0.5,
        'sel': suggest_sel(structures, type_map, rcut),
        'neuron': [10, 20, 40],
        'axis_neuron': 8,
        'type_one_side': True,
    }
    return {
        'model': {'type_map': type_map, 'descriptor': descriptor, 'fitting_net': {'neuron': [64, 64, 64]}},
        'learning_rate': {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5},
        'optimizer': {'type': 'Adam', 'adam_beta2': 0.99},
        'loss': {
            'type': 'ener',
            'start_pref_e': 0.02,
            'limit_pref_e': 1,
            'start_pref_f': 1000,
            'limit_pref_f': 10,
            'start_pref_v': 0,
            'limit_pref_v': 0,
        },
        'training': {
            'training_data': {'batch_size': 4},
            'validation_data': {'batch_size': 4},
            'numb_steps': steps,
            'disp_freq': max(1, steps // 20),
        },
    }


def print_errors(results: dict[str, Any], names: dict[str, str]) -> None:
    """Print the errors on the frames that the training has not seen.

    :param results: the results of the training.
    :param names: name of each dataset, by its key.
    """
    rows = [(names[key], one) for key, one in results['per_dataset'].items()]
    whole = ('all', {**results, 'n_frames': results['n_test_frames']})
    for name, one in [*rows, whole] if len(rows) > 1 else rows:
        energy, force = 1000 * one['energy_rmse_ev_per_atom'], one['force_rmse_ev_per_angstrom']
        print(f'{name}: {one["n_frames"]} test frames, RMSE {energy:.2f} meV/atom and {force:.3f} eV/Å')
    for element, force in results['per_element'].items():
        print(f'  {element}: {force:.3f} eV/Å')


if __name__ == '__main__':
    main()
