"""CreateTopics: counts, names, assignments and settings."""

from __future__ import annotations

from typing import Any

from kproto.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


def topic(name: str, partitions: int = 1, replicas: int = 1, **fields: Any) -> CreatableTopic:
    """A topic to be made."""
    configs = [CreatableTopicConfig(name=key, value=value) for key, value in fields.pop("configs", {}).items()]
    return CreatableTopic(name=name, num_partitions=partitions, replication_factor=replicas, configs=configs, **fields)


def make(*topics: CreatableTopic, **fields: Any) -> CreateTopicsRequest:
    """Make topics."""
    return CreateTopicsRequest(**{"timeout_ms": 10_000} | fields, topics=list(topics))


@scenario(CreateTopicsRequest)
def counts(stage: Stage) -> None:
    """Minus one stands for the default, from version 4 on."""
    for partitions in (1, 3, 0, -1, -2, 10_001, 0x7FFF_FFFF):
        stage.ask(f"{partitions} partitions", make(topic(stage.name(f"p{partitions}"), partitions), validate_only=True))
    for replicas in (1, 0, -1, -2, 2, 32767):
        stage.ask(f"{replicas} replicas", make(topic(stage.name(f"r{replicas}"), 1, replicas)))
    stage.ask("both by default", make(topic(stage.name("defaults"), -1, -1)))
    stage.ask("for real", make(topic(stage.name("three"), 3)))


@scenario(CreateTopicsRequest)
def names(stage: Stage) -> None:
    taken = stage.topic("taken")
    stage.ask("taken", make(topic(taken.name)))
    stage.ask("taken, only tried", make(topic(taken.name), validate_only=True))
    stage.ask("twice in one request", make(topic(stage.name("twice")), topic(stage.name("twice"), 2)))
    stage.ask("twice, and another", make(topic(stage.name("x")), topic(stage.name("y")), topic(stage.name("x"))))
    stage.ask("none", make())
    stage.ask("dotted", make(topic(stage.name("a.b"))))
    stage.ask("colliding", make(topic(stage.name("a_b"))))
    for name in ("", ".", "..", "a b", "a/b", "\u00e4", "n" * 250, "__cluster_metadata"):
        stage.ask(f"named {name!r}", make(topic(name)))
    stage.ask("249 letters", make(topic(stage.name("l").ljust(249, "n"))))
    stage.ask("internal, taken", make(topic("__consumer_offsets")))
    stage.ask("good and bad", make(topic(stage.name("good")), topic("a b"), topic(taken.name)))
    stage.ask("colliding in one request", make(topic(stage.name("c.d")), topic(stage.name("c_d"))))


@scenario(CreateTopicsRequest)
def only_tried(stage: Stage) -> None:
    name = stage.name("t")
    stage.ask("tried", make(topic(name, 2), validate_only=True))
    stage.ask("tried again", make(topic(name, 2), validate_only=True))
    stage.ask("made", make(topic(name, 2)))
    stage.ask("no time", make(topic(stage.name("hurry")), timeout_ms=0))
    stage.ask("negative time", make(topic(stage.name("hurrier")), timeout_ms=-1))


@scenario(CreateTopicsRequest)
def assignments(stage: Stage) -> None:
    """Replicas placed by hand: then counts must be left open."""

    def placed(*partitions: tuple[int, list[int]]) -> list[CreatableReplicaAssignment]:
        return [CreatableReplicaAssignment(partition_index=index, broker_ids=ids) for index, ids in partitions]

    cases: dict[str, tuple[int, int, list[CreatableReplicaAssignment]]] = {
        "one": (-1, -1, placed((0, [1]))),
        "two": (-1, -1, placed((0, [1]), (1, [1]))),
        "in another order": (-1, -1, placed((1, [1]), (0, [1]))),
        "with a count": (1, -1, placed((0, [1]))),
        "with replicas": (-1, 1, placed((0, [1]))),
        "with both": (1, 1, placed((0, [1]))),
        "unknown broker": (-1, -1, placed((0, [9]))),
        "negative broker": (-1, -1, placed((0, [-1]))),
        "known and unknown": (-1, -1, placed((0, [1, 9]))),
        "the same broker twice": (-1, -1, placed((0, [1, 1]))),
        "no brokers": (-1, -1, placed((0, []))),
        "a gap": (-1, -1, placed((0, [1]), (2, [1]))),
        "not from zero": (-1, -1, placed((1, [1]))),
        "negative partition": (-1, -1, placed((-1, [1]))),
        "a partition twice": (-1, -1, placed((0, [1]), (0, [1]))),
        "different counts": (-1, -1, placed((0, [1]), (1, []))),
    }
    for number, (name, (partitions, replicas, where)) in enumerate(cases.items()):
        stage.ask(name, make(topic(stage.name(f"t{number}"), partitions, replicas, assignments=where)))


SETTINGS: dict[str, dict[str, str | None]] = {
    "a number": {"retention.ms": "1000"},
    "minus one": {"retention.ms": "-1"},
    "below": {"retention.ms": "-2"},
    "no number": {"retention.ms": "soon"},
    "empty": {"retention.ms": ""},
    "null": {"retention.ms": None},
    "spaces around": {"retention.ms": " 1000 "},
    "beyond 64 bits": {"retention.ms": "9223372036854775808"},
    "unknown": {"no.such.key": "1"},
    "unknown and null": {"no.such.key": None},
    "an empty name": {"": "1"},
    "a broker's": {"log.retention.ms": "1000"},
    "small segments": {"segment.bytes": "13"},
    "the smallest segments": {"segment.bytes": "1048576"},
    "a byte less": {"segment.bytes": "1048575"},
    "compact": {"cleanup.policy": "compact"},
    "both policies": {"cleanup.policy": "compact,delete"},
    "both with a space": {"cleanup.policy": "compact, delete"},
    "twice the same": {"cleanup.policy": "delete,delete"},
    "no policy": {"cleanup.policy": ""},
    "unknown policy": {"cleanup.policy": "burn"},
    "upper case policy": {"cleanup.policy": "COMPACT"},
    "codec": {"compression.type": "zstd"},
    "unknown codec": {"compression.type": "brotli"},
    "gzip level": {"compression.gzip.level": "9"},
    "gzip level too high": {"compression.gzip.level": "10"},
    "gzip level zero": {"compression.gzip.level": "0"},
    "lz4 level": {"compression.lz4.level": "18"},
    "zstd level": {"compression.zstd.level": "23"},
    "time type": {"message.timestamp.type": "LogAppendTime"},
    "unknown time type": {"message.timestamp.type": "logappendtime"},
    "true": {"preallocate": "true"},
    "TRUE": {"preallocate": "TRUE"},
    "yes": {"preallocate": "yes"},
    "ratio": {"min.cleanable.dirty.ratio": "0.5"},
    "ratio above": {"min.cleanable.dirty.ratio": "1.5"},
    "ratio exotic": {"min.cleanable.dirty.ratio": "5e-1"},
    "message size": {"max.message.bytes": "0"},
    "message size below": {"max.message.bytes": "-1"},
    "replicas in sync": {"min.insync.replicas": "1"},
    "more than there are": {"min.insync.replicas": "2"},
    "none in sync": {"min.insync.replicas": "0"},
    "lags": {"min.compaction.lag.ms": "100", "max.compaction.lag.ms": "50"},
    "index": {"index.interval.bytes": "-1"},
    "index size": {"segment.index.bytes": "3"},
    "roll": {"segment.ms": "0"},
    "roll 1": {"segment.ms": "1"},
    "jitter": {"segment.jitter.ms": "-1"},
    "flush": {"flush.messages": "0"},
    "flush 1": {"flush.messages": "1"},
    "file delete delay": {"file.delete.delay.ms": "-1"},
    "delete retention": {"delete.retention.ms": "-1"},
    "throttled": {"leader.replication.throttled.replicas": "0:1,1:1"},
    "throttled all": {"leader.replication.throttled.replicas": "*"},
    "throttled badly": {"leader.replication.throttled.replicas": "what"},
    "remote": {"remote.storage.enable": "true"},
    "local retention": {"local.retention.ms": "100", "retention.ms": "50"},
    "local retention of bytes": {"local.retention.bytes": "-3"},
    "two, one bad": {"retention.ms": "1000", "segment.ms": "x"},
    "unclean": {"unclean.leader.election.enable": "true"},
    "old version": {"message.format.version": "3.0"},
    "down conversion": {"message.downconversion.enable": "true"},
    "before": {"message.timestamp.before.max.ms": "-1"},
    "after": {"message.timestamp.after.max.ms": "0"},
    "errors": {"errors.deadletterqueue.group.enable": "true"},
}


@scenario(CreateTopicsRequest)
def settings(stage: Stage) -> None:
    """From version 5 on the answer lists everything that holds for the topic."""
    stage.ask("none, for real", make(topic(stage.name("plain"))))
    for number, (name, configs) in enumerate(SETTINGS.items()):
        stage.ask(name, make(topic(stage.name(f"t{number}"), configs=configs), validate_only=True))


@scenario(CreateTopicsRequest)
def settings_twice(stage: Stage) -> None:
    twice = CreatableTopic(
        name=stage.name("t"),
        num_partitions=1,
        replication_factor=1,
        configs=[
            CreatableTopicConfig(name="retention.ms", value="1"),
            CreatableTopicConfig(name="retention.ms", value="2"),
        ],
    )
    stage.ask("the same twice", make(twice))
