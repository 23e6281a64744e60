"""What a trained potential is worth in MD: how long it lasts, and how fast it runs.

For each frozen model the MD starts from the first frame of a system that it has not seen, at 300 K with steps of 0.5
fs, and stops where the temperature leaves [200, 500] K. Models run in turn, so their speeds compare. Use:

    python studies/training.py run DATA -o training.json --cases interface --only 'new, 3000' 'R_cut 6' --keep MODELS
    python studies/training_md.py MODELS/*.pb --system DATA/interface-next -o md.json [--seconds 600]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from aiida_sis.core.lammps.script import write_data

SCRIPT = """units metal
atom_style atomic
read_data start.data
pair_style deepmd model.pb
pair_coeff * *
neighbor 2.0 bin
timestep 0.0005
velocity all create 300.0 {seed} mom yes rot no dist gaussian
thermo 20
thermo_style custom step temp pe etotal
fix nve all nve
fix heat all temp/csvr 300.0 300.0 0.1 {seed}
variable ok equal "(temp >= 200) && (temp <= 500)"
fix stop all halt 1 v_ok == 0 error soft message yes
{timer}run {steps}
"""


def run(model: Path, system: Path, seed: int, steps: int, seconds: float | None = None) -> dict[str, Any]:
    """Run one MD.

    :param model: a frozen model; it is compressed where DeePMD-kit can.
    :param system: a system in deepmd/npy.
    :param seed: of velocities and thermostat.
    :param steps: length in steps of 0.5 fs.
    :param seconds: end it after this wall time.
    :returns: the time of the last step in ps, whether it left the window there, and steps per second of CPU time.
    """
    type_map = (system / 'type_map.raw').read_text().split()
    symbols = [type_map[int(word)] for word in (system / 'type.raw').read_text().split()]
    coords, boxes = (np.load(system / 'set.000' / f'{name}.npy')[0].reshape(-1, 3) for name in ('coord', 'box'))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / 'start.data').write_text(write_data(symbols, coords, boxes, type_map))
        timer = '' if seconds is None else f'timer timeout 0:0:{seconds:.0f} every 100\n'
        (folder / 'in.lmp').write_text(SCRIPT.format(seed=seed, steps=steps, timer=timer))
        (folder / 'model.pb').write_bytes(model.read_bytes())
        began = time.monotonic()
        done = subprocess.run(['lmp', '-in', 'in.lmp'], cwd=folder, capture_output=True, text=True, check=False)
        text = (folder / 'log.lammps').read_text()
    loop = re.search(r'Loop time of (\S+) on .* for (\d+) steps', text)
    if loop is None:
        raise RuntimeError((done.stdout + done.stderr)[-1000:])
    return {
        'ps': int(loop.group(2)) * 5.0e-4,
        'left_the_window': 'Fix halt condition' in text,
        'steps_per_second': int(loop.group(2)) / float(loop.group(1)),
        'wall_seconds': time.monotonic() - began,
    }


def compress(model: Path, folder: Path) -> Path:
    """Tabulate a model.

    :param model: the frozen model, which holds its training input.
    :param folder: where to.
    """
    out = folder / model.name
    command = ['dp', '--tf', 'compress', '-i', str(model), '-o', str(out), '-t', str(model.with_suffix('.json'))]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return out


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='+', type=Path)
    parser.add_argument('--system', type=Path, required=True)
    parser.add_argument('--seeds', nargs='+', type=int, default=[1, 2, 3])
    parser.add_argument('--steps', type=int, default=200000)
    parser.add_argument('--seconds', type=float, help='wall seconds of one MD')
    parser.add_argument('-o', '--output', type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        tabulated = [compress(model.resolve(), Path(temporary)) for model in arguments.models]
        for seed in arguments.seeds:
            for model in tabulated:
                row = {'model': model.stem, 'seed': seed}
                row |= run(model, arguments.system, seed, arguments.steps, arguments.seconds)
                rows.append(row)
                print(row, flush=True)
                arguments.output.write_text(json.dumps(rows, indent=1))
