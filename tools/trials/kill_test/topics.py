"""Topics that were created and deleted, held against the lists of topics that the broker gave later.

A topic whose creation was acknowledged is in every list asked for afterwards, with the id it was created with, until
its deletion is asked for; one whose deletion was acknowledged is in no list asked for afterwards. Names are used once.

Violations: `topic-lost`, `topic-changed`, `topic-came-back`.
"""

from __future__ import annotations

from collections.abc import Iterator

from tools.trials.kill_test.checker import Violation
from tools.trials.kill_test.ledger import Ledger, TopicCreated, TopicDeleted, TopicDeletionAsked, TopicsSeen


def check_topics(ledger: Ledger) -> Iterator[Violation]:
    """All violations in a ledger, each topic's first one only."""
    created: dict[str, TopicCreated] = {}
    asked: dict[str, float] = {}
    deleted: dict[str, float] = {}
    lists: list[TopicsSeen] = []
    for entry in ledger.topics:
        match entry:
            case TopicCreated():
                created[entry.topic] = entry
            case TopicDeletionAsked():
                asked.setdefault(entry.topic, entry.at)
            case TopicDeleted():
                deleted[entry.topic] = entry.at
            case TopicsSeen():
                lists.append(entry)
    never = float("inf")
    for topic, made in created.items():
        for seen in lists:
            found = seen.topics.get(topic)
            if found is None and made.at < seen.asked and seen.answered < asked.get(topic, never):
                yield Violation("topic-lost", topic, -1, -1, f"created {seen.asked - made.at:.3f} s earlier, and gone")
                break
            if found is not None and found != made.topic_id:
                detail = f"created with id {made.topic_id}, and now {found}"
                yield Violation("topic-changed", topic, -1, -1, detail)
                break
    for topic, at in deleted.items():
        if any(at < seen.asked and topic in seen.topics for seen in lists):
            yield Violation("topic-came-back", topic, -1, -1, "its deletion had been acknowledged")
