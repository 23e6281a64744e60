"""Refuse what cannot work before anything is submitted, in one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sis.core.cp2k import check_elements
from aiida_sis.core.settings import SisSettings, read_settings
from aiida_sis.core.stability import degrees_of_freedom, validate_window

# Where each code is among the inputs, and the default plugins it may have; a LAMMPS that is registered for
# aiida-lammps is
# the same program.
_CODES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (('label', 'cp2k', 'cp2k'), ('cp2k',)),
    (('train', 'train'), ('sis.deepmd.train',)),
    (('explore', 'md'), ('sis.lammps.md', 'lammps.base', 'lammps.raw')),
)


def validate_sis_inputs(inputs: Mapping[str, Any], _context: object) -> str | None:
    """Check the inputs of a SIS run against each other.

    :param inputs: the inputs of the workchain.
    :param _context: the port namespace, unused.
    :returns: one sentence that names the input, the value and the remedy, or nothing where all is well.
    """
    if not inputs.get('systems'):
        return 'The input systems is empty: give at least one start structure to explore.'
    if 'parameters' not in inputs or 'type_map' not in inputs:
        return None
    try:
        settings = read_settings(inputs['parameters'].get_dict())
    except ValueError as exception:
        return str(exception)
    for check in (_check_codes(inputs), _check_elements(inputs), _check_windows(inputs['systems'], settings)):
        if check:
            return check
    return None


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


def _check_elements(inputs: Mapping[str, Any]) -> str | None:
    type_map = inputs['type_map'].get_list()
    parameters = inputs.get('label', {}).get('cp2k', {}).get('cp2k', {}).get('parameters')
    for name, structure in inputs['systems'].items():
        elements = sorted(_symbols(structure))
        unknown = [element for element in elements if element not in type_map]
        if unknown:
            return (
                f"The system '{name}' has {', '.join(unknown)}, which the type_map {type_map} lacks: add it to "
                'type_map, which is fixed for a whole run.'
            )
        problem = check_elements(parameters.get_dict(), elements) if parameters is not None else None
        if problem:
            return f"The system '{name}' cannot be labelled: {problem}"
    return None


def _check_windows(systems: Mapping[str, orm.StructureData], settings: SisSettings) -> str | None:
    for name, structure in systems.items():
        n_dof = degrees_of_freedom(len(structure.sites))
        for stage in settings.stages:
            problem = validate_window(stage.window_k, settings.temperature_k, n_dof, stage.length_ps)
            if problem:
                return f"Stage '{stage.name}', system '{name}': {problem}"
    return None


def _symbols(structure: orm.StructureData) -> set[str]:
    return {symbol for kind in structure.kinds for symbol in kind.symbols}
