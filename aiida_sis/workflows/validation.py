"""Refuse what cannot work before anything is submitted, in one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm

from aiida_deepmd.calculations import train
from aiida_deepmd.calculations.train_settings import settings_of
from aiida_deepmd.files.backend import TENSORFLOW
from aiida_deepmd.files.input import check_maskable, check_parameters
from aiida_deepmd.frames.plausibility import MIN_DISTANCE
from aiida_sis.calculations import md
from aiida_sis.calculations.structure import check_structure, positions_of, symbols_of
from aiida_sis.core.loop.schedule import training_parameters
from aiida_sis.core.overlay import merge
from aiida_sis.core.settings.label import check_label_parameters, read_label_settings
from aiida_sis.core.settings.sis import LearningSchedule, SisSettings, check_systems, plan_replicas, read_settings
from aiida_sis.core.stage_windows import stage_windows
from aiida_sis.core.start_structure import LEAST_OPTIMISED, check_distances, check_names
from aiida_sis.workflows.cp2k_base import check_level
from aiida_sis.workflows.sampling import deviation_parameters

# Where each code is among the inputs, and the default plugins it may have; a LAMMPS that is registered for
# aiida-lammps is
# the same program.
_CODES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (('label', 'cp2k', 'cp2k'), ('cp2k',)),
    (('train', 'train'), ('deepmd.train',)),
    (('explore', 'md'), ('sis.lammps.md', 'lammps.base', 'lammps.raw')),
)


def validate_sis_inputs(inputs: Mapping[str, Any], _context: object) -> str | None:
    """Check the inputs of a SIS run against each other.

    :param inputs: the inputs of the workchain.
    :param _context: the port namespace, unused.
    :returns: one sentence that names the input, the value and the remedy, or nothing where all is well.
    """
    problem = check_inputs_names(inputs)
    if problem:
        return problem
    if not inputs.get('systems'):
        return (
            'The input systems is empty, so there is nothing to explore: give at least one start structure there; '
            'those in supporting are labelled only.'
        )
    if 'parameters' not in inputs or 'type_map' not in inputs:
        return None
    try:
        settings = read_settings(inputs['parameters'].get_dict())
    except ValueError as exception:
        return str(exception)
    return (
        _check_codes(inputs)
        or _check_roles(inputs, settings)
        or _check_structures(inputs, settings)
        or _check_labels(inputs, settings)
        or _check_elements(inputs, settings)
        or _check_training(inputs, settings)
        or _check_dynamics(inputs, settings)
    )


def check_inputs_names(inputs: Mapping[str, Any]) -> str | None:
    """Check what systems and datasets are called: each name becomes part of a label in the provenance graph.

    :param inputs: the inputs of the workchain, or what its builder is filled with.
    :returns: one sentence, or nothing.
    """
    roles = (('systems', 'system'), ('supporting', 'system'), ('datasets', 'dataset'))
    return next((problem for key, role in roles if (problem := check_names(inputs.get(key) or (), role))), None)


def validate_seed(node: orm.Int | None, _context: object) -> str | None:
    """Check the seed of a run.

    :param node: the input.
    :param _context: the port, unused.
    :returns: one sentence, or nothing.
    """
    return None if node is None or node.value >= 0 else f'`seed` is {node.value}: give a whole number of at least 0.'


def _check_codes(inputs: Mapping[str, Any]) -> str | None:
    for path, plugins in _CODES:
        values: Any = inputs
        for name in path:
            values = values.get(name, {})
        code = values.get('code')
        found = code.default_calc_job_plugin if code is not None else None
        if found is not None and found not in plugins:
            return (
                f"The code '{code.full_label}' at input {'.'.join(path)}.code is made for '{found}': "
                f"give a code whose default plugin is '{plugins[0]}'."
            )
    return None


def _check_roles(inputs: Mapping[str, Any], settings: SisSettings) -> str | None:
    """Check what the run starts from: systems, frames that were labelled before, a potential."""
    systems, supporting = inputs['systems'], inputs.get('supporting') or {}
    datasets, potential = inputs.get('datasets') or {}, inputs.get('potential')
    type_map = inputs['type_map'].get_list()
    groups = {}
    for name, node in datasets.items():
        group = node.base.attributes.get('label') or ''
        groups[name] = group
        if node.type_map != type_map:
            return (
                f"The dataset '{name}' has the type_map {node.type_map}, but that of the run is {type_map}: give "
                'the run that order (`dp.model.type_map` of the overrides), or import the frames again with the other.'
            )
    problem = check_systems(settings, list(systems), list(supporting), list(groups.values()))
    if problem:
        return problem
    if settings.start == 'explore' and potential is None:
        return "`parameters.start` is 'explore', but there is no potential to explore with: give `potential`."
    if settings.start == 'explore' and potential is not None and not potential.runs:
        return (
            '`potential` holds a checkpoint alone, which no MD can run: leave `parameters.start` out, to train first.'
        )
    if potential is not None and not potential.branches and potential.type_map != type_map:
        return f'`potential` has the type_map {potential.type_map}, but that of the run is {type_map}: use the same.'
    labelled = any(settings.system(name).initial_labels for name in (*systems, *supporting))
    if settings.start == 'train' and not labelled and not datasets:
        return (
            '`parameters.initial_labels` is 0 for every system and no dataset is given, so there is nothing to train '
            'on: give a dataset, or let a system or a structure in supporting have at least 1.'
        )
    return _check_fixed_atoms(inputs, settings)


def _check_fixed_atoms(inputs: Mapping[str, Any], settings: SisSettings) -> str | None:
    """Check the numbers of fixed atoms against the structures."""
    for name, structure in {**inputs['systems'], **(inputs.get('supporting') or {})}.items():
        fixed, n_atoms = settings.system(name).fixed_atoms, len(structure.sites)
        wrong = [number for number in fixed if not 0 <= number < n_atoms]
        if wrong:
            return f'`parameters.systems.{name}.fixed_atoms` has {wrong[0]}, but the sites are 0 to {n_atoms - 1}.'
        if n_atoms < 2:
            return f"The system '{name}' has one atom: give at least two, the temperature of one is not defined."
        if len(set(fixed)) > n_atoms - 2:
            return f'`parameters.systems.{name}.fixed_atoms` leaves fewer than two atoms to move: fix fewer.'
    return None


def _check_structures(inputs: Mapping[str, Any], settings: SisSettings) -> str | None:
    """Check the start structures by themselves; one that is optimised first may have atoms near to each other."""
    for name, structure in {**inputs['systems'], **(inputs.get('supporting') or {})}.items():
        problem = check_structure(structure)
        if problem:
            return f"The system '{name}' can't be used: {problem.replace('`structure`', 'the structure')}"
        own = settings.system(name)
        optimised = own.optimise_first and own.initial_labels and settings.start == 'train'
        least = LEAST_OPTIMISED if optimised else MIN_DISTANCE
        atoms = symbols_of(structure), positions_of(structure), np.array(structure.cell, dtype=np.float64)
        problem = check_distances(*atoms, least)
        if problem:
            mended = own.initial_labels and settings.start == 'train' and check_distances(*atoms) is None
            more = f' Or set `parameters.systems.{name}.optimise_first` to true.' if mended else ''
            return f"The system '{name}' can't be used: {problem}{more}"
    return None


def _check_labels(inputs: Mapping[str, Any], settings: SisSettings) -> str | None:
    """Check the label of every system as it will be asked for, and that its frames can train and judge a potential."""
    node = inputs.get('label', {}).get('parameters')
    given = node.get_dict() if node is not None else {}
    for name in {**inputs['systems'], **(inputs.get('supporting') or {})}:
        own = settings.system(name)
        lengths = {
            'initial_length_fs': own.initial_length_fs if own.initial_labels else None,
            'label_length_fs': own.label_length_fs,
        }
        for key, length in lengths.items():
            if length is None:
                continue
            problem = check_label_parameters(given | {'length_fs': length})
            if problem:
                return f"`{key}` of the system '{name}': {problem}"
    if check_label_parameters(given):
        return None  # its own port says so
    train, _, test = read_label_settings(given).dataset.fractions
    if not train or not test:
        return (
            f'`label.parameters.dataset.fractions` has {"no frames to train on" if not train else "no test frames"}, '
            'which a run needs to train and to judge its potentials: give [0.6, 0.2, 0.2], say.'
        )
    return None


def _check_elements(inputs: Mapping[str, Any], settings: SisSettings) -> str | None:
    type_map = inputs['type_map'].get_list()
    cp2k = inputs.get('label', {}).get('cp2k', {}).get('cp2k', {})
    parameters = cp2k.get('parameters')
    for name, structure in {**inputs['systems'], **(inputs.get('supporting') or {})}.items():
        symbols = symbols_of(structure)
        unknown = [element for element in sorted(set(symbols)) if element not in type_map]
        if unknown:
            return (
                f"The system '{name}' has {', '.join(unknown)}, which the type_map {type_map} lacks: add it to "
                'type_map, which is fixed for a whole run.'
            )
        if parameters is None:
            continue
        level = merge(parameters.get_dict(), settings.system(name).cp2k)
        problem = check_level(level, symbols, cp2k)
        if problem:
            return f"The system '{name}' cannot be labelled: {problem}"
    return None


def _check_training(inputs: Mapping[str, Any], settings: SisSettings) -> str | None:
    """Check the training of the first generation as its job would, and the input of each later one that differs."""
    job = inputs.get('train', {}).get('train', {})
    node = job.get('parameters')
    if node is None:
        return None
    parameters = node.get_dict()
    type_map = inputs['type_map'].get_list()
    given = parameters.get('model', {}).get('type_map')
    if given != type_map:
        return (
            f'The type_map {given} at train.train.parameters.model differs from the type_map {type_map} of the run: '
            'give the same elements in the same order.'
        )
    learning, potential = settings.learning, inputs.get('potential')
    options = job['settings'].get_dict() if 'settings' in job else {}
    first: dict[str, Any] = {'parameters': node, 'settings': orm.Dict(options)}
    if potential is not None and settings.max_generations > 0:
        first |= {'parent': potential, 'settings': orm.Dict({**options, 'start': learning.pretrained})}
    problem = train.validate_inputs(first, None)
    problem = problem or _check_fine_tune_rate(parameters['learning_rate'], learning)
    backend = settings_of(first).backend_facts if problem is None else TENSORFLOW
    for generation in (1, *learning.loss_by_generation):
        problem = problem or check_parameters(training_parameters(parameters, generation, learning), backend)
    fixed = [settings.system(name).fixed_atoms for name in (*inputs['systems'], *(inputs.get('supporting') or {}))]
    fixed += [dataset.fixed_atoms for dataset in (inputs.get('datasets') or {}).values()]
    if learning.mask_fixed_atoms and any(fixed):
        problem = problem or check_maskable(parameters['loss'], parameters.get('optimizer'))
    return f'The training cannot be run: {problem}' if problem else None


def _check_fine_tune_rate(rate: Mapping[str, Any], learning: LearningSchedule) -> str | None:
    """The rate falls from the start of a training to its end."""
    start, stop = learning.fine_tune_lr, rate['stop_lr']
    if start is None or start >= stop:
        return None
    return (
        f'`learning.fine_tune_lr` is {start:g}, below the {stop:g} of `parameters.learning_rate.stop_lr`: give '
        'at least that, or lower stop_lr.'
    )


def _check_dynamics(inputs: Mapping[str, Any], settings: SisSettings) -> str | None:
    """Check the MD of every stage on every system as its job would, windows included."""
    node = inputs.get('explore', {}).get('md', {}).get('parameters')
    given = node.get_dict() if node is not None else {}
    if given.get('deviation') and settings.sampling.strategy != 'committee':
        return "`explore.md.parameters.deviation` is for a committee: set the strategy 'committee', or leave it out."
    plan = plan_replicas(settings, list(inputs['systems']))
    for replica in dict.fromkeys(plan):
        name = replica.system
        fixed = settings.system(name).fixed_atoms
        try:
            windows = stage_windows(settings, replica, len(inputs['systems'][name].sites), len(plan))
        except ValueError as error:
            return str(error)
        for stage, window in zip(settings.stages, windows, strict=True):
            own = {
                'temperature_k': replica.temperature_k,
                'window_k': list(window),
                'length_ps': stage.length_ps,
                **deviation_parameters(settings.sampling),
            } | ({'fixed_atoms': list(fixed)} if fixed else {})
            parameters = orm.Dict(given | own)
            problem = md.validate_parameters(parameters, None)
            structure = inputs['systems'][name]
            problem = problem or md.validate_inputs({'structure': structure, 'parameters': parameters}, None)
            if problem:
                return f"Stage '{stage.name}', system '{name}': {problem}"
    return None
