"""What is taken over from a run of somebody else: by name, so that nothing unforeseen reaches a shell here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.core.loop.clock_marks import END_COMMAND, START_COMMAND

__all__ = ('job_options', 'take_over')

#: One name in the label of a link; the parts of it are between double underscores.
_NAME = '[A-Za-z0-9]+(_[A-Za-z0-9]+)*'
#: Inputs that are read and checked before they are used, by their links; ``*`` is one name.
_TAKEN = (
    'type_map',
    'potential',
    'supporting__*',
    'label__parameters',
    'label__cp2k__cp2k__parameters',
    'label__cp2k__cp2k__file__*',
    'label__cp2k__cp2k__basissets__*',
    'label__cp2k__cp2k__pseudos__*',
    'label__cp2k__max_iterations',
    'label__cp2k__clean_workdir',
    'train__train__settings',
    'train__force_rmse_max',
    'train__max_extensions',
    'train__min_improvement',
    'train__max_iterations',
    'train__clean_workdir',
    'explore__md__parameters',
    'explore__max_iterations',
    'explore__clean_workdir',
)
#: Inputs that the new run has in another way.
_REPLACED = (
    'parameters',
    'seed',
    'systems__*',
    'datasets__*',
    'train__train__parameters',
    'label__cp2k__cp2k__code',
    'train__train__code',
    'explore__md__code',
)
#: Numbers that hold on any machine.
_RESOURCES = (
    'num_machines',
    'num_mpiprocs_per_machine',
    'tot_num_mpiprocs',
    'num_cores_per_machine',
    'num_cores_per_mpiproc',
)
#: What the keywords of CP2K end with that name a file.
_FILES = ('FILE_NAME', 'FILENAME', 'DIRECTORY', 'PROJECT', 'PROJECT_NAME')
#: What an option without effect here is.
_NOTHING: tuple[Any, ...] = (None, '', [], {}, False)


def take_over(run: orm.ProcessNode) -> tuple[Any, list[str]]:
    """Fill a builder with those inputs of a run that can be used on any machine.

    :param run: the node of the run.
    :returns: the builder, and a line for each input that was left out.
    :raises ValueError: in one sentence, for an input that reaches for files outside of its job.
    """
    builder: Any = run.process_class.get_builder()
    dropped = []
    for link in run.base.links.get_incoming(link_type=LinkType.INPUT_WORK).all():
        name = link.link_label
        if _is_one_of(name, _TAKEN):
            _check_filename(link.node)
            *path, last = name.split('__')
            namespace = builder
            for part in path:
                namespace = namespace[part]
            namespace[last] = link.node
        elif not _is_one_of(name, _REPLACED):
            dropped.append(f'input {name.replace("__", ".")} (node {link.node.pk})')
    check_files(run.inputs.label.cp2k.cp2k.parameters.get_dict())
    builder.metadata.label = run.label
    return builder, sorted(dropped)


def job_options(run: orm.ProcessNode, path: tuple[str, ...], keep: bool) -> tuple[dict[str, Any], list[str]]:
    """Give the options of the jobs of one code, as far as they hold on this machine.

    :param run: the node of the run.
    :param path: where the job is among the inputs of a run.
    :param keep: keep all of them.
    :returns: the options, with the lines that write down when the code ran; and a line for each that was left out.
    """
    values: Any = run.get_metadata_inputs() or {}
    for name in (*path, 'metadata'):
        values = values.get(name, {}) if isinstance(values, Mapping) else {}
    given = dict(values.get('options', {}))
    if keep:
        return given, []
    resources = given.pop('resources', {})
    counts = {key: resources[key] for key in _RESOURCES if _is_count(resources.get(key))}
    options: dict[str, Any] = {'resources': {'num_machines': 1} | counts}
    lines = [f'option resources.{key}: {value!r}' for key, value in resources.items() if key not in counts]
    if _is_count(given.get('max_wallclock_seconds')):
        options['max_wallclock_seconds'] = given.pop('max_wallclock_seconds')
    if isinstance(given.get('withmpi'), bool):
        options['withmpi'] = given.pop('withmpi')
    for key, mark in (('prepend_text', START_COMMAND), ('append_text', END_COMMAND)):
        own = '\n'.join(line for line in str(given.pop(key, '')).splitlines() if line.strip() not in ('', mark))
        options[key] = mark
        if own:
            lines.append(f'option {key}: {own!r}')
    lines += [f'option {key}: {value!r}' for key, value in sorted(given.items()) if value not in _NOTHING]
    return options, lines


def check_files(parameters: Mapping[str, Any]) -> None:
    """Refuse a CP2K input that reads or writes files outside of the folder of its job.

    :param parameters: CP2K's input tree.
    :raises ValueError: in one sentence that names the keyword and its value.
    """
    for key, value in _keywords(parameters):
        text = str(value)
        name = key.rpartition('.')[2].upper()
        # CP2K takes a name after `=` as it is, and `@INCLUDE` reads any file.
        outside = name.endswith(_FILES) and re.search(r'^\s*=?\s*["\']?\s*[/~$]|(^|/|=)\.\.(/|$)', text)
        if '@' in name or '\n' in text or outside:
            raise ValueError(
                f"The CP2K input of the run has {key} {text!r}, which reaches outside of the job's folder: start a new "
                'run with a level of theory of your own.'
            )


def _check_filename(node: orm.Node) -> None:
    """Refuse a file whose name would put it elsewhere than into the folder of its job."""
    name = node.base.attributes.get('filename', None)
    if name is not None and not re.fullmatch(r'[A-Za-z0-9_][A-Za-z0-9_.+-]*', str(name)):
        raise ValueError(f'The file of node {node.pk} is called {name!r}: store it again under a plain name.')


def _keywords(tree: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """All keywords of an input tree with their values, those of repeated sections too."""
    for part in tree if isinstance(tree, list) else [tree]:
        if isinstance(part, Mapping):
            for key, value in part.items():
                if '@' in str(key):
                    yield f'{path}{key}', value
                yield from _keywords(value, f'{path}{key}.')
        else:
            yield path.rstrip('.'), part


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether the label of a link fits one of some patterns."""
    return any(re.fullmatch(pattern.replace('*', _NAME), name) for pattern in patterns)
