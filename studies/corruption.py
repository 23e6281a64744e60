"""Show when a potential went wrong, long before the temperature said so.

The last snapshots before a catastrophic point are labelled again, one by one, with the level of theory of the run, and
the error of the potential is drawn against the time. This is where the default margin of t_next comes from. Use:
`AIIDA_PATH=$PWD/.sis .venv/bin/verdi run studies/corruption.py PK_OF_EXPLORE … -o studies/images/corruption.png`,
with the PK of MD workchains that met a catastrophic point.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import numpy as np
from aiida import orm
from aiida.engine import run_get_node
from numpy.typing import NDArray

from aiida_sis.calculations.dataset import frames_of
from aiida_sis.calculations.trajectories import select_replay_frames
from aiida_sis.workflows.replay import ReplayWorkChain


@dataclass(frozen=True)
class Errors:
    """The potential against the teacher along one MD.

    :param before_fs: time before the catastrophic point, shape (n_frames,).
    :param force: force RMSE in eV/Å, shape (n_frames,).
    :param energy: energy of the potential minus that of the teacher in eV, shape (n_frames,).
    :param temperature: in K, shape (n_frames,).
    :param series: time before the catastrophic point in fs and temperature in K, as they were watched, (2, n_samples).
    """

    before_fs: NDArray[np.float64]
    force: NDArray[np.float64]
    energy: NDArray[np.float64]
    temperature: NDArray[np.float64]
    series: NDArray[np.float64]


def errors_of(explore: orm.WorkChainNode, stride: int) -> Errors:
    """Label the snapshots of an MD again.

    :param explore: an MD workchain that met a catastrophic point.
    :param stride: label one snapshot in n.
    :returns: the errors of its potential.
    """
    sis = explore.caller
    number = -(-explore.outputs.snapshots.numsteps // stride)
    frames = select_replay_frames(explore.outputs.snapshots, orm.Dict({'n_frames': number, 'choice': 'even'}))
    builder = ReplayWorkChain.get_builder()
    builder.frames = frames
    builder.type_map = sis.inputs.type_map
    builder.seed = orm.Int(0)
    builder.cp2k.cp2k.code = sis.inputs.label.cp2k.cp2k.code
    builder.cp2k.cp2k.parameters = sis.inputs.label.cp2k.cp2k.parameters
    builder.cp2k.cp2k.metadata.options = {
        'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1},
        'withmpi': False,
    }
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    teacher, kept = frames_of(outputs['trajectory']), outputs['trajectory'].get_stepids()
    times = frames.get_times()[kept]
    series = explore.outputs.series
    nearest = [int(np.argmin(abs(series.get_array('time_ps') - time))) for time in times]
    watched = np.array([series.get_array('time_ps'), series.get_array('temperature')])
    watched[0] = (explore.outputs.results['catastrophe']['time_ps'] - watched[0]) * 1000
    return Errors(
        series=watched[:, watched[0] <= 600],
        before_fs=(explore.outputs.results['catastrophe']['time_ps'] - times) * 1000,
        force=np.sqrt(((teacher.forces - frames.get_array('forces')[kept]) ** 2).mean(axis=(1, 2))),
        energy=series.get_array('potential_energy')[nearest] - teacher.energies,
        temperature=series.get_array('temperature')[nearest],
    )


def draw(errors: list[Errors], filename: str) -> None:
    """Draw temperature, force error and energy error against the time before the catastrophic point.

    :param errors: one for each MD.
    :param filename: where the figure goes.
    """
    figure, axes = plt.subplots(3, 1, figsize=(7, 7), sharex=True, constrained_layout=True)
    for one in errors:
        axes[0].plot(-one.series[0], one.series[1])
        axes[1].semilogy(-one.before_fs, one.force, marker='.')
        axes[2].semilogy(-one.before_fs, abs(one.energy), marker='.')
    axes[0].set_ylabel('T (K)')
    axes[1].set_ylabel('force RMSE (eV/Å)')
    axes[2].set_ylabel('|E(potential) − E(teacher)| (eV)')
    axes[0].set_ylim(0, 1100)
    axes[2].set_ylim(bottom=1e-3)
    axes[2].set_xlabel('time from the catastrophic point (fs)')
    axes[0].set_title('The potential is wrong long before the temperature says so', loc='left')
    for axis in axes:
        axis.axvline(-250, color='tab:green', linestyle='--', linewidth=1)
        axis.grid(alpha=0.3)
    figure.savefig(filename, dpi=150)


def main() -> None:
    """Print the errors of each MD and draw them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('pk', nargs='+', type=int)
    parser.add_argument('--stride', type=int, default=2)
    parser.add_argument('-o', '--output', default='corruption.png')
    arguments = parser.parse_args()
    errors = []
    for pk in arguments.pk:
        one = errors_of(orm.load_node(pk), arguments.stride)
        print(f'MD {pk}: fs before t_cp, T (K), force RMSE (eV/Å), energy error (eV)')
        for values in zip(one.before_fs, one.temperature, one.force, one.energy, strict=True):
            print('{:8.0f} {:8.0f} {:8.3f} {:8.3f}'.format(*values))
        errors.append(one)
    draw(errors, arguments.output)


if __name__ == '__main__':
    main()
