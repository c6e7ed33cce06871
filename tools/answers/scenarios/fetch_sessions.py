"""Fetch sessions (KIP-227): a client names its partitions once, and then only what changes."""

from __future__ import annotations

from typing import Any

from kproto.messages.fetch import FetchRequest, ForgottenTopic
from tools.answers.requests import batch, fetch_from, fetched, produce, unknown_topic
from tools.answers.scenario import scenario
from tools.answers.scenarios.fetch import IN_WHICH_TO_WAIT
from tools.answers.stage import Stage, Topic


def opened(stage: Stage, step: str, parts: list[Any]) -> int:
    """Ask for a session, and return its id."""
    reply = stage.ask(step, fetch_from(parts, session_id=0, session_epoch=0))
    session: int = reply.session_id
    return session


def forget(topic: Topic, *partitions: int) -> ForgottenTopic:
    """Partitions to be taken out of a session."""
    return ForgottenTopic(topic=topic.name, topic_id=topic.topic_id, partitions=list(partitions))


@scenario(FetchRequest, since=7)
def a_session(stage: Stage) -> None:
    topic, other = stage.topic("t", 2), stage.topic("o")
    stage.arrange(produce(topic, batch(2)))
    session = opened(stage, "opened", [(topic, [fetched(), fetched(partition=1)])])

    def go_on(step: str, epoch: int, parts: list[Any], **fields: Any) -> None:
        stage.ask(step, fetch_from(parts, session_id=session, session_epoch=epoch, **fields))

    go_on("the same again", 1, [])
    go_on("read on", 2, [(topic, [fetched(2)])])
    go_on("nothing new", 3, [])
    stage.arrange(produce(topic, batch(1), partition=1))
    go_on("something new", 4, [])
    go_on("read that", 5, [(topic, [fetched(1, partition=1)])])
    go_on("another topic", 6, [(other, [fetched()])])
    stage.arrange(produce(other, batch(1)))
    go_on("its records", 7, [])
    go_on("forget it", 8, [], forgotten_topics_data=[forget(other, 0)])
    stage.arrange(produce(other, batch(1)))
    stage.arrange(produce(topic, batch(1)))
    go_on("without it", 9, [])
    go_on("out of range", 10, [(topic, [fetched(100)])])
    go_on("still out of range", 11, [])
    go_on("back", 12, [(topic, [fetched(3)])])
    go_on("an unknown partition", 13, [(topic, [fetched(partition=9)])])
    go_on("still unknown", 14, [])
    go_on("unknown no more", 15, [], forgotten_topics_data=[forget(topic, 9)])
    go_on("quiet", 16, [])


@scenario(FetchRequest, since=7)
def epochs_of_sessions(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(2)))
    parts = [(topic, [fetched()])]
    stage.ask("no session", fetch_from(parts, session_id=0, session_epoch=-1))
    stage.ask("a session that is not", fetch_from(parts, session_id=123456, session_epoch=1))
    stage.ask("no session, but an epoch", fetch_from(parts, session_id=0, session_epoch=1))
    stage.ask("no session, epoch below", fetch_from(parts, session_id=0, session_epoch=-2))
    session = opened(stage, "opened", parts)
    stage.ask("an epoch ahead", fetch_from([], session_id=session, session_epoch=2))
    stage.ask("the epoch expected", fetch_from([], session_id=session, session_epoch=1))
    stage.ask("the same epoch again", fetch_from([], session_id=session, session_epoch=1))
    stage.ask("a new one instead", fetch_from(parts, session_id=session, session_epoch=0))
    stage.ask("the old one is gone", fetch_from([], session_id=session, session_epoch=2))
    session = opened(stage, "opened again", parts)
    stage.ask("closed", fetch_from(parts, session_id=session, session_epoch=-1))
    stage.ask("after closing", fetch_from([], session_id=session, session_epoch=1))
    stage.ask("a negative session", fetch_from(parts, session_id=-1, session_epoch=0))
    stage.ask("an empty session", fetch_from([], session_id=0, session_epoch=0))


@scenario(FetchRequest, since=7)
def sessions_elsewhere(stage: Stage) -> None:
    """A session belongs to no connection."""
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(2)))
    session = opened(stage, "opened", [(topic, [fetched()])])
    other = stage.elsewhere()
    other.ask("from another connection", fetch_from([], session_id=session, session_epoch=1))
    other.close()
    stage.ask("from this one", fetch_from([], session_id=session, session_epoch=2))


@scenario(FetchRequest, since=7)
def topics_in_sessions(stage: Stage) -> None:
    """An unknown topic may come into a session, and a topic in it may go away."""
    from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

    topic, doomed, nothing = stage.topic("t"), stage.topic("doomed"), unknown_topic(stage)
    stage.arrange(produce(doomed, batch(2)))
    session = opened(stage, "opened", [(topic, [fetched()]), (nothing, [fetched()]), (doomed, [fetched(2)])])
    stage.ask("again", fetch_from([], session_id=session, session_epoch=1))
    stage.arrange(DeleteTopicsRequest(topics=[DeleteTopicState(name=doomed.name)], timeout_ms=10_000))
    stage.wait_until_gone(doomed.name)
    stage.settle()
    stage.ask("after a deletion", fetch_from([], session_id=session, session_epoch=2))
    stage.ask("and again", fetch_from([], session_id=session, session_epoch=3))


@scenario(FetchRequest, since=7)
def topics_made_again_in_sessions(stage: Stage) -> None:
    """A session knows which topic was meant: by the name that it had, and by the id."""
    from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

    topic, doomed = stage.topic("t"), stage.topic("doomed")
    session = opened(stage, "opened", [(topic, [fetched()]), (doomed, [fetched()])])
    stage.arrange(DeleteTopicsRequest(topics=[DeleteTopicState(name=doomed.name)], timeout_ms=10_000))
    stage.wait_until_gone(doomed.name)
    stage.settle()
    stage.ask("after a deletion", fetch_from([], session_id=session, session_epoch=1))
    again = stage.topic("doomed")
    stage.settle()
    stage.ask("made again", fetch_from([], session_id=session, session_epoch=2))
    stage.ask("and again", fetch_from([], session_id=session, session_epoch=3))
    stage.ask("the new one", fetch_from([(again, [fetched()])], session_id=session, session_epoch=4))
    stage.ask("and nothing else", fetch_from([], session_id=session, session_epoch=5))


@scenario(FetchRequest, since=7)
def waiting_in_sessions(stage: Stage) -> None:
    """An incremental fetch waits like any other, even if something is missing, and has what has moved meanwhile."""
    from tools.answers.requests import delete_records

    if stage.version not in IN_WHICH_TO_WAIT:
        return
    topic, nothing = stage.topic("t", 2), unknown_topic(stage)
    for _ in range(2):
        stage.arrange(produce(topic, batch(2)))
    session = opened(stage, "opened", [(topic, [fetched(4), fetched(partition=1)]), (nothing, [fetched()])])
    other = stage.elsewhere()
    patient = {"session_id": session, "min_bytes": 1}
    answer = stage.begin("woken", fetch_from([], session_epoch=1, max_wait_ms=7_000, **patient))
    stage.settle()
    other.arrange(produce(topic, batch(), partition=1))
    answer()
    answer = stage.begin(
        "the start moves", fetch_from([(topic, [fetched(1, partition=1)])], session_epoch=2, max_wait_ms=450, **patient)
    )
    stage.settle()
    other.arrange(delete_records(topic, 3))
    answer()
    other.close()
    stage.ask("told", fetch_from([], session_epoch=3, max_wait_ms=100, **patient))


@scenario(FetchRequest, since=7)
def order_in_sessions(stage: Stage) -> None:
    """What has just been given out goes to the end of the queue, so that no partition starves."""
    topic = stage.topic("t", 3)
    for partition in range(3):
        for _ in range(2):
            stage.arrange(produce(topic, batch(5), partition=partition))
    size = len(batch(5))
    parts = [(topic, [fetched(partition=each) for each in range(3)])]
    reply = stage.ask("opened", fetch_from(parts, session_id=0, session_epoch=0, max_bytes=size + 5))
    session = reply.session_id
    for epoch in (1, 2, 3):
        stage.ask(f"then, {epoch}", fetch_from([], session_id=session, session_epoch=epoch, max_bytes=size + 5))


@scenario(FetchRequest, since=7)
def watermarks_in_sessions(stage: Stage) -> None:
    """A partition is listed without records when its watermark or its start has moved."""
    from tools.answers.requests import delete_records

    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(4)))
    session = opened(stage, "opened", [(topic, [fetched(4)])])
    stage.arrange(delete_records(topic, 2))
    stage.ask("the start moved", fetch_from([], session_id=session, session_epoch=1))
    stage.ask("and did not", fetch_from([], session_id=session, session_epoch=2))
