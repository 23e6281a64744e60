"""A training that costs what it may: its job measures the time of a step and plans its own number of steps.

A short training, the probe, says how long a step takes. Then a line of shell completes the training input from a
template with as many steps as the budget allows: a cluster has awk, and no Python of ours. All are plain functions.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from aiida_deepmd.files.input import CHECKPOINT_PREFIX, INPUT_FILENAME, LEARNING_CURVE_FILENAME
from aiida_deepmd.settings import Number, StrictModel

PROBE_FOLDER = 'probe'
PROBE_OUTPUT = 'probe.out'
TEMPLATE_FILENAME = 'input.template.json'
#: Command that runs the probe, which learns nothing that is kept.
PROBE_COMMAND = ('train', f'{PROBE_FOLDER}/{INPUT_FILENAME}', '--skip-neighbor-stat', '-o', f'{PROBE_FOLDER}/out.json')
#: Steps of the probe. DeePMD-kit reports the mean time of the second half, since TensorFlow's first steps are slow.
PROBE_STEPS = 100
#: Fewest steps that are planned, however small the budget: fewer give no potential that could be judged.
LEAST_STEPS = 100
#: Fewest rows of the learning curve beside the first.
_LEAST_ROWS = 10


class TrainBudget(StrictModel):
    """What a training may cost, in place of ``numb_steps``."""

    core_minutes: Number = Field(gt=0)
    """Minutes that the training loop may take, times the cores of the job; the start of DeePMD-kit, freezing and
    testing come on top. The job measures its time for a step and plans a whole schedule (the fall of the learning rate,
    the warm-up) of as many steps as fit, at least 100; ``decay_steps`` and ``warmup_steps`` keep their share of
    ``numb_steps``. Each continuation has the same budget again."""


def cores(resources: Mapping[str, Any], default_mpiprocs: int | None = None) -> int:
    """Count the cores that a job holds.

    :param resources: the resources as AiiDA's scheduler plugins take them.
    :param default_mpiprocs: MPI ranks of a machine where the resources do not say, by the computer.
    """
    machines = resources.get('num_machines') or 1
    if resources.get('num_cores_per_machine'):
        return int(machines * resources['num_cores_per_machine'])
    ranks = resources.get('tot_num_mpiprocs')
    ranks = ranks or machines * (resources.get('num_mpiprocs_per_machine') or default_mpiprocs or 1)
    return int(ranks * (resources.get('num_cores_per_mpiproc') or 1))


def input_files(complete: Mapping[str, Any]) -> dict[str, str]:
    """Give the training input of the probe, and that of the training with its number of steps left open.

    A step takes as long at any learning rate: that of the probe is too low for a NaN, which is for the training to
    meet, with a learning curve to show it.

    :param complete: the training input with systems, seeds and file names; not changed.
    :returns: texts by path in the job's folder.
    """
    probe: dict[str, Any] = copy.deepcopy(dict(complete))
    probe['learning_rate'] = {'type': 'exp', 'start_lr': 1e-8, 'stop_lr': 1e-9}
    training = probe['training']
    training.pop('validation_data', None)
    training.update(
        numb_steps=PROBE_STEPS,
        disp_freq=PROBE_STEPS // 2,
        save_freq=PROBE_STEPS,
        time_training=True,
        disp_file=f'{PROBE_FOLDER}/{LEARNING_CURVE_FILENAME}',
        save_ckpt=f'{PROBE_FOLDER}/{CHECKPOINT_PREFIX}',
    )
    template: dict[str, Any] = copy.deepcopy(dict(complete))
    rate = template['learning_rate']
    if rate.get('warmup_steps'):
        rate['warmup_ratio'] = rate.pop('warmup_steps') / template['training']['numb_steps']
    if _decays(rate):
        rate['decay_steps'] = '@decay_steps@'
    template['training'].update({key: f'@{key}@' for key in ('numb_steps', 'disp_freq', 'save_freq')})
    return {
        f'{PROBE_FOLDER}/{INPUT_FILENAME}': json.dumps(probe, indent=2),
        TEMPLATE_FILENAME: json.dumps(template, indent=2),
    }


def _decays(rate: Mapping[str, Any]) -> bool:
    """Tell whether the rate falls stepwise at an interval that is a share of the training."""
    return bool(rate.get('decay_steps')) and rate.get('decay_rate') is None


#: The last step has a row in the learning curve and a checkpoint: the rows are spread evenly, and checkpoints come with
#: rows. An input is written only from a time that was reported; an empty one would hide what went wrong.
_PLAN = """\
# Plan the training: as many steps as fit into {seconds:.0f} s, by the time that the probe reports for one.
LC_ALL=C awk -v seconds={seconds:.3f} -v shown={shown} -v saved={saved} -v decay={decay:.9g} '
  FNR == NR {{
    if (match($0, /average training time: [0-9.]+/)) {{ step = substr($0, RSTART + 23, RLENGTH - 23) + 0; found = 1 }}
    next
  }}
  FNR == 1 {{
    if (!found) exit
    if (step < 0.00005) step = 0.00005
    steps = int(seconds / step) - {probe}
    if (steps < {least}) steps = {least}
    rows = int((steps + shown - 1) / shown)
    if (rows < {rows}) rows = {rows}
    shown = int(steps / rows)
    steps = shown * rows
    saved = shown * int((saved + shown - 1) / shown)
    decay = int(decay * steps + 0.5)
    if (decay < 1) decay = 1
  }}
  {{
    gsub(/"@numb_steps@"/, steps); gsub(/"@disp_freq@"/, shown); gsub(/"@save_freq@"/, saved)
    gsub(/"@decay_steps@"/, decay); print
  }}
  END {{ exit !steps }}
' {log} {template} > {target} || rm -f {target}
"""


def plan_command(complete: Mapping[str, Any], seconds: float) -> str:
    """Write the shell command that turns the template into the training input.

    :param complete: the training input that the template was made from.
    :param seconds: time that the training loop may take, the probe's steps included.
    """
    training, rate = complete['training'], complete['learning_rate']
    return _PLAN.format(
        seconds=seconds,
        shown=training.get('disp_freq', 1000),
        saved=training.get('save_freq', 1000),
        decay=rate['decay_steps'] / training['numb_steps'] if _decays(rate) else 0.0,
        probe=PROBE_STEPS,
        least=LEAST_STEPS,
        rows=_LEAST_ROWS,
        log=PROBE_OUTPUT,
        template=TEMPLATE_FILENAME,
        target=INPUT_FILENAME,
    )


def put_before(script: str, output: str, text: str) -> str:
    """Put lines into a job script before the training: AiiDA has no place for them between two commands.

    :param script: the job script, in which each command is one line, whatever the kind of the code.
    :param output: name of the file that the training writes.
    :param text: the lines.
    :raises ValueError: if no line of the script is the training.
    """
    lines = script.splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if INPUT_FILENAME in line and output in line]
    if not found:
        raise ValueError(f'No line of the job script names {INPUT_FILENAME} and {output}: leave the budget out.')
    return ''.join([*lines[: found[-1]], text, '\n', *lines[found[-1] :]])


def planned_steps(text: str) -> int | None:
    """The number of steps of a training input as it was run; nothing where the input is cut short.

    :param text: content of the file.
    """
    try:
        return int(json.loads(text)['training']['numb_steps'])
    except (ValueError, KeyError):
        return None
