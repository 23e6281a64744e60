"""What a SIS run did, generation by generation, from the results of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, LADDER, TRAIN, VERDICT, VERIFY, Call, read_call
from aiida_sis.core.loop.record import LabelResults, MdResults, TrainingResults, Verification
from aiida_sis.core.settings.sis import SisSettings

Results = Mapping[str, Any]


def make_summary(
    outcome: str,
    parameters: Results,
    results: Mapping[str, Results],
    *,
    stages_passed: int,
    systems: Sequence[str],
) -> dict[str, Any]:
    """Summarise a run.

    The acceleration ratio is the MD length reached by every replica without a catastrophe, divided by all time that was
    labelled: the paper's own for SIS, spoilt frames included, where every single point counts as one timestep of AIMD.

    :param outcome: how the run ended.
    :param parameters: the settings of the run.
    :param results: the results dictionaries under the labels of the call links.
    :param stages_passed: how many stages every replica survived.
    :param systems: the system that each replica explores, by the number of the replica.
    :returns: a dictionary with the keys ``outcome``, ``temperature_k``, ``stages``, ``generations``, ``aimd_ps``,
        ``labelled_ps`` (AIMD and single points), ``md_ps``, ``acceleration_ratio``, ``verification`` (the last one),
        ``cost`` and ``forgetting``; times in ps, temperatures in K.
    """
    generations = generations_of(results, systems)
    labels = _labels_of(results)
    aimd_ps = sum(label.aimd_fs or 0.0 for label in labels) / 1000
    labelled_ps = aimd_ps + sum((label.n_single_points or 0) * (label.timestep_fs or 0.0) for label in labels) / 1000
    verdicts = [generation['verification'] for generation in generations if generation['verification']]
    stages = [
        {**stage, 'passed_in_generation': _passed_in(number, generations) if number < stages_passed else None}
        for number, stage in enumerate(parameters['stages'])
    ]
    passed = [stage['length_ps'] for stage in stages[:stages_passed]]
    md_ps = max(passed, default=0.0)
    return {
        'outcome': outcome,
        'temperature_k': parameters.get('temperature_k', SisSettings.model_fields['temperature_k'].default),
        'stages': stages,
        'generations': generations,
        'aimd_ps': aimd_ps,
        'labelled_ps': labelled_ps,
        'md_ps': md_ps,
        'acceleration_ratio': md_ps / labelled_ps if labelled_ps else None,
        'verification': verdicts[-1] if verdicts else None,
        'cost': cost_of(results),
        'forgetting': forgetting(trainings_of(results)),
    }


def trainings_of(results: Mapping[str, Results]) -> dict[int, TrainingResults]:
    """Read the trainings of a run; of a committee the first member only.

    :param results: the results dictionaries; those under ``train_g{g}`` are read.
    :returns: what each training gave, by generation.
    """
    parts = _parts(results, TRAIN)
    return {call.generation: TrainingResults.model_validate(values) for call, values in parts if not call.number}


def forgetting(trainings: Mapping[int, TrainingResults]) -> dict[str, dict[str, Any]]:
    """Follow the error on the held-out test frames of each dataset through the generations.

    Learning without forgetting means that no row rises: ``last`` stays near ``best``.

    :param trainings: what each training gave, by generation.
    :returns: for each dataset ``force_rmse`` by generation, ``best`` and ``last``, all in eV/Å.
    """
    table: dict[str, dict[str, Any]] = {}
    for generation, training in trainings.items():
        for name, errors in (training.per_dataset or {}).items():
            error = errors.get('force_rmse_ev_per_angstrom')
            if error is not None:
                table.setdefault(name, {'force_rmse': {}})['force_rmse'][str(generation)] = error
    for row in table.values():
        found = list(row['force_rmse'].values())
        row |= {'best': min(found), 'last': found[-1]}
    return table


def generations_of(results: Mapping[str, Results], systems: Sequence[str]) -> list[dict[str, Any]]:
    """Sort the results of the parts of a run by generation.

    :param results: the results dictionaries under the labels of the call links.
    :param systems: the system that each replica explores, by the number of the replica.
    :returns: ``generation``, ``labels``, ``ladders``, ``training``, ``md`` and ``verification`` of each generation, in
        their order.
    """
    last = max((call.generation for key in results if (call := read_call(key))), default=-1)
    return [_generation(number, results, systems) for number in range(last + 1)]


def cost_of(results: Mapping[str, Results]) -> dict[str, Any]:
    """Add up what a run took, by kind: frames evaluated by the teacher, training, MD.

    :param results: the results dictionaries under the labels of the call links.
    :returns: counts, steps and wall times in s.
    """
    labels = _labels_of(results)
    trainings = [TrainingResults.model_validate(values) for _, values in _parts(results, TRAIN)]
    runs = [MdResults.model_validate(values) for _, values in _parts(results, EXPLORE)]
    return {
        'labelled_frames': sum(
            sum(aimd.get('n_frames') or 0 for aimd in label.aimds) + (label.n_single_points or 0) for label in labels
        ),
        'kept_frames': sum(label.n_frames or 0 for label in labels),
        'n_trainings': len(trainings),
        'training_seconds': sum(training.seconds or 0.0 for training in trainings),
        'training_steps': sum(training.n_steps or 0 for training in trainings),
        'md_steps': sum(run.n_steps_run or 0 for run in runs),
        'md_seconds': sum(run.wall_seconds or 0.0 for run in runs),
    }


def _labels_of(results: Mapping[str, Results]) -> list[LabelResults]:
    """All that the teacher labelled, the frames of stable MD last."""
    found = [*_parts(results, LABEL), *_parts(results, VERIFY)]
    return [LabelResults.model_validate(values) for _, values in found]


def _parts(results: Mapping[str, Results], kind: str) -> list[tuple[Call, Results]]:
    """The results of one kind of part, in the order of generations, stages and numbers."""
    found = [(call, values) for key, values in results.items() if (call := read_call(key)) and call.kind == kind]
    return sorted(found, key=lambda part: (part[0].generation, part[0].stage or 0, part[0].number))


def _generation(number: int, results: Mapping[str, Results], systems: Sequence[str]) -> dict[str, Any]:
    labels, runs = (
        [(call.stage, call.number, values) for call, values in _parts(results, kind) if call.generation == number]
        for kind in (LABEL, EXPLORE)
    )
    training = trainings_of(results).get(number)
    ladders, verdicts = (
        [(call.number, values) for call, values in _parts(results, kind) if call.generation == number]
        for kind in (LADDER, VERDICT)
    )
    return {
        'generation': number,
        'labels': [{'index': index, **_label(LabelResults.model_validate(values))} for _, index, values in labels],
        'ladders': [{'index': index, **values} for index, values in ladders],
        'training': None if training is None else _training(training),
        'md': [
            {'stage': stage, 'system': systems[replica], 'replica': replica} | MdResults.model_validate(values).outcome
            for stage, replica, values in runs
        ],
        'verification': Verification.model_validate(verdicts[-1][1]).model_dump() if verdicts else None,
    }


def _label(label: LabelResults) -> dict[str, Any]:
    known = label.model_dump(include={'route', 'max_temperature_k', 'possible_exotherm'})
    return known | {'aimd_fs': label.aimd_fs or 0.0, 'kept_frames': label.n_frames}


def _training(training: TrainingResults) -> dict[str, Any]:
    keys = {'force_rmse_ev_per_angstrom', 'energy_rmse_ev_per_atom', 'n_steps', 'per_dataset'}
    return training.model_dump(include=keys) | {'wall_seconds': training.seconds}


def _passed_in(stage: int, generations: list[dict[str, Any]]) -> int | None:
    for generation in reversed(generations):
        runs = [run for run in generation['md'] if run['stage'] == stage]
        if runs and all(run['stable'] for run in runs):
            return int(generation['generation'])
    return None
