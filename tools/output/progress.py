"""Bars on standard error while a person waits for long work, drawn by `rich`; elsewhere nothing is drawn.

with progress("reading orders", total=20_000) as advance:
    advance(500)
with bars(["one", "another"]) as show:
    show("one", 3, 100)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tools.output.tables import is_terminal


@contextmanager
def progress(label: str, total: int | None, *, wanted: bool = True) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with how much has been done since; `total` None: it is not known how much there is."""
    if not wanted or not is_terminal(sys.stderr):
        yield lambda _: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(label, total=total)
        yield lambda done: drawn.advance(task, done)


@contextmanager
def bars(labels: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function to call with a label, how much of it has been done, and how much there is; from any thread."""
    if not is_terminal(sys.stderr):
        yield lambda label, done, total: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        yield lambda label, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        tasks = {label: drawn.add_task(label, total=None) for label in labels}
        yield lambda label, done, total: drawn.update(tasks[label], completed=done, total=total)
