"""A new run that goes on from an earlier one, which may come from another machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.command_lines import verdi
from aiida_sis.core.loop.call_labels import EXPLORE, read_call
from aiida_sis.core.settings.sis import plan_replicas, read_settings
from aiida_sis.run import graph

__all__ = ('continuation', 'missing_for_continuation')

#: Options of a job that hold on any machine; queues, accounts and modules belong to the one that was used.
_PORTABLE = ('resources', 'max_wallclock_seconds', 'withmpi', 'prepend_text', 'append_text')
_JOBS = {'cp2k': ('label', 'cp2k', 'cp2k'), 'dp': ('train', 'train'), 'lmp': ('explore', 'md')}


def missing_for_continuation(run: orm.ProcessNode) -> str | None:
    """Say why a run can't be continued.

    :param run: the node of the run.
    :returns: one sentence, or nothing.
    """
    if run.process_type != graph.SIS:
        return f'node {run.pk} is a {run.process_label}: only a SisWorkChain can be continued.'
    if not run.is_terminated:
        return f'run {run.pk} has not ended: wait for it, or stop it with `{verdi(f"process kill {run.pk}")}`.'
    if 'potential' not in run.outputs:
        return (
            f'run {run.pk} ended without a potential, so there is nothing to explore with: start a new run, with its '
            'datasets as `datasets`.'
        )
    return None


def continuation(
    run: orm.ProcessNode,
    codes: Mapping[str, orm.AbstractCode],
    *,
    max_generations: int | None = None,
    length_ps: float | None = None,
    all_stages: bool = False,
    seed: int | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Any:
    """Fill the builder of a run that goes on from an earlier one with the codes of this machine.

    Every input is the earlier run's own, but: it is given that run's datasets and last potential, begins with the MD
    (``start: explore``), leaves out the stages that this potential has passed, and lowers its learning rate from where
    the earlier run had come to. MD starts from the structures that the earlier MD started from.

    :param run: the earlier run; it has ended, and it has a potential.
    :param codes: the codes under ``cp2k``, ``dp`` and ``lmp``.
    :param max_generations: how many more generations may be trained; as many as the earlier run was allowed by default.
    :param length_ps: length of the last stage, in ps; the earlier run's by default.
    :param all_stages: run the stages that were passed again.
    :param seed: the seed; that of the earlier run plus one by default, so that the MD is another.
    :param options: changes to the options of the jobs, by code.
    :returns: the builder.
    :raises ValueError: in one sentence, if the run can't be continued or the settings can't be used.
    """
    problem = missing_for_continuation(run)
    if problem:
        raise ValueError(problem)
    builder: Any = run.get_builder_restart()
    summary = run.outputs.summary.get_dict() if 'summary' in run.outputs else {}
    last = max((generation['generation'] for generation in summary.get('generations', [])), default=0)
    values = run.inputs.parameters.get_dict()
    training = run.inputs.train.train.parameters.get_dict()
    _slow_down(training['learning_rate'], values, last)
    _shift_learning(values.get('learning') or {}, last)
    values['start'] = 'explore'
    values['stages'] = _stages_left(values['stages'], summary, last, all_stages)
    if length_ps is not None:
        values['stages'][-1]['length_ps'] = length_ps
    if max_generations is not None:
        values['max_generations'] = max_generations
    read_settings(values)
    builder.systems = dict(run.inputs.systems) | _explored_structures(run)
    builder.datasets = dict(run.outputs.datasets)
    builder.potential = run.outputs.potential
    builder.parameters = orm.Dict(values)
    builder.seed = orm.Int(run.inputs.seed.value + 1 if seed is None else seed)
    builder.train.train.parameters = orm.Dict(training)
    for key, path in _JOBS.items():
        _use_code(_section(builder, path), codes[key], dict((options or {}).get(key, {})))
    return builder


def _section(builder: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        builder = builder[name]
    return builder


def _use_code(job: Any, code: orm.AbstractCode, changes: dict[str, Any]) -> None:
    """Give a job a code of this machine, and the options that hold on it."""
    job.code = code
    given = dict(job.metadata.get('options', {}))
    job.metadata.options = {key: given[key] for key in _PORTABLE if key in given} | changes


def _stages_left(
    stages: list[dict[str, Any]], summary: Mapping[str, Any], last: int, all_stages: bool
) -> list[dict[str, Any]]:
    """The stages that the last potential has not passed; the last stage in any case."""
    if all_stages:
        return stages
    passed = [stage.get('passed_in_generation') == last for stage in summary.get('stages', [])]
    first = next((number for number, done in enumerate(passed) if not done), len(stages) - 1)
    return stages[min(first, len(stages) - 1) :]


def _slow_down(rate: dict[str, Any], values: dict[str, Any], last: int) -> None:
    """Let the learning rates begin where those of the earlier run had come to.

    :param rate: the block ``learning_rate`` of the training input; changed.
    :param values: the parameters of the run; changed.
    :param last: number of the last generation of the earlier run.
    """
    learning = read_settings(values).learning
    lower = learning.lr_decay**last
    rate['start_lr'] = max(rate['start_lr'] * lower, rate['stop_lr'])
    if learning.fine_tune_lr is not None:
        values['learning']['fine_tune_lr'] = max(learning.fine_tune_lr * lower, rate['stop_lr'])


def _shift_learning(learning: dict[str, Any], last: int) -> None:
    """Count generations from the last one of the earlier run on."""
    prefactors = learning.get('loss_by_generation')
    if prefactors:
        shifted: dict[int, dict[str, float]] = {}
        for generation, values in sorted((int(key), values) for key, values in prefactors.items()):
            shifted.setdefault(max(generation - last, 0), {}).update(values)
        learning['loss_by_generation'] = {str(key): values for key, values in shifted.items()}


def _explored_structures(run: orm.ProcessNode) -> dict[str, orm.StructureData]:
    """The structures that MD of the run started from, by system: the optimised ones, where it optimised."""
    replicas = plan_replicas(read_settings(run.inputs.parameters.get_dict()), list(run.inputs.systems))
    found = {}
    links = run.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    for link in sorted(links, key=lambda link: link.node.ctime):
        call = read_call(link.link_label)
        if call is not None and call.kind == EXPLORE and call.number < len(replicas):
            found[replicas[call.number].system] = link.node.inputs.md.structure
    return found
