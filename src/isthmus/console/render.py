"""Tables and errors, for people. What is for programs is in `shown.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import click


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as what is in them, as kubectl prints them; empty cells are shown as they are."""
    lines = [tuple(head), *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def render_rows(rows: Sequence[Any], hidden: frozenset[str] = frozenset()) -> str:
    """A table of structs, with one column for each field but those that are hidden."""
    if not rows:
        return "nothing found"
    fields = [name for name in rows[0].__struct_fields__ if name not in hidden]
    head = [name.replace("_", " ").upper() for name in fields]
    return table(head, [[_cell(getattr(row, name)) for name in fields] for row in rows])


def _cell(value: object) -> str:
    return "-" if value == "" else str(value).lower() if isinstance(value, bool) else str(value)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what went wrong on standard error and end with `code`."""
    click.echo(f"error: {message}", err=True)
    sys.exit(code)
