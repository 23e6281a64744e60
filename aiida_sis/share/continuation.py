"""A new run that goes on from an earlier one, which may come from another machine and from a stranger.

Only named inputs are taken over: structures, frames, a potential, and settings that are read before they are used.
What would reach a shell, such as the lines before and after a command, is taken from this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sis.command_lines import verdi
from aiida_sis.core.settings.sis import SisSettings, read_settings
from aiida_sis.run import graph
from aiida_sis.run.daemon import daemon_problem
from aiida_sis.share.foreign import job_options, take_over
from aiida_sis.workflows.remains import Remains, running_parts, what_is_left

__all__ = ('continuation', 'missing_for_continuation')

_JOBS = {'cp2k': ('label', 'cp2k', 'cp2k'), 'dp': ('train', 'train'), 'lmp': ('explore', 'md')}


def missing_for_continuation(run: orm.ProcessNode) -> str | None:
    """Say why a run can't be continued.

    :param run: the node of the run.
    :returns: one sentence, or nothing.
    """
    if run.process_type != graph.SIS:
        return f'node {run.pk} is a {run.process_label}: only a SisWorkChain can be continued.'
    if not run.is_terminated:
        nobody = f'; {problem}' if (problem := daemon_problem()) else ''
        return f'run {run.pk} has not ended: wait for it, or stop it with `{verdi(f"process kill {run.pk}")}`{nobody}.'
    going_on = running_parts(run)
    if going_on:
        numbers = ' '.join(str(node.pk) for node in going_on)
        return (
            f'run {run.pk} has ended, but parts of it go on ({numbers}): wait for them, or stop them with '
            f'`{verdi(f"process kill {numbers}")}`.'
        )
    remains = what_is_left(run)
    if remains.potential is None and not remains.datasets:
        return (
            f'run {run.pk} ended before a label or a training was over, so there is nothing to go on from: see '
            f'`{verdi(f"process report {run.pk}")}`, remove the cause, and start a new run.'
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
    keep_options: bool = False,
    dropped: list[str] | None = None,
) -> Any:
    """Fill the builder of a run that goes on from an earlier one with the codes of this machine.

    It is given all frames of that run and its last potential, begins with the MD (``start: explore``), leaves out the
    stages that this potential has passed, and lowers its learning rate from where the earlier run had come to. MD
    starts from the structures that the earlier MD started from. Where there is no potential yet, it labels what was not
    labelled, and trains.

    :param run: the earlier run; it has ended, in any way.
    :param codes: the codes under ``cp2k``, ``dp`` and ``lmp``.
    :param max_generations: how many more generations may be trained; as many as the earlier run was allowed by default.
    :param length_ps: length of the last stage, in ps; the earlier run's by default.
    :param all_stages: run the stages that were passed again.
    :param seed: the seed; that of the earlier run plus one by default, so that the MD is another.
    :param options: changes to the options of the jobs, by code.
    :param keep_options: also keep what a shell or a scheduler is told: for runs of one's own only.
    :param dropped: gets one line for each input and option that was not taken over.
    :returns: the builder.
    :raises ValueError: in one sentence, if the run can't be continued or the settings can't be used.
    """
    problem = missing_for_continuation(run)
    if problem:
        raise ValueError(problem)
    _check_computers(codes)
    remains = what_is_left(run)
    builder, lines = take_over(run)
    values = run.inputs.parameters.get_dict()
    training = run.inputs.train.train.parameters.get_dict()
    _slow_down(training['learning_rate'], values, remains.generation)
    _shift_learning(values.get('learning') or {}, remains.generation)
    if remains.potential is not None:
        values['start'] = 'explore'
        builder.potential = remains.potential
    else:
        _label_the_rest(values, run, remains)
    values['stages'] = _stages_left(values['stages'], remains, all_stages)
    if length_ps is not None:
        values['stages'][-1]['length_ps'] = length_ps
    if max_generations is not None:
        values['max_generations'] = max_generations
    read_settings(values)
    builder.systems = dict(run.inputs.systems) | remains.structures
    builder.datasets = remains.datasets
    builder.parameters = orm.Dict(values)
    builder.seed = orm.Int(run.inputs.seed.value + 1 if seed is None else seed)
    builder.train.train.parameters = orm.Dict(training)
    for key, path in _JOBS.items():
        job = _section(builder, path)
        job.code = codes[key]
        own, more = job_options(run, path, keep_options)
        job.metadata.options = own | dict((options or {}).get(key, {}))
        lines += [f'{key}: {line}' for line in more]
    if dropped is not None:
        dropped += lines
    return builder


def _check_computers(codes: Mapping[str, orm.AbstractCode]) -> None:
    """Refuse codes of a computer that came with an archive: nobody has said here how to reach it."""
    for key, code in codes.items():
        if code.computer is not None and not code.computer.is_configured:
            raise ValueError(
                f"The code '{code.full_label}' for {key} is on a computer that is not configured here, as one that "
                'came with an archive: name a code of yours.'
            )


def _section(builder: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        builder = builder[name]
    return builder


def _stages_left(stages: list[dict[str, Any]], remains: Remains, all_stages: bool) -> list[dict[str, Any]]:
    """The stages that the last potential has not passed; the last stage in any case."""
    if all_stages:
        return stages
    first = next((number for number in range(len(stages)) if number not in remains.passed), len(stages) - 1)
    return stages[min(first, len(stages) - 1) :]


def _label_the_rest(values: dict[str, Any], run: orm.ProcessNode, remains: Remains) -> None:
    """Ask for those labels of generation 0 alone that gave nothing yet.

    A system at several temperatures with a label that is missing gets all its labels again: they go by their numbers.

    :param values: the parameters of the run; changed.
    :param run: the earlier run.
    :param remains: what it left.
    """
    settings: SisSettings = read_settings(values)
    systems = values.setdefault('systems', {})
    for name in [*run.inputs.systems, *(run.inputs.supporting if 'supporting' in run.inputs else ())]:
        own = settings.system(name)
        wanted, made = own.initial_labels or 0, remains.n_first_labels.get(name, 0)
        if made >= wanted or len(own.temperatures_k or ()) == 1:
            systems.setdefault(name, {})['initial_labels'] = max(wanted - made, 0)


def _slow_down(rate: dict[str, Any], values: dict[str, Any], last: int) -> None:
    """Let the learning rates begin where those of the earlier run had come to.

    :param rate: the block ``learning_rate`` of the training input; changed.
    :param values: the parameters of the run; changed.
    :param last: the generation of the last potential of the earlier run.
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
