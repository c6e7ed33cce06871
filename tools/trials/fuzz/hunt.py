"""One process of `python -m tools.trials fuzz`: one target, mutated inputs, until the time is over.

Run as `trials.fuzz.hunt PACKAGE NAME FINDINGS [libFuzzer's options and corpus folders]`. What libFuzzer says
goes to the standard error, where `command.py` reads it.

The decoders of messages are compiled from generated source, which atheris cannot see when it instruments imports; they
are instrumented as they are made.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

MEMORY_ONE_IN = 16
"""Of so many inputs the memory of one is measured."""


def main(arguments: list[str]) -> None:
    """Hunt until libFuzzer ends the process."""
    package, name, findings, *options = arguments
    import atheris

    with atheris.instrument_imports(include=["kproto", "storage", "broker"], enable_loader_override=False):
        from kproto.schema import compile as compiler
        from kproto.tests.fuzz import bounds
        from kproto.tests.fuzz.families import Family

        target = Family(package, name).target()
    bounds.sampling.one_in = MEMORY_ONE_IN
    execute: Callable[..., Any] = vars(compiler)["_execute"]

    def execute_instrumented(*given: Any) -> Any:
        return atheris.instrument_func(execute(*given))

    vars(compiler)["_execute"] = execute_instrumented
    atheris.Setup([f"python -m tools.trials fuzz {name}", *options], Watched(target, Path(findings)))
    atheris.Fuzz()


class Watched:
    """A target whose complaints are written down instead of ending the process."""

    def __init__(self, target: Callable[[bytes], None], findings: Path) -> None:
        self._target = target
        self._findings = findings
        self._places: set[tuple[str, ...]] = set()

    def __call__(self, data: bytes) -> None:
        try:
            self._target(data)
        except Exception as error:
            self._note(data, error)

    def _note(self, data: bytes, error: Exception) -> None:
        place = place_of(error)
        if place in self._places:
            return
        self._places.add(place)
        self._findings.mkdir(parents=True, exist_ok=True)
        path = self._findings / sha256(data).hexdigest()[:12]
        path.write_bytes(data)
        trace = "".join(traceback.format_exception(error))
        path.with_suffix(".txt").write_text(trace, encoding="utf-8")
        print(f"finding {path}\n{trace}", file=sys.stderr, flush=True)


def place_of(error: BaseException) -> tuple[str, ...]:
    """What makes two findings the same: the type of the error and the last three places it came through."""
    places: list[str] = []
    step: TracebackType | None = error.__traceback__
    while step is not None:
        places.append(f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}")
        step = step.tb_next
    return (type(error).__name__, *places[-3:])


if __name__ == "__main__":
    main(sys.argv[1:])
