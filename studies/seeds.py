"""Run the demonstration with several seeds, one after the other, and print the table of `docs/demonstration.md`.

No constant of the demonstration may be tuned to one seed: each run draws its AIMD velocities, its splits, its
weights and its MD velocities anew. Use: `AIIDA_PATH=$PWD/.sis .venv/bin/verdi run studies/seeds.py 1 2 3 4 5`,
some minutes each, or with `--pk PK …` to print the table of runs that exist.
"""

from __future__ import annotations

import argparse
import time

from aiida import orm
from aiida.engine import submit

from aiida_sis.core.loop.record import Run
from aiida_sis.run.clock import wall_time
from aiida_sis.run.record import collect
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.sis import SisWorkChain

CODES = {'cp2k': 'cp2k@localhost', 'dp': 'dp@localhost', 'lmp': 'lmp@localhost'}
HEADER = '| seed | outcome | generations | t_cp, ps | AIMD, ps | MD, ps | AR | RMSE, eV/Å | wall, min | framework |'


def run_one(seed: int, length_ps: float | None) -> orm.WorkChainNode:
    """Submit the demonstration and wait for its end.

    :param seed: the seed of the run.
    :param length_ps: length of the last stage in ps, or the protocol's own.
    :returns: the ended node.
    """
    builder = SisWorkChain.get_builder_from_protocol(CODES, {'ion_pair': lifsi_ion_pair()}, protocol='demo', seed=seed)
    if length_ps is not None:
        parameters = builder.parameters.get_dict()
        parameters['stages'][-1]['length_ps'] = length_ps
        builder.parameters = orm.Dict(parameters)
    node = submit(builder)
    while not node.is_terminated:
        time.sleep(2)
    assert isinstance(node, orm.WorkChainNode)
    return node


def row(node: orm.WorkChainNode) -> str:
    """Give the row of one run.

    :param node: an ended run.
    :returns: a row of Markdown.
    """
    record: Run = collect(node)
    summary = record.summary
    points = [f'{md.t_cp_ps:.2f}' for md in record.all_md if md.t_cp_ps is not None]
    clock = wall_time(node, record.wall_seconds)
    found = (generation.force_rmse_ev_per_angstrom for generation in record.generations)
    errors = [error for error in found if error is not None]
    ratio = summary.get('acceleration_ratio') or 0.0
    return (
        f'| {node.inputs.seed.value} | {summary.get("outcome", node.exit_status)} | {len(record.generations)} | '
        f'{", ".join(points)} | {record.aimd_ps:.2f} | {summary.get("md_ps", 0):g} | {ratio:.1f} | {errors[-1]:.3f} | '
        f'{record.wall_seconds / 60:.1f} | {100 * clock.framework_share:.1f} % |'
    )


def main() -> None:
    """Run the seeds, or read the runs given, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('seeds', nargs='*', type=int)
    parser.add_argument('--length-ps', type=float, help='length of the last stage in ps')
    parser.add_argument('--pk', nargs='*', type=int, default=[], help='runs that exist')
    arguments = parser.parse_args()
    print(HEADER)
    print('|' + '---|' * HEADER.strip('|').count('|') + '---|')
    for pk in arguments.pk:
        print(row(orm.load_node(pk)), flush=True)
    for seed in arguments.seeds:
        print(row(run_one(seed, arguments.length_ps)), flush=True)


if __name__ == '__main__':
    main()
