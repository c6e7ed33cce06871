"""ApiVersions: exactly what is served, in Kafka's ranges, and nothing that is not there."""

from __future__ import annotations

import pytest

from broker.handlers import HANDLERS, handler
from broker.testing.contexts import world
from kproto.errors import ErrorCode
from kproto.messages import request_type
from kproto.messages.api_versions import ApiVersionsRequest


@pytest.mark.parametrize("version", range(5))
async def test_the_list_is_what_is_served(version: int) -> None:
    """One row for each handler, sorted by key, with the versions of the table."""
    async with world() as w:
        reply = await w.ask(ApiVersionsRequest(client_software_name="t", client_software_version="1"), version)
        listed = {row.api_key: (row.min_version, row.max_version) for row in reply.api_keys}
        assert list(listed) == sorted(HANDLERS)
        assert listed == {
            key: (api.oldest if api.advertised_from is None else api.advertised_from, api.newest)
            for key, api in HANDLERS.items()
        }


@pytest.mark.parametrize("key", HANDLERS)
def test_every_row_has_a_handler_for_messages_that_exist(key: int) -> None:
    """Both functions are there, and the codec knows every version that is served."""
    found, api, request = handler(key), HANDLERS[key], request_type(key)
    assert found.handle.__name__ == "handle"
    assert found.refuse.__name__ == "refuse"
    assert request.min_version <= api.oldest <= api.newest <= request.max_version


async def test_features_name_only_what_exists() -> None:
    """A finalized transaction.version or group.version would send clients down paths that are not there."""
    async with world() as w:
        reply = await w.ask(ApiVersionsRequest(client_software_name="t", client_software_version="1"), 4)
        assert [feature.name for feature in reply.finalized_features] == ["metadata.version"]


@pytest.mark.parametrize(("name", "version"), [("", "1"), ("-x", "1"), ("x", "1 2"), ("x\n", "1")])
async def test_a_client_that_calls_itself_nonsense_is_refused(name: str, version: str) -> None:
    """KIP-511 says what software names look like; they go into logs and metrics."""
    async with world() as w:
        reply = await w.ask(ApiVersionsRequest(client_software_name=name, client_software_version=version), 3)
        assert ErrorCode(reply.error_code) is ErrorCode.INVALID_REQUEST
