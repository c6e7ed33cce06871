"""A table, in the three forms in which it is read.

* On a terminal it is drawn by the library `rich` (extra `cli`), if that is installed and the terminal wide enough;
  columns in which no row has anything are left out.
* Elsewhere it is aligned columns with a heading, as Kafka's tools print, for `awk` and eyes; or, where Kafka's tool has
  lines of its own (`kafka-topics.sh --describe`), those lines.
* With `--json` it is one array of objects. Their keys are the headings in lower case with underscores, and their values
  keep their types: numbers are numbers, lists are lists, and what is not known is null.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TextIO, TypeAlias

Value: TypeAlias = Any
"""A string, number, truth value, None, or a list or dict of these."""

WIDEST = 60
"""Columns are aligned no further than this: one long name does not push all others off the screen."""

GAP = 3
HEADING = 16
"""A drawn column is at least as wide as its heading, or this: a narrow terminal folds values rather than headings."""


class Table(NamedTuple):
    """Headings in Kafka's spelling (`CURRENT-OFFSET`), and a tuple of as many values for each row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def objects(self) -> list[dict[str, Value]]:
        """What `--json` prints."""
        keys = [column.lower().replace("-", "_").replace(" ", "_") for column in self.columns]
        return [dict(zip(keys, row, strict=True)) for row in self.rows]


def show(table: Table, *, as_json: bool, lines: Iterable[str] | None = None) -> None:
    """Print a table in the form that its reader wants. `lines` are Kafka's own, for where no person is looking."""
    if as_json:
        show_json(table.objects())
    elif is_terminal(sys.stdout) and (console := _console()) is not None and _fits(table, console.width):
        _draw(table, console)
    elif lines is not None:
        for line in lines:
            print(line)
    else:
        for line in aligned(table):
            print(line)


def show_json(value: Value) -> None:
    """One JSON document: indented on a terminal, in one line elsewhere."""
    print(json.dumps(value, indent=2 if is_terminal(sys.stdout) else None, ensure_ascii=False))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person is looking."""
    return stream is not None and stream.isatty()


def aligned(table: Table) -> list[str]:
    """The table as lines of columns with blanks between them."""
    cells = [list(table.columns), *([text(value) for value in row] for row in table.rows)]
    widths = [min(WIDEST, max(map(len, column))) for column in zip(*cells, strict=True)]
    return [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def text(value: Value) -> str:
    """A value as it is read: `-` for what is not known, as Kafka's tools have it, and for what is empty, so that a
    column stays a column for `awk`."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(text, value)) or "-"
    if isinstance(value, dict):
        return ",".join(f"{key}={text(each)}" for key, each in value.items())
    return str(value)


def _console() -> Any:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=sys.stdout, highlight=False)


def _told(table: Table) -> list[int]:
    """The columns in which some row has something."""
    every = range(len(table.columns))
    return [at for at in every if not table.rows or any(text(row[at]) != "-" for row in table.rows)]


def _fits(table: Table, width: int) -> bool:
    """Whether a terminal has room for all headings: rich would leave out the last columns rather than fold them."""
    return sum(min(len(table.columns[at]), HEADING) + GAP for at in _told(table)) <= width


def _draw(table: Table, console: Any) -> None:
    from rich import box
    from rich.table import Table as Drawn

    drawn = Drawn(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    told = _told(table)
    for at in told:
        numbers = all(isinstance(row[at], int | float) for row in table.rows) and bool(table.rows)
        column = table.columns[at]
        drawn.add_column(
            column, justify="right" if numbers else "left", overflow="fold", min_width=min(len(column), HEADING)
        )
    for row in table.rows:
        drawn.add_row(*(_escaped(text(row[at])) for at in told))
    console.print(drawn)


def _escaped(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)
