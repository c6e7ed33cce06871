"""The `ottla` command: one verb, one module, one line in the table below.

A verb's function takes the arguments after the verb and returns an exit status: 0 done, 1 it failed, 2 it was asked
for something it cannot understand (argparse's own status, and that of a configuration error). The module is imported
when its verb is called and not before: how fast a broker starts is a feature, and `ottla --help` should not load one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Verb(NamedTuple):
    """Where a verb's function is, as `module:function`, and the line of `ottla --help` that tells what it does."""

    target: str
    summary: str


VERBS: dict[str, Verb] = {
    "serve": Verb("tools.commands.serve:main", "run a broker until it is told to stop"),
    "explain": Verb("tools.commands.explain:main", "show a message of the protocol, its codec, or given bytes"),
    "dump-log": Verb("tools.commands.dump_log:main", "print any file of a data directory"),
    "check-log": Verb("tools.commands.check_log:main", "verify a data directory and say what is wrong"),
    "compare-schema": Verb("tools.schema_comparison:main", "compare our messages with Apache Kafka's definitions"),
    "compare-answers": Verb("tools.differential.command:main", "compare our answers with those of Apache Kafka"),
    "exchange-test": Verb("tools.kafka_exchange.command:main", "move data to Apache Kafka on disk and back"),
    "bench": Verb("tools.benchmark.command:main", "measure the broker, side by side with Apache Kafka"),
    "bench-compaction": Verb("tools.benchmark.compaction:main", "measure compaction, and what producers feel of it"),
    "kill-test": Verb("tools.kill_test.command:main", "kill the broker again and again, check every acknowledgement"),
    "crash-test": Verb("tools.crash_test.command:main", "play power cuts, disk errors, rot, and count what is lost"),
    "fuzz": Verb("tools.fuzz.command:main", "attack the decoders with mutated bytes, guided by coverage"),
    "codec-benchmark": Verb("tools.codec_benchmark:main", "time the decoder against kafka-python's"),
}


def main(arguments: Sequence[str]) -> int:
    """Run `arguments`, the words after `ottla`, and return the exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if arguments else 2
    name, rest = arguments[0], list(arguments[1:])
    if name in ("-V", "--version"):
        from ottla import __version__

        print(f"ottla {__version__}")
        return 0
    verb = VERBS.get(name)
    if verb is None:
        print(f"ottla: {unknown_verb(name)}", file=sys.stderr)
        return 2
    module, _, function = verb.target.partition(":")
    run: Callable[[list[str]], int | None] = getattr(importlib.import_module(module), function)
    return run(rest) or 0


def overview() -> str:
    """What `ottla --help` prints."""
    width = max(map(len, VERBS))
    lines = ["usage: ottla VERB [...]", ""]
    lines += [f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items()]
    lines += ["", "ottla VERB --help tells the options of a verb; ottla --version the version."]
    return "\n".join(lines)


def unknown_verb(name: str) -> str:
    """One sentence for a verb that is not there, with the nearest one that is."""
    import difflib

    near = difflib.get_close_matches(name, VERBS, n=1)
    return f"no verb {name!r}" + (f"; did you mean {near[0]!r}?" if near else "; ottla --help lists them")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
