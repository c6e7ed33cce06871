"""The matrix of authorization (`broker/testing/authorization`): every API, every situation, the oldest and the newest
version; of resources that exist and of such that do not.

All cases of a row and a version are asked in one world, one after the other, when the first of them is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple, cast

import pytest
import trio

from broker.coordinators.cluster import NewTopic
from broker.coordinators.cluster.acl_changes import create_acls
from broker.handlers import HANDLERS
from broker.security.needs import DEPENDS
from broker.security.operations import Resource
from broker.security.principals import Principal
from broker.testing.authorization.requests import Names, by_id
from broker.testing.authorization.rows import ROWS, Row
from broker.testing.authorization.situations import Situation, situations
from broker.testing.contexts import World, world
from broker.tests.handlers.acl_requests import SECURED
from kproto.errors import ErrorCode
from kproto.messages import request_type
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kproto.schema.compile import encode
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy

ADMIN: Final = Principal.parse("User:admin")
MISSING: Final = Names("case-gone", b"\x07" * 16, "case-gone", "case-gone")
SETTINGS: Final = SECURED | {"super.users": "User:admin", "group.initial.rebalance.delay.ms": "0"}
AUTHORIZATION: Final = {
    ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    ErrorCode.GROUP_AUTHORIZATION_FAILED,
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ErrorCode.DELEGATION_TOKEN_AUTHORIZATION_FAILED,
}
OF_CONFIGS: Final = "topic_config_error_code"
"""The code of the configs that CreateTopics echoes, which is none of the request's."""


class Answer(NamedTuple):
    """What one case was answered, and whether a log has grown by it."""

    reply: Any
    data: bytes
    grew: bool


class Case(NamedTuple):
    """One test."""

    row: Row
    version: int
    situation: str

    def __str__(self) -> str:
        return f"{self.row}, v{self.version}, {self.situation}"


def codes(message: Any) -> Iterator[int]:
    """Every error code in a reply."""
    if isinstance(message, list):
        for element in message:
            yield from codes(element)
    elif hasattr(message, "__slots__"):
        for name in type(message).__slots__:
            value = getattr(message, name)
            if name.endswith("error_code") and name != OF_CONFIGS:
                yield value
            elif not isinstance(value, bytes | str | int):
                yield from codes(value)


@cache
def answers(row: Row, version: int) -> dict[tuple[str, bool], Answer]:
    """What a broker answers to all cases of a row: (situation, whether the resources exist) -> answer."""
    return trio.run(_play, row, version)


@cache
def columns(row: Row) -> dict[str, Situation]:
    """The situations of a row, with the same names as those that are played."""
    return {each.name: each for each in situations(row, MISSING._replace(topic="case-here"), MISSING)}


async def _play(row: Row, version: int) -> dict[tuple[str, bool], Answer]:
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    found: dict[tuple[str, bool], Answer] = {}
    async with world(SETTINGS, store=store, groups=True, transactions=True) as w:
        w.be(ADMIN)
        for key_type in (0, 1):
            await w.ask(FindCoordinatorRequest(key_type=key_type, coordinator_keys=["any"]), 4)
        there = await _make(w)
        for situation in situations(row, there, MISSING):
            await create_acls(situation.acls, w.cluster, w.services.entropy)
            for exists in (True, False):
                names = await _make(w) if exists else _missing(situation, there)
                before = _ends(store)
                w.be(Principal.parse(situation.principal))
                reply = await w.ask(row.request(names, version), version)
                w.be(ADMIN)
                data = b"" if reply is None else b"".join(map(bytes, cast("list[bytes]", encode(reply, version))))
                found[situation.name, exists] = Answer(reply, data, _ends(store) != before)
    return found


def _missing(situation: Situation, there: Names) -> Names:
    """Names of which those are of nothing that the client is refused: what it may do, it may find out about."""
    kinds = {kind for need in situation.lacks for _, kind in need} or set(Resource)
    return Names(
        MISSING.topic if Resource.TOPIC in kinds else there.topic,
        MISSING.topic_id if Resource.TOPIC in kinds else there.topic_id,
        MISSING.group if Resource.GROUP in kinds else there.group,
        MISSING.transaction if Resource.TRANSACTIONAL_ID in kinds else there.transaction,
    )


def _ends(store: MemoryStore) -> dict[Any, int]:
    return {key: log.log_end_offset for key, log in store._logs.items() if log.exists}


async def _make(w: World) -> Names:
    """Make what should be there and is not, as an administrator."""
    w.be(ADMIN)
    name = "case-here"
    if w.cluster.image.topics.get(name) is None:
        await w.cluster.create_topics([NewTopic(name, partition_count=1)])
    part = [OffsetCommitRequestPartition(partition_index=0, committed_offset=5)]
    topics = [OffsetCommitRequestTopic(name=name, partitions=part)]
    await w.ask(OffsetCommitRequest(group_id=name, topics=topics), 8)
    topic = w.cluster.image.topics[name]
    known = await w.services.transactions.list_transactions(None, frozenset(), -1)
    if not any(each.transactional_id == name for each in known):
        await w.ask(InitProducerIdRequest(transactional_id=name, transaction_timeout_ms=60_000), 4)
    return Names(name, topic.topic_id, name, name)


CASES: Final = [Case(row, version, name) for row in ROWS for version in row.versions for name in columns(row)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_matrix(case: Case) -> None:
    """T13: What the row needs is enough, less is not. A refusal has the code of what is missed first, changes nothing,
    and is the same for what exists and for what does not."""
    situation = columns(case.row)[case.situation]
    of_row = answers(case.row, case.version)
    existing, missing = of_row[case.situation, True], of_row[case.situation, False]
    hidden = case.row.leaves_out
    if not situation.lacks:
        for answer in (existing, missing):
            assert not AUTHORIZATION & set(codes(answer.reply))
        if hidden is not None:
            assert b"case-here" in existing.data
        return
    [first, *_] = situation.lacks
    refused = AUTHORIZATION & set(codes(existing.reply))
    if hidden is not None and first[0][1] is hidden:
        assert not refused
        shown = existing.data.replace(b"case-here", b"", 1) if case.row.api_key == 9 else existing.data
        assert b"case-here" not in shown
    elif case.version < case.row.coded_since:
        assert not refused
    else:
        assert refused == {case.row.refusal(first)}
    assert not existing.grew and not missing.grew
    told = case.row.tells_describers and case.situation.startswith("denied")
    if not told and not by_id(request_type(case.row.api_key), case.version):
        assert missing.data.replace(b"case-gone", b"case-here") == existing.data


def test_there_is_a_row_for_every_api() -> None:
    """An API that is new gets its row with its handler."""
    assert {row.api_key for row in ROWS} | WITHOUT_ROW == set(HANDLERS)


WITHOUT_ROW: Final[set[int]] = {38, 39, 40, 41}  # delegation tokens: handlers/test_describe_delegation_token.py
"""APIs whose permission is not one of ACLs, with the test that tries them instead."""


def test_the_rows_agree_with_the_table_of_handlers() -> None:
    """What HANDLERS says that every request needs is what the matrix has tried."""
    for row in ROWS:
        needs = HANDLERS[row.api_key].needs
        if needs is not DEPENDS:
            said = [((need.operation, need.resource),) for need in needs or ()]
            assert list(row.needs)[: len(said)] == said, str(row)


def test_the_matrix_is_large() -> None:
    """Each API in each situation, in two versions."""
    assert len(CASES) >= 700
