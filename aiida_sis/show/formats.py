"""Rows as a table for people, and as CSV or JSON for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table

from aiida_sis.run.rows import Column, NodeRef, Row

__all__ = ('to_csv', 'to_json', 'to_records', 'to_table')


def to_json(rows: Sequence[Row]) -> str:
    """Give a list of objects; a node is an object with ``pk`` and ``uuid``, a missing value ``null``.

    :param rows: the rows.
    :returns: JSON text.
    """
    return json.dumps([{name: _plain(value) for name, value in row.values().items()} for row in rows], indent=2)


def to_csv(rows: Sequence[Row], kind: type[Row]) -> str:
    """Give comma-separated values with a header; a node has two columns, ``…_pk`` and ``…_uuid``.

    :param rows: the rows.
    :param kind: their class, which gives the header where there is no row.
    :returns: text with one line for each row; several nodes in one field are separated by blanks.
    """
    nodes = _node_fields(kind)
    header: list[str] = []
    for name in kind.columns():
        header += [f'{name}_pk', f'{name}_uuid'] if name in nodes else [name]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(header)
    for row in rows:
        cells: list[Any] = []
        for name, value in row.values().items():
            cells += _node_cells(value) if name in nodes else [_cell(value)]
        writer.writerow(cells)
    return text.getvalue()


def to_table(rows: Sequence[Row], kind: type[Row]) -> Table:
    """Give a table; columns in which no row has anything are left out.

    :param rows: the rows.
    :param kind: their class.
    :returns: a table of Rich.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name, column in _shown_columns(rows, kind).items():
        numeric = all(isinstance(getattr(row, name), int | float | NodeRef | None) for row in rows)
        table.add_column(column.title, justify='right' if numeric else 'left', no_wrap=True)
    for row in rows:
        table.add_row(*(_shown(getattr(row, name), c.digits) for name, c in _shown_columns(rows, kind).items()))
    return table


def to_records(rows: Sequence[Row], kind: type[Row]) -> Table:
    """Give one block of lines for each row, for a terminal that is narrower than the table.

    :param rows: the rows.
    :param kind: their class.
    :returns: a table of Rich with two columns.
    """
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style='dim', no_wrap=True)
    table.add_column(overflow='fold')
    columns = _shown_columns(rows, kind)
    for row in rows:
        for name, column in columns.items():
            title = column.title.replace('-\n', '').replace('\n', ' ')
            table.add_row(title, _shown(getattr(row, name), column.digits), end_section=False)
        table.add_row()
    return table


def _shown_columns(rows: Sequence[Row], kind: type[Row]) -> dict[str, Column]:
    """The columns of a table, by the name of the field, without those that are empty throughout."""
    return {
        name: column
        for name, column in kind.columns().items()
        if column.table and (not rows or any(getattr(row, name) not in (None, '', ()) for row in rows))
    }


def _node_fields(kind: type[Row]) -> set[str]:
    """Names of the fields that hold one node or several."""
    return {name for name, annotation in kind.__annotations__.items() if 'NodeRef' in annotation}


def _node_cells(value: NodeRef | tuple[NodeRef, ...] | None) -> list[str]:
    nodes = value if isinstance(value, tuple) else () if value is None else (value,)
    return [' '.join(str(node.pk) for node in nodes), ' '.join(node.uuid for node in nodes)]


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return ' '.join(str(item) for item in value)
    return '' if value is None else value.isoformat() if isinstance(value, datetime) else value


def _plain(value: Any) -> Any:
    if isinstance(value, NodeRef):
        return {'pk': value.pk, 'uuid': value.uuid}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _shown(value: Any, digits: int | None) -> str:
    if value is None:
        return ''
    if isinstance(value, tuple):
        return ' '.join(str(item) for item in value)
    if isinstance(value, datetime):
        return f'{value.astimezone():%Y-%m-%d %H:%M}'
    return f'{value:.{digits}f}' if digits is not None else str(value)
