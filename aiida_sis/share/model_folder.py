"""The folder of a model: the frozen potential, what trained it, an input of LAMMPS that runs it, and its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from aiida import orm
from ase.formula import Formula

from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.calculations.train_settings import settings_of
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files.input import INPUT_FILENAME
from aiida_sis.calculations.structure import positions_of, symbols_of
from aiida_sis.core.lammps.script import write_data, write_script
from aiida_sis.core.loop.call_labels import EXPLORE, VERDICT, Call, read_call
from aiida_sis.core.loop.outcome import outcome_in_words, verification_lines
from aiida_sis.core.loop.record import LabelResults, Md, MdResults, TrainingResults, Verification
from aiida_sis.core.settings.md import read_md_settings
from aiida_sis.core.start_structure import check_names
from aiida_sis.run import graph, training_frames
from aiida_sis.run.origins import labels_of
from aiida_sis.run.record import called, read_md, results_of
from aiida_sis.run.rows import FramesRow
from aiida_sis.share.card import level_in_words, write_card

__all__ = ('CARD', 'write_model')

CARD = 'model_card.md'
SCRIPT = 'in.lammps'
#: Length of the MD of the LAMMPS input, in ps, unless the MD it is taken from was shorter.
_LENGTH_PS = 10.0


def write_model(potential: PotentialData, folder: Path, length_ps: float = _LENGTH_PS, seed: int = 1) -> list[Path]:
    """Write the folder.

    :param potential: the potential.
    :param folder: made if missing; must be empty.
    :param length_ps: length of the MD of the LAMMPS input, in ps.
    :param seed: its seed.
    :returns: the files and folders at its top, in order.
    :raises FileExistsError: if there is anything in the folder.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f'{folder} is not empty')
    folder.mkdir(parents=True, exist_ok=True)
    potential.export(folder)
    job = _training_job(potential)
    if job is not None:
        _write_training(job, folder / 'training', training_frames(int(potential.pk or 0)))
    explorations = _explorations(potential)
    _write_lammps(potential, job, explorations, folder / 'lammps', length_ps, seed)
    (folder / CARD).write_text(_card(potential, job, explorations), encoding='utf-8')
    return sorted(folder.iterdir())


# --- what belongs to a potential -----------------------------------------------------------------------------------


def _training_job(potential: PotentialData) -> orm.CalcJobNode | None:
    """The job that trained it; none for one that was imported."""
    creator = potential.creator
    return creator if isinstance(creator, orm.CalcJobNode) and creator.process_type == graph.TRAIN_JOB else None


def _explorations(potential: PotentialData) -> list[tuple[str, orm.ProcessNode]]:
    """The MD runs that it drove and that ended, with the labels of their calls, the oldest first."""
    used = graph.users(graph.pks([int(potential.pk or 0)]), 'md__potential', {'process_type': graph.EXPLORE})
    called = graph.callers(graph.pks([edge.there.pk for edge in used]))
    found = [(edge.there.pk, called[edge.there.pk].label if edge.there.pk in called else '') for edge in used]
    nodes: list[tuple[str, Any]] = [(place, orm.load_node(pk)) for pk, place in found]
    return sorted((item for item in nodes if 'results' in item[1].outputs), key=lambda item: item[1].ctime)


def _datasets(job: orm.CalcJobNode) -> dict[str, DatasetData]:
    """The datasets of a training; their names become those of folders."""
    datasets = dict(sorted(job.inputs.datasets.items()))
    problem = check_names(datasets, 'dataset')
    if problem:
        raise ValueError(problem)
    return datasets


def _run_of(job: orm.CalcJobNode) -> orm.ProcessNode | None:
    """The run that the training belongs to: job ← training workchain ← run."""
    workchain = job.caller
    return workchain.caller or workchain if workchain is not None else None


def _call_of(job: orm.CalcJobNode) -> Call | None:
    """Which part of the run the training was; none for one on its own."""
    workchain = job.caller
    pk = int(workchain.pk or 0) if workchain is not None else 0
    edge = graph.callers(graph.pks([pk])).get(pk)
    return read_call(edge.label) if edge is not None else None


# --- training ------------------------------------------------------------------------------------------------------


def _write_training(job: orm.CalcJobNode, folder: Path, rows: Sequence[FramesRow]) -> None:
    """Write the input of the training as it was, and the frames where it looks for them."""
    folder.mkdir()
    (folder / INPUT_FILENAME).write_bytes(job.base.repository.get_object_content(INPUT_FILENAME, 'rb'))
    datasets = _datasets(job)
    masked = settings_of(job.inputs).masks(datasets)
    for key, dataset in datasets.items():
        for subset in ('train', 'validation', 'test'):
            if len(dataset.get_split(subset)):
                dataset.write_npy(folder / DeepmdTrainCalculation.system(key, subset), subset, atom_pref=masked)
    if 'parent' in job.inputs:
        parent = job.inputs.parent
        content = parent.base.repository.get_object_content(parent.training_filename, 'rb')
        (folder / settings_of(job.inputs).start_arguments(parent)[1]).write_bytes(content)
    _write_json(folder / 'datasets.json', [_dataset_facts(row, datasets) for row in rows])
    for number, tree in enumerate(_levels(datasets.values())):
        _write_json(folder / f'cp2k_{number}.json', tree)


def _dataset_facts(row: FramesRow, datasets: Mapping[str, DatasetData]) -> dict[str, Any]:
    """What a dataset is and where it comes from; it has no folder where only an earlier training saw it."""
    names = [key for key, node in datasets.items() if node.uuid == row.dataset.uuid]
    return {
        'folder': f'{DeepmdTrainCalculation.DATA_FOLDER}/{names[0]}' if names else None,
        'uuid': row.dataset.uuid,
        'sha256': row.sha256,
        'system': row.system,
        'generation': row.generation,
        'source': row.source,
        'n_train': row.n_train,
        'n_validation': row.n_validation,
        'n_test': row.n_test,
        'trainings_back': row.trainings_back,
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')


def _label_of(dataset: DatasetData) -> orm.ProcessNode | None:
    label = labels_of([int(dataset.pk or 0)]).get(int(dataset.pk or 0))
    node: Any = orm.load_node(label.there.pk) if label else None
    return cast('orm.ProcessNode | None', node)


def _levels(datasets: Any) -> list[dict[str, Any]]:
    """The levels of theory of the labels, as CP2K's input, each once."""
    levels: list[dict[str, Any]] = []
    for dataset in datasets:
        label = _label_of(dataset)
        tree = label.inputs.cp2k.cp2k.parameters.get_dict() if label is not None else None
        if tree is not None and tree not in levels:
            levels.append(tree)
    return levels


# --- LAMMPS --------------------------------------------------------------------------------------------------------


def _write_lammps(
    potential: PotentialData,
    job: orm.CalcJobNode | None,
    explorations: Sequence[tuple[str, orm.ProcessNode]],
    folder: Path,
    length_ps: float,
    seed: int,
) -> None:
    """Write the MD that the potential was last tried in, or one from its first frame, and its start structure."""
    if explorations:
        inputs = explorations[-1][1].inputs.md
        values = inputs.parameters.get_dict()
        structure = inputs.structure
        symbols, positions, cell = symbols_of(structure), positions_of(structure), np.array(structure.cell)
        values['length_ps'] = min(length_ps, values['length_ps'])
    elif job is not None:
        dataset = next(iter(_datasets(job).values()))
        frames = dataset.get_frames()
        symbols, positions, cell = dataset.symbols, frames.coords[0], frames.cells[0]
        values = {'temperature_k': 300.0, 'window_k': [0.0, 3000.0], 'length_ps': length_ps}
    else:
        return
    for key in ('deviation', 'elapsed_ps'):
        values.pop(key, None)
    folder.mkdir()
    script = write_script(read_md_settings(values), potential.type_map, f'../{potential.model_filename}', seed)
    (folder / SCRIPT).write_text(script, encoding='utf-8')
    data = write_data(symbols, positions, cell, potential.type_map)
    (folder / 'structure.data').write_text(data, encoding='utf-8')


# --- card ----------------------------------------------------------------------------------------------------------


def _card(
    potential: PotentialData, job: orm.CalcJobNode | None, explorations: Sequence[tuple[str, orm.ProcessNode]]
) -> str:
    results = {} if job is None else results_of(job)
    training = TrainingResults.model_validate(results) if results else None
    nodes = _datasets(job) if job is not None else {}
    data = [_dataset_row(key, node, training) for key, node in nodes.items()]
    runs = [_md_row(place, node) for place, node in explorations]
    systems = sorted({node.label for node in nodes.values() if node.label})
    return write_card(
        name=potential.label or f'Deep Potential {", ".join(systems) or "".join(potential.type_map)}',
        potential=potential,
        command=_command(job),
        training=training,
        levels=[level_in_words(tree) for tree in _levels(nodes.values())],
        datasets=data,
        explorations=runs,
        compositions=sorted({f'{row["composition"]} ({row["node"].label})' for row in data}),
        hottest_k=max((row['highest_k'] for row in data if row['highest_k']), default=None),
        longest_ps=max((md.length_ps or 0.0 for _, _, md in runs if md.stable), default=None),
        true_error=_true_error(explorations),
        origin=_origin(job, explorations, training),
    )


def _true_error(explorations: Sequence[tuple[str, orm.ProcessNode]]) -> tuple[str, ...]:
    """What the labelled frames of its stable MD say of it, in lines; none where none was labelled."""
    for place, node in reversed(explorations):
        call, run = read_call(place), node.caller
        if call is None or run is None:
            continue
        for child, label in reversed(called(run)):
            judged = read_call(label)
            if judged is None or (judged.kind, judged.generation) != (VERDICT, call.generation):
                continue
            if results := results_of(child):
                return tuple(verification_lines(Verification.model_validate(results)))
    return ()


def _command(job: orm.CalcJobNode | None) -> str:
    """How the training was started."""
    if job is None:
        return ''
    settings = settings_of(job.inputs)
    start = settings.start_arguments(job.inputs.parent) if 'parent' in job.inputs else []
    return ' '.join(['dp', *settings.backend_facts.options, 'train', INPUT_FILENAME, *start])


def _dataset_row(key: str, dataset: DatasetData, training: TrainingResults | None) -> dict[str, Any]:
    """One dataset; temperatures in K, None where the graph does not say."""
    label = _label_of(dataset)
    errors = {} if training is None else training.per_dataset or {}
    return {
        'name': key,
        'node': dataset,
        'source': 'imported' if label is None else graph.LABELS[label.process_type or ''],
        'composition': _formula(dataset.symbols),
        'temperature_k': None if label is None else label.inputs.parameters.get_dict().get('temperature_k'),
        'highest_k': None if label is None else LabelResults.model_validate(results_of(label)).max_temperature_k,
        'errors': TrainingResults.model_validate(errors.get(key, {})),
    }


def _md_row(place: str, node: orm.ProcessNode) -> tuple[str, str, Md]:
    """Where an MD was in its run, what of, and what became of it."""
    composition = _formula(symbols_of(node.inputs.md.structure))
    return place or f'node {node.pk}', composition, read_md(node, read_call(place) or Call(0, EXPLORE))


def _formula(symbols: Sequence[str]) -> str:
    return str(Formula.from_list(sorted(symbols)).format('reduce'))


def _origin(
    job: orm.CalcJobNode | None,
    explorations: Sequence[tuple[str, orm.ProcessNode]],
    training: TrainingResults | None,
) -> dict[str, Any]:
    """Training, run, seeds and versions, as far as the graph says."""
    if job is None:
        facts: dict[str, Any] = {'origin': 'imported; the graph does not say how it was trained'}
    else:
        facts = _trained_by(job)
    facts['DeePMD-kit'] = training.deepmd_version if training else None
    for _, node in explorations:
        facts['LAMMPS'] = MdResults.model_validate(results_of(node)).lammps_version or facts.get('LAMMPS')
    if job is not None:
        own = job.base.attributes.get('version', {})
        facts |= {'aiida-core': own.get('core'), 'aiida-sis': own.get('plugin')}
        labels = [label for node in _datasets(job).values() if (label := _label_of(node)) is not None]
        # `aiida-sis setup` writes CP2K's version into the description of the code.
        codes = {code.description or code.full_label for code in (label.inputs.cp2k.cp2k.code for label in labels)}
        facts['labels by'] = ', '.join(sorted(codes))
    return {name: value for name, value in facts.items() if value not in (None, '')}


def _trained_by(job: orm.CalcJobNode) -> dict[str, Any]:
    """The training, the run that it belongs to, and the seeds of both."""
    call, run = _call_of(job), _run_of(job)
    facts: dict[str, Any] = {'trained by job': f'`{job.uuid}`', 'generation': call and call.generation}
    if 'restart_folder' in job.inputs:
        facts['note'] = 'the training was interrupted and went on from its checkpoint'
    if 'parent' in job.inputs:
        facts['parent'] = f'`{job.inputs.parent.uuid}`'
    if run is not None:
        facts['run'] = f'`{run.uuid}`'
        if 'summary' in run.outputs:
            summary = run.outputs.summary.get_dict()
            md = 'MD' if run.process_type == graph.HYBRID else 'stable MD'
            ended = outcome_in_words(summary['outcome'])
            facts['outcome of the run'] = f'{ended}; {summary["md_ps"]:g} ps of {md}'
            facts['AIMD of the run'] = f'{summary["aimd_ps"]:g} ps'
        if 'seed' in run.inputs:
            facts['seed of the run'] = run.inputs.seed.value
    return facts | {'seed of the training': job.inputs.seed.value}
