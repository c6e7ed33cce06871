"""DeleteTopics, as Kafka answers it."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic, Topic
from broker.testing.contexts import World, world
from kproto.errors import ErrorCode
from kproto.ids import ZERO_UUID
from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kproto.messages.metadata import MetadataRequest

VERSIONS = range(1, 7)


async def created(w: World, *names: str) -> list[Topic]:
    results = await w.cluster.create_topics([NewTopic(name, 1, 1) for name in names])
    return [result for result in results if isinstance(result, Topic)]


def by_names(*names: str, version: int) -> DeleteTopicsRequest:
    if version < 6:
        return DeleteTopicsRequest(topic_names=list(names))
    return DeleteTopicsRequest(topics=[DeleteTopicState(name=name) for name in names])


def by_ids(*ids: bytes) -> DeleteTopicsRequest:
    return DeleteTopicsRequest(topics=[DeleteTopicState(name=None, topic_id=topic_id) for topic_id in ids])


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_version_deletes_by_name(version: int) -> None:
    """Unknown ones are 3, with a sentence from v5 on; what was deleted is out of metadata at once."""
    async with world() as w:
        [t] = await created(w, "t")
        await created(w, "kept")
        response = await w.ask(by_names("t", "none", version=version), version)
        results = {result.name: result for result in response.responses}
        assert results["t"].error_code == 0
        assert results["t"].topic_id == (t.topic_id if version >= 6 else ZERO_UUID)
        assert results["none"].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert (results["none"].error_message is not None) == (version >= 5)
        [left] = (await w.ask(MetadataRequest(topics=None), 12)).topics
        assert left.name == "kept"


async def test_topics_are_deleted_by_id() -> None:
    """The answer has the name as well; unknown ids are 100."""
    async with world() as w:
        [t] = await created(w, "t")
        known, unknown = sorted(
            (await w.ask(by_ids(t.topic_id, b"\1" * 16), 6)).responses, key=lambda result: result.error_code
        )
        assert (known.name, known.topic_id, known.error_code) == ("t", t.topic_id, 0)
        assert (unknown.name, unknown.error_code) == (None, ErrorCode.UNKNOWN_TOPIC_ID)
        assert len(w.cluster.image.topics) == 0


async def test_what_is_ambiguous_is_refused_and_not_deleted() -> None:
    """Twice by name, twice by id, by name and id, by both at once, by neither: INVALID_REQUEST."""
    async with world() as w:
        a, b, c = await created(w, "a", "b", "c")
        asked = [
            DeleteTopicState(name="a"),
            DeleteTopicState(name="a"),
            DeleteTopicState(name=None, topic_id=b.topic_id),
            DeleteTopicState(name=None, topic_id=b.topic_id),
            DeleteTopicState(name="c"),
            DeleteTopicState(name=None, topic_id=c.topic_id),
            DeleteTopicState(name="d", topic_id=a.topic_id),
            DeleteTopicState(name=None),
        ]
        response = await w.ask(DeleteTopicsRequest(topics=asked), 6)
        assert {result.error_code for result in response.responses} == {ErrorCode.INVALID_REQUEST}
        assert {(result.name, result.topic_id) for result in response.responses} == {
            ("a", ZERO_UUID),
            (None, b.topic_id),
            ("c", c.topic_id),
            ("d", a.topic_id),
            (None, ZERO_UUID),
        }
        assert set(w.cluster.image.topics) == {"a", "b", "c"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_deletion_can_be_switched_off(version: int) -> None:
    """delete.topic.enable=false: 73, and 42 before that code was there."""
    async with world({"delete.topic.enable": "false"}) as w:
        await created(w, "t")
        [result] = (await w.ask(by_names("t", version=version), version)).responses
        expected = ErrorCode.TOPIC_DELETION_DISABLED if version >= 3 else ErrorCode.INVALID_REQUEST
        assert (result.name, result.error_code) == ("t", expected)
        assert "t" in w.cluster.image.topics


async def test_a_name_can_be_used_again_at_once() -> None:
    """Test suites delete and create in one breath: a new id, nothing of the old topic."""
    async with world() as w:
        [old] = await created(w, "t")
        for _ in range(5):
            await w.ask(by_names("t", version=6), 6)
            [new] = await created(w, "t")
            assert new.topic_id != old.topic_id
            old = new
