"""Sampling strategies and frame choices side by side: what each needs until the MD is stable.

Every variant is run with every seed, one run after the other, on the rehearsal (molten NaCl, stable for 100 ps) or on
the demonstration (a LiFSI ion pair, stable for 10 ps). Use:
`AIIDA_PATH=$PWD/.sis .venv/bin/verdi run studies/strategies.py rehearsal --seeds 1 2 3 -o strategies.json`.
Runs that are in the file already are not run again, so a study can be stopped and continued. With AiiDA's cache
(`verdi config set caching.default_enabled True`, before the daemon starts) what the variants of one seed share is
computed once. So their wall times say nothing; the core minutes of their jobs do: each job counts with the time that it
took when it ran.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiida.engine import submit
from rich.console import Console

from aiida_sis.run import costs
from aiida_sis.run.record import collect
from aiida_sis.show.progress import follow
from aiida_sis.structures.demo import lifsi_ion_pair, rehearsal_systems
from aiida_sis.workflows.sis import SisWorkChain

FEW = {'max_frames': 30}
VARIANTS: dict[str, dict[str, Any]] = {
    'burst, every frame': {},
    'burst, stride 5': {'label': {'dataset': {'choice': 'stride', 'stride': 5}}},
    'burst, farthest point, 30': {'label': {'dataset': {'choice': 'farthest_point', **FEW}}},
    'burst, entropy, 30': {'label': {'dataset': {'choice': 'entropy', **FEW}}},
    'replay': {'sis': {'sampling': {'strategy': 'replay'}}},
    'burst and replay': {'sis': {'sampling': {'strategy': 'burst_and_replay'}}},
    'committee of 4': {'sis': {'sampling': {'strategy': 'committee'}}},
}
CODES = {name: f'{name}@localhost' for name in ('cp2k', 'dp', 'lmp')}
LAST_STAGE_PS = {'rehearsal': 100.0, 'demo': 10.0}
#: One trajectory of the melt, as in the paper: 100 ps of each is most of what the rehearsal costs.
REPLICAS = {'rehearsal': 1, 'demo': 2}


def run(system: str, variant: str, seed: int) -> dict[str, Any]:
    """Run the loop once and follow it to its end.

    :param system: ``rehearsal`` or ``demo``.
    :param variant: a key of ``VARIANTS``.
    :param seed: the seed of the run.
    :returns: what it took.
    """
    from aiida_sis.workflows.protocols import load_protocol

    stages = load_protocol(system)['sis']['stages']
    stages[-1]['length_ps'] = LAST_STAGE_PS[system]
    changes = VARIANTS[variant]
    sis = {'stages': stages, 'replicas': REPLICAS[system], **changes.get('sis', {})}
    overrides = {**changes, 'sis': sis}
    if system == 'rehearsal':
        melt, crystal = rehearsal_systems(seed)
        structures, given = {'melt': melt}, {'supporting': {'crystal': crystal}}
    else:
        structures, given = {'ion_pair': lifsi_ion_pair()}, {}
    builder = SisWorkChain.get_builder_from_protocol(CODES, structures, system, overrides, seed=seed, **given)
    node = submit(builder)
    follow(node, Console(), plain_interval=300)
    record = collect(node)
    summary = record.summary
    (cost,) = costs([node.pk])
    trained = [generation for generation in summary['generations'] if generation['training']]
    return {
        'system': system,
        'variant': variant,
        'seed': seed,
        'pk': node.pk,
        'outcome': record.outcome,
        'generations': len(summary['generations']),
        'aimd_ps': summary['aimd_ps'],
        'acceleration_ratio': summary['acceleration_ratio'],
        'wall_seconds': record.wall_seconds,
        'core_minutes': cost.core_hours * 60,
        'force_rmse': trained[-1]['training']['force_rmse_ev_per_angstrom'] if trained else None,
        **summary['cost'],
    }


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Write the medians over the seeds as a Markdown table.

    :param rows: what the runs took.
    :returns: the table.
    """
    lines = [
        '| variant | stable | generations | labelled frames | kept | training, s | MD steps | core minutes |',
        '|---|---|---|---|---|---|---|---|',
    ]
    found = list(rows)
    for variant in VARIANTS:
        own = sorted((row for row in found if row['variant'] == variant), key=lambda row: row['seed'])
        if not own:
            continue
        names = ('generations', 'labelled_frames', 'kept_frames', 'training_seconds', 'md_steps', 'core_minutes')
        middle = {name: statistics.median(row[name] for row in own) for name in names}
        spread = ', '.join(str(row['labelled_frames']) for row in own)
        stable = sum(row['outcome'] == 'stable' for row in own)
        lines.append(
            f'| {variant} | {stable} of {len(own)} | {middle["generations"]:g} '
            f'| {middle["labelled_frames"]:g} ({spread}) '
            f'| {middle["kept_frames"]:g} | {middle["training_seconds"]:.0f} | {middle["md_steps"]:,.0f} '
            f'| {middle["core_minutes"]:.1f} |'
        )
    return '\n'.join(lines)


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('system', choices=sorted(LAST_STAGE_PS))
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument('--variants', nargs='+', choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument('-o', '--output', type=Path, default=Path('strategies.json'))
    arguments = parser.parse_args()
    rows = json.loads(arguments.output.read_text()) if arguments.output.exists() else []
    for seed in arguments.seeds:
        for variant in arguments.variants:
            if any((r['system'], r['variant'], r['seed']) == (arguments.system, variant, seed) for r in rows):
                continue
            print(f'{arguments.system}, {variant}, seed {seed}', flush=True)
            rows.append(run(arguments.system, variant, seed))
            arguments.output.write_text(json.dumps(rows, indent=1))
    print(table(row for row in rows if row['system'] == arguments.system))


if __name__ == '__main__':
    main()
