"""ApiVersions: exactly what is served, in Kafka's ranges, and nothing that is not there."""

from __future__ import annotations

from typing import cast

import pytest

from broker.coordinators.cluster import features
from broker.coordinators.cluster.features import new_cluster_levels, supported_levels
from broker.handlers import HANDLERS, SERVED_VERSIONS, handler
from broker.testing.contexts import versions_of, world
from kproto.errors import ErrorCode
from kproto.messages import request_type
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.release.apis import APIS
from kproto.release.features import levels_of_release
from storage.engine import LogStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy


def new_store() -> LogStore:
    """A directory without a cluster."""
    return cast(LogStore, MemoryStore(SystemClock(), SeededEntropy(1)))


@pytest.mark.parametrize("version", versions_of(ApiVersionsRequest))
async def test_the_list_is_what_is_served(version: int) -> None:
    """One row for each handler, sorted by key, with the versions of the table."""
    async with world() as w:
        reply = await w.ask(ApiVersionsRequest(client_software_name="t", client_software_version="1"), version)
        listed = {row.api_key: (row.min_version, row.max_version) for row in reply.api_keys}
        keys = set(HANDLERS) - TELEMETRY
        assert list(listed) == sorted(keys)
        assert listed == {key: SERVED_VERSIONS[key] for key in keys} | {0: (0, SERVED_VERSIONS[0][1])}


async def test_telemetry_is_listed_where_it_is_wanted() -> None:
    """Clients that find it in the list push metrics, which others would throw away."""
    async with world({"ottla.telemetry.enable": "true"}) as w:
        reply = await w.ask(ApiVersionsRequest(client_software_name="t", client_software_version="1"), 4)
        assert {row.api_key for row in reply.api_keys} == set(HANDLERS)


BETWEEN_NODES = {52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82}
"""What brokers and controllers ask each other, on listeners that clients do not use: Kafka lists none of it to them."""
SHARE_GROUPS = {76, 77, 78, 79, 83, 84, 85, 86, 87, 90, 91, 92}
STREAMS_GROUPS = {88, 89, 93}
TELEMETRY = {71, 72}
"""Listed by a broker that takes clients' metrics."""


def test_the_list_is_whole() -> None:
    """K16: tools read a broker's age from it, so that one missing key misleads them about features of others."""
    wanted = set(APIS) - BETWEEN_NODES - SHARE_GROUPS - STREAMS_GROUPS
    assert set(HANDLERS) == wanted


@pytest.mark.parametrize("key", HANDLERS)
def test_every_row_has_a_handler_for_messages_that_exist(key: int) -> None:
    """Both functions are there, and the codec knows every version that is served."""
    found, request, (oldest, newest) = handler(key), request_type(key), SERVED_VERSIONS[key]
    assert found.handle.__name__ == "handle"
    assert found.refuse.__name__ == "refuse"
    assert request.min_version <= oldest <= newest <= APIS[key].newest <= request.max_version


async def features_at(store: LogStore, version: int) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """The features supported, and those finalized, as the broker of this store lists them."""
    async with world(store=store) as w:
        reply = await w.ask(ApiVersionsRequest(client_software_name="t", client_software_version="1"), version)
        assert reply.finalized_features_epoch == w.cluster.metadata_offset
        supported = {row.name: (row.min_version, row.max_version) for row in reply.supported_features}
        assert all(row.min_version_level == row.max_version_level for row in reply.finalized_features)
        return supported, {row.name: row.max_version_level for row in reply.finalized_features}


async def test_features_are_those_that_are_served_and_those_that_the_log_says() -> None:
    """A finalized transaction.version or group.version would send clients down paths that are not there."""
    supported, finalized = await features_at(new_store(), 4)
    assert supported == supported_levels()
    assert finalized == new_cluster_levels()


async def test_features_that_can_be_at_level_0_are_not_shown_to_older_clients() -> None:
    """v3 readers take the lowest version to be 1 at least; they get what is finalized."""
    supported, finalized = await features_at(new_store(), 3)
    assert supported == {"metadata.version": supported_levels()["metadata.version"]}
    assert finalized == new_cluster_levels()


async def test_a_directory_of_kafkas_is_at_the_levels_that_kafka_gave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """K13: of 4.3 as of 3.7, also of features that are not served here."""
    for release in (30, 19):
        store = new_store()
        levels = levels_of_release(release)
        levels.pop("kraft.version", None)
        with monkeypatch.context() as patch:
            patch.setattr(features, "SERVED", levels)
            await features_at(store, 4)
        assert await features_at(store, 4) == (supported_levels(), levels)


CLUSTER, NODE = "the cluster's own", 1


@pytest.mark.parametrize(
    ("cluster_id", "node_id", "error"),
    [
        (None, -1, ErrorCode.NONE),
        (CLUSTER, NODE, ErrorCode.NONE),
        (None, NODE, ErrorCode.INVALID_REQUEST),
        (None, 2, ErrorCode.INVALID_REQUEST),
        (None, -2, ErrorCode.INVALID_REQUEST),
        (CLUSTER, -1, ErrorCode.INVALID_REQUEST),
        ("", -1, ErrorCode.INVALID_REQUEST),
        ("another", -1, ErrorCode.INVALID_REQUEST),
        (CLUSTER, 2, ErrorCode.REBOOTSTRAP_REQUIRED),
        (CLUSTER, -2, ErrorCode.REBOOTSTRAP_REQUIRED),
        ("", NODE, ErrorCode.REBOOTSTRAP_REQUIRED),
        ("another", NODE, ErrorCode.REBOOTSTRAP_REQUIRED),
        ("another", 2, ErrorCode.REBOOTSTRAP_REQUIRED),
    ],
)
async def test_a_client_that_means_another_broker_starts_over(
    cluster_id: str | None, node_id: int, error: ErrorCode
) -> None:
    """KIP-1242, as a running Kafka answers: both ids are given or neither is, and both are this broker's."""
    async with world() as w:
        request = ApiVersionsRequest(
            client_software_name="t",
            client_software_version="1",
            cluster_id=w.services.store.cluster_id if cluster_id == CLUSTER else cluster_id,
            node_id=node_id,
        )
        reply = await w.ask(request, 5)
        assert ErrorCode(reply.error_code) is error
        assert bool(reply.api_keys) is (error is ErrorCode.NONE)
        assert (await w.ask(request, 4)).error_code == ErrorCode.NONE, "older versions do not carry the ids"


@pytest.mark.parametrize(("name", "version"), [("", "1"), ("-x", "1"), ("x", "1 2"), ("x\n", "1")])
async def test_a_client_that_calls_itself_nonsense_is_refused(name: str, version: str) -> None:
    """KIP-511 says what software names look like; they go into logs and metrics."""
    async with world() as w:
        reply = await w.ask(ApiVersionsRequest(client_software_name=name, client_software_version=version), 3)
        assert ErrorCode(reply.error_code) is ErrorCode.INVALID_REQUEST
