"""Make the output files of this folder again with the real `dp` (DeePMD-kit 3.2.0, TensorFlow, CPU).

``frames.npz`` holds 30 frames of an AIMD (GFN1-xTB, 300 K) of one Li-FSI ion pair in a 9 Å cell: two datasets of 15.
Run in an empty folder: ``python make.py``; lines of TensorFlow that say nothing about the training are dropped.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from aiida_sis.core import deepmd, frames, units

HERE = Path(__file__).parent
NOISE = re.compile(r'^(W0000|I0000|WARNING: All log|To enable the following|implib-gen|DeePMD-kit: )')

SCENARIOS = sys.argv[1:] or ['finished', 'diverged', 'not_finite', 'killed', 'failed']


def write_systems(root: Path) -> None:
    """The two datasets, split as DatasetData splits them."""
    raw = np.load(HERE / 'frames.npz')
    type_map = json.loads((HERE / 'parameters.json').read_text())['model']['type_map']
    for number in (0, 1):
        subset = frames.split(15, seed=number)
        for name, index in frames.SUBSETS.items():
            chosen = np.flatnonzero(subset == index) + 15 * number
            folder = root / f'data/aimd_{number}/{name}'
            (folder / 'set.000').mkdir(parents=True)
            (folder / 'type.raw').write_text('\n'.join(str(type_map.index(s)) for s in raw['symbols']))
            (folder / 'type_map.raw').write_text('\n'.join(type_map))
            arrays = {
                'coord': raw['coords'][chosen],
                'box': raw['cells'][chosen],
                'energy': raw['energies_hartree'][chosen] * units.HARTREE_TO_EV,
                'force': raw['forces_hartree_per_bohr'][chosen] * units.HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
            }
            for label, array in arrays.items():
                np.save(folder / f'set.000/{label}.npy', array.reshape(len(chosen), -1))


def run(arguments: list[str], output: str, kill_after: str | None = None) -> None:
    """One dp command; killed once ``kill_after`` is in its output, if given."""
    with open(output, 'w') as stream:
        process = subprocess.Popen(['dp', *arguments], stdout=stream, stderr=subprocess.STDOUT)
        while process.poll() is None:
            time.sleep(0.05)
            if kill_after and kill_after in Path(output).read_text(errors='replace'):
                process.send_signal(signal.SIGKILL)
    path = Path(output)
    lines = [line for line in path.read_text().splitlines(keepends=True) if not NOISE.match(line)]
    path.write_text(''.join(lines))


def main() -> None:
    """The scenarios: finished, diverged, not finite, killed, failed."""
    root = Path.cwd()
    for scenario in SCENARIOS:
        parameters = json.loads((HERE / 'parameters.json').read_text())
        if scenario == 'not_finite':
            parameters['learning_rate']['start_lr'] = 1e80
        if scenario == 'diverged':
            parameters['learning_rate']['start_lr'] = 1e3
            parameters['training']['numb_steps'] = 200
        if scenario == 'killed':
            parameters['training']['numb_steps'] = 100000
        if scenario == 'failed':
            parameters['learning_rate']['type'] = 'nonesuch'
        (root / scenario).mkdir()
        os.chdir(root / scenario)
        write_systems(Path())
        keys = ('aimd_0', 'aimd_1')
        systems = [[f'data/{key}/{subset}' for key in keys] for subset in ('train', 'validation', 'test')]
        Path('input.json').write_text(json.dumps(deepmd.complete_input(parameters, systems[0], systems[1], seed=1)))
        Path('test_systems.txt').write_text('\n'.join(systems[2]) + '\n')
        run(['train', 'input.json'], 'train.out', kill_after='Batch     250: trn' if scenario == 'killed' else None)
        run(['freeze', '-o', 'frozen.pb'], 'freeze.out')
        run(['test', '-m', 'frozen.pb', '-f', 'test_systems.txt', '-n', '0', '-d', 'detail'], 'test.out')


if __name__ == '__main__':
    main()
