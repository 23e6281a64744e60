"""The directive ``settings-table``: a table made from the fields of a model of settings."""

from __future__ import annotations

import importlib
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_LIMITS = (('exclusiveMinimum', '>'), ('minimum', '≥'), ('exclusiveMaximum', '<'), ('maximum', '≤'))
_SETTINGS = {'': 'settings', 'N.': 'list of settings', 'NAME.': 'settings by name'}
_BAR = r'\|'
_KINDS = {'number': 'number', 'integer': 'whole number', 'boolean': 'true or false', 'string': 'text'}


class SettingsTable(SphinxDirective):
    """Write one row for each key: its name, what it may be, its default and its meaning.

    The argument is the path of the model; keys of models inside it follow with their path.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Give the table."""
        module, _, name = self.arguments[0].rpartition('.')
        model: type[BaseModel] = getattr(importlib.import_module(module), name)
        self.env.note_dependency(importlib.import_module(module).__file__ or '')
        schema = model.model_json_schema()
        lines = ['| key | value | default | meaning |', '|---|---|---|---|', *rows(schema, schema.get('$defs', {}))]
        container = nodes.Element()
        self.state.nested_parse(StringList(lines, source=self.arguments[0]), self.content_offset, container)
        return container.children


def rows(schema: dict[str, Any], parts: dict[str, Any], prefix: str = '') -> list[str]:
    """Write the rows of a model and of the models inside it.

    :param schema: JSON schema of the model.
    :param parts: the schemas of the models inside it, by name.
    :param prefix: the path of the model.
    """
    found = []
    for key, field in schema['properties'].items():
        inner, step = _inside(field, parts)
        default = 'required' if key in schema.get('required', ()) else _default(field)
        value = _SETTINGS[step] if inner else _value(field)
        # Where a field has the description of its model, Pydantic leaves it out.
        meaning = ' '.join((field.get('description') or (inner or {}).get('description', '')).split())
        found.append(f'| `{prefix}{key}` | {value} | {default} | {meaning.replace("|", _BAR)} |')
        if inner:
            found += rows(inner, parts, f'{prefix}{key}.{step}')
    return found


def _inside(field: dict[str, Any], parts: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Give the model in a field, if there is one, and what stands in the path for its number or its name."""
    for kind in (field, *field.get('anyOf', ())):
        for place, step in ((kind, ''), (kind.get('items', {}), 'N.'), (kind.get('additionalProperties'), 'NAME.')):
            if isinstance(place, dict) and '$ref' in place:
                return parts[place['$ref'].rpartition('/')[2]], step
    return None, ''


def _default(field: dict[str, Any]) -> str:
    value = field.get('default', '')
    return '' if value in ([], '') else f'`{str(value).lower() if isinstance(value, bool) else value}`'


def _value(field: dict[str, Any]) -> str:
    """Say in words what a value may be."""
    if 'anyOf' in field:
        return ' or '.join(_value(kind) for kind in field['anyOf'] if kind.get('type') != 'null')
    if 'enum' in field:
        return ', '.join(f'`{value}`' for value in field['enum'])
    if field.get('type') == 'array':
        several = field.get('prefixItems')
        return f'{len(several)} × {_value(several[0])}' if several else f'list of: {_value(field["items"])}'
    if field.get('type') == 'object':
        return 'dictionary'
    limits = [f'{sign} {field[name]:.12g}' for name, sign in _LIMITS if name in field]
    return ' '.join([_KINDS[field['type']], ', '.join(limits)]).strip()


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive.

    :param app: Sphinx.
    """
    app.add_directive('settings-table', SettingsTable)
    return {'parallel_read_safe': True}
