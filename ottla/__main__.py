"""The command: `ottla serve`, `ottla topics`, ... Also `python -m ottla`, and what `ottla.Broker` starts.

Everything but the forwarding is done by the package `tools`. That package and the layers under it stand at the top of
the source tree but beneath `ottla/_packages` in an installed wheel, so this module first puts the folder that holds
them in front of the process's import path. In front, because the folder the user stands in, PYTHONPATH and
site-packages may all have packages named `broker`, `storage` or `tools`, and ours must be the ones that are found.
That hides theirs from no other process: the command's process is its own.

The file also runs as a script (`python -P .../ottla/__main__.py serve`), which is how `ottla.Broker` starts it: then
nothing needs to find the name `ottla` on a path that the user's project has a say in. So it imports nothing of ours
at the top.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_HERE = os.path.dirname(os.path.abspath(__file__))
_INSTALLED = os.path.join(_HERE, "_packages")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in this process, which must be the command's own, and return its exit status."""
    sys.path.insert(0, _INSTALLED if os.path.isdir(_INSTALLED) else os.path.dirname(_HERE))
    from tools.__main__ import main as run_command

    return run_command(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # `-m` has put the current folder here, a script its own: neither is a place to import a broker's parts from.
        del sys.path[0]
    sys.exit(main())
