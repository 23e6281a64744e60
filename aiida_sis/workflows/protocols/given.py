"""What a user gives beside a protocol, refused in one sentence where it can't be meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiida import orm
from aiida.common.exceptions import MultipleObjectsError, NotExistent

from aiida_deepmd.settings import nearest_key
from aiida_sis.core.overlay import is_other_variant, merge
from aiida_sis.core.settings.hybrid import HybridSettings
from aiida_sis.core.settings.label import LabelSettings
from aiida_sis.core.settings.md import MdSettings
from aiida_sis.core.settings.sis import LearningSchedule, SamplingSettings, SisSettings, SystemSettings
from aiida_sis.core.settings.train import TrainJobSettings, TrainSettings
from aiida_sis.workflows.protocols.removal import check_removal

CODES = ('cp2k', 'dp', 'lmp')
SECTIONS = ('sis', 'label', 'cp2k', 'dp', 'train', 'md', 'options')
_LEAVE_OUT = 'the run sets it, so leave it out'
#: What the run says to its parts itself, by its path in the overrides, and where the user says it instead.
_SET_BY_SIS = {
    'label.temperature_k': "set temperature_k in the section 'sis', or temperatures_k of the system there",
    'label.optimise_first': 'set sis.optimise_first',
    'label.fixed_atoms': "set fixed_atoms of the system in 'sis.systems'",
    'label.label': _LEAVE_OUT,
    'md.temperature_k': "set temperature_k in the section 'sis', or temperatures_k of the system there",
    'md.window_k': "set window_k of the stages in the section 'sis'",
    'md.length_ps': "set length_ps of the stages in the section 'sis'",
    'md.fixed_atoms': "set fixed_atoms of the system in 'sis.systems'",
    'md.deviation': "set strategy: committee and its trust_levels in 'sis.sampling'",
    'md.elapsed_ps': _LEAVE_OUT,
    'train.settings.weights': "set the share of every system in 'sis.systems'",
    'train.settings.mask_fixed_atoms': 'set sis.learning.mask_fixed_atoms',
    'train.settings.budget': 'set train.budget',
    'train.settings.start': 'set sis.learning.pretrained',
    'cp2k.GLOBAL.RUN_TYPE': _LEAVE_OUT,
    'cp2k.GLOBAL.SEED': 'set the seed of the run',
    'cp2k.MOTION.MD.STEPS': 'set label.length_fs',
    'cp2k.MOTION.MD.TIMESTEP': 'set label.timestep_fs',
    'cp2k.MOTION.MD.TEMPERATURE': 'set sis.temperature_k',
    'cp2k.MOTION.MD.ENSEMBLE': _LEAVE_OUT,
}
#: Where a key is at home that was written at the top of the overrides.
_HOMES: dict[str, Any] = {
    'sis': SisSettings.model_fields,
    'label': LabelSettings.model_fields,
    'md': MdSettings.model_fields,
    'sis.stages': ('window_k', 'length_ps'),
    'sis.sampling': SamplingSettings.model_fields,
    'sis.learning': LearningSchedule.model_fields,
    'sis.systems.NAME': SystemSettings.model_fields,
    'train': TrainSettings.model_fields,
    'train.settings': TrainJobSettings.model_fields,
}
#: What a hybrid run takes over from the section of the SIS run.
_HYBRID_TAKES = ('temperature_k', 'stages', 'initial_length_fs', 'optimise_first', 'learning', 'clean_workdir')
#: The sections at the top of CP2K's input.
_CP2K_SECTIONS = (
    *('ATOM', 'DEBUG', 'EXT_RESTART', 'FARMING', 'FORCE_EVAL', 'GLOBAL', 'MOTION', 'MULTIPLE_FORCE_EVALS', 'NEGF'),
    *('OPTIMIZE_BASIS', 'OPTIMIZE_INPUT', 'SWARM', 'TEST', 'VIBRATIONAL_ANALYSIS'),
)
_KINDS: dict[Any, str] = {
    int: 'a whole number',
    bool: 'true or false',
    str: 'text',
    dict: 'a dictionary',
    list: 'a list',
}


_MADE_BY = {
    'structure': '`aiida-sis build`',
    'dataset': '`aiida-sis import-dataset`',
    'potential': '`aiida-sis import-model`',
    'run': '`aiida-sis import`, or a run that was submitted,',
}


def check_overrides(overrides: Any, protocol: Mapping[str, Any]) -> None:
    """Refuse what is unknown, in the wrong place, of the wrong kind, or set by the run; the ports check the rest.

    :param overrides: what the user wrote.
    :param protocol: what it is laid over.
    :raises ValueError: in one sentence.
    """
    if not isinstance(overrides, Mapping):
        raise ValueError(f'The overrides are {overrides!r}: give a dictionary with the layout of the protocol.')
    for key in overrides:
        if key not in SECTIONS:
            raise ValueError(f"The override '{key}' is unknown: {_home(str(key))}")
    _check_shape(overrides, protocol, '')
    for path, remedy in _SET_BY_SIS.items():
        if _has(overrides, path):
            raise ValueError(f"The override '{path}' has no effect: {remedy}.")
    TrainSettings.read(merge({}, overrides.get('train', {})), "overrides of 'train'")
    trees = {'cp2k': overrides.get('cp2k', {})}
    systems = overrides.get('sis', {}).get('systems')
    if not isinstance(systems, Mapping | None):
        raise ValueError(f"The override 'sis.systems' is {systems!r}, but it must be a dictionary of settings by name.")
    for name, own in (systems or {}).items():
        if not isinstance(own, Mapping | None):
            raise ValueError(f"The override 'sis.systems.{name}' is {own!r}, but it must be a dictionary of settings.")
        if own and isinstance(own.get('cp2k'), Mapping):
            trees[f'sis.systems.{name}.cp2k'] = own['cp2k']
            _check_shape(own['cp2k'], protocol.get('cp2k', {}), f'sis.systems.{name}.cp2k.')
    for path, tree in trees.items():
        _check_cp2k(tree, path)
    check_removal(overrides, protocol)


def split_overrides(overrides: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take the section of a hybrid run out of its overrides, and refuse what a hybrid run does not look at.

    :param overrides: what the user wrote.
    :returns: the overrides of the protocol, and those of the section ``hybrid``.
    :raises ValueError: in one sentence.
    """
    if not isinstance(overrides, Mapping):
        raise ValueError(f'The overrides are {overrides!r}: give a dictionary with the layout of the protocol.')
    changes = dict(overrides)
    own = changes.pop('hybrid', {})
    if not isinstance(own, Mapping):
        raise ValueError(f"The override 'hybrid' is {own!r}, but it must be a dictionary of settings.")
    sis = changes.get('sis', {})
    for key in sis if isinstance(sis, Mapping) else ():
        if key in SisSettings.model_fields and key not in _HYBRID_TAKES:
            remedy = "set fixed_atoms in the section 'hybrid'" if key == 'systems' else 'leave it out'
            raise ValueError(f"The override 'sis.{key}' has no effect in a hybrid run: {remedy}.")
    for key in changes:
        if key in HybridSettings.model_fields and key not in SECTIONS:
            raise ValueError(f"The override '{key}' is unknown: it belongs into 'hybrid'.")
    return changes, dict(own)


def _home(key: str) -> str:
    """Say where a key belongs that is no section."""
    if key == 'hybrid':
        return 'it belongs to HybridWorkChain only.'
    section, _, rest = key.partition('.')
    if rest and section in SECTIONS:
        nested = f"{{'{rest}': …}}" if '.' not in rest else '{…}'
        return f"write it as nested dictionaries, {{'{section}': {nested}}}."
    homes = [home for home, keys in _HOMES.items() if key in keys and f'{home}.{key}' not in _SET_BY_SIS]
    return f"it belongs into '{homes[0]}'." if homes else nearest_key(key, SECTIONS)


def _check_shape(changes: Mapping[Any, Any], base: Mapping[str, Any], where: str) -> None:
    """Refuse keys that are no text, and anything but a dictionary in the place of a dictionary."""
    replaced = is_other_variant(base, changes)
    for key, value in changes.items():
        if not isinstance(key, str):
            if where == 'sis.learning.loss_by_generation.':
                continue
            raise ValueError(f"The key {key!r} of the overrides ('{where.rstrip('.')}') is no text: give its name.")
        below = base.get(key)
        if isinstance(value, Mapping):
            _check_shape(value, below if isinstance(below, Mapping) else {}, f'{where}{key}.')
        elif isinstance(below, Mapping) and not replaced and (value is not None or not where):
            raise ValueError(
                f"The override '{where}{key}' is {value!r}, but it must be a dictionary; the protocol's has "
                f'{", ".join(map(str, below)) or "no key"}.'
            )


def _has(tree: Any, path: str) -> bool:
    for key in path.split('.'):
        if not isinstance(tree, Mapping) or key not in tree:
            return False
        tree = tree[key]
    return True


def _check_cp2k(tree: Mapping[str, Any], path: str) -> None:
    """Refuse what aiida-cp2k or CP2K would refuse once the job is there: unknown sections and small letters."""
    for key in tree:
        if key.upper() not in _CP2K_SECTIONS:
            raise ValueError(
                f"The override '{path}.{key}' is no section at the top of CP2K's input (the level of theory is in "
                f'FORCE_EVAL): {nearest_key(key, _CP2K_SECTIONS)}'
            )
    for key in _keys(tree, path):
        name = key.rpartition('.')[2]
        if name != name.upper():
            raise ValueError(f"The override '{key}' must be in capitals, as CP2K's keywords are here: {name.upper()}.")


def _keys(tree: Any, path: str) -> Iterator[str]:
    """The path of each key, in lists of sections too."""
    for part in tree if isinstance(tree, list) else [tree]:
        if isinstance(part, Mapping):
            for key, value in part.items():
                yield f'{path}.{key}'
                yield from _keys(value, f'{path}.{key}')


def check_nodes(what: str, nodes: Any, kind: type[orm.Data], title: str) -> None:
    """Refuse what is no dictionary of nodes of a kind.

    :param what: name of the argument.
    :param nodes: what the user gave.
    :param kind: the class of the nodes.
    :param title: what such a node is called.
    :raises ValueError: in one sentence.
    """
    if not isinstance(nodes, Mapping):
        raise ValueError(f"`{what}` is {_short(nodes)}: give a dictionary of {title}s by name, {{'name': …}}.")
    for name, node in nodes.items():
        if not isinstance(name, str):
            raise ValueError(f'`{what}` has the name {name!r}, which is no text: write it in quotes.')
        check_node(f'{what}.{name}', node, kind, title)


def check_node(what: str, node: Any, kind: type[orm.Node], title: str) -> None:
    """Refuse what is no node of a kind.

    :param what: name of the argument.
    :param node: what the user gave.
    :param kind: the class of the node.
    :param title: what such a node is called.
    :raises ValueError: in one sentence that says how to make one of what was given.
    """
    if isinstance(node, kind):
        return
    remedy = f'give the node; {_MADE_BY[title]} makes one'
    if isinstance(node, int) and not isinstance(node, bool):
        remedy = f'load it by `orm.load_node({node})`'
    elif title == 'structure' and type(node).__name__ == 'Atoms':
        remedy = 'give `orm.StructureData(ase=atoms)`'
    raise ValueError(f'`{what}` is {_short(node)}, not a {title}: {remedy}.')


def _short(value: Any) -> str:
    """Name a value in a few words."""
    return repr(value) if isinstance(value, (int, float, str, type(None))) else f'of the type {type(value).__name__}'


def check_structures(what: str, structures: Mapping[str, orm.StructureData]) -> None:
    """Refuse structures of which neither a descriptor nor CP2K can make anything.

    :param what: name of the argument.
    :param structures: structures by name.
    :raises ValueError: in one sentence.
    """
    for name, node in structures.items():
        if not node.sites:
            raise ValueError(f"The structure '{name}' in {what} has no atoms: give one with atoms.")
        if node.is_alloy or node.has_vacancies:
            raise ValueError(
                f"The structure '{name}' in {what} has sites that are shared by elements or partly empty: put one "
                'whole atom on each site that is filled.'
            )
        if any(node.pbc) and node.get_cell_volume() < 1e-6:
            raise ValueError(f"The cell of '{name}' in {what} has no volume: give three independent cell vectors.")


def load_codes(codes: Any) -> dict[str, orm.AbstractCode]:
    """Load the codes that were named.

    :param codes: codes or labels by key.
    :returns: the codes.
    :raises ValueError: in one sentence, for a key or a code that is missing, unknown or not clear.
    """
    if not isinstance(codes, Mapping):
        raise ValueError(f'`codes` is {codes!r}: give a dictionary with a code or its label for {_list(CODES)}.')
    for key in codes:
        if key not in CODES:
            raise ValueError(f"The code key '{key}' is unknown: {nearest_key(str(key), CODES)}")
    missing = [key for key in CODES if key not in codes]
    if missing:
        raise ValueError(f'The codes lack {_list(missing)}: give a code or its label for each of {_list(CODES)}.')
    return {key: _load_code(key, code) for key, code in codes.items()}


def _load_code(key: str, code: Any) -> orm.AbstractCode:
    if isinstance(code, orm.AbstractCode):
        return code
    if not isinstance(code, str) or not code:
        raise ValueError(f'The code {key} is {code!r}: give a code, or its label such as {key}@localhost.')
    try:
        loaded: orm.AbstractCode = orm.load_code(code)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        # The class of all codes has no node type of its own that a query could ask for.
        known = orm.QueryBuilder().append(orm.Data, filters={'node_type': {'like': 'data.core.code.%'}}).all(flat=True)
        labels = sorted({node.full_label for node in known})
        if isinstance(error, MultipleObjectsError):
            named = [label for label in labels if label.partition('@')[0] == code.partition('@')[0]]
            raise ValueError(f"There are several codes '{code}': give one of {_list(named)}.") from error
        remedy = nearest_key(code, labels).replace('keys', 'labels') if labels else 'make it by `aiida-sis setup`.'
        raise ValueError(f"There is no code '{code}': {remedy}") from error
    return loaded


def check_options(given: Any, namespace: Any, where: str) -> None:
    """Check scheduler options against the ports of a job.

    :param given: the options.
    :param namespace: the ports.
    :param where: where the user wrote them.
    :raises ValueError: in one sentence that names the option, its value and the remedy.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f'{where} are {given!r}: give a dictionary such as {{"max_wallclock_seconds": 3600}}.')
    for key, value in given.items():
        if key not in namespace:
            raise ValueError(f"{where} have the unknown option '{key}': {nearest_key(str(key), [*CODES, *namespace])}")
        allowed = namespace[key].valid_type
        allowed = allowed if isinstance(allowed, tuple) else (allowed,)
        kinds = [kind for kind in allowed if kind in _KINDS]
        fits = isinstance(value, tuple(kinds)) and (bool in kinds or not isinstance(value, bool))
        if kinds and not fits and not (value is None and type(None) in allowed):
            raise ValueError(
                f'{where} have {key} {value!r}, but it must be {" or ".join(_KINDS[kind] for kind in kinds)}.'
            )
    seconds = given.get('max_wallclock_seconds')
    if seconds is not None and seconds < 1:
        raise ValueError(f'{where} have max_wallclock_seconds {seconds}: give the seconds a job may take, above 0.')
    if 'resources' not in given:
        return
    if not given['resources']:
        raise ValueError(f'{where} have empty resources: give num_machines and num_mpiprocs_per_machine.')
    for key, value in given['resources'].items():
        if key.startswith(('num_', 'tot_')) and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f'{where} have resources.{key} {value!r}, but it must be a whole number above 0.')


def _list(names: Any) -> str:
    return ', '.join(names)
