"""The folder of a model: the frozen potential, what trained it, an input of LAMMPS that runs it, and its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from ase.formula import Formula

from aiida_deepmd.calculations.train import STARTS, DeepmdTrainCalculation, settings_of
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files.input import INPUT_FILENAME
from aiida_sis.calculations.structure import positions_of, symbols_of
from aiida_sis.core.lammps.script import write_data, write_script
from aiida_sis.core.loop.call_labels import EXPLORE, Call, read_call
from aiida_sis.core.loop.record import LabelResults, MdResults, TrainingResults
from aiida_sis.core.settings.md import read_md_settings
from aiida_sis.run import graph, training_frames
from aiida_sis.run.record import read_md, results_of
from aiida_sis.run.rows import FramesRow
from aiida_sis.share.card import CardData, CardFacts, CardMd, level_in_words, write_card

__all__ = ('CARD', 'write_model')

CARD = 'model_card.md'
SCRIPT = 'in.lammps'
#: Length of the MD of the LAMMPS input, in ps, unless the MD it is taken from was shorter.
_LENGTH_PS = 10.0
_DATA_KEY = 'datasets__'


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
    (folder / CARD).write_text(write_card(_facts(potential, job, explorations)), encoding='utf-8')
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
    links = job.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    found: dict[str, Any] = {link.link_label: link.node for link in links if link.link_label.startswith(_DATA_KEY)}
    return {key.removeprefix(_DATA_KEY): found[key] for key in sorted(found)}


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
        (folder / DeepmdTrainCalculation.PARENT_FILENAME).write_bytes(content)
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
    edges = graph.sources(
        graph.pks([int(dataset.pk or 0)]), LinkType.RETURN, {'process_type': {'in': [graph.LABEL, graph.REPLAY]}}
    )
    label: Any = orm.load_node(edges[0].there.pk) if edges else None
    return cast('orm.ProcessNode | None', label)


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


def _facts(
    potential: PotentialData, job: orm.CalcJobNode | None, explorations: Sequence[tuple[str, orm.ProcessNode]]
) -> CardFacts:
    results = {} if job is None else results_of(job)
    training = TrainingResults.model_validate(results) if results else None
    datasets = _datasets(job) if job is not None else {}
    data = [_card_data(key, node, training) for key, node in datasets.items()]
    run = _run_of(job) if job is not None else None
    systems = sorted({item.system for item in data if item.system})
    return CardFacts(
        name=potential.label or f'Deep Potential {", ".join(systems) or "".join(potential.type_map)}',
        model_file=potential.model_filename,
        elements=potential.type_map,
        descriptor=potential.descriptor,
        rcut=potential.rcut,
        sel=potential.sel,
        compressed=potential.compressed,
        sha256=potential.sha256,
        uuid=potential.uuid,
        command=_command(job),
        data=data,
        md=[_card_md(place, node) for place, node in explorations],
        training=training,
        levels=[level_in_words(tree) for tree in _levels(datasets.values())],
        versions=_versions(job, explorations, training),
        seeds={
            **({'run': run.inputs.seed.value} if run is not None and 'seed' in run.inputs else {}),
            **({'training': job.inputs.seed.value} if job is not None else {}),
        },
        run=_origin_facts(job, run),
    )


def _command(job: orm.CalcJobNode | None) -> str:
    """How the training was started."""
    if job is None:
        return ''
    start = f' {STARTS[settings_of(job.inputs).start]} {DeepmdTrainCalculation.PARENT_FILENAME}'
    return f'dp train {INPUT_FILENAME}' + (start if 'parent' in job.inputs else '')


def _card_data(key: str, dataset: DatasetData, training: TrainingResults | None) -> CardData:
    label = _label_of(dataset)
    errors = {} if training is None else training.per_dataset or {}
    made = LabelResults.model_validate({} if label is None else results_of(label))
    settings = label.inputs.parameters.get_dict() if label is not None else {}
    source = 'imported' if label is None else 'AIMD' if label.process_type == graph.LABEL else 'single points'
    return CardData(
        name=key,
        system=dataset.label,
        source=source,
        composition=_formula(dataset.symbols),
        n_train=dataset.n_train,
        n_validation=dataset.n_validation,
        n_test=dataset.n_test,
        label_temperature_k=settings.get('temperature_k'),
        max_temperature_k=made.max_temperature_k,
        errors=TrainingResults.model_validate(errors.get(key, {})),
        sha256=dataset.sha256,
    )


def _card_md(place: str, node: orm.ProcessNode) -> CardMd:
    return CardMd(
        place=place or f'node {node.pk}',
        composition=_formula(symbols_of(node.inputs.md.structure)),
        md=read_md(node, read_call(place) or Call(0, EXPLORE)),
    )


def _formula(symbols: Sequence[str]) -> str:
    return str(Formula.from_list(sorted(symbols)).format('reduce'))


def _versions(
    job: orm.CalcJobNode | None,
    explorations: Sequence[tuple[str, orm.ProcessNode]],
    training: TrainingResults | None,
) -> dict[str, str]:
    versions = {'DeePMD-kit': training.deepmd_version if training else None}
    for _, node in explorations:
        if found := MdResults.model_validate(results_of(node)).lammps_version:
            versions['LAMMPS'] = found
    if job is not None:
        own = job.base.attributes.get('version', {})
        versions |= {'aiida-core': str(own.get('core', '')), 'aiida-sis': str(own.get('plugin', ''))}
        versions |= _cp2k_versions(_datasets(job))
    return {name: version for name, version in versions.items() if version}


def _cp2k_versions(datasets: Mapping[str, DatasetData]) -> dict[str, str]:
    """CP2K's version, as the description of the code tells it (`aiida-sis setup` writes it there)."""
    found = set()
    for dataset in datasets.values():
        label = _label_of(dataset)
        if label is not None:
            code = label.inputs.cp2k.cp2k.code
            found.add(code.description or code.full_label)
    return {'labels by': ', '.join(sorted(found))} if found else {}


def _origin_facts(job: orm.CalcJobNode | None, run: orm.ProcessNode | None) -> dict[str, str]:
    if job is None:
        return {'origin': 'imported; the graph does not say how it was trained'}
    facts = {'trained by job': f'`{job.uuid}`'}
    if (call := _call_of(job)) is not None:
        facts['generation'] = str(call.generation)
    if 'restart_folder' in job.inputs:
        facts['note'] = 'the training was interrupted and went on from its checkpoint'
    if 'parent' in job.inputs:
        facts['parent'] = f'`{job.inputs.parent.uuid}`'
    if run is not None:
        facts['run'] = f'`{run.uuid}`'
        if 'summary' in run.outputs:
            summary = run.outputs.summary.get_dict()
            md = 'MD' if run.process_type == graph.HYBRID else 'stable MD'
            facts['outcome of the run'] = f'{summary["outcome"]}, {summary["md_ps"]:g} ps of {md}'
            facts['AIMD of the run'] = f'{summary["aimd_ps"]:g} ps'
    return facts
