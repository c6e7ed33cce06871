"""TxnOffsetCommit: offsets that count when the transaction commits, and what OffsetFetch says until then."""

from __future__ import annotations

from typing import Any

from kproto.messages.offset_fetch import OffsetFetchRequest
from kproto.messages.txn_offset_commit import TxnOffsetCommitRequest
from tools.answers.group_requests import commit, fetch_offsets, joined, stable
from tools.answers.requests import NO_TOPIC_ID, unknown_topic
from tools.answers.scenario import scenario
from tools.answers.scenarios.transactions import strangers
from tools.answers.stage import Stage, Topic
from tools.answers.transaction_requests import (
    UNSTABLE,
    Producer,
    add_offsets,
    ask_described,
    ask_settled,
    commit_offsets,
    ended,
    error_codes,
    opened,
    settled,
)

FETCH = 8
"""A version of OffsetFetch that names topics."""


def begun(stage: Stage, group: str, short: str = "tx") -> Producer:
    """A producer whose transaction has the group's offsets in it, if its client must say so."""
    producer = opened(stage, short)
    if stage.version < 5:
        settled(stage, add_offsets(producer, group), version=4)
    return producer


def ask_committed(stage: Stage, step: str, group: str, topic: Topic) -> None:
    """What is committed for the first partition, once that is stable."""
    asked = fetch_offsets(FETCH, group, (topic, [0]), require_stable=True)
    stage.ask_until(step, asked, lambda reply: UNSTABLE.isdisjoint(error_codes(reply)), version=FETCH)


@scenario(TxnOffsetCommitRequest)
def offsets_in_a_transaction(stage: Stage) -> None:
    topic, group = stage.topic("t"), stage.name("g")
    producer = begun(stage, group)
    stage.ask("five", commit_offsets(producer, group, topic, 5))
    stage.ask("five again", commit_offsets(producer, group, topic, 5))
    stage.ask("while it is open", fetch_offsets(FETCH, group, (topic, [0])), version=FETCH)
    stage.ask("while it is open, stable", fetch_offsets(FETCH, group, (topic, [0]), require_stable=True), version=FETCH)
    classic = stage.version < 5
    producer = ended(stage, producer, classic=classic)
    ask_committed(stage, "after the commit", group, topic)
    if classic:
        settled(stage, add_offsets(producer, group), version=4)
    ask_settled(stage, "seven", commit_offsets(producer, group, topic, 7, metadata="m"))
    stage.ask("before the abort", fetch_offsets(FETCH, group, (topic, [0])), version=FETCH)
    ended(stage, producer, commit=False, classic=classic)
    ask_committed(stage, "after the abort", group, topic)
    stage.ask("a plain commit", commit(group, topic, 9), version=9)
    ask_committed(stage, "after the plain commit", group, topic)


@scenario(TxnOffsetCommitRequest)
def unannounced_offsets(stage: Stage) -> None:
    """Older clients must have added the group's partition; from version 5 on the commit does it."""
    topic, group = stage.topic("t"), stage.name("g")
    opened(stage)
    producer = opened(stage)
    ask_settled(stage, "not added", commit_offsets(producer, group, topic))
    ask_described(stage, "described", producer.transactional_id)
    settled(stage, add_offsets(producer, group), version=4)
    ask_settled(stage, "added", commit_offsets(producer, group, topic))
    for who, stranger in strangers(producer).items():
        ask_settled(stage, who, commit_offsets(stranger, group, topic))


@scenario(TxnOffsetCommitRequest)
def transactional_offsets_of_places(stage: Stage) -> None:
    topic, nothing, group = stage.topic("t"), unknown_topic(stage), stage.name("g")
    producer = begun(stage, group)
    ask_settled(stage, "unknown topic", commit_offsets(producer, group, nothing))
    ask_settled(stage, "unknown partition", commit_offsets(producer, group, topic, partition=1))
    ask_settled(stage, "negative partition", commit_offsets(producer, group, topic, partition=-1))
    ask_settled(stage, "no id", commit_offsets(producer, group, Topic(topic.name, NO_TOPIC_ID)))
    ask_settled(stage, "an empty name", commit_offsets(producer, group, Topic("", NO_TOPIC_ID)))
    ask_settled(stage, "nowhere", commit_offsets(producer, group, topic, topics=[]))
    ask_settled(stage, "an empty group", commit_offsets(producer, "", topic))
    ask_settled(stage, "4097 letters", commit_offsets(producer, group, topic, metadata="m" * 4097))
    ask_settled(stage, "4096 letters", commit_offsets(producer, group, topic, metadata="m" * 4096))
    ask_settled(stage, "null metadata", commit_offsets(producer, group, topic, metadata=None))
    ask_settled(stage, "negative", commit_offsets(producer, group, topic, -1))
    ended(stage, producer, classic=stage.version < 5)
    ask_committed(stage, "what is there", group, topic)


@scenario(TxnOffsetCommitRequest, since=3)
def members_and_generations(stage: Stage) -> None:
    """A consumer that has lost its partitions is fenced (KIP-447)."""
    topic, member = stage.topic("t"), stable(stage, instance_id="one")
    group, producer = member.group, begun(stage, member.group)
    right = {"generation_id_or_member_epoch": member.generation, "member_id": member.member_id}

    def asked(**fields: Any) -> TxnOffsetCommitRequest:
        return commit_offsets(producer, group, topic, **fields)

    ask_settled(stage, "the member", asked(**right))
    ask_settled(stage, "the member by its instance", asked(**right, group_instance_id="one"))
    ask_settled(stage, "another instance", asked(**right, group_instance_id="two"))
    ask_settled(stage, "a stranger by that instance", asked(**right | {"member_id": "x"}, group_instance_id="one"))
    ask_settled(stage, "no member", asked())
    ask_settled(stage, "a stranger", asked(**right | {"member_id": "stranger"}))
    for step in (-1, 1):
        changed = {"generation_id_or_member_epoch": member.generation + step}
        ask_settled(stage, f"generation {step:+}", asked(**right | changed))
    ask_settled(stage, "no generation", asked(member_id=member.member_id))
    ask_settled(stage, "a generation of no member", asked(generation_id_or_member_epoch=member.generation))
    unknown = stage.name("unknown")
    if stage.version < 5:
        settled(stage, add_offsets(producer, unknown), version=4)
    ask_settled(stage, "a group that is not there", commit_offsets(producer, unknown, topic))
    ask_settled(
        stage, "a generation of a group that is not there",
        commit_offsets(producer, unknown, topic, generation_id_or_member_epoch=1, member_id="m"),
    )  # fmt: skip
    fresh = joined(stage, stage.name("fresh"))
    if stage.version < 5:
        settled(stage, add_offsets(producer, fresh.group), version=4)
    numbers: dict[str, Any] = {"generation_id_or_member_epoch": fresh.generation, "member_id": fresh.member_id}
    ask_settled(stage, "before sync", commit_offsets(producer, fresh.group, topic, **numbers))


@scenario(OffsetFetchRequest)
def pending_offsets(stage: Stage) -> None:
    """An open transaction's offsets are not there yet, and a client that wants to be sure has to wait."""
    version, topic, group = stage.version, stage.topic("t", 2), stage.name("g")
    stage.arrange(commit(group, topic, 3))
    producer = opened(stage)
    settled(stage, commit_offsets(producer, group, topic, 5))
    stage.ask("one", fetch_offsets(version, group, (topic, [0])))
    stage.ask("both", fetch_offsets(version, group, (topic, [0, 1])))
    if version >= 2:
        stage.ask("all", fetch_offsets(version, group, everything=True))
    if version >= 7:
        stage.ask("one, stable", fetch_offsets(version, group, (topic, [0]), require_stable=True))
        stage.ask("the other, stable", fetch_offsets(version, group, (topic, [1]), require_stable=True))
        stage.ask("all, stable", fetch_offsets(version, group, everything=True, require_stable=True))
    ended(stage, producer)
    stage.ask_until(
        "after the commit", fetch_offsets(version, group, (topic, [0])),
        lambda reply: offsets_of(reply) == [5],
    )  # fmt: skip


def offsets_of(reply: object) -> list[int]:
    """Every committed offset in an OffsetFetch's reply, of whichever version."""
    groups = getattr(reply, "groups", []) or [reply]
    return [part.committed_offset for group in groups for topic in group.topics for part in topic.partitions]
