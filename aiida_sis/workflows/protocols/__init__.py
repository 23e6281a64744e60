"""Protocols: complete sets of inputs in YAML, each with a description, and the way from one to a builder."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from typing import Any

import yaml
from aiida import orm
from ase import Atoms
from ase.data import chemical_symbols

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files.backend import PARTS, descriptors
from aiida_deepmd.files.input import suggest_sel
from aiida_deepmd.settings import nearest_key
from aiida_sis.core.indicator import GUARD_FACTOR
from aiida_sis.core.loop.clock_marks import END_COMMAND, START_COMMAND
from aiida_sis.core.overlay import merge
from aiida_sis.core.settings.sis import plan_replicas, read_settings
from aiida_sis.core.stage_windows import stage_windows
from aiida_sis.workflows.protocols.given import (
    CODES,
    check_node,
    check_nodes,
    check_options,
    check_overrides,
    check_structures,
    load_codes,
)
from aiida_sis.workflows.remains import what_is_left
from aiida_sis.workflows.validation import check_inputs_names

_GIVEN = ('supporting', 'datasets', 'potential', 'continue_from')


def list_protocols() -> dict[str, str]:
    """Give every protocol with its description.

    :returns: descriptions by name.
    """
    return {name: str(_read(name)['description']) for name in _names()}


def load_protocol(name: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read a protocol and apply the user's overrides to it.

    :param name: its name.
    :param overrides: nested dictionary with the same layout; a list or a value replaces the protocol's, None removes a
        key, and a dictionary of another ``type`` (``style``, ``rule``) replaces the whole one.
    :returns: the inputs by section.
    :raises ValueError: for an unknown protocol or section, naming the nearest valid one.
    """
    known = _names()
    if name not in known:
        raise ValueError(f"There is no protocol '{name}': {nearest_key(str(name), known).replace('keys', 'names')}")
    values, changes = _read(name), {} if overrides is None else overrides
    check_overrides(changes, values)
    merged = merge(values, changes)
    for name, own in (changes.get('sis', {}).get('systems') or {}).items():
        if own and isinstance(own.get('cp2k'), Mapping):
            # It is laid over the run's level of theory later, and None takes a key out there too.
            before = values['sis'].get('systems', {}).get(name, {}).get('cp2k', {})
            merged['sis']['systems'][name]['cp2k'] = merge(before, own['cp2k'], keep_nulls=True)
    return merged


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
    **unknown: Any,
) -> Any:
    """Fill the builder of a SIS run; the ports and units are those of its workchains.

    :param builder: the empty builder.
    :param codes: codes or labels for ``cp2k``, ``dp`` and ``lmp``.
    :param systems: start structures by name.
    :param protocol: name of the protocol.
    :param overrides: changes to it.
    :param options: scheduler options for all jobs; under the key of a code those for it alone.
    :param seed: the seed of the run.
    :param supporting: structures that are labelled only, by name.
    :param datasets: frames that were labelled before, by name.
    :param potential: a potential to start from.
    :param continue_from: an earlier run, whose datasets and potential are taken.
    :param unknown: arguments that do not exist.
    :returns: the builder.
    :raises ValueError: for a code or a system that is missing, or an unknown protocol or key.
    """
    for name in unknown:
        raise ValueError(f"The argument '{name}' is unknown: {nearest_key(name, _GIVEN)}")
    values = load_protocol(protocol, overrides)
    loaded = load_codes(codes)
    if isinstance(seed, bool) or not isinstance(seed, (int, orm.Int)):
        raise ValueError(f'`seed` is {seed!r}: give a whole number of at least 0.')
    if continue_from is not None:
        if datasets or potential:
            raise ValueError('`continue_from` brings its own datasets and potential: leave those out, or leave it out.')
        datasets, potential = _outputs_of(continue_from)
    given: dict[str, Any] = {'supporting': supporting or {}, 'datasets': datasets or {}}
    _check_nodes(systems, given, potential)
    frames = list(given['datasets'].values())
    _fill_model(values['dp']['model'], {**systems, **given['supporting']}, frames, potential)
    known = {*systems, *given['supporting'], *(node.base.attributes.get('label') for node in frames)}
    asked = (overrides or {}).get('sis', {}).get('systems') or {}
    _keep_systems(values['sis'], known, {name: own for name, own in asked.items() if own})

    builder.systems = dict(systems)
    for name, nodes in given.items():
        if nodes:
            builder[name] = dict(nodes)
    if potential is not None:
        builder.potential = potential
    builder.type_map = orm.List(values['dp']['model']['type_map'])
    builder.parameters = orm.Dict(values['sis'])
    _set(builder, 'seed', seed if isinstance(seed, orm.Int) else orm.Int(seed))
    _set(builder.label, 'parameters', orm.Dict(values['label']), 'label')
    _set(builder.train.train, 'parameters', orm.Dict(values['dp']), 'dp')
    _set(builder.train.train, 'settings', orm.Dict(_job_settings(values['train'])), 'train.settings')
    for name, kind in (('force_rmse_max', orm.Float), ('max_extensions', orm.Int), ('min_improvement', orm.Float)):
        if values['train'].get(name) is not None:
            builder.train[name] = kind(values['train'][name])
    _set(builder.explore.md, 'parameters', orm.Dict(values['md'] | _first_stage(values['sis'], systems)), 'md')
    builder.label.cp2k.cp2k.parameters = orm.Dict(values['cp2k'])
    for key, job in (('cp2k', builder.label.cp2k.cp2k), ('dp', builder.train.train), ('lmp', builder.explore.md)):
        job.code = loaded[key]
        _set(job.metadata, 'options', _job_options(values, options, key, loaded[key], job.metadata.options), 'options')
    return builder


def _job_settings(train: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of each training job."""
    budget = train.get('budget')
    return {**(train.get('settings') or {}), **({} if budget is None else {'budget': budget})}


def _check_nodes(systems: Any, given: Mapping[str, Any], potential: Any) -> None:
    """Refuse what is no structure, dataset or potential, and a name that no link of the graph can have."""
    for name, nodes in (('systems', systems), ('supporting', given['supporting'])):
        check_nodes(name, nodes, orm.StructureData, 'structure')
        check_structures(name, nodes)
    if not systems:
        raise ValueError(
            'The input systems is empty, so there is nothing to explore: give at least one start structure there; '
            'those in supporting are labelled only.'
        )
    check_nodes('datasets', given['datasets'], DatasetData, 'dataset')
    if potential is not None:
        check_node('potential', potential, PotentialData, 'potential')
    problem = check_inputs_names({'systems': systems, **given})
    if problem:
        raise ValueError(problem)


def _set(namespace: Any, name: str, value: Any, section: str = '') -> None:
    """Fill a port; what its validator says is told without AiiDA's beginning, and with the section it is about."""
    try:
        namespace[name] = value
    except ValueError as error:
        problem = str(error).removeprefix('invalid attribute value ')
        raise ValueError(f"In the section '{section}': {problem}" if section else problem) from error


def _outputs_of(run: Any) -> tuple[dict[str, DatasetData], PotentialData]:
    """Give all labelled frames and the last potential of an earlier run, however it ended."""
    if not isinstance(run, orm.ProcessNode):
        check_node('continue_from', run, orm.ProcessNode, 'run')
    if run.process_label != 'SisWorkChain':
        raise ValueError(f'`continue_from` is node {run.pk}, a {run.process_label}: give the node of a SisWorkChain.')
    if not run.is_terminated:
        raise ValueError(f'The run {run.pk} has no potential to continue from: wait for it to end.')
    remains = what_is_left(run)
    if remains.potential is None:
        raise ValueError(
            f'The run {run.pk} has no potential to continue from: `aiida-sis continue {run.pk}` labels and trains what '
            'it lacks, if it has any frames.'
        )
    return remains.datasets, remains.potential


def _names() -> list[str]:
    files = (entry.name for entry in resources.files(__package__).iterdir())
    return sorted(name.removesuffix('.yaml') for name in files if name.endswith('.yaml'))


def _read(name: str) -> dict[str, Any]:
    """Read one file; a section that it lacks is taken whole from the protocol that it extends."""
    text = resources.files(__package__).joinpath(f'{name}.yaml').read_text(encoding='utf-8')
    values: dict[str, Any] = yaml.safe_load(text)
    parent = values.pop('extends', None)
    return {**_read(parent), **values} if parent else values


def _first_stage(sis: Mapping[str, Any], systems: Mapping[str, orm.StructureData]) -> dict[str, Any]:
    """Give what an MD must know and every stage replaces, so that the port can check its parameters as a whole."""
    settings = read_settings(sis)
    plan = plan_replicas(settings, systems)
    try:
        window = stage_windows(settings, plan[0], len(systems[plan[0].system].sites), len(plan))[0]
    except ValueError:  # the validator of the whole run says it, after what else is wrong
        window = (0.0, GUARD_FACTOR * plan[0].temperature_k)
    return {
        'temperature_k': plan[0].temperature_k,
        'window_k': list(window),
        'length_ps': settings.stages[0].length_ps,
    }


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
    whole = potential if potential is not None and not potential.branches else None  # of branches only some elements
    first = whole or (datasets[0] if datasets else None)
    type_map = model.get('type_map') or (first.type_map if first is not None else _elements(structures))
    if not isinstance(type_map, list) or any(name not in chemical_symbols[1:] for name in type_map):
        raise ValueError(
            f"The override 'dp.model.type_map' is {type_map!r}: give a list of symbols such as ['Li', 'F'], or leave "
            'it out.'
        )
    model['type_map'] = type_map
    for descriptor in descriptors(model):
        if descriptor.get('sel') in (None, 'auto') and descriptor.get('type') not in PARTS:
            _fill_sel(descriptor, type_map, structures, datasets, potential)


def _fill_sel(
    descriptor: Any,
    type_map: Sequence[str],
    structures: Mapping[str, orm.StructureData],
    datasets: Sequence[DatasetData],
    potential: PotentialData | None,
) -> None:
    """Fix the number of neighbours of one descriptor; a hybrid one has several."""
    rcut = descriptor.get('rcut')
    if isinstance(rcut, bool) or not isinstance(rcut, (int, float)) or not rcut > 0:
        raise ValueError(f"The override 'dp.model.descriptor.rcut' is {rcut!r}: give a number above 0, in Å (6, say).")
    if potential is not None and potential.rcut and abs(potential.rcut - rcut) > 1e-6:
        raise ValueError(
            f"The override 'dp.model.descriptor.rcut' is {rcut:g} Å, but `potential` was trained with "
            f'{potential.rcut:g} Å and can only go on with it: give that.'
        )
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
    values: Mapping[str, Any], options: Mapping[str, Any] | None, key: str, code: orm.AbstractCode, namespace: Any
) -> dict[str, Any]:
    """Give the scheduler options of one code, with the lines that write down when it ran.

    Options under the key of a code are for it alone. MPI follows the ranks that were asked for, unless the code or the
    user says otherwise; a training with several ranks would be as many trainings in one folder.
    """
    ports = namespace._port_namespace
    merged: dict[str, Any] = {}
    for where, given in (("The options of the section 'options'", values.get('options')), ('The `options`', options)):
        chosen = {} if given is None else given
        if not isinstance(chosen, Mapping):
            raise ValueError(f'{where} are {chosen!r}: give a dictionary such as {{"max_wallclock_seconds": 3600}}.')
        check_options({name: value for name, value in chosen.items() if name not in CODES}, ports, where)
        own = chosen.get(key, {})
        check_options(own, ports, f'{where} of {key}')
        merged |= {name: value for name, value in chosen.items() if name not in CODES} | dict(own)
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
        merged['withmpi'] = _ranks(merged.get('resources', {}), code) > 1
    before, after = merged.get('prepend_text'), merged.get('append_text')
    merged['prepend_text'] = f'{before}\n{START_COMMAND}' if before else START_COMMAND
    merged['append_text'] = f'{END_COMMAND}\n{after}' if after else END_COMMAND
    return merged


def _ranks(resources: Mapping[str, Any], code: orm.AbstractCode) -> int:
    """Give the number of MPI ranks that resources ask for, in whichever way they do."""
    if 'tot_num_mpiprocs' in resources:
        return int(resources['tot_num_mpiprocs'])
    computer = code.computer
    default = computer.get_default_mpiprocs_per_machine() if computer is not None else None
    return int(resources.get('num_machines', 1)) * int(resources.get('num_mpiprocs_per_machine', default or 1))
