"""Ten thousand ACLs in one request, and requests about all of them, hold up no other client."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from broker.tests.handlers.acl_requests import ANYTHING, acl, secured
from broker.tests.handlers.test_long_lists import answer, framed
from kproto.messages.create_acls import CreateAclsRequest
from kproto.messages.delete_acls import DeleteAclsFilter, DeleteAclsRequest
from kproto.messages.describe_acls import DescribeAclsRequest
from storage.seams.offload import ThreadOffload

MANY = 10_000


@pytest.fixture(autouse=True)
def _no_search_for_cycles() -> Iterator[None]:
    """In a broker it is a task of its own (`broker/observe/garbage.py`)."""
    gc.disable()
    yield
    gc.enable()


async def test_ten_thousand_acls_hold_up_no_other_client() -> None:
    """Added, listed and removed: in slices and in decisions of a few hundred, each turn below 20 ms."""
    creations = [acl(resource_name=f"t{number}", resource_pattern_type=3 + number % 2) for number in range(MANY)]
    requests: dict[str, Any] = {
        "added": CreateAclsRequest(creations=creations),
        "listed": DescribeAclsRequest(**ANYTHING),
        "removed": DeleteAclsRequest(filters=[DeleteAclsFilter(**ANYTHING)]),
    }
    found: dict[str, float] = {}
    async with secured(offload=ThreadOffload()) as w:
        for request in requests.values():
            await answer(w, framed(type(request)(**_nothing(request)), 3))  # imports, compilation
        for what, request in requests.items():
            data = framed(request, 3)
            turns = w.services.turns = type(w.services.turns)()
            trio.lowlevel.add_instrument(turns)
            await trio.lowlevel.checkpoint()
            assert await answer(w, data) > MANY
            await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(turns)
            if turns.statistics().too_long:
                found[what] = turns.statistics().longest_ms
        assert not w.cluster.image.acls
    assert not found, "milliseconds"


def _nothing(request: Any) -> dict[str, Any]:
    """The same request about nothing."""
    if isinstance(request, CreateAclsRequest):
        return {"creations": []}
    return {"filters": []} if isinstance(request, DeleteAclsRequest) else ANYTHING
