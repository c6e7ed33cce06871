"""The `ottla` command: what a user runs. The instruments of those who work on Ottla are in `tools/trials`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tools.verbs import Verb, run

VERBS: dict[str, Verb] = {
    "serve": Verb("tools.commands.serve:main", "run a broker until it is stopped"),
    "upgrade-features": Verb("tools.commands.upgrade_features:main", "raise the levels of a cluster's features"),
    "explain": Verb("tools.commands.explain:main", "show a message of the protocol, its codec, or given bytes"),
    "dump-log": Verb("tools.commands.dump_log:main", "print any file of a data directory"),
    "check-log": Verb("tools.commands.check_log:main", "verify a data directory and say what is wrong"),
}


def main(arguments: Sequence[str]) -> int:
    """Run `arguments`, the words after `ottla`, and return the exit status."""
    return run("ottla", VERBS, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
