"""Stable and right: what each strategy asks of the teacher until the MD is stable, and how wrong that MD then is.

Every variant is run with every seed, one run after the other: the demonstration (a LiFSI ion pair, 50 ps on two
replicas) and the rehearsal (molten NaCl, 100 ps on one replica). Afterwards 48 frames of the stable MD of each run,
evenly spread, are labelled by single points. The potential has learnt none of them. Use:

`AIIDA_PATH=$PWD/.sis verdi run studies/verified.py run demo --seeds 1 2 3 -o studies/verified.json`, then
`verdi run studies/verified.py table demo -o studies/verified.json`.

Runs that are in the file already are not run again. Seconds are CPU seconds where the code is alone on its core: the
time that CP2K, `dp` and `lmp` themselves report, summed over all jobs of a run.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import submit
from rich.console import Console

from aiida_sis.calculations.single_points import judge_stable_md, select_verification_frames
from aiida_sis.run import costs
from aiida_sis.run.record import collect
from aiida_sis.show.progress import follow
from aiida_sis.structures.demo import lifsi_ion_pair, rehearsal_systems
from aiida_sis.workflows.protocols import load_protocol
from aiida_sis.workflows.replay import ReplayWorkChain
from aiida_sis.workflows.sis import SisWorkChain

#: Frames of the stable MD that judge it afterwards, over all replicas.
JUDGES = 48
LENGTH_PS = {'demo': 50.0, 'rehearsal': 100.0}
REPLICAS = {'demo': 2, 'rehearsal': 1}


def sampling(strategy: str, **more: Any) -> dict[str, Any]:
    """Give the overrides of one strategy.

    :param strategy: its name.
    :param more: other keys of the section `sis`.
    """
    return {'sis': {'sampling': {'strategy': strategy}, **more}}


NOT_VERIFIED = {'verification': {'enabled': False}}
VARIANTS: dict[str, dict[str, Any]] = {
    'burst, not verified': sampling('burst', **NOT_VERIFIED),
    'burst': sampling('burst'),
    'ladder': sampling('ladder'),
    'ladder and burst': sampling('ladder_and_burst'),
    'ladder, first AIMD 50 fs': sampling('ladder', initial_length_fs=50.0),
    'ladder, first AIMD 50 fs, 0.1 eV/Å': sampling(
        'ladder', initial_length_fs=50.0, verification={'force_rmse_max': 0.1}
    ),
}
CODES = {name: f'{name}@localhost' for name in ('cp2k', 'dp', 'lmp')}


def run(system: str, variant: str, seed: int) -> orm.ProcessNode:
    """Run the loop once and follow it to its end.

    :param system: ``demo`` or ``rehearsal``.
    :param variant: a key of ``VARIANTS``.
    :param seed: the seed of the run.
    :returns: its node.
    """
    stages = load_protocol(system)['sis']['stages']
    stages[-1]['length_ps'] = LENGTH_PS[system]
    changes = VARIANTS[variant]
    overrides = {**changes, 'sis': {**changes['sis'], 'stages': stages, 'replicas': REPLICAS[system]}}
    if system == 'rehearsal':
        melt, crystal = rehearsal_systems(seed)
        structures, given = {'melt': melt}, {'supporting': {'crystal': crystal}}
    else:
        structures, given = {'ion_pair': lifsi_ion_pair()}, {}
    builder = SisWorkChain.get_builder_from_protocol(CODES, structures, system, overrides, seed=seed, **given)
    builder.metadata.label = f'{system}, {variant}, seed {seed}'
    query = orm.QueryBuilder()
    query.append(SisWorkChain, filters={'label': builder.metadata.label, 'attributes.process_state': 'finished'})
    if found := query.first(flat=True):
        return found
    node = submit(builder)
    follow(node, Console(), plain_interval=300)
    return node


def judge(node: orm.ProcessNode) -> dict[str, Any] | None:
    """Label frames of the last MD of a run that it has not seen, and compare.

    :param node: the run.
    :returns: the facts of :func:`judge_stable_md`; nothing where the run has no MD.
    """
    if 'trajectories' not in node.outputs:
        return None
    runs = dict(node.outputs.trajectories.items())
    parts: dict[str, orm.Data] = {}
    for key, trajectory in sorted(runs.items()):
        exploration = next(
            link.node
            for link in trajectory.base.links.get_incoming().all()
            if link.node.process_type == 'aiida.workflows:sis.explore'
        )
        frames = select_verification_frames(trajectory, orm.Dict({'n_frames': JUDGES // len(runs), 'start_ps': 0.5}))
        builder = ReplayWorkChain.get_builder()
        builder.cp2k = node.get_builder_restart().label.cp2k
        builder.type_map, builder.seed, builder.frames = node.inputs.type_map, orm.Int(1), frames
        builder.parameters = orm.Dict({'label': 'judge'})
        label = submit(builder)
        follow(label, Console(), plain_interval=300)
        parts |= {f'{key}_frames': frames, f'{key}_series': exploration.outputs.series}
        if 'trajectory' in label.outputs:
            parts[f'{key}_labels'] = label.outputs.trajectory
    facts: dict[str, Any] = judge_stable_md(orm.Dict({'force_rmse_max': 1.0}), **parts)['results'].get_dict()
    return facts


def seconds_of(node: orm.ProcessNode) -> dict[str, float]:
    """Add up the seconds that each code reports of its jobs.

    :param node: the run.
    :returns: seconds of ``cp2k``, ``dp`` and ``lmp``.
    """
    found = {'cp2k': 0.0, 'dp': 0.0, 'lmp': 0.0}
    for job in node.called_descendants:
        results = job.outputs.results.get_dict() if 'results' in getattr(job, 'outputs', {}) else {}
        if job.process_type == 'aiida.workflows:sis.label' or job.process_type == 'aiida.workflows:sis.replay':
            found['cp2k'] += results.get('wall_seconds') or 0.0
        elif job.process_type == 'aiida.calculations:deepmd.train':
            found['dp'] += results.get('wall_seconds') or 0.0
        elif job.process_type == 'aiida.calculations:sis.lammps.md':
            found['lmp'] += results.get('wall_seconds') or 0.0
    return found


def row_of(system: str, variant: str, seed: int, node: orm.ProcessNode) -> dict[str, Any]:
    """Write down what a run took and gave.

    :param system: what was run.
    :param variant: how.
    :param seed: with which seed.
    :param node: the run.
    """
    record, summary = collect(node), node.outputs.summary.get_dict()
    (cost,) = costs([node.pk])
    trained = [generation for generation in summary['generations'] if generation['training']]
    verdicts = [generation['verification'] for generation in summary['generations'] if generation.get('verification')]
    judged = judge(node)
    return {
        'system': system,
        'variant': variant,
        'seed': seed,
        'pk': node.pk,
        'outcome': record.outcome,
        'generations': len(summary['generations']),
        'aimd_ps': summary['aimd_ps'],
        'labelled_ps': summary['labelled_ps'],
        'md_ps': summary['md_ps'],
        'acceleration_ratio': summary['acceleration_ratio'],
        'seconds': seconds_of(node),
        'core_minutes': cost.core_hours * 60,
        'held_out_force_rmse': trained[-1]['training']['force_rmse_ev_per_angstrom'] if trained else None,
        'verdicts': [verdict['force_rmse_ev_per_angstrom'] for verdict in verdicts],
        'true_force_rmse': judged and judged.get('force_rmse_ev_per_angstrom'),
        'worst_frame': judged and judged.get('largest_force_rmse_ev_per_angstrom'),
        'judges': judged and judged['n_frames'],
        **summary['cost'],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Write the medians over the seeds as a Markdown table, each seed in brackets.

    :param rows: what the runs took.
    """
    lines = [
        '| variant | ended | generations | labelled frames | CP2K, s | training steps | core minutes | AR '
        '| true force RMSE, eV/Å | worst frame | its own verdicts |',
        '|---|---|---|---|---|---|---|---|---|---|---|',
    ]

    def cell(own: list[dict[str, Any]], read: Any, digits: str) -> str:
        values = [read(row) for row in own]
        known = [value for value in values if value is not None]
        each = ', '.join('–' if value is None else f'{value:{digits}}' for value in values)
        return f'{statistics.median(known):{digits}} ({each})' if known else '–'

    for variant in VARIANTS:
        own = sorted((row for row in rows if row['variant'] == variant), key=lambda row: row['seed'])
        if not own:
            continue
        ended = ', '.join(row['outcome'] for row in own)
        verdicts = '; '.join(', '.join(f'{value:.3f}' for value in row['verdicts']) for row in own)
        cells = [
            cell(own, lambda row: row['generations'], 'g'),
            cell(own, lambda row: row['labelled_frames'], 'g'),
            cell(own, lambda row: row['seconds']['cp2k'], '.0f'),
            cell(own, lambda row: row['training_steps'], ',g'),
            cell(own, lambda row: row['core_minutes'], '.1f'),
            cell(own, lambda row: row['acceleration_ratio'], '.0f'),
            cell(own, lambda row: row['true_force_rmse'], '.3f'),
            cell(own, lambda row: row['worst_frame'], '.2f'),
        ]
        lines.append(f'| {variant} | {ended} | {" | ".join(cells)} | {verdicts} |')
    return '\n'.join(lines)


def main() -> None:
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=('run', 'table'))
    parser.add_argument('system', choices=sorted(LENGTH_PS))
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument('--variants', nargs='+', choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument('-o', '--output', type=Path, default=Path('verified.json'))
    arguments = parser.parse_args()
    rows = json.loads(arguments.output.read_text()) if arguments.output.exists() else []
    for seed in arguments.seeds if arguments.what == 'run' else ():
        for variant in arguments.variants:
            if any((r['system'], r['variant'], r['seed']) == (arguments.system, variant, seed) for r in rows):
                continue
            print(f'{arguments.system}, {variant}, seed {seed}', flush=True)
            rows.append(row_of(arguments.system, variant, seed, run(arguments.system, variant, seed)))
            arguments.output.write_text(json.dumps(rows, indent=1) + '\n')
    print(table([row for row in rows if row['system'] == arguments.system]))


if __name__ == '__main__':
    main()
