"""``aiida-sis protocol``: what a protocol with overrides comes to, before anything is submitted."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from aiida_sis.setup.profile import point_to_nothing

__all__ = ('as_yaml', 'protocol', 'read_overrides')


@click.command()
@click.argument('name', required=False)
@click.option(
    '--overrides',
    'file',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Changes in YAML (or JSON, where the name ends with .json), laid out like the protocol.',
)
@click.option('-s', '--section', 'sections', multiple=True, help='Show this section only; may be repeated.')
def protocol(name: str | None, file: Path | None, sections: tuple[str, ...]) -> None:
    """Show a protocol in YAML, with overrides laid over it, or list the protocols.

    Overrides and training input are checked as at a submission, as far as that is possible without structures. Nothing
    is submitted, and no profile is needed.

    Example: aiida-sis protocol fast --overrides changes.yaml --section dp
    """
    point_to_nothing()
    from aiida_deepmd.settings import nearest_key
    from aiida_sis.workflows.protocols import list_protocols, load_protocol

    if name is None:
        if file is not None or sections:
            raise click.UsageError(f'Name the protocol to show: {", ".join(list_protocols())}.')
        for title, description in list_protocols().items():
            click.echo(f'{title:<10} {description}')
        return
    try:
        values = load_protocol(name, {} if file is None else read_overrides(file))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for section in sections:
        if section not in values:
            raise click.BadParameter(f"'{section}' is no section: {nearest_key(section, values)}")
    _check_training(values['dp'])
    click.echo(as_yaml({key: value for key, value in values.items() if not sections or key in sections}))


def as_yaml(values: Mapping[str, Any]) -> str:
    """Write plain values as a protocol writes them: what holds no other dictionary on one line.

    :param values: the values.
    """
    text: str = yaml.safe_dump(dict(values), default_flow_style=None, sort_keys=False, width=120)
    return text.rstrip()


def read_overrides(file: Path) -> Any:
    """Read overrides from a file; an empty one changes nothing.

    :param file: YAML, or JSON where the name says so.
    """
    text = file.read_text(encoding='utf-8')
    try:
        return json.loads(text) if file.suffix == '.json' else yaml.safe_load(text) or {}
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise click.ClickException(f'{file} cannot be read: {" ".join(str(error).split())}') from error


def _check_training(parameters: Mapping[str, Any]) -> None:
    """Check the training input with one element in place of those of the structures."""
    from aiida_deepmd.files.backend import descriptors
    from aiida_deepmd.files.input import check_parameters

    trial = copy.deepcopy(dict(parameters))
    trial['model'].setdefault('type_map', ['H'])
    part: Any
    for part in descriptors(trial['model']):
        if part.get('sel') in (None, 'auto'):
            part['sel'] = [1]
    problem = check_parameters(trial)
    if problem:
        raise click.ClickException(f'The training cannot be run: {problem}')
