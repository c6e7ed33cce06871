"""Fetch without sessions: offsets, limits, leader epochs, isolation, and places that are not there."""

from __future__ import annotations

from typing import Any

from kproto.batches.records import build_batch
from kproto.messages.fetch import FetchRequest, ReplicaState
from tools.answers.requests import (
    NO_TOPIC_ID,
    batch,
    delete_records,
    fetch,
    fetch_from,
    fetched,
    list_offsets,
    new_producer,
    produce,
    record,
    unknown_topic,
)
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic

IN_WHICH_TO_WAIT = (4, 7, 12, 13, 18)
"""Versions that differ in what a fetch is: the others need not wait for the same again."""


@scenario(FetchRequest)
def offsets(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.ask("an empty partition", fetch(topic))
    stage.ask("an empty partition, above", fetch(topic, 1))
    for count in (3, 2, 1):
        stage.arrange(produce(topic, batch(count)))
    for offset in (0, 1, 3, 4, 5, 6, 7, 100, -1, -2, 1 << 40):
        stage.ask(f"from {offset}", fetch(topic, offset))
    stage.ask("the client's log start", fetch(topic, 0, log_start_offset=3) if stage.version >= 5 else fetch(topic))


@scenario(FetchRequest)
def what_was_produced(stage: Stage) -> None:
    """Batches come back as they were sent, but for offset and leader epoch."""
    topic, producer = stage.topic("t"), new_producer(stage)
    for codec in range(5):
        # What gzip makes of the same bytes differs between builds of zlib, unless it only wraps them.
        stage.arrange(produce(topic, batch(3, compression=codec, level=0 if codec == 1 else None)))
    stage.arrange(produce(topic, batch(2, producer_id=producer, producer_epoch=1, base_sequence=0)))
    stage.arrange(produce(topic, batch(1, leader_epoch=7)))
    stage.arrange(produce(topic, build_batch([record(None, None)])))
    stage.ask("all", fetch(topic))
    stage.ask("committed only", fetch(topic, isolation_level=1))


@scenario(FetchRequest)
def places(stage: Stage) -> None:
    topic, nothing = stage.topic("t", 2), unknown_topic(stage)
    stage.ask("nowhere", fetch_from([]))
    stage.ask("no partitions", fetch_from([(topic, [])]))
    stage.ask("unknown topic", fetch(nothing))
    stage.ask("unknown partition", fetch(topic, partition=2))
    stage.ask("negative partition", fetch(topic, partition=-1))
    stage.ask("no id", fetch(Topic(topic.name, NO_TOPIC_ID)))
    stage.ask("an empty name", fetch(Topic("", NO_TOPIC_ID)))
    stage.ask("a bad name", fetch(Topic("what is this?", NO_TOPIC_ID)))
    stage.ask("good and bad", fetch_from([(topic, [fetched(), fetched(partition=5)]), (nothing, [fetched()])]))
    stage.ask("bad and good", fetch_from([(nothing, [fetched()]), (topic, [fetched(), fetched(partition=1)])]))
    stage.ask("a partition twice", fetch_from([(topic, [fetched(), fetched()])]))
    stage.ask("a topic twice", fetch_from([(topic, [fetched()]), (topic, [fetched(partition=1)])]))


@scenario(FetchRequest)
def limits(stage: Stage) -> None:
    """The first batch is given out however large it is, later ones only while they fit."""
    topic, other = stage.topic("t", 2), stage.topic("o")
    for _ in range(3):
        stage.arrange(produce(topic, batch(10)))
        stage.arrange(produce(topic, batch(10), partition=1))
        stage.arrange(produce(other, batch(10)))
    size = len(batch(10))
    for name, most in {
        "zero": 0,
        "one": 1,
        "a batch": size,
        "a batch and a half": size * 3 // 2,
        "two": size * 2,
        "negative": -1,
        "huge": 0x7FFF_FFFF,
    }.items():
        stage.ask(f"partition {name}", fetch(topic, partition_max_bytes=most))
        stage.ask(f"request {name}", fetch(topic, max_bytes=most))
    both = [(topic, [fetched(), fetched(partition=1)]), (other, [fetched()])]
    stage.ask("three partitions, little for all", fetch_from(both, max_bytes=size + 10))
    stage.ask(
        "three partitions, little for each",
        fetch_from(
            [(topic, [fetched(partition_max_bytes=5), fetched(partition=1, partition_max_bytes=5)])], max_bytes=size * 2
        ),
    )
    stage.ask("from the middle of a batch", fetch(topic, 13, partition_max_bytes=5))


@scenario(FetchRequest)
def waiting(stage: Stage) -> None:
    """A fetch waits for enough bytes, but not longer than asked."""
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch()))
    stage.ask("at the end, 20 ms", fetch(topic, 1, max_wait_ms=20, min_bytes=1))
    stage.ask("too much wanted, 20 ms", fetch(topic, 0, max_wait_ms=20, min_bytes=1 << 20))
    stage.ask("enough at once", fetch(topic, 0, max_wait_ms=10_000, min_bytes=1))
    stage.ask("an error does not wait", fetch(topic, 5, max_wait_ms=10_000, min_bytes=1))
    stage.ask("an unknown topic does not wait", fetch(unknown_topic(stage), max_wait_ms=10_000, min_bytes=1))
    stage.ask("negative wait", fetch(topic, 1, max_wait_ms=-1, min_bytes=1))
    stage.ask("negative bytes", fetch(topic, 1, max_wait_ms=20, min_bytes=-1))
    stage.ask("nowhere, 20 ms", fetch_from([], max_wait_ms=20, min_bytes=1))
    answer = stage.begin("woken", fetch(topic, 1, max_wait_ms=10_000, min_bytes=1))
    other = stage.elsewhere()
    stage.settle()
    other.arrange(produce(topic, batch()))
    other.close()
    answer()


@scenario(FetchRequest)
def more_than_may_be_given(stage: Stage) -> None:
    """No more is waited for than max_bytes; but a partition's own limit is no excuse."""
    topic = stage.topic("t", 2)
    size = len(batch(3))
    for partition in (0, 1):
        stage.arrange(produce(topic, batch(3), partition=partition))
    patient = {"max_wait_ms": 7_000, "min_bytes": 1 << 20}
    for most in (0, 10, size):
        stage.ask(f"at most {most}", fetch(topic, max_bytes=most, **patient))
    both = [(topic, [fetched(), fetched(partition=1)])]
    for most in (size + 10, 2 * size):
        stage.ask(f"both, at most {most}", fetch_from(both, max_bytes=most, **patient))
    stage.ask("nothing may be given", fetch(topic, 3, max_bytes=0, **patient))
    answer = stage.begin("a narrow partition", fetch(topic, partition_max_bytes=10, max_wait_ms=350, min_bytes=1 << 20))
    other = stage.elsewhere()
    stage.settle()
    other.arrange(produce(topic, batch(3)))
    other.close()
    answer()


@scenario(FetchRequest)
def waiting_beside_what_is_not_there(stage: Stage) -> None:
    """What was missing from the beginning keeps no fetch from waiting, and is answered last."""
    topic, nothing = stage.topic("t", 2), unknown_topic(stage)
    end = 0

    def until_woken(step: str, *before: Any, of: list[Any], after: list[Any]) -> None:
        nonlocal end
        parts = [*before, (topic, [fetched(end), *of]), *after]
        answer = stage.begin(step, fetch_from(parts, max_wait_ms=7_000, min_bytes=1))
        other = stage.elsewhere()
        stage.settle()
        other.arrange(produce(topic, batch()))
        other.close()
        answer()
        end += 1

    missing = (nothing, [fetched(), fetched(partition=3)])
    until_woken("an unknown topic behind", of=[], after=[missing])
    until_woken("an unknown topic before", missing, of=[], after=[])
    until_woken("an unknown partition", of=[fetched(partition=7)], after=[])
    until_woken("all of them", missing, of=[fetched(partition=7), fetched(partition=1)], after=[missing])
    patient = {"max_wait_ms": 7_000, "min_bytes": 1}
    stage.ask("nothing else", fetch_from([missing, (topic, [fetched(partition=7)])], **patient))
    out_of_range = [(nothing, [fetched()]), (topic, [fetched(end), fetched(9, partition=1)])]
    stage.ask("one that is out of range", fetch_from(out_of_range, **patient))
    if stage.version >= 9:
        newer = [(topic, [fetched(end), fetched(partition=1, current_leader_epoch=9)])]
        stage.ask("one of a newer epoch", fetch_from(newer, **patient))
    if stage.version >= 12:
        diverging = [(topic, [fetched(end), fetched(1, partition=1, last_fetched_epoch=0)])]
        stage.ask("one that diverges", fetch_from(diverging, **patient))


@scenario(FetchRequest)
def changes_while_waiting(stage: Stage) -> None:
    """The numbers of an answer are those of its moment; a deletion does not wait for it."""
    if stage.version not in IN_WHICH_TO_WAIT:
        return
    from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

    topic, doomed = stage.topic("t"), stage.topic("doomed")
    for _ in range(3):
        stage.arrange(produce(topic, batch(2)))
    other = stage.elsewhere()
    for start, least in ((2, 1), (4, 1 << 20)):
        answer = stage.begin(f"the start moves to {start}", fetch(topic, 6, max_wait_ms=450, min_bytes=least))
        stage.settle()
        other.arrange(delete_records(topic, start))
        answer()
    parts = [(topic, [fetched(6)]), (doomed, [fetched()])]
    answer = stage.begin("a topic is deleted", fetch_from(parts, max_wait_ms=7_000, min_bytes=1))
    stage.settle()
    other.arrange(list_offsets(topic))  # the fetch was sent before this, and waits by now
    other.arrange(DeleteTopicsRequest(topics=[DeleteTopicState(name=doomed.name)], timeout_ms=10_000))
    answer()
    stage.wait_until_gone(doomed.name)
    stage.settle()
    answer = stage.begin("made again", fetch_from(parts, max_wait_ms=900, min_bytes=1))
    stage.settle()
    other.arrange(list_offsets(topic))
    again = other.topic("doomed")
    other.close()
    answer()
    if stage.version < 13:
        stage.settle()
        stage.ask("and found", fetch_from([(topic, [fetched(6)]), (again, [fetched()])]))


@scenario(FetchRequest, since=9)
def leader_epochs(stage: Stage) -> None:
    """A reader that believes in another leader epoch gets an error."""
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(3)))
    for epoch in (-2, -1, 0, 1, 5):
        stage.ask(f"current epoch {epoch}", fetch(topic, current_leader_epoch=epoch))
        stage.ask(f"current epoch {epoch}, out of range", fetch(topic, 10, current_leader_epoch=epoch))


@scenario(FetchRequest, since=12)
def last_fetched_epochs(stage: Stage) -> None:
    """A reader whose last record has another epoch may have to truncate."""
    topic = stage.topic("t")
    stage.ask("0 of an empty log", fetch(topic, last_fetched_epoch=0))
    stage.arrange(produce(topic, batch(3)))
    for epoch in (-2, -1, 0, 1, 5):
        for offset in (0, 2, 3, 4):
            stage.ask(f"last epoch {epoch} at {offset}", fetch(topic, offset, last_fetched_epoch=epoch))
    stage.ask("with current epoch", fetch(topic, 1, last_fetched_epoch=0, current_leader_epoch=0))
    stage.ask("with a wrong current epoch", fetch(topic, 1, last_fetched_epoch=0, current_leader_epoch=3))


@scenario(FetchRequest)
def isolation_levels(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(3)))
    for level in (0, 1, 2, -1):
        stage.ask(f"level {level}", fetch(topic, isolation_level=level))
        stage.ask(f"level {level} at the end", fetch(topic, 3, isolation_level=level))


@scenario(FetchRequest)
def a_start_that_moved(stage: Stage) -> None:
    topic = stage.topic("t")
    for _ in range(3):
        stage.arrange(produce(topic, batch(2)))
    stage.arrange(delete_records(topic, 3))
    for offset in (0, 2, 3, 4, 6):
        stage.ask(f"from {offset}", fetch(topic, offset))
    stage.arrange(delete_records(topic, -1))
    stage.ask("all deleted, at the end", fetch(topic, 6))
    stage.ask("all deleted, before", fetch(topic, 5))


@scenario(FetchRequest)
def replicas(stage: Stage) -> None:
    """Followers fetch with their id. There are none here, but for what pretends to be one."""
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(2)))
    for replica in (-2, -3, 1, 9):
        if stage.version < 15:
            request = fetch(topic, replica_id=replica)
        else:
            request = fetch(topic, replica_state=ReplicaState(replica_id=replica))
        stage.ask(f"replica {replica}", request)


@scenario(FetchRequest, since=11)
def racks(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(2)))
    stage.ask("a rack", fetch(topic, rack_id="r1"))
    if stage.version >= 12:
        stage.ask("a cluster that is not this", fetch(topic, cluster_id="another"))


@scenario(FetchRequest, since=13)
def an_id_that_changed(stage: Stage) -> None:
    """A topic made again under its name has another id."""
    from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(2)))
    stage.arrange(DeleteTopicsRequest(topics=[DeleteTopicState(name=topic.name)], timeout_ms=10_000))
    stage.wait_until_gone(topic.name)
    stage.ask("deleted", fetch(topic))
    again = stage.topic("t")
    stage.ask("the old id", fetch(topic))
    stage.ask("the new id", fetch(again))
