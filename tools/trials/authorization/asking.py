"""All cases of the matrix, asked of one secured broker.

Every situation of every row has a user of its own, so that all ACLs can be there at once, and are given before the
first question. Only those of `User:*` come and go, row by row, when all other cases have been asked.

An answer that is a refusal is written down whole. Of one that is not only the error codes are: what else it says
depends on what was asked before, and other comparisons look at it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from broker.security.acls import EVERYONE, Acl
from broker.security.operations import Resource
from broker.testing.authorization.requests import Names
from broker.testing.authorization.rows import ROWS, Row
from broker.testing.authorization.situations import Situation, situations
from kproto.messages.create_acls import AclCreation, CreateAclsRequest
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.delete_acls import DeleteAclsFilter, DeleteAclsRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from tools.answers.canonical import Symbols, canonical
from tools.answers.peer import NoReply
from tools.answers.site import Answers, Key, Plain
from tools.trials.authorization.secured import Client, Secured
from tools.trials.brokers import pause

THERE: Final = "case-here"
MISSING: Final = Names("case-gone", b"\x07" * 16, "case-gone", "case-gone")
PATIENCE_SECONDS: Final = 20.0
ANONYMOUS: Final = "anonymous"


class Column(NamedTuple):
    """A situation of a row, with the user that is in it."""

    row: Row
    situation: Situation
    user: str

    @property
    def acls(self) -> Iterator[Acl]:
        """The ACLs of the situation, given to its user."""
        for acl in self.situation.acls:
            yield acl if acl.principal == EVERYONE else acl._replace(principal=f"User:{self.user}")

    @property
    def for_everyone(self) -> bool:
        """Whether the ACLs are about the users of other situations, too."""
        return any(acl.principal == EVERYONE for acl in self.situation.acls)


def columns() -> list[Column]:
    """Every situation of every row but `anonymous`, numbered."""
    found: list[Column] = []
    for row in ROWS:
        for situation in situations(row, MISSING._replace(topic=THERE, group=THERE, transaction=THERE), MISSING):
            if situation.name != ANONYMOUS:
                user = "admin" if situation.name == "super" else f"c{len(found)}"
                found.append(Column(row, situation, user))
    return found


def ask_all(broker: Secured, asked: list[Column]) -> Answers:
    """The answers to all cases, by row, version and situation."""
    admin = Client(broker.port)
    answers: Answers = {}
    grant(admin, [acl for column in asked if not column.for_everyone for acl in column.acls])
    make(admin)
    pause(broker.lag_seconds * 2)
    for column in asked:
        if not column.for_everyone:
            _ask(broker, admin, column, answers)
    for column in asked:
        if column.for_everyone:
            grant(admin, list(column.acls))
            pause(broker.lag_seconds)
            _ask(broker, admin, column, answers)
            revoke_from_everyone(admin)
            pause(broker.lag_seconds / 4)
    admin.close()
    return answers


def _ask(broker: Secured, admin: Client, column: Column, answers: Answers) -> None:
    row, situation = column.row, column.situation
    for version in row.versions:
        for exists in (True, False):
            there = make(admin)
            names = there if exists else missing(situation, there)
            client = Client(broker.sasl_port, column.user)
            reply = client.ask(row.request(names, version), version)
            client.close()
            key = Key(str(row), version, f"{situation.name}, {'existing' if exists else 'missing'}")
            answers[key] = _written_down(reply, version, bool(situation.lacks), names)


def _written_down(reply: Any, version: int, refused: bool, names: Names) -> Plain:
    if isinstance(reply, NoReply):
        return reply.value
    symbols = Symbols()
    symbols.learn(names.topic_id, "<id>")
    whole = canonical(reply, version, symbols)
    return _without_messages(whole) if refused else sorted(set(_codes(whole)))


def _without_messages(value: Plain) -> Plain:
    """What a program reads: sentences for people are each broker's own."""
    if isinstance(value, list):
        return [_without_messages(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: bool(inner) if name.endswith("error_message") else _without_messages(inner)
        for name, inner in value.items()
    }


def _codes(value: Plain) -> Iterator[int]:
    if isinstance(value, list):
        for each in value:
            yield from _codes(each)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name.endswith("error_code"):
                yield inner
            else:
                yield from _codes(inner)


def missing(situation: Situation, there: Names) -> Names:
    """Names of which those are of nothing that the client is refused: what it may do, it may find out about."""
    kinds = {kind for need in situation.lacks for _, kind in need} or set(Resource)
    topic, group, transaction = (kind in kinds for kind in (Resource.TOPIC, Resource.GROUP, Resource.TRANSACTIONAL_ID))
    return Names(
        MISSING.topic if topic else there.topic,
        MISSING.topic_id if topic else there.topic_id,
        MISSING.group if group else there.group,
        MISSING.transaction if transaction else there.transaction,
    )


# --- what is there, and who may what


def make(admin: Client) -> Names:
    """A topic, a group with an offset and a transactional id, made where they are not there."""
    new = CreatableTopic(name=THERE, num_partitions=1, replication_factor=1)
    created = admin.ask(CreateTopicsRequest(topics=[new], timeout_ms=10_000), 7)
    assert not isinstance(created, NoReply)
    part = [OffsetCommitRequestPartition(partition_index=0, committed_offset=5)]
    commit = OffsetCommitRequest(group_id=THERE, topics=[OffsetCommitRequestTopic(name=THERE, partitions=part)])
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        committed: Any = admin.ask(commit, 8)
        [topic] = committed.topics
        asked = MetadataRequest(topics=[MetadataRequestTopic(name=THERE)], allow_auto_topic_creation=False)
        metadata: Any = admin.ask(asked, 12)
        [found] = metadata.topics
        if topic.partitions[0].error_code != 3 and found.error_code == 0:
            break
        assert time.monotonic() < until, f"the topic does not appear: {found}"
        pause(0.02)
    if created.topics[0].error_code == 0:  # type: ignore[attr-defined]  # of this response
        admin.ask(InitProducerIdRequest(transactional_id=THERE, transaction_timeout_ms=60_000), 4)
    return Names(THERE, found.topic_id, THERE, THERE)


def grant(admin: Client, acls: list[Acl]) -> None:
    """Add ACLs."""
    creations = [
        AclCreation(
            resource_type=acl.resource_type,
            resource_name=acl.resource_name,
            resource_pattern_type=acl.pattern_type,
            principal=acl.principal,
            host=acl.host,
            operation=acl.operation,
            permission_type=acl.permission,
        )
        for acl in acls
    ]
    answer: Any = admin.ask(CreateAclsRequest(creations=creations), 3)
    assert all(result.error_code == 0 for result in answer.results), answer


def revoke_from_everyone(admin: Client) -> None:
    """Remove the ACLs of User:*."""
    meant = DeleteAclsFilter(
        resource_type_filter=1, pattern_type_filter=1, principal_filter=EVERYONE, operation=1, permission_type=1
    )
    answer: Any = admin.ask(DeleteAclsRequest(filters=[meant]), 3)
    assert all(result.error_code == 0 for result in answer.filter_results), answer
