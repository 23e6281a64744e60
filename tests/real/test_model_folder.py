"""The folder of a model with the real codes: LAMMPS runs it, DeePMD-kit trains from it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from aiida import orm

from aiida_sis.share.model_folder import write_model

pytestmark = pytest.mark.real


def run(command: list[str], folder: Path) -> str:
    """Run a code in a folder on one core."""
    answer = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'TF_CPP_MIN_LOG_LEVEL': '2'},
    )
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
    return answer.stdout + answer.stderr


def test_the_folder_works(example_run: orm.WorkChainNode, tmp_path: Path) -> None:
    """As its card says: `lmp -in in.lammps` runs the MD to its end, and `dp train` starts from what is there."""
    write_model(example_run.outputs.potential, tmp_path / 'model', length_ps=0.1)
    lammps, training = tmp_path / 'model' / 'lammps', tmp_path / 'model' / 'training'
    run(['lmp', '-in', 'in.lammps', '-log', 'log.lammps'], lammps)
    final = next(line for line in (lammps / 'log.lammps').read_text().splitlines() if line.startswith('SIS_FINAL'))
    step, temperature = (float(word) for word in final.split()[1:3])
    assert step == 100
    assert 20 < temperature < 850
    values = json.loads((training / 'input.json').read_text())
    values['training'] |= {'numb_steps': 2, 'disp_freq': 1}
    (training / 'input.json').write_text(json.dumps(values))
    run(['dp', 'train', 'input.json', '--init-frz-model', 'parent.pb', '--skip-neighbor-stat'], training)
    rows = (line.split() for line in (training / 'lcurve.out').read_text().splitlines() if line[:1] != '#')
    first = next(rows)
    # Column 5 is the force error of validation: that of the trained parent, not of random weights (0.87 eV/Å).
    assert float(first[5]) < 0.3
