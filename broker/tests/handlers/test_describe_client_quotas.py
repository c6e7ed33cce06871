"""DescribeClientQuotas: which entities a filter lists (a running Kafka was asked the same)."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from broker.tests.handlers.quotas_of import Part, alter, describe, described, entry
from kproto.errors import ErrorCode
from kproto.messages.describe_client_quotas import DescribeClientQuotasRequest

EXACT, DEFAULT, SPECIFIED = 0, 1, 2
U, V, ANY_USER = ("user", "u"), ("user", "v"), ("user", None)
C, ANY_CLIENT = ("client-id", "c"), ("client-id", None)
ENTITIES: list[tuple[Part, ...]] = [(U,), (V,), (C,), (C, U), (ANY_CLIENT, V), (ANY_USER,)]


@pytest.mark.parametrize("version", versions_of(DescribeClientQuotasRequest))
@pytest.mark.parametrize(
    ("components", "loose", "strict"),
    [
        ([], ENTITIES, []),
        ([("user", EXACT, "u")], [(U,), (C, U)], [(U,)]),
        ([("user", DEFAULT, None)], [(ANY_USER,)], [(ANY_USER,)]),
        ([("user", SPECIFIED, None)], [(U,), (V,), (C, U), (ANY_CLIENT, V), (ANY_USER,)], [(U,), (V,), (ANY_USER,)]),
        ([("client-id", SPECIFIED, None)], [(C,), (C, U), (ANY_CLIENT, V)], [(C,)]),
        ([("user", EXACT, "v"), ("client-id", DEFAULT, None)], [(ANY_CLIENT, V)], [(ANY_CLIENT, V)]),
        ([("client-id", SPECIFIED, None), ("user", SPECIFIED, None)], [(C, U), (ANY_CLIENT, V)], None),
        ([("ip", SPECIFIED, None)], [], []),
        ([("user", EXACT, "")], [], []),
    ],
)
async def test_what_a_filter_lists(
    version: int,
    components: list[tuple[str, int, str | None]],
    loose: list[tuple[Part, ...]],
    strict: list[tuple[Part, ...]] | None,
) -> None:
    """Loosely, what has all that is asked for; strictly, what has nothing else."""
    async with world() as w:
        await w.ask(alter(*(entry(list(parts), producer_byte_rate=5.0) for parts in ENTITIES)), 1)
        assert set(await described(w, *components, version=version)) == set(loose)
        expected = loose if strict is None else strict
        assert set(await described(w, *components, strict=True, version=version)) == set(expected)


@pytest.mark.parametrize(
    ("code", "components"),
    [
        (ErrorCode.INVALID_REQUEST, [("user", EXACT, None)]),
        (ErrorCode.INVALID_REQUEST, [("user", DEFAULT, "u")]),
        (ErrorCode.INVALID_REQUEST, [("user", SPECIFIED, "u")]),
        (ErrorCode.INVALID_REQUEST, [("user", 3, None)]),
        (ErrorCode.INVALID_REQUEST, [("", EXACT, "u")]),
        (ErrorCode.UNSUPPORTED_VERSION, [("group", EXACT, "u")]),
        (ErrorCode.INVALID_REQUEST, [("user", EXACT, "u"), ("user", SPECIFIED, None)]),
        (ErrorCode.INVALID_REQUEST, [("ip", EXACT, "10.0.0.1"), ("user", EXACT, "u")]),
    ],
)
async def test_filters_that_make_no_sense(code: ErrorCode, components: list[tuple[str, int, str | None]]) -> None:
    """They are refused as a whole, with a sentence and without entries."""
    async with world() as w:
        answer = await w.ask(describe(*components), 1)
        assert (answer.error_code, answer.entries) == (code, None)
        assert answer.error_message
