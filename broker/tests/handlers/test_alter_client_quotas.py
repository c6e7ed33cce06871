"""AlterClientQuotas: what is set can be described at once, in every version."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster.quotas import MAX_OPERATIONS
from broker.testing.contexts import World, versions_of, world
from broker.tests.handlers.quotas_of import alter, described, entry
from kproto.errors import ErrorCode
from kproto.messages.alter_client_quotas import AlterClientQuotasRequest, AlterClientQuotasResponse

USER, CLIENT = ("user", "u"), ("client-id", "c")


async def codes(w: World, request: AlterClientQuotasRequest, version: int = 1) -> list[int]:
    answer: AlterClientQuotasResponse = await w.ask(request, version)
    return [each.error_code for each in answer.entries]


@pytest.mark.parametrize("version", versions_of(AlterClientQuotasRequest))
async def test_set_and_removed(version: int) -> None:
    """By each version."""
    async with world() as w:
        answer = await w.ask(alter(entry([USER], producer_byte_rate=5.0)), version)
        assert [(each.error_code, each.error_message) for each in answer.entries] == [(0, None)]
        assert [(part.entity_type, part.entity_name) for part in answer.entries[0].entity] == [USER]
        assert await described(w) == {(USER,): {"producer_byte_rate": 5.0}}
        assert await codes(w, alter(entry([USER], producer_byte_rate=None)), version) == [0]
        assert await described(w) == {}


async def test_each_entity_by_itself() -> None:
    """In the order of the request; a refusal says why."""
    async with world() as w:
        request = alter(entry([USER], producer_byte_rate=0.0), entry([CLIENT, USER], request_percentage=50.0))
        answer = await w.ask(request, 1)
        assert [each.error_code for each in answer.entries] == [ErrorCode.INVALID_REQUEST, 0]
        assert answer.entries[0].error_message
        assert await described(w) == {(CLIENT, USER): {"request_percentage": 50.0}}


async def test_trying_changes_nothing() -> None:
    """It is answered as the real thing."""
    async with world() as w:
        good, bad = entry([USER], producer_byte_rate=5.0), entry([CLIENT], producer_byte_rate=0.5)
        assert await codes(w, alter(good, bad, validate_only=True)) == [0, ErrorCode.INVALID_REQUEST]
        assert await described(w) == {}


async def test_an_entity_twice_is_answered_once() -> None:
    """With a refusal, although the first was carried out: Kafka answers by entity."""
    async with world() as w:
        first, second = entry([USER], producer_byte_rate=5.0), entry([USER], producer_byte_rate=6.0)
        assert await codes(w, alter(first, second)) == [ErrorCode.INVALID_REQUEST]
        assert await described(w) == {(USER,): {"producer_byte_rate": 5.0}}


async def test_a_request_has_a_bound() -> None:
    """Of changes, all entities together."""
    async with world() as w:
        ops = [entry([("user", str(number))], producer_byte_rate=5.0) for number in range(MAX_OPERATIONS // 2 + 1)]
        assert set(await codes(w, alter(*ops))) == {ErrorCode.POLICY_VIOLATION}
        assert await described(w) == {}
