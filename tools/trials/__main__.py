"""`python -m tools.trials`: the instruments, run from the source tree. An installed wheel has none of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tools.verbs import Verb, run

COMMAND = "python -m tools.trials"

VERBS: dict[str, Verb] = {
    "compare-schema": Verb("tools.trials.schema_comparison:main", "compare our messages with Kafka's definitions"),
    "compare-release": Verb("tools.trials.release_comparison:main", "compare our tables with those of a Kafka release"),
    "compare-history": Verb(
        "tools.trials.history_comparison:main", "compare what releases of Kafka served with their definitions"
    ),
    "emulated-clients": Verb("tools.trials.emulation.command:main", "old clients against releases that Ottla plays"),
    "record-clients": Verb("tools.trials.client_recordings:main", "record clients, and replay what they said"),
    "compare-lives": Verb(
        "tools.trials.differential.lives:main", "compare brokers that were reset or restored with what they should be"
    ),
    "compare-answers": Verb("tools.trials.differential.command:main", "compare our answers with those of Kafka"),
    "compare-cluster": Verb("tools.trials.differential.cluster:main", "compare three of ours with three of Kafka's"),
    "kafka-cluster": Verb("tools.trials.kafka_cluster:main", "run an Apache Kafka of several nodes to compare with"),
    "compare-authorization": Verb(
        "tools.trials.authorization.command:main", "compare who is refused what with a secured Kafka"
    ),
    "compare-assignors": Verb("tools.trials.assignors.command:main", "compare our assignors with Kafka's classes"),
    "exchange-test": Verb("tools.trials.kafka_exchange.command:main", "move data to Kafka on disk and back"),
    "walk-transactions": Verb(
        "tools.trials.transaction_walks:main", "play random transactions with crashes against a naive coordinator"
    ),
    "bench": Verb("tools.trials.benchmark.command:main", "measure the broker, side by side with Kafka"),
    "bench-commits": Verb("tools.trials.benchmark.commits:main", "measure commits in PostgreSQL"),
    "bench-compaction": Verb("tools.trials.benchmark.compaction:main", "measure compaction, and what producers feel"),
    "bench-authorizer": Verb("tools.trials.authorizer_benchmark:main", "measure decisions among very many ACLs"),
    "bench-small-logs": Verb("tools.trials.benchmark.small_logs:main", "measure the compaction of many small logs"),
    "kill-test": Verb("tools.trials.kill_test.command:main", "kill the broker, check every acknowledgement"),
    "transaction-test": Verb(
        "tools.trials.transaction_test.command:main", "record transactions under kills and pauses, check the history"
    ),
    "cluster-test": Verb(
        "tools.trials.cluster_test.command:main", "kill and pause the brokers of a cluster in turn, check the history"
    ),
    "cluster-failures": Verb(
        "tools.trials.cluster_failures.command:main", "make each part of a cluster fail while clients write, and count"
    ),
    "move-cluster": Verb(
        "tools.trials.cluster_moves:main", "move a broker's directory into a cluster and out again, with its groups"
    ),
    "exactly-once-test": Verb(
        "tools.trials.exactly_once.command:main", "copy records exactly once while broker and applications are killed"
    ),
    "streams-test": Verb(
        "tools.trials.streams_test.command:main", "count words exactly once with Kafka Streams under kills"
    ),
    "kill-rebalances": Verb("tools.trials.kill_test.rebalances:main", "kill the broker while groups rebalance"),
    "failover-drill": Verb("tools.trials.failover_drill:main", "kill a cluster's database under commits, check them"),
    "hunt-deadlocks": Verb("tools.trials.deadlock_hunt:main", "let brokers do everything at once to one database"),
    "simulate-cluster": Verb("tools.trials.cluster_simulation:main", "play a cluster's engines under virtual time"),
    "crash-test": Verb("tools.trials.crash_test.command:main", "play power cuts, disk errors, rot; count losses"),
    "abuse": Verb("tools.trials.abuse.command:main", "attack a broker, and measure what another client feels"),
    "abuse-crowd": Verb("tools.trials.abuse.crowd:main", "open bad connections by the thousand beside honest clients"),
    "abuse-sessions": Verb("tools.trials.abuse.sessions:main", "play random sessions beside honest clients"),
    "fuzz": Verb("tools.trials.fuzz.command:main", "attack the decoders with mutated bytes, guided by coverage"),
    "quotas": Verb("tools.trials.quotas.command:main", "hold producers to a quota, beside Kafka, and draw it"),
    "codec-benchmark": Verb("tools.trials.codec_benchmark:main", "time the decoder against kafka-python's"),
}


def main(arguments: Sequence[str]) -> int:
    """Run `arguments`, the words after `python -m tools.trials`, and return the exit status."""
    return run(COMMAND, VERBS, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
