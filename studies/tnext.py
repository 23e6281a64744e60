"""Compare rules for t_next on the catastrophes of runs that have ended.

For each catastrophic point, every rule names a snapshot, and an AIMD of the run's own length and level of theory is
started from it. What counts is whether that AIMD ran normally, without the geometry optimisation. Use:
`AIIDA_PATH=$PWD/.sis .venv/bin/verdi run studies/tnext.py PK [PK …]`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from aiida import orm
from aiida.engine import submit

from aiida_sis.calculations.trajectories import select_snapshot
from aiida_sis.core.indicator import Catastrophe, TemperatureSeries, TNextRule, choose_t_next, degrees_of_freedom
from aiida_sis.run.record import called
from aiida_sis.workflows.label import LabelWorkChain

RULES = {
    'band, margin 250 fs': TNextRule(rule='band', margin_fs=250.0),
    'band, margin 50 fs': TNextRule(rule='band', margin_fs=50.0),
    'offset 100 fs': TNextRule(rule='offset', offset_fs=100.0),
}
AT_ONCE = 2


@dataclass
class Trial:
    """One AIMD from the snapshot that one rule names for one catastrophe."""

    rule: str
    run: int
    t_cp_ps: float
    t_next_ps: float
    label: orm.WorkChainNode

    @property
    def normal(self) -> bool:
        """Whether the AIMD ran normally without the optimisation."""
        return bool(self.label.is_finished_ok and self.label.outputs.results['route'] == 'direct')


def trials_of(run: orm.WorkChainNode) -> list[Trial]:
    """Start the AIMD of every rule at every catastrophe of a run, two at a time.

    :param run: an ended SIS run.
    :returns: the trials, ended.
    """
    trials: list[Trial] = []
    for child, label in called(run):
        if not label.startswith('explore_') or not child.is_finished_ok or child.outputs.results['stable']:
            continue
        point = child.outputs.results['catastrophe']
        catastrophe = Catastrophe(point['time_ps'], point['temperature_k'], point['bound'])
        arrays = child.outputs.series
        series = TemperatureSeries.from_values(arrays.get_array('time_ps'), arrays.get_array('temperature'))
        snapshots = child.outputs.snapshots
        times = snapshots.get_times()
        temperature = run.outputs.summary['temperature_k']
        n_dof = degrees_of_freedom(len(snapshots.symbols))
        for name, rule in RULES.items():
            wanted = choose_t_next(series, catastrophe, temperature, n_dof, rule)
            index = max(0, int(np.searchsorted(times, wanted + 1e-9)) - 1)
            node = label_from(run, snapshots, index)
            trials.append(Trial(name, run.pk or 0, catastrophe.time_ps, float(times[index]), node))
            while sum(not trial.label.is_terminated for trial in trials) >= AT_ONCE:
                time.sleep(1)
    while not all(trial.label.is_terminated for trial in trials):
        time.sleep(1)
    return trials


def label_from(run: orm.WorkChainNode, snapshots: orm.TrajectoryData, index: int) -> orm.WorkChainNode:
    """Start the AIMD from one snapshot with the inputs of the run.

    :param run: the SIS run.
    :param snapshots: the snapshots of one MD.
    :param index: which of them.
    :returns: the label.
    """
    selected = select_snapshot(snapshots, orm.Int(index))
    builder = LabelWorkChain.get_builder()
    builder._update(run.get_builder_restart()._inputs(prune=True)['label'])
    builder.structure = selected['structure']
    builder.velocities = selected['velocities']
    builder.type_map = run.inputs.type_map
    builder.seed = orm.Int(run.inputs.seed.value + index)
    builder.parameters = orm.Dict(
        run.inputs.label.parameters.get_dict() | {'temperature_k': run.outputs.summary['temperature_k']}
    )
    node = submit(builder)
    assert isinstance(node, orm.WorkChainNode)
    return node


def main() -> None:
    """Print one line for each trial and the share of normal AIMD for each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('pk', nargs='+', type=int)
    trials = [trial for pk in parser.parse_args().pk for trial in trials_of(orm.load_node(pk))]
    print('| run | t_cp, ps | rule | t_next, ps | normal | highest T, K |\n|---|---|---|---|---|---|')
    for trial in trials:
        results = trial.label.outputs.results if 'results' in trial.label.outputs else {}
        hottest = results['aimds'][0]['max_temperature_k'] if results and results['aimds'] else float('nan')
        print(
            f'| {trial.run} | {trial.t_cp_ps:.3f} | {trial.rule} | {trial.t_next_ps:.3f} | '
            f'{"yes" if trial.normal else "no"} | {hottest:.0f} |'
        )
    print('\n| rule | normal | of |\n|---|---|---|')
    for name in RULES:
        mine = [trial for trial in trials if trial.rule == name]
        print(f'| {name} | {sum(trial.normal for trial in mine)} | {len(mine)} |')


if __name__ == '__main__':
    main()
