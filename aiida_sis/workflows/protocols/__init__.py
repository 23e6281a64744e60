"""Protocols: complete sets of inputs in YAML, each with a description, and the way from one to a builder."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from typing import Any

import yaml
from aiida import orm
from ase import Atoms

from aiida_sis.core.settings import read_settings
from aiida_sis.core.wording import nearest_key
from aiida_sis.data.dataset import DatasetData
from aiida_sis.data.potential import PotentialData
from aiida_sis.workflows.neighbours import suggest_sel
from aiida_sis.workflows.validation import check_inputs_names

_SECTIONS = ('sis', 'label', 'cp2k', 'dp', 'train', 'md', 'options')
_CODES = ('cp2k', 'dp', 'lmp')
_TRAIN_KEYS = ('force_rmse_max', 'max_extensions', 'settings')
_SET_BY_SIS = {
    'label': ('temperature_k', 'generation', 'label', 'optimise_first'),
    'md': ('temperature_k', 'window_k', 'length_ps', 'elapsed_ps'),
}
_CLOCK_START = 'echo "SIS_CLOCK_START $(date +%s.%N)"'
_CLOCK_END = 'echo "SIS_CLOCK_END $(date +%s.%N)"'


def list_protocols() -> dict[str, str]:
    """Give every protocol with its description.

    :returns: descriptions by name.
    """
    return {name: str(_read(name)['description']) for name in _names()}


def load_protocol(name: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read a protocol and apply the user's overrides to it.

    :param name: its name.
    :param overrides: nested dictionary with the same layout; a list or a value replaces the protocol's.
    :returns: the inputs by section.
    :raises ValueError: for an unknown protocol or section, naming the nearest valid one.
    """
    known = _names()
    if name not in known:
        raise ValueError(f"There is no protocol '{name}': {nearest_key(name, known)}")
    values = _read(name)
    _check_overrides(overrides or {})
    return _merge(values, dict(overrides or {}))


def fill_builder(
    builder: Any,
    codes: Mapping[str, orm.AbstractCode | str],
    systems: Mapping[str, orm.StructureData],
    protocol: str,
    overrides: Mapping[str, Any] | None,
    options: Mapping[str, Any] | None,
    seed: int,
    *,
    supporting: Mapping[str, orm.StructureData] | None = None,
    datasets: Mapping[str, DatasetData] | None = None,
    potential: PotentialData | None = None,
    continue_from: orm.ProcessNode | None = None,
) -> Any:
    """Fill the builder of a SIS run; the ports and units are those of its workchains.

    :param builder: the empty builder.
    :param codes: codes or labels for ``cp2k``, ``dp`` and ``lmp``.
    :param systems: start structures by name.
    :param protocol: name of the protocol.
    :param overrides: changes to it.
    :param options: scheduler options, for all jobs or by code key.
    :param seed: the seed of the run.
    :param supporting: structures that are labelled only, by name.
    :param datasets: frames that were labelled before, by name.
    :param potential: a potential to start from.
    :param continue_from: an earlier run, whose datasets and potential are taken.
    :returns: the builder.
    :raises ValueError: for a code or a system that is missing, or an unknown protocol or key.
    """
    values = load_protocol(protocol, overrides)
    loaded = _load_codes(codes)
    if not systems:
        raise ValueError(
            'The input systems is empty, so there is nothing to explore: give at least one start structure there; '
            'those in supporting are labelled only.'
        )
    if continue_from is not None:
        datasets, potential = _taken_from(continue_from)
    given: dict[str, Any] = {'supporting': dict(supporting or {}), 'datasets': dict(datasets or {})}
    problem = check_inputs_names({'systems': systems, **given})
    if problem:
        raise ValueError(problem)
    frames = list(given['datasets'].values())
    _fill_model(values['dp']['model'], {**systems, **given['supporting']}, frames, potential)
    known = {*systems, *given['supporting'], *(node.base.attributes.get('label') for node in frames)}
    _keep_systems(values['sis'], known, (overrides or {}).get('sis', {}).get('systems', {}))

    builder.systems = dict(systems)
    for name, nodes in given.items():
        if nodes:
            builder[name] = nodes
    if potential is not None:
        builder.potential = potential
    builder.type_map = orm.List(values['dp']['model']['type_map'])
    builder.parameters = orm.Dict(values['sis'])
    builder.seed = orm.Int(seed)
    builder.label.parameters = orm.Dict(values['label'])
    builder.label.cp2k.cp2k.code = loaded['cp2k']
    builder.label.cp2k.cp2k.parameters = orm.Dict(values['cp2k'])
    builder.label.cp2k.cp2k.metadata.options = _job_options(values, options, 'cp2k', loaded['cp2k'])
    builder.train.train.code = loaded['dp']
    builder.train.train.parameters = orm.Dict(values['dp'])
    builder.train.train.settings = orm.Dict(values['train'].get('settings', {}))
    builder.train.train.metadata.options = _job_options(values, options, 'dp', loaded['dp'])
    if values['train'].get('force_rmse_max') is not None:
        builder.train.force_rmse_max = orm.Float(values['train']['force_rmse_max'])
    if values['train'].get('max_extensions') is not None:
        builder.train.max_extensions = orm.Int(values['train']['max_extensions'])
    builder.explore.md.code = loaded['lmp']
    builder.explore.md.parameters = orm.Dict(values['md'] | _first_stage(values['sis']))
    builder.explore.md.metadata.options = _job_options(values, options, 'lmp', loaded['lmp'])
    return builder


def _taken_from(run: orm.ProcessNode) -> tuple[dict[str, DatasetData], PotentialData]:
    """Take the frames and the potential of an earlier run.

    :param run: the run.
    :returns: its datasets by name, and its latest potential.
    :raises ValueError: if it has no potential.
    """
    outputs = run.outputs
    if 'potential' in outputs:
        return dict(outputs.datasets) if 'datasets' in outputs else {}, outputs.potential
    remedy = (
        'give its frames alone, `datasets=dict(run.outputs.datasets)`, if it has any'
        if run.is_terminated
        else 'wait for it to end'
    )
    raise ValueError(f'The run {run.pk} has no potential to continue from: {remedy}.')


def _check_overrides(overrides: Mapping[str, Any]) -> None:
    """Refuse a section or key that is unknown, and one that the run sets itself; the ports check the rest.

    :param overrides: what the user wrote.
    :raises ValueError: in one sentence.
    """
    for key in overrides:
        if key not in _SECTIONS:
            raise ValueError(f"The override '{key}' is unknown: {nearest_key(key, _SECTIONS)}")
    for key in overrides.get('train', {}):
        if key not in _TRAIN_KEYS:
            raise ValueError(f"The override 'train.{key}' is unknown: {nearest_key(key, _TRAIN_KEYS)}")
    for section, keys in _SET_BY_SIS.items():
        for key in keys:
            if key in overrides.get(section, {}):
                raise ValueError(f"The override '{section}.{key}' has no effect: set it in the section 'sis'.")


def _names() -> list[str]:
    files = (entry.name for entry in resources.files(__package__).iterdir())
    return sorted(name.removesuffix('.yaml') for name in files if name.endswith('.yaml'))


def _read(name: str) -> dict[str, Any]:
    """Read one file; a section that it lacks is taken whole from the protocol that it extends."""
    text = resources.files(__package__).joinpath(f'{name}.yaml').read_text(encoding='utf-8')
    values: dict[str, Any] = yaml.safe_load(text)
    parent = values.pop('extends', None)
    return {**_read(parent), **values} if parent else values


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _first_stage(sis: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an MD must know and every stage replaces, so that the port can check its parameters as a whole."""
    settings = read_settings(sis)
    stage = settings.stages[0]
    return {'temperature_k': settings.temperature_k, 'window_k': list(stage.window_k), 'length_ps': stage.length_ps}


def _load_codes(codes: Mapping[str, orm.AbstractCode | str]) -> dict[str, orm.AbstractCode]:
    for key in codes:
        if key not in _CODES:
            raise ValueError(f"The code key '{key}' is unknown: {nearest_key(key, _CODES)}")
    missing = [key for key in _CODES if key not in codes]
    if missing:
        raise ValueError(
            f'The codes lack {", ".join(missing)}: give a code or its label for each of {", ".join(_CODES)}.'
        )
    return {key: orm.load_code(code) if isinstance(code, str) else code for key, code in codes.items()}


def _fill_model(
    model: dict[str, Any],
    structures: Mapping[str, orm.StructureData],
    datasets: Sequence[DatasetData],
    potential: PotentialData | None,
) -> None:
    """Fix the order of the elements and the number of neighbours for the whole run.

    :param model: the model of the training input; changed.
    :param structures: every structure of the run.
    :param datasets: the frames that were given.
    :param potential: the potential that was given.
    """
    first = potential or (datasets[0] if datasets else None)
    type_map = model.get('type_map') or (first.type_map if first is not None else _elements(structures))
    model['type_map'] = type_map
    descriptor = model['descriptor']
    if descriptor.get('sel') not in (None, 'auto'):
        return
    if potential is not None and potential.sel:
        descriptor['sel'] = potential.sel
        return
    frames = [node.get_ase() for node in structures.values()]
    for dataset in datasets:
        last = dataset.get_frames()
        frames.append(Atoms(dataset.symbols, last.coords[-1], cell=last.cells[-1], pbc=True))
    descriptor['sel'] = suggest_sel(frames, type_map, descriptor['rcut'])


def _keep_systems(sis: dict[str, Any], known: Collection[str], own: Mapping[str, Any]) -> None:
    """Leave out what a protocol says of systems that this run does not have; what the user says is checked later.

    The protocol's shares are scaled to sum to 1 over the systems that are there; where one of them has none, or the
    user gives shares, the protocol's do not count.

    :param sis: the section of the protocol; changed.
    :param known: the names of the systems and datasets of the run.
    :param own: the user's own settings of systems.
    """
    kept = {name: dict(value) for name, value in sis.get('systems', {}).items() if name in known or name in own}
    if not any('share' in value for value in own.values()):
        total = sum(value.get('share', 0.0) for value in kept.values())
        whole = total > 0 and all('share' in kept.get(name, {}) for name in known)
        for value in kept.values():
            share = value.pop('share', None)
            if whole:
                value['share'] = share / total
    sis['systems'] = kept


def _elements(systems: Mapping[str, orm.StructureData]) -> list[str]:
    return sorted({symbol for node in systems.values() for kind in node.kinds for symbol in kind.symbols})


def _job_options(
    values: Mapping[str, Any], options: Mapping[str, Any] | None, key: str, code: orm.AbstractCode
) -> dict[str, Any]:
    """Give the scheduler options of one code, with the lines that write down when it ran.

    MPI follows the ranks that were asked for, unless the code or the user says otherwise; a training with several ranks
    would be as many trainings in one folder.
    """
    given = dict(options or {})
    if given and set(given) <= set(_CODES):
        given = dict(given.get(key, {}))
    merged: dict[str, Any] = {**values.get('options', {}), **given}
    ranks = merged.get('resources', {}).get('num_mpiprocs_per_machine', 1)
    if key == 'dp':
        if merged.get('withmpi'):
            raise ValueError("The option 'withmpi' is true for dp, which would train once for each rank: leave it out.")
        if code.with_mpi:
            raise ValueError(
                f"The code '{code.full_label}' is registered to run with MPI, but a training takes one process: "
                'register it with with_mpi set to false.'
            )
        merged['withmpi'] = False
    elif 'withmpi' not in merged and code.with_mpi is None:
        merged['withmpi'] = ranks > 1
    before, after = merged.get('prepend_text'), merged.get('append_text')
    merged['prepend_text'] = f'{before}\n{_CLOCK_START}' if before else _CLOCK_START
    merged['append_text'] = f'{_CLOCK_END}\n{after}' if after else _CLOCK_END
    return merged
