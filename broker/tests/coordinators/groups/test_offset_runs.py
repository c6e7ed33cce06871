"""Very many offsets change together: what is replayed in one step is what single records leave.

The shard's follower replays what stands in the log, record by record, and is compared after each step (`shards.py`).
"""

from __future__ import annotations

import pytest

from broker.coordinators.groups.committing import is_too_long
from broker.coordinators.groups.offset_runs import Contents
from broker.coordinators.groups.offsets import OffsetToCommit
from broker.coordinators.machine import Promise
from broker.tests.coordinators.groups.shards import Shard, Waiting
from broker.tests.coordinators.groups.test_forgetting import CHECK, RETENTION
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import ZERO_UUID, Uuid

OLD, NEW = b"old topic's id..", b"new topic's id.."


def commits(
    partitions: range, topic: str = "t", *, topic_id: Uuid = ZERO_UUID, metadata: str = ""
) -> list[OffsetToCommit]:
    """Of each partition its number."""
    return [OffsetToCommit(topic, topic_id, partition, partition, 3, metadata) for partition in partitions]


def done(waiting: Waiting[list[ErrorCode]]) -> bool:
    """Whether all was committed."""
    return set(waiting.reply) == {ErrorCode.NONE}


@pytest.mark.parametrize("retention", [-1, 5_000])
def test_a_long_commit_leaves_what_single_ones_leave(retention: int) -> None:
    """Beside what the group had: older offsets, longer metadata, a topic of the same name with another id."""
    shard = Shard()
    assert done(shard.commit_many(commits(range(300), topic_id=OLD, metadata="long"), retention=retention))
    assert done(shard.commit_many([*commits(range(200, 400), topic_id=NEW), *commits(range(9), "u", metadata="m")]))
    shard.commit_in_transaction(7, {("t", 3): 99, ("t", 250): 99, ("t", 5_000): 99, ("v", 3): 99})
    assert done(shard.commit_many(commits(range(250, 300), metadata="ü"), retention=retention))
    shard.end_transaction(7, commit=True)
    found = shard.committed()
    assert len(found) == 400 + 9 + 2
    assert (found["t", 3], found["t", 250], found["t", 251], found["v", 3]) == (99, 250, 251, 99)
    shard.advance(RETENTION + CHECK)
    assert shard.committed() == {}


def test_a_group_with_very_much_goes_whole() -> None:
    """With what open transactions have committed for it; another group of the same topics stays."""
    shard = Shard()
    for group in ("g", "other"):
        assert done(shard.commit_many([*commits(range(300), metadata="m"), *commits(range(5), "u")], group=group))
    shard.commit_in_transaction(7, {("t", 3): 99, ("v", 3): 99})
    appended = len(shard.log)
    assert shard.delete("g") == [ErrorCode.NONE]
    assert len(shard.log) - appended == 305 + 1 + 1
    assert [each.group_id for each in shard.machine.listed()] == ["other"]
    assert shard.committed() == {} and not shard.unstable() and len(shard.committed("other")) == 305
    shard.end_transaction(7, commit=True)
    assert shard.committed() == {}, "a tombstone forgets what is pending"


def test_a_group_that_is_committed_to_meanwhile_is_not_deleted_in_part() -> None:
    """Its new contents are the answer, to be prepared again. A new value of an old offset changes nothing."""
    shard = Shard()
    shard.commit_many(commits(range(300)))

    def ask() -> Contents:
        waiting: Waiting[ErrorCode | Contents] = Waiting()
        shard._send(waiting, shard.machine.decide_delete_group("g", shard.clock.now(), waiting.promise))
        assert isinstance(waiting.reply, Contents)
        return waiting.reply

    def go_on(contents: Contents) -> ErrorCode | Contents:
        waiting: Waiting[ErrorCode | Contents] = Waiting()
        decision = shard.machine.decide_delete_prepared("g", shard.prepared_deletion("g", contents), waiting.promise)
        return shard._send(waiting, decision).reply

    contents = ask()
    shard.commit({("t", 300): 1})
    again = go_on(contents)
    assert isinstance(again, Contents) and len(again) == len(shard.committed()) == 301
    shard.commit_in_transaction(7, {("t", 400): 1})
    another = go_on(again)
    assert isinstance(another, Contents) and len(another) == 302
    shard.commit({("t", 300): 2})
    assert go_on(another) is ErrorCode.NONE
    assert go_on(another) is ErrorCode.GROUP_ID_NOT_FOUND


@pytest.mark.parametrize("above", [0, 1])
def test_a_batch_above_the_bound_is_refused_before_anything_changes(above: int) -> None:
    """To the byte. Kafka answers UNKNOWN_SERVER_ERROR to either, where max.message.bytes is exceeded."""
    many = commits(range(300), metadata="m" * 50)
    written = Shard(max_offsets_batch=1 << 20)
    sizes: list[int] = []
    written.on_batch = sizes.append
    written.commit_many(many)
    written.delete("g")
    of_commit, of_deletion = sizes

    shard = Shard(max_offsets_batch=of_commit - above)
    waiting = shard.commit_many(many)
    assert len(shard.committed()) == (0 if above else 300)
    assert waiting.reply == [ErrorCode.NONE] * 300 if not above else waiting.error is ErrorCode.UNKNOWN_SERVER_ERROR
    shard = Shard(max_offsets_batch=of_deletion - above)
    shard.commit({("t", partition): 1 for partition in range(300)})
    assert shard.delete("g") == [ErrorCode.UNKNOWN_SERVER_ERROR if above else ErrorCode.NONE]
    assert len(shard.committed()) == (300 if above else 0)


def test_a_group_with_a_long_id_is_deleted_in_a_batch_that_can_be_written() -> None:
    """G13: 300 offsets of a group with an id of 30 KB are 9 MB of tombstones, which Kafka refuses too."""
    shard = Shard()
    group = "g" * 30_000
    shard.commit({("t", number): 1 for number in range(300)}, group=group)
    assert shard.delete(group) == [ErrorCode.UNKNOWN_SERVER_ERROR]
    shard.delete_offsets(*(("t", number) for number in range(260)), group=group)
    assert shard.delete(group) == [ErrorCode.NONE]


def test_a_long_commit_is_refused_whole_where_memory_is_used_up() -> None:
    """What it takes more than before counts: the same partitions may always be committed again."""
    shard = Shard(max_state=100_000)
    assert done(shard.commit_many(commits(range(600))))
    assert shard.commit_many(commits(range(800))).error is ErrorCode.INVALID_COMMIT_OFFSET_SIZE
    assert len(shard.committed()) == 600
    assert done(shard.commit_many(commits(range(600))))


def test_who_may_not_commit_is_told_so_before_the_size_counts() -> None:
    """As in Kafka, which judges the member first."""
    shard = Shard(max_offsets_batch=1_000)
    shard.stable(1)
    assert shard.commit_many(commits(range(300))).error is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_group_that_has_members_again_is_not_deleted() -> None:
    """Joining is a decision like any other, and may come while a deletion is prepared."""
    shard = Shard()
    shard.commit_many(commits(range(300)))
    waiting: Waiting[ErrorCode | Contents] = Waiting()
    shard._send(waiting, shard.machine.decide_delete_group("g", shard.clock.now(), waiting.promise))
    assert isinstance(waiting.reply, Contents)
    prepared = shard.prepared_deletion("g", waiting.reply)
    shard.stable(1)
    promise: Promise[ErrorCode | Contents] = Promise()
    [(_, reply)] = shard.machine.decide_delete_prepared("g", prepared, promise).replies
    assert reply is ErrorCode.NON_EMPTY_GROUP
    assert not isinstance(reply, KafkaError)


@pytest.mark.parametrize(
    ("metadata", "too_long"), [("m" * 5, True), ("m" * 4, False), ("😀😀", False), ("😀😀😀", True)]
)
def test_metadata_is_counted_as_java_counts(metadata: str, too_long: bool) -> None:
    """A character outside of the basic plane counts twice."""
    assert is_too_long(metadata, 4) is too_long
