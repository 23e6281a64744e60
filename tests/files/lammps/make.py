"""How the outputs in these folders were made: LAMMPS, run with an immature potential of the Li-FSI ion pair.

    python make.py model.pb start.xyz folder [other.pb]

The potential has the type map N, S, O, F, Li, and the cell is 9 Å wide. It knows too few frames, so that it fails soon.
Where a failure had to be provoked, the script is edited as stated below. The logs
`killed` and `segfault` come from the same run as `walltime`, ended from outside with SIGKILL and SIGSEGV.
With a second model only the case `committee` is run, which compares the two.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read

from aiida_sis.core import lammps_input
from aiida_sis.core.settings.md import read_md_settings

TYPE_MAP = ['N', 'S', 'O', 'F', 'Li']
COLLISION = 'set atom 1 x 5 y 5 z 5\nset atom 2 x 5 y 5 z 5\n'
BASE: dict[str, Any] = {'temperature_k': 300, 'timestep_fs': 1.0, 'window_k': [0, 1000], 'length_ps': 5}
SHORT = BASE | {'length_ps': 0.3}
UNWATCHED = ('fix sis_halt', '#fix sis_halt')

# name: parameters, seed, (text, replacement)
CASES: dict[str, tuple[dict[str, Any], int, tuple[tuple[str, str], ...]]] = {
    'stable': (
        BASE | {'length_ps': 0.2, 'thermo_interval_fs': 20, 'ring_size': 2, 'trajectory_interval_ps': 0.1},
        3,
        (),
    ),
    'halted': (BASE | {'ring_size': 12}, 1, ()),
    'short_ring': (BASE | {'ring_size': 4, 'trajectory_interval_ps': 0.1}, 3, ()),
    'low': (BASE | {'window_k': [200, 1000], 'ring_size': 4}, 1, ()),
    'grace': (BASE | {'window_k': [55, 580], 'ring_size': 4, 'grace_ps': 0.05}, 3, ()),
    'nan': (SHORT | {'ring_size': 8}, 3, (('run 300', f'run 55\n{COLLISION}run 245'),)),
    'lost': (
        {
            'temperature_k': 60000,
            'timestep_fs': 20.0,
            'window_k': [0, 120000],
            'length_ps': 20,
            'thermo_interval_fs': 200,
            'ring_interval_fs': 200,
            'ring_size': 4,
            'trajectory_interval_ps': 10,
        },
        1,
        (UNWATCHED,),
    ),
    'bad_start': (SHORT, 1, (('run 0', f'{COLLISION}run 0'),)),
    'bad_element': (SHORT, 1, (('N S O F Li', 'N S O F Na'),)),
    'walltime': (
        BASE
        | {'window_k': [0, 100000], 'length_ps': 50, 'thermo_interval_fs': 200, 'ring_size': 2}
        | {'trajectory_interval_ps': 10},
        1,
        (('timer timeout 540', 'timer timeout 2'),),
    ),
}

COMMITTEE: dict[str, Any] = SHORT | {
    'ring_size': 2,
    'trajectory_interval_ps': 0.05,
    'deviation': {'interval_fs': 5, 'low_ev_per_angstrom': 0.3, 'high_ev_per_angstrom': 0.9},
}


def main(model: Path, start: Path, folder: Path, other: Path | None = None) -> None:
    """Run every case.

    :param model: The potential.
    :param start: The optimised ion pair.
    :param folder: Where the cases are run, one folder each.
    :param other: Another potential, for the committee.
    """
    cases = CASES if other is None else {'committee': (COMMITTEE, 1, ())}
    atoms = read(start)
    data = lammps_input.write_data(atoms.get_chemical_symbols(), atoms.positions, 9.0 * np.eye(3), TYPE_MAP)
    for name, (parameters, seed, edits) in cases.items():
        script = lammps_input.write_script(
            read_md_settings(parameters),
            TYPE_MAP,
            'model.pb',
            seed,
            timeout_seconds=540,
            committee_filenames=[] if other is None else ['other.pb'],
        )
        for text, replacement in edits:
            script = script.replace(text, replacement)
        where = folder / name
        where.mkdir(parents=True)
        (where / 'model.pb').symlink_to(model.resolve())
        if other is not None:
            (where / 'other.pb').symlink_to(other.resolve())
        (where / lammps_input.INPUT_FILENAME).write_text(script)
        (where / lammps_input.DATA_FILENAME).write_text(data)
        command = ['lmp', '-in', lammps_input.INPUT_FILENAME, '-log', lammps_input.LOG_FILENAME, '-screen', 'none']
        subprocess.run(command, cwd=where, check=False)


if __name__ == '__main__':
    main(*(Path(argument) for argument in sys.argv[1:5]))
