"""Overrides of topics: which are allowed, and what logs make of them."""

from __future__ import annotations

import pytest

from broker.config.loading import parse_config
from broker.config.topics import check_topic_configs, log_config
from kproto.errors import ErrorCode, KafkaError
from storage.log_config import NEVER, LogConfig

DEFAULTS = parse_config("", "", {})


def test_a_topic_without_overrides_is_kept_as_the_broker_says() -> None:
    """On a broker without settings that is Kafka's way, which is also LogConfig's default."""
    assert log_config({}, DEFAULTS) == LogConfig()


def test_every_override_that_a_log_understands_arrives() -> None:
    """By the name of the key, in the unit of the key."""
    overrides = {
        "cleanup.policy": "compact", "compression.gzip.level": "5", "compression.lz4.level": "6",
        "compression.type": "lz4", "compression.zstd.level": "7", "delete.retention.ms": "8",
        "file.delete.delay.ms": "9", "flush.messages": "10", "flush.ms": "11", "index.interval.bytes": "12",
        "max.compaction.lag.ms": "13", "max.message.bytes": "14", "message.timestamp.after.max.ms": "15",
        "message.timestamp.before.max.ms": "16", "message.timestamp.type": "LogAppendTime",
        "min.cleanable.dirty.ratio": "0.25", "min.compaction.lag.ms": "2", "min.insync.replicas": "3",
        "ottla.ack.fsync": "false", "preallocate": "true", "retention.bytes": "17", "retention.ms": "18",
        "segment.bytes": "1048576", "segment.index.bytes": "19", "segment.jitter.ms": "20", "segment.ms": "21",
        "unclean.leader.election.enable": "true",
    }  # fmt: skip
    check_topic_configs(overrides)
    assert log_config(overrides, DEFAULTS) == LogConfig(
        delete=False, compact=True, compression_gzip_level=5, compression_lz4_level=6, compression_type="lz4",
        compression_zstd_level=7, delete_retention_ms=8, file_delete_delay_ms=9, flush_messages=10, flush_ms=11,
        index_interval_bytes=12, max_compaction_lag_ms=13, max_message_bytes=14, message_timestamp_after_max_ms=15,
        message_timestamp_before_max_ms=16, message_timestamp_type="LogAppendTime", min_cleanable_dirty_ratio=0.25,
        min_compaction_lag_ms=2, min_insync_replicas=3, ack_fsync=False, preallocate=True, retention_bytes=17,
        retention_ms=18, segment_bytes=1_048_576, segment_index_bytes=19, segment_jitter_ms=20, segment_ms=21,
        unclean_leader_election_enable=True,
    )  # fmt: skip


def test_what_a_topic_leaves_open_comes_from_the_broker() -> None:
    """File or dynamic value, in whatever unit, under the broker's name of it."""
    file = "log.retention.hours=1\nlog.segment.bytes=2000000\nlog.cleanup.policy=compact,delete\nottla.ack.fsync=false"
    broker = parse_config(file, "", {}).with_dynamic({"message.max.bytes": "7"}, {})
    config = log_config({"segment.bytes": "3000000"}, broker)
    assert (config.retention_ms, config.segment_bytes, config.max_message_bytes) == (3_600_000, 3_000_000, 7)
    assert config.compact
    assert config.delete
    assert not config.ack_fsync


def test_the_internal_segment_size_wins() -> None:
    """Kafka's tests use it to roll small segments."""
    overrides = {"internal.segment.bytes": "100", "segment.bytes": "2000000"}
    assert log_config(overrides, DEFAULTS).segment_bytes == 100
    assert log_config(dict(reversed(overrides.items())), DEFAULTS).segment_bytes == 100


@pytest.mark.parametrize("name", ["retention.ms", "retention.bytes"])
def test_any_negative_retention_is_forever(name: str) -> None:
    """Kafka lets -5 bytes pass; it means what -1 means."""
    config = log_config({name: "-1" if name == "retention.ms" else "-5"}, DEFAULTS)
    assert -1 in (config.retention_ms, config.retention_bytes)


def test_unknown_stored_overrides_are_passed_over() -> None:
    """They were checked when they were stored; a topic stays readable all the same."""
    config = log_config({"retention.ms": "soon", "gone.with.release.5": "x"}, DEFAULTS)
    assert config == LogConfig()


@pytest.mark.parametrize("overrides", [{}, {"ottla.ack.fsync": "false"}])
def test_what_coordinators_write_is_always_synced(overrides: dict[str, str]) -> None:
    """`ottla.ack.fsync=false` is about data: committed offsets are on the disk before they are answered."""
    relaxed = parse_config("", "", {"ottla.ack.fsync": "false"})
    assert not log_config(overrides, relaxed).ack_fsync
    assert log_config(overrides, relaxed, internal=True).ack_fsync


def test_both_policies_or_neither() -> None:
    """Kafka 4 allows an empty policy: nothing is removed."""
    assert log_config({"cleanup.policy": ""}, DEFAULTS).cleanup_policy == ""
    assert log_config({"cleanup.policy": "delete, compact"}, DEFAULTS).cleanup_policy == "compact,delete"


@pytest.mark.parametrize(
    "overrides",
    [
        {"no.such.key": "1"},
        {"": "1"},
        {"retention.ms": "abc"},
        {"segment.bytes": "5"},
        {"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"},
        {"remote.storage.enable": "true"},
    ],
)
def test_overrides_that_no_topic_may_have(overrides: dict[str, str]) -> None:
    """INVALID_CONFIG (40), at creation and afterwards."""
    with pytest.raises(KafkaError) as refused:
        check_topic_configs(overrides)
    assert refused.value.code is ErrorCode.INVALID_CONFIG


def test_overrides_that_mean_nothing_here_are_allowed() -> None:
    """Tools set them on every topic."""
    check_topic_configs({"local.retention.ms": "10", "retention.ms": "5", "min.insync.replicas": "3"})
    assert LogConfig().max_compaction_lag_ms == NEVER
