"""Errors on command, in every API and every version that is served: in the shape that its clients know, and no further
than they were meant to go."""

from __future__ import annotations

import pytest

from broker.context import CloseConnection
from broker.control.faults import Effect, Kind, Rhythm, Target
from broker.control.parts import Named
from broker.handlers import HANDLERS, SERVED_VERSIONS, handler
from broker.tests.control.requests import Broker, as_read, broker, errors_in, every_request
from kproto.errors import ErrorCode
from kproto.messages import request_type
from kproto.release.apis import APIS
from kproto.schema.declare import fields_of

CODE = ErrorCode.BROKER_NOT_AVAILABLE
"""One that nothing answers by itself."""
ERROR = Effect(Kind.ERROR, CODE)
EVERY_VERSION = [
    (key, version) for key, (oldest, newest) in SERVED_VERSIONS.items() for version in range(oldest, newest + 1)
]
"""(API key, version) of all that are served."""


async def test_an_error_is_the_refusal_of_its_api() -> None:
    """W12: Of the whole request, in each version: just what the handler refuses with; the work is not done."""
    async with broker() as b:
        b.fault(ERROR)
        for key, version in EVERY_VERSION:
            answer = await b.ask(b.request(key, version), version)
            refusal = as_read(handler(key).refuse(b.request(key, version), CODE, version), version)
            assert answer == refusal, f"{APIS[key].name} {version}"
            assert {code for _, code in errors_in(answer)} <= {CODE}  # a few old versions have no place for one
        assert b.faults.injected == {"error": len(EVERY_VERSION)}


def _all_fields(cls: type) -> list:  # type: ignore[type-arg]
    found = []
    for field in fields_of(cls):
        found.append(field)
        if field.type.element is not None and field.type.element.struct is not None:
            found += _all_fields(field.type.element.struct)
    return found


OF_PARTITIONS = [
    key
    for key in HANDLERS
    if APIS[key].name
    in (
        *("Produce", "Fetch", "ListOffsets", "OffsetCommit", "TxnOffsetCommit", "DeleteRecords", "Metadata"),
        *("OffsetForLeaderEpoch", "AddPartitionsToTxn", "DescribeProducers", "DescribeTopicPartitions"),
    )
]


@pytest.mark.parametrize("key", OF_PARTITIONS, ids=lambda key: APIS[key].name)
async def test_an_error_of_a_partition_is_that_of_no_other(key: int) -> None:
    """Four partitions are named, one is refused; the others are answered as they would be."""
    async with broker() as b:
        for version in range(SERVED_VERSIONS[key][0], SERVED_VERSIONS[key][1] + 1):
            if APIS[key].name == "AddPartitionsToTxn" and version > 3:
                continue  # those are for brokers among each other
            fault = b.fault(ERROR, Target(key, Named(topic="orders", partition=1)))
            answer = await b.ask(b.request(key, version), version)
            (where,) = [path for path, code in errors_in(answer) if code == CODE]
            assert where[-1] == 1
            assert where[-2] in ("orders", b.topic_id(0))
            assert _partitions_in(answer) == 4
            b.faults.remove(fault.number)
            assert CODE not in {code for _, code in errors_in(await b.ask(b.request(key, version), version))}


def _partitions_in(answer: object) -> int:
    text = repr(answer)
    return max(text.count(f"{name}(") for name in _partition_structs(type(answer)))


def _partition_structs(cls: type) -> list[str]:
    inside = [field.type.element.struct for field in _all_fields(cls) if field.type.element is not None]
    return [
        struct.__name__
        for struct in inside
        if struct is not None
        and {"partition_index", "partition", "index"} & {field.name for field in fields_of(struct)}
    ]


async def test_what_a_request_names_is_found() -> None:
    """A fault for a group, a transactional id or a topic is for the requests that name it, whatever their version."""
    async with broker() as b:
        for key, version in EVERY_VERSION:
            await _look_for_names(b, key, version)


async def _look_for_names(b: Broker, key: int, version: int) -> None:
    text = repr(every_request(version, request_type(key), b.topic_id))
    said = {
        Named(group="group-0"): "'group-0'" in text and APIS[key].name != "FindCoordinator",
        Named(transactional_id="ledger-0"): "'ledger-0'" in text,
        Named(topic="orders"): ("'orders'" in text or repr(b.topic_id(0)) in text)
        and APIS[key].name not in ("ConsumerGroupHeartbeat",),
    }
    for named, is_said in said.items():
        fault = b.fault(Effect(Kind.DROP), Target(named=named), Rhythm(times=1))
        if is_said:
            with pytest.raises(CloseConnection):
                await b.ask(b.request(key, version), version)
        b.faults.clear()
        assert (fault.injected, fault.seen) == (int(is_said), int(is_said)), f"{APIS[key].name} {version} {named}"
