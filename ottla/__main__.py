"""The command: `ottla serve`, `ottla topics`, ... Also `python -m ottla`, and what `ottla.Broker` starts.

Everything but the forwarding is done by the package `tools`. That package and the layers under it stand at the top of
the source tree but beneath `ottla/_packages` in an installed wheel, so this module first puts the folder that holds
them in front of the process's import path. In front, because the folder the user stands in, PYTHONPATH and
site-packages may all have packages named `broker`, `storage` or `tools`, and ours must be the ones that are found.
That hides theirs from no other process: the command's process is its own.

Before anything else is imported, the process gets two things that a shell may not have given it:

* **Standard streams.** One that is closed (`>&-`) is led to the null device: its number would otherwise go to the next
  file or socket that is opened, and what is printed would go there too.
* **An end by a signal.** SIGINT and SIGTERM end the command by that signal, as a shell expects it, with one line
  instead of a screen of Python. A broker that is ready puts a graceful stop in their place. A signal that the process
  inherits as ignored (from `nohup`, a shell's `&`) stays ignored.

The file also runs as a script (`python -P .../ottla/__main__.py serve`), which is how `ottla.Broker` starts it: then
nothing needs to find the name `ottla` on a path that the user's project has a say in. So it imports nothing of ours
at the top.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

_HERE = os.path.dirname(os.path.abspath(__file__))
_INSTALLED = os.path.join(_HERE, "_packages")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in this process, which must be the command's own, and return its exit status. Without
    `arguments`, those of the process count, and a broker that has stopped ends it (`_end`)."""
    is_all = arguments is None
    if arguments is None:
        arguments = sys.argv[1:]
    _open_standard_streams()
    _end_by_signals_with_a_line(" ".join(("ottla", *arguments[:1])))
    sys.path.insert(0, _INSTALLED if os.path.isdir(_INSTALLED) else os.path.dirname(_HERE))
    from tools.__main__ import main as run_command

    status = run_command(arguments)
    if is_all and arguments[:1] == ["serve"]:
        _end(status)
    return status


def _end(status: int) -> None:
    """End the process now. Everything that a broker has to finish is finished; to take its modules and objects apart,
    one by one, as an interpreter does at its end, is most of what a stop would take."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # its reader has gone
            stream.flush()
    os._exit(status)


def _open_standard_streams() -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= 2:  # the lowest number that is free
        os.set_inheritable(opened, True)
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False)
            setattr(sys, name, stream)


def _end_by_signals_with_a_line(command: str) -> None:
    # What `signal` stands on: importing that takes longer than all of the rest here.
    import _signal  # type: ignore[import-not-found]  # it is built in, and has no stubs

    def end(number: int, _frame: object) -> None:
        _signal.signal(number, _signal.SIG_DFL)
        try:
            os.write(2, f"{command}: ended by {names[number]}\n".encode("utf-8", "replace"))
        finally:
            _signal.raise_signal(number)
            os._exit(128 + number)  # the first process of a container outlives a signal that it does not handle

    names = {_signal.SIGINT: "SIGINT", _signal.SIGTERM: "SIGTERM"}
    for number in names:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, end)


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # `-m` has put the current folder here, a script its own: neither is a place to import a broker's parts from.
        del sys.path[0]
    sys.exit(main())
