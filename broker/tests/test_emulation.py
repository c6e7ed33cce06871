"""A broker that plays an older release: what that release listed, and nothing that it did not have."""

from __future__ import annotations

import pytest
import trio.testing

from broker.config.loading import parse_config
from broker.config.settings import ConfigError
from broker.handlers import SERVED_VERSIONS
from broker.network.dispatch import Dispatcher
from broker.testing.contexts import config, world
from broker.testing.transports import MemoryTransport
from broker.tests.handlers.group_requests import with_coordinator, with_topic
from broker.tests.network.served import connection_on, request
from kproto.errors import ErrorCode
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kproto.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest
from kproto.release.history import RELEASES, api_ranges
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy

ASK = ApiVersionsRequest(client_software_name="t", client_software_version="1")


def playing(release: str) -> dict[str, str]:
    return {"ottla.emulate": release, "ottla.telemetry.enable": "true"}


@pytest.mark.parametrize("release", RELEASES)
async def test_the_list_is_that_of_the_release(release: str) -> None:
    """Every API that both have: up to the release's newest version, from Ottla's lowest on."""
    async with world(playing(release)) as w:
        listed = {row.api_key: (row.min_version, row.max_version) for row in (await w.ask(ASK, 3)).api_keys}
        theirs = api_ranges(release)
        assert listed.keys() == theirs.keys() & SERVED_VERSIONS.keys()
        for key, (oldest, newest) in listed.items():
            assert newest == theirs[key][1]
            assert oldest == (max(SERVED_VERSIONS[key][0], theirs[key][0]) if key else theirs[key][0])


@pytest.mark.parametrize(
    ("release", "epoch_moves", "supported", "finalized"),
    [
        ("2.8", False, {}, {}),
        ("3.2", False, {}, {}),
        ("3.3", True, {"metadata.version": (1, 7)}, {"metadata.version": 7}),
        ("3.7", True, {"metadata.version": (1, 19)}, {"metadata.version": 19}),
        ("3.9", True, {"metadata.version": (1, 21)}, {"metadata.version": 21}),
        (
            "4.0",
            True,
            {
                "eligible.leader.replicas.version": (0, 1),
                "group.version": (0, 1),
                "metadata.version": (7, 25),
                "transaction.version": (0, 2),
            },
            {"group.version": 1, "metadata.version": 25, "transaction.version": 2},
        ),
    ],
)
async def test_features_are_those_of_the_release(
    release: str, epoch_moves: bool, supported: dict[str, tuple[int, int]], finalized: dict[str, int]
) -> None:
    """A new cluster is at the levels that the release gave one; of ZooKeeper's time there are none, at epoch 0."""
    async with world(playing(release)) as w:
        reply = await w.ask(ASK, 4)
        assert {row.name: (row.min_version, row.max_version) for row in reply.supported_features} == supported
        assert {row.name: row.max_version_level for row in reply.finalized_features} == finalized
        assert reply.finalized_features_epoch == (w.cluster.metadata_offset if epoch_moves else 0)


async def test_an_existing_cluster_keeps_its_levels_and_does_not_show_them() -> None:
    """Its log stays as it is, so that it can be served as itself again."""
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    async with world(store=store) as w:
        levels = dict(w.cluster.image.finalized_features)
    async with world(playing("3.7"), store=store) as w:
        assert w.cluster.image.finalized_features == levels
        shown = {row.name: row.max_version_level for row in (await w.ask(ASK, 3)).finalized_features}
        assert shown == {"metadata.version": 19}


async def test_a_level_of_later_releases_cannot_be_set() -> None:
    """The release does not support it, and says so in Kafka's words."""
    async with world(playing("3.7")) as w:
        update = FeatureUpdateKey(feature="metadata.version", max_version_level=20, upgrade_type=1)
        refused = await w.ask(UpdateFeaturesRequest(feature_updates=[update]), 1)
        assert refused.error_code == ErrorCode.INVALID_UPDATE_VERSION
        assert "only supports versions 1-19" in str(refused.error_message)


@pytest.mark.parametrize(("release", "error"), [("3.9", ErrorCode.UNSUPPORTED_VERSION), ("4.0", ErrorCode.NONE)])
async def test_groups_of_the_consumer_protocol_came_with_4_0(release: str, error: ErrorCode) -> None:
    """Before, the requests were listed and refused, since the coordinator that knew them was off (KIP-848)."""
    async with world(playing(release), groups=True) as w:
        await with_topic(w)
        await with_coordinator(w)
        beat = ConsumerGroupHeartbeatRequest(
            group_id="g", member_id="", rebalance_timeout_ms=1000, topic_partitions=[], subscribed_topic_names=["t"]
        )
        assert (await w.ask(beat, 0)).error_code == error
        described = await w.ask(ConsumerGroupDescribeRequest(group_ids=["g"]), 0)
        assert described.groups[0].error_code == error


@pytest.mark.parametrize(("key", "version"), [(1, 16), (68, 0), (71, 0), (75, 0)])
async def test_what_the_release_did_not_know_closes_the_connection(key: int, version: int) -> None:
    """A version that came later, and an API that did."""
    assert key in SERVED_VERSIONS
    async with world({"ottla.emulate": "3.6"}) as w:
        transport = MemoryTransport()
        connection, _ = connection_on(transport, Dispatcher(w.services), emulation=w.services.emulation)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.serve)
            transport.deliver(request(1, key, version))
            await trio.testing.wait_all_tasks_blocked()
            assert transport.closed
            assert not transport.sent_bytes


async def test_a_version_of_api_versions_to_come_is_answered_with_the_releases_own() -> None:
    """In v0, with UNSUPPORTED_VERSION (KIP-511)."""
    async with world({"ottla.emulate": "3.6"}) as w:
        transport = MemoryTransport()
        connection, _ = connection_on(transport, Dispatcher(w.services), emulation=w.services.emulation)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.serve)
            transport.deliver(request(7, 18, 4))
            await trio.testing.wait_all_tasks_blocked()
            assert bytes(transport.sent_bytes)[4:] == bytes.fromhex("00000007 0023 00000001 0012 0000 0003")
            transport.end()


def test_defaults_are_the_releases() -> None:
    """Those that a client can tell, and only where nothing else is said."""
    assert config({"ottla.emulate": "3.5.2"}).ottla_emulate == "3.5"
    assert not config({"ottla.emulate": "3.5"}).transaction_partition_verification_enable
    assert config({"ottla.emulate": "3.6"}).transaction_partition_verification_enable
    assert config({"ottla.emulate": "3.9"}).log_message_timestamp_after_max_ms == 2**63 - 1
    assert config({"ottla.emulate": "4.0"}).log_message_timestamp_after_max_ms == 3_600_000
    said = {"ottla.emulate": "3.5", "transaction.partition.verification.enable": "true"}
    assert config(said).transaction_partition_verification_enable


def test_another_release_stops_the_start() -> None:
    """A sentence says which there are."""
    with pytest.raises(ConfigError, match=r"ottla.emulate=2.7 .* from 2.8 to 4.4"):
        parse_config("", "", {"ottla.emulate": "2.7"})
