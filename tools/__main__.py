"""The `ottla` command: what a user runs. The instruments of those who work on Ottla are in `tools/trials`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tools.verbs import Verb, run

RUN = "Run a broker"
USE = "Use a cluster: this broker, or any Kafka"
KEEP = "Keep a cluster"
TRY = "Record, replay, disturb"
FILES = "Look into files and bytes"

VERBS: dict[str, Verb] = {
    "serve": Verb("tools.commands.serve:main", "run a broker until it is stopped", RUN),
    "topics": Verb("tools.commands.topics:main", "list, create, describe, change and delete topics", USE),
    "produce": Verb("tools.commands.produce:main", "write records, one for each line of input", USE),
    "consume": Verb("tools.commands.consume:main", "print records as they come, or those of a range", USE),
    "groups": Verb("tools.commands.groups:main", "list and describe groups with their lag, move and delete them", USE),
    "page": Verb("tools.commands.page:main", "look at a cluster in a browser", USE),
    "doctor": Verb("tools.commands.doctor:main", "say whether a cluster is up, what clients hear, what is wrong", USE),
    "compat": Verb("tools.commands.compat:main", "say how a broker, any one, differs from Apache Kafka", USE),
    "configs": Verb("tools.commands.configs:main", "read and change configs of topics, brokers, groups", KEEP),
    "cluster": Verb(
        "tools.commands.cluster:main", "show brokers, features, quorum, log directories, API versions", KEEP
    ),
    "acls": Verb("tools.commands.acls:main", "list, add and remove access control lists", KEEP),
    "users": Verb("tools.commands.users:main", "passwords of users (SCRAM), delegation tokens", KEEP),
    "quotas": Verb("tools.commands.quotas:main", "limits for users, client ids and addresses", KEEP),
    "transactions": Verb("tools.commands.transactions:main", "list, describe and end transactions", KEEP),
    "backup": Verb("tools.commands.backup:main", "copy all that a running broker knows, at one moment", KEEP),
    "restore": Verb("tools.commands.restore:main", "make a data directory of a backup, or bring a broker back", KEEP),
    "upgrade-features": Verb("tools.commands.upgrade_features:main", "raise the levels of a cluster's features", KEEP),
    "clock": Verb("tools.commands.clock:main", "let time pass for a broker that is under test", KEEP),
    "completion": Verb("tools.commands.completion:main", "print what bash, zsh or fish needs to complete words", KEEP),
    "record": Verb("tools.commands.record:main", "stand between clients and a cluster, keep what they say", TRY),
    "replay": Verb("tools.commands.replay:main", "say it again to a broker, and compare its answers", TRY),
    "proxy": Verb("tools.commands.proxy:main", "stand between, and let things go wrong on purpose", TRY),
    "explain": Verb("tools.commands.explain:main", "show a message of the protocol, its codec, or given bytes", FILES),
    "dump-log": Verb("tools.commands.dump_log:main", "print any file of a data directory", FILES),
    "check-log": Verb("tools.commands.check_log:main", "verify a data directory and say what is wrong", FILES),
}


def main(arguments: Sequence[str]) -> int:
    """Run `arguments`, the words after `ottla`, and return the exit status."""
    return run("ottla", VERBS, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
