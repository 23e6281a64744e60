"""How fast a potential learns: learning rate, optimiser, steps, cutoff, precision and batch, three seeds each.

Each try is one training of DeePMD-kit (TensorFlow) on one core, in a process of its own that ends with the errors on
frames that it has not seen. CPU seconds are those of the training loop, without the start, the graph and the
statistics (of a fine-tuning: with those of its parent). Use:

    python studies/training.py data PAPER DATA        # the cases; PAPER holds the frames of the method's authors
    python studies/training.py run DATA -o training.json [--cases interface …] [--seeds 1 2 3]
    python studies/training.py table training.json

`data` takes the demonstration from `examples/lifsi_ion_pair.aiida`, and the rehearsal from an archive of a run of
`aiida-sis rehearse` (``--rehearsal``). A try that is in the file is not done again; several runs share the work.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import re
import resource
import shutil
import statistics
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_deepmd.frames.labelled import Frames

LOSS = {'start_pref_e': 0.02, 'limit_pref_e': 1.0, 'start_pref_f': 1000.0, 'limit_pref_f': 10.0}
#: Frames of a case: systems to train on with their shares, and what it is tested on.
CASES: dict[str, dict[str, Any]] = {
    'interface': {'train': {'interface': 1.0}, 'test': ['interface-same', 'interface-next']},
    'electrolyte': {'train': {'electrolyte': 1.0}, 'test': ['electrolyte-same', 'electrolyte-next']},
    'mixture': {
        'train': {'interface': 0.474, 'electrolyte': 0.263, 'lithium': 0.263},
        'test': ['interface-same', 'interface-next', 'electrolyte-next', 'lithium-next'],
    },
    'demonstration': {'train': {'ion_pair': 1.0}, 'test': ['ion_pair-same', 'ion_pair-next']},
    'rehearsal': {'train': {'melt': 1.0}, 'test': ['melt-same', 'melt-next']},
    # The first potential is of the case 'parent'; this one goes on from it with the later frames too.
    'demonstration, fine-tuned': {
        'parent': 'demonstration',
        'train': {'ion_pair': 0.5, 'ion_pair-more': 0.5},
        'test': ['ion_pair-same', 'ion_pair-last'],
    },
    'interface, fine-tuned': {
        'parent': 'interface',
        'train': {'interface': 0.5, 'interface-more': 0.5},
        'test': ['interface-same', 'interface-next'],
    },
}
NETS = {
    'small': {'neuron': [10, 20, 40], 'axis_neuron': 8, 'fit': [64, 64, 64]},
    'tiny': {'neuron': [10, 20, 40], 'axis_neuron': 8, 'fit': [32, 32, 32]},
    'usual': {'neuron': [25, 50, 100], 'axis_neuron': 16, 'fit': [240, 240, 240]},
}
#: What a try is without anything said.
BASE = {
    'rcut': 5.0, 'margin': 1.2, 'net': 'small', 'precision': 'float32', 'batch': 1,
    'kind': 'cosine', 'start': 1.0e-2, 'stop': 1.0e-5, 'beta2': 0.99, 'warmup': 0, 'steps': 1000,
}  # fmt: skip
OLD = {'rcut': 6.0, 'margin': 1.5, 'kind': 'exp', 'start': 2.0e-3, 'beta2': 0.999}


def variants(case: str) -> dict[str, dict[str, Any]]:
    """List the tries of a case by name, the most telling first.

    :param case: a key of ``CASES``.
    """
    large = {
        'before, 5000 steps': {**OLD, 'steps': 5000},
        'new, 550': {'steps': 550},
        'beta2 0.98, 550': {'beta2': 0.98, 'steps': 550},
        'new, 700': {'steps': 700},
        'new, 1000': {},
        'R_cut 6': {'rcut': 6.0},
        'R_cut 6, sel times 1.5': {'rcut': 6.0, 'margin': 1.5},
        'start 5e-3': {'start': 5.0e-3},
        'start 2e-2': {'start': 2.0e-2},
        'beta2 0.999': {'beta2': 0.999},
        'beta2 0.98': {'beta2': 0.98},
        'exp': {'kind': 'exp'},
        'warm-up 50': {'warmup': 50},
        'start 2e-2, beta2 0.98': {'start': 2.0e-2, 'beta2': 0.98},
        'start 2e-2, beta2 0.98, 500': {'start': 2.0e-2, 'beta2': 0.98, 'steps': 500},
        'batch 2, 500 steps': {'batch': 2, 'steps': 500},
        'new, 3000': {'steps': 3000},
        'float64': {'precision': 'float64'},
        'usual net, R_cut 6': {'net': 'usual', 'rcut': 6.0, 'steps': 600},
    }
    small = {
        'before, 8000 steps': {**OLD, 'precision': 'float64', 'steps': 8000, 'batch': 4},
        'new, 1000': {'batch': 4},
        'new, 2500': {'batch': 4, 'steps': 2500},
        'R_cut 6': {'rcut': 6.0, 'batch': 4},
        'start 5e-3': {'start': 5.0e-3, 'batch': 4},
        'start 2e-2': {'start': 2.0e-2, 'batch': 4},
        'start 2e-2, beta2 0.98': {'start': 2.0e-2, 'beta2': 0.98, 'batch': 4},
        'beta2 0.999': {'beta2': 0.999, 'batch': 4},
        'exp': {'kind': 'exp', 'batch': 4},
        'batch 1, 2500': {'steps': 2500},
        'float64': {'precision': 'float64', 'batch': 4},
    }
    if 'parent' in CASES[case]:
        steps, batch = (1500, 4) if case.startswith('demonstration') else (700, 1)
        return {f'start {rate:g}': {'start': rate, 'steps': steps, 'batch': batch} for rate in (1e-2, 5e-3, 2e-3, 1e-3)}
    if case == 'electrolyte':
        kept = (
            'before, 5000 steps',
            'new, 550',
            'beta2 0.98, 550',
            'beta2 0.98',
            'new, 700',
            'new, 1000',
            'start 2e-2',
            'beta2 0.999',
            'new, 3000',
            'R_cut 6',
        )
        kept = (*kept, 'start 2e-2, beta2 0.98', 'start 2e-2, beta2 0.98, 500')
        return {name: large[name] for name in kept}
    if case == 'mixture':
        return {
            'before, 5000 steps': large['before, 5000 steps'],
            'new, 2000': {'steps': 2000},
            'new, 4000': {'steps': 4000},
            'start 2e-2, 2000': {'start': 2.0e-2, 'steps': 2000},
        }
    if case == 'rehearsal':
        one = {name: {**values, 'batch': 1, 'net': 'tiny'} for name, values in small.items() if 'batch' not in name}
        one['before, 4000 steps'] = {**one.pop('before, 8000 steps'), 'steps': 4000}
        return one
    return small if case == 'demonstration' else large


def training_input(case: str, given: Mapping[str, Any], seed: int, data: Path) -> dict[str, Any]:
    """Give DeePMD-kit's input of one try.

    :param case: a key of ``CASES``.
    :param given: what differs from ``BASE``.
    :param seed: the seed of data order and weights.
    :param data: folder of the cases.
    """
    values: dict[str, Any] = {**BASE, **given}
    shares, net = CASES[case]['train'], NETS[values['net']]
    type_map = (data / next(iter(shares)) / 'type_map.raw').read_text().split()
    rate: dict[str, Any] = {'type': values['kind'], 'start_lr': values['start'], 'stop_lr': values['stop']}
    if values['kind'] == 'exp':
        rate['decay_steps'] = max(values['steps'] // 100, 1)
    if values['warmup']:
        rate['warmup_steps'] = values['warmup']
    blocks = '; '.join(f'{i}:{i + 1}:{share}' for i, share in enumerate(shares.values()))
    return {
        'model': {
            'type_map': type_map,
            'descriptor': {
                'type': 'se_e2_a', 'rcut': values['rcut'], 'rcut_smth': 0.5, 'neuron': net['neuron'], 'seed': seed,
                'sel': neighbours(data, systems_of(case), values['rcut'], values['margin']),
                'axis_neuron': net['axis_neuron'], 'type_one_side': True, 'precision': values['precision'],
            },
            'fitting_net': {
                'neuron': net['fit'], 'resnet_dt': True, 'precision': values['precision'], 'seed': seed,
            },
        },
        'learning_rate': rate,
        'optimizer': {'type': 'Adam', 'adam_beta2': values['beta2']},
        'loss': {'type': 'ener', **LOSS, 'start_pref_v': 0.0, 'limit_pref_v': 0.0},
        'training': {
            'numb_steps': values['steps'], 'disp_freq': max(values['steps'] // 10, 1), 'save_freq': values['steps'],
            'seed': seed,
            'training_data': {
                'systems': [str(data / name) for name in shares], 'batch_size': values['batch'],
                'auto_prob': f'prob_sys_size; {blocks}',
            },
        },
    }  # fmt: skip


def systems_of(case: str) -> tuple[str, ...]:
    """Give the systems that a potential of this case is trained on first, by which its network is laid out."""
    return tuple(CASES[CASES[case].get('parent', case)]['train'])


def neighbours(data: Path, names: tuple[str, ...], rcut: float, margin: float) -> list[int]:
    """Give `sel`: the largest number of neighbours of each element in ten frames of each system, times a margin.

    :param data: folder of the cases.
    :param names: the systems.
    :param rcut: Å.
    :param margin: factor.
    """
    from aiida_deepmd.files.input import suggest_sel

    frames = [atoms for name in names for atoms in every_frame(data / name, 10)]
    type_map = (data / names[0] / 'type_map.raw').read_text().split()
    return suggest_sel(frames, type_map, rcut, margin)


def every_frame(folder: Path, number: int) -> Iterator[Atoms]:
    """Give some frames of a system, evenly chosen.

    :param folder: a system in deepmd/npy.
    :param number: how many.
    """
    type_map = (folder / 'type_map.raw').read_text().split()
    symbols = [type_map[int(word)] for word in (folder / 'type.raw').read_text().split()]
    for file in sorted(folder.glob('set.*/coord.npy')):
        coords, boxes = np.load(file), np.load(file.with_name('box.npy'))
        for i in np.linspace(0, len(coords) - 1, number).astype(int):
            yield Atoms(symbols, coords[i].reshape(-1, 3), cell=boxes[i].reshape(3, 3), pbc=True)


def train_once(case: str, given: Mapping[str, Any], seed: int, data: Path, keep: Path | None = None) -> dict[str, Any]:
    """Train in this process and test: for a process of its own.

    :param case: a key of ``CASES``.
    :param given: what differs from ``BASE``.
    :param seed: the seed.
    :param data: folder of the cases.
    :param keep: where model and input are kept, without ending.
    :returns: CPU seconds of the loop, and the force RMSE on each test system in eV/Å.
    """
    from deepmd.main import main
    from deepmd.tf.env import tf

    clock, start, parent = _Clock(), [], {}
    logging.getLogger('deepmd').addHandler(clock)
    if 'parent' in CASES[case]:
        # What the parent was trained with: the best of the steps that were tried.
        first = {**given, 'start': BASE['start'], 'steps': 2500 if case.startswith('demonstration') else 1000}
        Path('input.json').write_text(json.dumps(training_input(CASES[case]['parent'], first, seed, data)))
        main(['--tf', 'train', 'input.json', '--skip-neighbor-stat'])
        tf.compat.v1.reset_default_graph()
        main(['--tf', 'freeze', '-o', 'parent.pb'])
        errors = test(Path('parent.pb'), [data / name for name in CASES[case]['test']])
        start, parent = ['--init-frz-model', 'parent.pb'], {f'parent, {name}': e for name, e in errors.items()}
        tf.compat.v1.reset_default_graph()
    Path('input.json').write_text(json.dumps(training_input(case, given, seed, data)))
    main(['--tf', 'train', 'input.json', '--skip-neighbor-stat', *start])
    seconds = _cpu() - clock.start
    tf.compat.v1.reset_default_graph()
    main(['--tf', 'freeze', '-o', 'model.pb'])
    if keep is not None:
        shutil.copy('model.pb', keep.with_suffix('.pb'))
        shutil.copy('input.json', keep.with_suffix('.json'))
    return {'cpu_seconds': seconds, **parent, **test(Path('model.pb'), [data / name for name in CASES[case]['test']])}


def test(model: Path, systems: list[Path]) -> dict[str, float]:
    """Give the force RMSE of a model on each of some systems, in eV/Å.

    :param model: the frozen model.
    :param systems: systems in deepmd/npy with one set.
    """
    from deepmd.infer import DeepPot

    potential, errors = DeepPot(str(model)), {}
    for system in systems:
        arrays = [np.load(system / 'set.000' / f'{name}.npy') for name in ('coord', 'box', 'force')]
        types = [int(word) for word in (system / 'type.raw').read_text().split()]
        forces = potential.eval(arrays[0], arrays[1], types)[1]
        errors[system.name] = float(np.sqrt(np.mean((forces.reshape(len(forces), -1) - arrays[2]) ** 2)))
    return errors


class _Clock(logging.Handler):
    """Note the CPU time at which the loop begins: at the last message before its first step."""

    start = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if 'start training at lr' in record.getMessage():
            self.start = _cpu()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do some work in a fork of this process, in a folder of its own.

    :param work: gives what can be written as JSON.
    :raises RuntimeError: if it failed, with the end of what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            with open('out', 'w', buffering=1) as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                try:
                    Path('result.json').write_text(json.dumps(work()))
                except BaseException:  # noqa: BLE001  # the fork must never go on as its parent
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
        _, status = os.waitpid(child, 0)
        result = Path(folder, 'result.json')
        if status or not result.is_file():
            raise RuntimeError(Path(folder, 'out').read_text()[-2000:])
        done: dict[str, Any] = json.loads(result.read_text())
        return done


@contextmanager
def rows_of(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Read the file of results, alone, and write back what it is then.

    :param path: the file.
    """
    with open(path.with_suffix('.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = json.loads(path.read_text()) if path.is_file() else []
        yield rows
        path.write_text('[\n' + ',\n'.join(json.dumps(row) for row in rows) + '\n]\n')


def run(
    data: Path, output: Path, cases: list[str], seeds: list[int], only: list[str], keep: Path | None = None
) -> None:
    """Do every try that is not in the file, seed by seed.

    :param data: folder of the cases.
    :param output: the file of results.
    :param cases: keys of ``CASES``.
    :param seeds: one try each.
    :param only: names of variants; none: all.
    :param keep: folder for the frozen models.
    """
    import deepmd.tf  # noqa: F401  # once, before the forks

    tries = [(c, v, s) for s in seeds for c in cases for v in variants(c) if not only or v in only]
    for case, name, seed in tries:
        key = {'case': case, 'variant': name, 'seed': seed}
        with rows_of(output) as rows:
            if any(key.items() <= row.items() for row in rows):
                continue
            rows.append(key)
        try:
            given = variants(case)[name]
            kept = keep.resolve() / f'{case}-{re.sub("[^a-z0-9]+", "-", name.lower())}-{seed}' if keep else None
            done = in_child(partial(train_once, case, given, seed, data.resolve(), kept))
        except RuntimeError as error:
            done = {'error': str(error)[-300:]}
        with rows_of(output) as rows:
            next(row for row in rows if key.items() <= row.items()).update(done)
        print(key, done, flush=True)


def table(path: Path) -> None:
    """Print the results: mean and spread over the seeds.

    :param path: the file of results.
    """
    rows = [row for row in json.loads(path.read_text()) if 'cpu_seconds' in row]
    for case in dict.fromkeys(row['case'] for row in rows):
        tests = CASES[case]['test']
        print(f'\n| {case} | steps | ms/step | CPU s | {" | ".join(tests)} | seeds |\n|{"---|" * (len(tests) + 5)}')
        for name, given in variants(case).items():
            found = [row for row in rows if row['case'] == case and row['variant'] == name]
            if not found:
                continue
            steps = {**BASE, **given}['steps']
            seconds = statistics.mean(row['cpu_seconds'] for row in found)
            cells = []
            for test_name in tests:
                values = [row[test_name] for row in found]
                spread = f' ± {statistics.stdev(values):.3f}' if len(values) > 1 else ''
                cells.append(f'{statistics.mean(values):.3f}{spread}')
            speed = f'{1e3 * seconds / steps:.1f} | {seconds:.0f}'
            print(f'| {name} | {steps} | {speed} | {" | ".join(cells)} | {len(found)} |')


def write_data(paper: Path, data: Path, rehearsal: Path | None) -> None:
    """Write the systems of the cases.

    :param paper: folder with the authors' frames.
    :param data: folder to write into.
    :param rehearsal: an archive of a run of `aiida-sis rehearse`.
    """
    part(paper / 'interface-1M/gen3', data / 'interface', slice(0, 360))
    part(paper / 'interface-1M/gen3', data / 'interface-same', slice(410, 450))
    part(paper / 'interface-1M/gen4', data / 'interface-next', slice(410, 450))
    part(paper / 'interface-1M/gen4', data / 'interface-more', slice(0, 360))
    part(paper / 'electrolyte-1M/gen3', data / 'electrolyte', slice(0, 400))
    part(paper / 'electrolyte-1M/gen3', data / 'electrolyte-same', slice(460, 500))
    part(paper / 'electrolyte-1M/gen4', data / 'electrolyte-next', slice(460, 500))
    part(paper / 'bulk-Li/part3', data / 'lithium', slice(0, 500))
    part(paper / 'bulk-Li/part4', data / 'lithium-next', slice(0, 500, 12))
    from_archive(Path(__file__).parents[1] / 'examples' / 'lifsi_ion_pair.aiida', data, 'ion_pair')
    if rehearsal is not None:
        from_archive(rehearsal, data, 'melt')


def part(source: Path, target: Path, frames: slice) -> None:
    """Write some frames of a system in deepmd/npy as another.

    :param source: the system.
    :param target: folder to write.
    :param frames: which.
    """
    if not source.is_dir():
        print(f'{source} is not there: left out')
        return
    (target / 'set.000').mkdir(parents=True, exist_ok=True)
    for name in ('type.raw', 'type_map.raw'):
        shutil.copy(source / name, target / name)
    for name in ('coord', 'box', 'energy', 'force'):
        np.save(target / 'set.000' / f'{name}.npy', np.load(source / 'set.000' / f'{name}.npy')[frames])


def from_archive(path: Path, data: Path, name: str) -> None:
    """Write the datasets of a run: the first generation to train on, what it kept apart and the next one to test.

    :param path: the archive.
    :param data: folder to write into.
    :param name: of the system.
    """
    from aiida_sis.cli.archives import open_archive

    open_archive(path)
    from aiida import orm

    (run,) = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': {'like': '%sis.sis'}}).all(flat=True)
    sets: dict[str, list[Frames]] = {'': [], '-same': [], '-next': [], '-more': [], '-last': []}
    for label, dataset in run.outputs.datasets.items():
        if label.startswith('g0'):
            sets[''].append(dataset.get_frames('train'))
            sets['-same'].append(dataset.get_frames('test'))
        elif label.startswith('g1'):
            frames = dataset.get_frames()
            sets['-next'].append(frames)
            border = 2 * len(frames) // 3
            sets['-more'].append(frames.take(np.arange(border)))
            sets['-last'].append(frames.take(np.arange(border, len(frames))))
    for subset, parts in sets.items():
        folder = data / f'{name}{subset}'
        (folder / 'set.000').mkdir(parents=True, exist_ok=True)
        type_map = dataset.type_map
        (folder / 'type_map.raw').write_text('\n'.join(type_map))
        (folder / 'type.raw').write_text('\n'.join(str(type_map.index(symbol)) for symbol in dataset.symbols))
        for file, attribute in (('coord', 'coords'), ('box', 'cells'), ('energy', 'energies'), ('force', 'forces')):
            values = np.concatenate([getattr(frames, attribute) for frames in parts])
            np.save(folder / 'set.000' / f'{file}.npy', values.reshape(len(values), -1))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    sub = commands.add_parser('data')
    sub.add_argument('paper', type=Path)
    sub.add_argument('data', type=Path)
    sub.add_argument('--rehearsal', type=Path)
    sub = commands.add_parser('run')
    sub.add_argument('data', type=Path)
    sub.add_argument('-o', '--output', type=Path, required=True)
    sub.add_argument('--cases', nargs='+', default=list(CASES), choices=list(CASES))
    sub.add_argument('--seeds', nargs='+', type=int, default=[1, 2, 3])
    sub.add_argument('--only', nargs='+', default=[])
    sub.add_argument('--keep', type=Path)
    sub = commands.add_parser('table')
    sub.add_argument('output', type=Path)
    arguments = parser.parse_args()
    if arguments.command == 'data':
        write_data(arguments.paper, arguments.data, arguments.rehearsal)
    elif arguments.command == 'run':
        run(arguments.data, arguments.output, arguments.cases, arguments.seeds, arguments.only, arguments.keep)
    else:
        table(arguments.output)
