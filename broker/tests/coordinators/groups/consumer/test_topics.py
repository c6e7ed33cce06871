"""The hash by which a group knows its topics, and subscriptions by regular expression."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster.image import ClusterImage, Topic
from broker.coordinators.groups.consumer.topics import Topics
from broker.tests.coordinators.groups.consumer.members import ConsumerShard

ONE = Topic("kg-hash-1796054608-topic", bytes.fromhex("af1b96601b054874bdc89e56c8b2dce3"), 3, {})
OTHER = Topic("kg-hash-1796054608-topicx", bytes.fromhex("07a47677b2a04ba89509ae245dc3c3a3"), 1, {})
KAFKAS_HASH = -4018539848333208701
"""What Kafka has written for a group that subscribes to both, and to a topic that does not exist."""


def test_the_hash_is_kafkas() -> None:
    """A directory that changes hands costs no rebalance."""
    topics = Topics(image=ClusterImage(ClusterImage().topics.updated({ONE.name: ONE, OTHER.name: OTHER})))
    assert topics.hash_of([OTHER.name, "none", ONE.name]) == KAFKAS_HASH
    assert topics.hash_of(["none"]) == 0
    assert topics.hash_of([ONE.name]) not in (0, KAFKAS_HASH)


def test_racks_are_hashed() -> None:
    """Kafka does so, and a broker that is given a rack has others' hashes."""
    image = ClusterImage(ClusterImage().topics.updated({ONE.name: ONE}))
    assert Topics("r1", image).hash_of([ONE.name]) != Topics(None, image).hash_of([ONE.name])


def test_an_expression_is_resolved_with_the_heartbeat_that_brings_it() -> None:
    """The answer of the next heartbeat has what it matches; the broker lets the first one wait for that."""
    shard = ConsumerShard({"a1": 2, "a2": 1, "b": 1})
    joined = shard.subscribe("m1", expression="a.*")
    assert (joined.member_epoch, shard.shares(joined)) == (1, {})
    answer = shard.heartbeat("m1", 1, owns={})
    assert (answer.member_epoch, shard.shares(answer)) == (2, {"a1": [0, 1], "a2": [0]})


def test_new_topics_are_matched_and_not_more_often_than_every_ten_seconds() -> None:
    """They are found with the first heartbeat after that."""
    shard = ConsumerShard({"a1": 1})
    shard.subscribe("m1", expression="a.*")
    assert shard.heartbeat("m1", 1, owns={}).member_epoch == 2
    shard.create("a2")
    shard.heartbeat("m1", 2)
    shard.advance(10_000)
    assert shard.heartbeat("m1", 2).member_epoch == 2
    shard.advance(1)
    shard.heartbeat("m1", 2)
    answer = shard.heartbeat("m1", 2)
    assert (answer.member_epoch, shard.shares(answer)) == (3, {"a1": [0], "a2": [0]})


def test_expressions_are_matched_again_when_nothing_has_happened() -> None:
    """After group.consumer.regex.refresh.interval.ms."""
    shard = ConsumerShard({"a1": 1}, regex_refresh_interval=60_000)
    shard.subscribe("m1", expression="a.*")
    shard.heartbeat("m1", 1, owns={})
    written = len(shard.log)
    shard.advance(30_000)
    shard.heartbeat("m1", 2)
    assert len(shard.log) == written
    shard.advance(30_001)
    shard.heartbeat("m1", 2)
    assert len(shard.log) == written + 1, "the same topics, at another time"
    assert shard.describe().group_epoch == 2


def test_an_expression_goes_with_its_last_member() -> None:
    """And with it what it matched, for offsets that may be deleted or expire."""
    shard = ConsumerShard({"a1": 1, "b": 1})
    shard.subscribe("m1", expression="a.*")
    shard.subscribe("m2", "b")
    assert shard.consumer_group().subscribed_among(["a1", "b", "c"]) == {"a1", "b"}
    shard.heartbeat("m1", -1)
    assert shard.consumer_group().subscribed_among(["a1", "b", "c"]) == {"b"}
    assert not shard.consumer_group().resolved


@pytest.mark.parametrize("names", [["b"], []])
def test_names_and_an_expression_add_up(names: list[str]) -> None:
    """A member may subscribe by both."""
    shard = ConsumerShard({"a1": 1, "b": 1})
    shard.subscribe("m1", *names, expression="a.*")
    answer = shard.heartbeat("m1", shard.consumer_group().members["m1"].epoch, owns={})
    answer = shard.heartbeat("m1", answer.member_epoch, names, owns={}, expression="a.*", rebalance=5_000)
    assert (shard.shares(answer) or {}).keys() == {"a1", *names}
