"""DescribeTransactions and ListTransactions: what administrators see."""

from __future__ import annotations

from typing import Any

from kproto.messages.describe_transactions import DescribeTransactionsRequest
from kproto.messages.list_transactions import ListTransactionsRequest
from tools.answers.scenario import scenario
from tools.answers.stage import Stage
from tools.answers.transaction_requests import (
    add_offsets,
    describe_transactions,
    ended,
    opened,
    sent,
    settled,
)


@scenario(DescribeTransactionsRequest)
def described_transactions(stage: Stage) -> None:
    topic, other = stage.topic("t", 3), stage.topic("o")
    stage.ask("none", describe_transactions())
    stage.ask("unknown", describe_transactions(stage.name("unknown")))
    stage.ask("an empty id", describe_transactions(""))
    producer = opened(stage, timeout=12_345)
    name = producer.transactional_id
    stage.ask("before the first", describe_transactions(name))
    stage.ask("twice", describe_transactions(name, name))
    stage.ask("known and unknown", describe_transactions(name, stage.name("unknown")))
    for topic_of, partition in ((topic, 2), (topic, 0), (other, 0)):
        sent(stage, producer, topic_of, partition=partition)
    settled(stage, add_offsets(producer, "a group"), version=4)
    stage.ask("open", describe_transactions(name))
    producer = ended(stage, producer)
    stage.ask("committed", describe_transactions(name))
    sent(stage, producer, topic)
    ended(stage, producer, commit=False)
    stage.ask("aborted", describe_transactions(name))


@scenario(ListTransactionsRequest)
def listed_transactions(stage: Stage) -> None:
    topic = stage.topic("t")
    empty, open_one = opened(stage, "empty"), opened(stage, "open")
    sent(stage, open_one, topic)
    for short, commit in (("committed", True), ("aborted", False)):
        producer = opened(stage, short)
        sent(stage, producer, topic)
        ended(stage, producer, commit=commit)

    def asked(step: str, **fields: Any) -> None:
        stage.ask(step, ListTransactionsRequest(**fields), only_mine=True)

    asked("all")
    for state in ("Empty", "Ongoing", "CompleteCommit", "CompleteAbort", "PrepareCommit", "PrepareAbort", "Dead"):
        asked(f"state {state}", state_filters=[state])
    asked("state of PrepareEpochFence", state_filters=["PrepareEpochFence"])
    asked("two states", state_filters=["Ongoing", "Empty"])
    asked("a state in small letters", state_filters=["ongoing"])
    asked("an unknown state", state_filters=["Unheard"])
    asked("an unknown and a known state", state_filters=["Ongoing", "Unheard", "Of"])
    asked("an empty state", state_filters=[""])
    asked("one producer", producer_id_filters=[open_one.producer_id])
    asked("two producers", producer_id_filters=[open_one.producer_id, empty.producer_id])
    asked("an unknown producer", producer_id_filters=[1 << 50])
    asked("a producer and a state", producer_id_filters=[open_one.producer_id], state_filters=["Empty"])
    if stage.version >= 1:
        for duration in (-1, -2, 0, 1, 3_600_000):
            if duration != 1:  # a matter of speed
                asked(f"longer than {duration} ms", duration_filter=duration)
        asked("none lasts an hour", duration_filter=3_600_000, state_filters=["Empty"])
    if stage.version >= 2:
        patterns = {
            "nothing": "", "all": ".*", "this one": open_one.transactional_id, "a part": "open", "its end": ".*-open",
            "two": ".*-(open|empty)", "another": "other", "broken": "(", "a class": ".*-v[0-9]-[eo][mp].*",
            "a lookahead": "(?=.*open).*", "a back reference": "(l)ist\\1", "possessive": ".*+open",
        }  # fmt: skip
        for step, pattern in patterns.items():
            asked(f"pattern: {step}", transactional_id_pattern=pattern)
        asked("a pattern and a state", transactional_id_pattern=".*", state_filters=["Ongoing"])
