"""Ask when a least distance would have stopped the MD of runs that have ended, and whether it would have by mistake.

Nothing is run: the frames are those that the graph keeps, the last snapshots before a catastrophic point (10 fs apart)
and the trajectory (1 ps apart), and beside them the series of the shortest distance of all. So a stable MD is seen
less often than the option would see it, and its false alarms are a lower limit. Use, once for each profile:
`AIIDA_PATH=PROFILE .venv/bin/verdi run studies/early_sign.py studies/early_sign.json`; rows of the same run are
replaced, and the table is that of all rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import load_profile, orm

from aiida_sis.core.analysis.neighbours import NeighbourSearch
from aiida_sis.core.distances import pair_name, shortest_distances
from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, read_call
from aiida_sis.run.record import called

FACTORS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def learnt(run: orm.WorkChainNode, generation: int, rcut: float) -> dict[str, float]:
    """Give the shortest distances of the training frames that a generation has learnt.

    :param run: the SIS run.
    :param generation: its number.
    :param rcut: cutoff in Å.
    :returns: distance in Å by pair of elements.
    """
    nodes = list(run.inputs.datasets.values()) if 'datasets' in run.inputs else []
    for child, label in called(run):
        call = read_call(label)
        if call and call.kind == LABEL and call.generation <= generation and 'dataset' in child.outputs:
            nodes.append(child.outputs.dataset)
    limits: dict[str, float] = {}
    for node in nodes:
        frames = node.get_frames('train')
        found = shortest_distances(zip(frames.coords, frames.cells, strict=True), node.symbols, rcut)
        for pair, distance in found.items():
            limits[pair] = min(limits.get(pair, distance), distance)
    return limits


def ratios(frames: orm.TrajectoryData, limits: Mapping[str, float]) -> dict[float, dict[str, float]]:
    """Give each pair's shortest distance in each frame in units of the shortest one learnt.

    :param frames: frames of an MD.
    :param limits: the shortest distances learnt, in Å.
    :returns: time in ps: ratio by pair of elements, for those below 1.
    """
    symbols = frames.symbols
    search = NeighbourSearch(max(limits.values()))
    times = frames.get_array('times')
    found: dict[float, dict[str, float]] = {}
    for time, positions, cell in zip(times, frames.get_positions(), frames.get_array('cells'), strict=True):
        row: dict[str, float] = {}
        for i, j, distance in zip(*search.pairs(positions, cell), strict=True):
            pair = pair_name(symbols[i], symbols[j])
            if pair in limits and distance / limits[pair] < row.get(pair, 1.0):
                row[pair] = float(distance / limits[pair])
        found[float(time)] = row
    return found


def alarms(seen: Mapping[float, Mapping[str, float]], t_cp: float | None) -> dict[str, tuple[float, str] | None]:
    """Give the first alarm of each factor; a pair that is too near in the first frame is not watched.

    :param seen: ratio by pair, by time in ps.
    :param t_cp: the catastrophic point in ps, from which nothing counts.
    :returns: by factor: time in ps and pair, or nothing.
    """
    times = sorted(seen)
    result: dict[str, tuple[float, str] | None] = {}
    for factor in FACTORS:
        unwatched = {pair for pair, ratio in seen[times[0]].items() if ratio < factor}
        result[str(factor)] = next(
            (
                (time, pair)
                for time in times
                if t_cp is None or time < t_cp - 1e-6
                for pair, ratio in sorted(seen[time].items(), key=lambda item: item[1])
                if ratio < factor and pair not in unwatched
            ),
            None,
        )
    return result


def row_of(run: orm.WorkChainNode, child: orm.WorkChainNode, label: str) -> dict[str, Any] | None:
    """Judge one MD.

    :param run: the SIS run.
    :param child: the exploration.
    :param label: its link label.
    :returns: what is known of it, or nothing where it was not read.
    """
    call = read_call(label)
    if call is None or call.kind != EXPLORE or not child.is_finished_ok or 'trajectory' not in child.outputs:
        return None
    results = child.outputs.results.get_dict()
    limits = learnt(run, call.generation, child.inputs.md.potential.base.attributes.get('rcut'))
    if not limits:
        return None
    point = results['catastrophe']
    seen = ratios(child.outputs.trajectory, limits)
    if 'snapshots' in child.outputs:
        seen |= ratios(child.outputs.snapshots, limits)
    shortest = child.outputs.series.get_array('min_distance')
    row = {
        'run': run.uuid,
        'system': ', '.join(run.inputs.systems),
        'md': label,
        'stable': bool(results['stable']),
        'length_ps': results['length_ps_reached'],
        't_cp_ps': None if point is None else point['time_ps'],
        't_next_ps': None if results['t_next'] is None else results['t_next']['time_ps'],
        'n_frames': len(seen),
        # Below this the series alone says that some pair is below the limit, whichever it is.
        'series_over_shortest': float(np.nanmin(shortest) / min(limits.values())),
        'alarms': alarms(seen, None if point is None else point['time_ps']),
    }
    lowest: dict[str, float] = {}
    for ratios_of_frame in seen.values():
        for pair, ratio in ratios_of_frame.items():
            lowest[pair] = min(lowest.get(pair, 1.0), ratio)
    return row | {'lowest': lowest}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write what each factor would have done.

    :param rows: the MD runs.
    :returns: the table.
    """
    failed = [row for row in rows if row['t_cp_ps'] is not None]
    stable = [row for row in rows if row['stable']]
    lines = [
        f'{len(failed)} failed MD, {sum(row["t_cp_ps"] for row in failed):.1f} ps in all; {len(stable)} stable, '
        f'{sum(row["length_ps"] for row in stable):.0f} ps, {sum(row["n_frames"] for row in stable)} frames of them',
        '',
        '| factor | failed MD: sign before t_cp | of these before t_next | median time before t_cp (fs) | MD saved '
        '(ps) | stable MD stopped |',
        '|---|---|---|---|---|---|',
    ]
    for factor in map(str, FACTORS):
        hits = [(row, row['alarms'][factor][0]) for row in failed if row['alarms'][factor]]
        early = sum(time <= (row['t_next_ps'] or 0.0) for row, time in hits)
        saved = [row['t_cp_ps'] - time for row, time in hits]
        false = sum(bool(row['alarms'][factor]) or row['series_over_shortest'] < float(factor) for row in stable)
        median = f'{1e3 * float(np.median(saved)):.0f}' if saved else '–'
        lines.append(
            f'| {factor} | {len(hits)} of {len(failed)} | {early} | {median} | {sum(saved):.2f} | '
            f'{false} of {len(stable)} |'
        )
    return '\n'.join(lines)


def main() -> None:
    """Read the runs of the profile, add their rows, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('rows', type=Path, help='JSON of the rows')
    path = parser.parse_args().rows
    load_profile()
    rows = json.loads(path.read_text()) if path.exists() else []
    query = orm.QueryBuilder().append(
        orm.WorkChainNode, filters={'attributes.process_label': 'SisWorkChain', 'attributes.exit_status': {'>=': 0}}
    )
    for (run,) in query.iterall():
        found = [row for child, label in called(run) if (row := row_of(run, child, label)) is not None]
        rows = [row for row in rows if row['run'] != run.uuid] + found
    path.write_text(json.dumps(rows, indent=1) + '\n')
    for system in sorted({row['system'] for row in rows}):
        print(f'\n{system}: {table([row for row in rows if row["system"] == system])}')


if __name__ == '__main__':
    main()
