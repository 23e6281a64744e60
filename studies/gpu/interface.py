"""Train the paper's 1 M interface on a GPU for ten minutes, and say how good the potential is and how fast it went.

The frames (repository `longkunxuluke/SISMLPMD`, in deepmd/npy form) are not part of this project and are read where
they lie. It needs Python and DeePMD-kit 3.2, and nothing else of this project: copy this file to the GPU node. There:

    python interface.py --data DATA --backend tensorflow --cpu

DATA is the folder with `gen3` (trained on) and `gen4` (tested on). What is written goes into the folder `--folder`.
docs/gpu.md says more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Force RMSE of the paper's potentials on held-out frames, eV/Å.
PAPER_RMSE = (0.06, 0.17)
#: What stands between `dp` and the command, and the frozen model's name.
BACKENDS = {'tensorflow': ('--tf', 'frozen.pb'), 'pytorch': ('--pt', 'frozen.pth')}
#: Steps of the measurement, and from one line of the log to the next; the first line includes the start.
PROBE_STEPS, PROBE_EVERY = 120, 20
CPU_STEPS, CPU_EVERY = 20, 5
ONE_THREAD = {
    'CUDA_VISIBLE_DEVICES': '',
    'OMP_NUM_THREADS': '1',
    'DP_INTRA_OP_PARALLELISM_THREADS': '1',
    'DP_INTER_OP_PARALLELISM_THREADS': '1',
}


def training_input(data: Path, options: argparse.Namespace, steps: int, every: int) -> dict[str, Any]:
    """Give DeePMD-kit's input: the network and loss of the protocol `moderate`, a cosine, and Adam with a short memory.

    :param data: folder of the frames.
    :param options: what was asked for.
    :param steps: number of steps.
    :param every: steps from one line of the log to the next.
    """
    type_map = (data / 'gen3' / 'type_map.raw').read_text(encoding='utf-8').split()
    precision = {'precision': options.precision, 'seed': options.seed}
    return {
        'model': {
            'type_map': type_map,
            'descriptor': {
                'type': 'se_e2_a',
                'rcut': options.rcut,
                'rcut_smth': 0.5,
                'sel': 'auto:1.2',
                'neuron': [25, 50, 100],
                'axis_neuron': 16,
                'type_one_side': True,
                **precision,
            },
            'fitting_net': {'neuron': [240, 240, 240], 'resnet_dt': True, **precision},
        },
        'learning_rate': {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5},
        'optimizer': {'type': 'Adam', 'adam_beta2': 0.99},
        'loss': {
            'type': 'ener',
            'start_pref_e': 0.02,
            'limit_pref_e': 1.0,
            'start_pref_f': 1000.0,
            'limit_pref_f': 1.0,
            'start_pref_v': 0.0,
            'limit_pref_v': 0.0,
        },
        'training': {
            'numb_steps': steps,
            'training_data': {'systems': [str(data / 'gen3')], 'batch_size': 1},
            'disp_freq': every,
            # The last step is saved where it is no multiple of this.
            'save_freq': steps + 1,
            'seed': options.seed,
        },
    }


def dp(
    folder: Path, *words: str, environment: dict[str, str] | None = None, prepare: Callable[[], None] | None = None
) -> str:
    """Run DeePMD-kit in a folder, and give what it says.

    :param folder: where it runs; the log goes there too.
    :param words: the words behind `dp`.
    :param environment: variables to set beside those that there are.
    :param prepare: called in the new process first.
    """
    beside = Path(sys.executable).with_name('dp')
    program = str(beside) if beside.is_file() else shutil.which('dp')
    if program is None:
        raise SystemExit('There is no `dp` on the PATH: activate the environment with DeePMD-kit.')
    log = folder / f'{words[1]}.log'
    with log.open('w', encoding='utf-8') as file:
        result = subprocess.run(
            [program, *words],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=prepare,
            check=False,
        )
    text = log.read_text(encoding='utf-8')
    if result.returncode:
        last = next((line for line in reversed(text.splitlines()) if line.strip()), 'nothing was printed')
        raise SystemExit(f'`dp {" ".join(words)}` failed ({last.strip()}): see {log}.')
    return text


def train(folder: Path, data: Path, options: argparse.Namespace, steps: int, every: int, **how: Any) -> dict[str, Any]:
    """Train in a folder of its own, which is made anew.

    :param folder: the folder.
    :param data: folder of the frames.
    :param options: what was asked for.
    :param steps: number of steps.
    :param every: steps from one line of the log to the next.
    :param how: environment and preparation of the process.
    :returns: steps, seconds in all, milliseconds a step after the start, and the device in DeePMD-kit's words.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / 'input.json').write_text(json.dumps(training_input(data, options, steps, every), indent=2))
    start = time.monotonic()
    text = dp(folder, BACKENDS[options.backend][0], 'train', 'input.json', **how)
    device = re.search(r'computing device:\s*(\S+)', text, re.IGNORECASE)
    return {
        'steps': steps,
        'seconds_with_start': round(time.monotonic() - start, 1),
        'ms_per_step': ms_per_step(text),
        'device': device.group(1) if device else None,
    }


def ms_per_step(text: str) -> float:
    """Read the time of a step off a log; the first line, with the start in it, does not count.

    :param text: what `dp train` said.
    """
    found = [
        (int(step), float(seconds))
        for step, seconds in re.findall(r'Batch\s+(\d+): total wall time = ([\d.]+) s', text)
    ]
    if len(found) < 2:
        raise SystemExit('The log has fewer than two lines with times, so a step cannot be timed: give more --steps.')
    return round(1000 * sum(seconds for _, seconds in found[1:]) / (found[-1][0] - found[0][0]), 2)


def force_rmse(folder: Path, data: Path, options: argparse.Namespace) -> float:
    """Freeze the model and compare its forces with those of `gen4`.

    :param folder: where the training ran.
    :param data: folder of the frames.
    :param options: what was asked for.
    :returns: root mean square over all components, eV/Å.
    """
    flag, frozen = BACKENDS[options.backend]
    dp(folder, flag, 'freeze', '-o', frozen)
    dp(folder, flag, 'test', '-m', frozen, '-s', str(data / 'gen4'), '-n', str(options.test_frames), '-d', 'detail')
    forces = np.loadtxt(folder / 'detail.f.out')
    return float(np.sqrt(np.mean((forces[:, 3:6] - forces[:, :3]) ** 2)))


def one_core() -> None:
    """Keep a process on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def hardware() -> dict[str, Any]:
    """Say what machine this is."""
    nvidia = shutil.which('nvidia-smi')
    query = [nvidia, '--query-gpu=name,driver_version', '--format=csv,noheader'] if nvidia else None
    gpus = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split('\n') if query else []
    info = Path('/proc/cpuinfo')
    model = re.search(r'model name\s*:\s*(.+)', info.read_text()) if info.is_file() else None
    return {'gpus': [gpu for gpu in gpus if gpu], 'cpu': model.group(1) if model else platform.processor()}


def arguments() -> argparse.Namespace:
    """Read the command line, and refuse data that are not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with gen3 and gen4')
    parser.add_argument('--backend', choices=sorted(BACKENDS), default='tensorflow')
    parser.add_argument('--minutes', type=float, default=10.0, help='time to train, without the start (10)')
    parser.add_argument('--steps', type=int, help='train so many steps instead, without a measurement first')
    parser.add_argument('--precision', choices=['float32', 'float64'], default='float32')
    parser.add_argument('--rcut', type=float, default=6.0, help='cutoff in Å (6)')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--test-frames', type=int, default=0, help='frames of gen4 to test on (0: all)')
    parser.add_argument('--cpu', action='store_true', help='also time 20 steps on one CPU core')
    parser.add_argument('--folder', type=Path, default=Path('gpu_interface'), help='folder for what is written')
    options = parser.parse_args()
    options.data, options.folder = options.data.resolve(), options.folder.resolve()
    for part in ('gen3', 'gen4'):
        if not (options.data / part / 'type_map.raw').is_file():
            parser.error(f'{options.data} has no {part} in deepmd/npy form: give the folder that holds gen3 and gen4.')
    if options.minutes <= 0 or (options.steps is not None and options.steps < 4):
        parser.error('give --minutes above 0, and --steps of at least 4.')
    return options


def main() -> None:
    """Measure, train, test, print, write."""
    options = arguments()
    result: dict[str, Any] = {
        **{key: getattr(options, key) for key in ('backend', 'precision', 'rcut', 'seed', 'minutes')},
        'hardware': hardware(),
    }
    steps = options.steps
    if steps is None:
        probe = result['probe'] = train(options.folder / 'probe', options.data, options, PROBE_STEPS, PROBE_EVERY)
        steps = max(PROBE_STEPS, int(options.minutes * 60e3 / probe['ms_per_step']))
        print(f'{probe["ms_per_step"]} ms a step: {steps} steps take {options.minutes:g} minutes.', flush=True)
    trained = result['training'] = train(
        options.folder / 'training', options.data, options, steps, max(1, min(1000, steps // 4))
    )
    rmse = result['force_rmse_gen4_ev_per_angstrom'] = force_rmse(options.folder / 'training', options.data, options)
    if options.cpu:
        how = {'environment': ONE_THREAD, 'prepare': one_core}
        result['one_core'] = train(options.folder / 'cpu', options.data, options, CPU_STEPS, CPU_EVERY, **how)
    file = options.folder / 'result.json'
    file.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')

    low, high = PAPER_RMSE
    gpus = ', '.join(result['hardware']['gpus']) or 'none found by nvidia-smi'
    print(f'GPU: {gpus}; DeePMD-kit computed on: {trained["device"] or "not said"}.')
    print(f'{steps} steps of {trained["ms_per_step"]} ms, {1000 / trained["ms_per_step"]:.1f} steps/s.')
    print(f'Force RMSE on gen4: {rmse:.3f} eV/Å (the paper: {low} to {high}).')
    if options.cpu:
        slow = result['one_core']['ms_per_step']
        print(f'One CPU core: {slow} ms a step; {slow / trained["ms_per_step"]:.1f} times as long.')
    print(f'Written: {file}')


if __name__ == '__main__':
    main()
