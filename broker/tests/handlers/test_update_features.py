"""UpdateFeatures: levels of features go up and down, all of a request or none, and are what ApiVersions says next."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import features
from broker.coordinators.cluster.coordinator import METADATA_LOG
from broker.testing.contexts import World, versions_of, world
from kproto.batches.records import iter_records
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import PartitionRecord
from kproto.messages.alter_configs import AlterableConfig, AlterConfigsRequest, AlterConfigsResource
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.incremental_alter_configs import AlterableConfig as IncrementalConfig
from kproto.messages.incremental_alter_configs import AlterConfigsResource as IncrementalResource
from kproto.messages.incremental_alter_configs import IncrementalAlterConfigsRequest
from kproto.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest, UpdateFeaturesResponse
from kproto.release.features import levels_of_release
from storage.engine import Read
from storage.testing.log_builder import whole_batches

ELR = "eligible.leader.replicas.version"
UPGRADE, SAFE = 1, 2


async def update(
    w: World, *updates: tuple[str, int, int], version: int = 2, validate_only: bool = False
) -> UpdateFeaturesResponse:
    keys = [FeatureUpdateKey(feature=name, max_version_level=level) for name, level, _ in updates]
    if version >= 1:
        for key, (_, _, kind) in zip(keys, updates, strict=True):
            key.upgrade_type = kind
    request = UpdateFeaturesRequest(feature_updates=keys, validate_only=validate_only)
    reply: UpdateFeaturesResponse = await w.ask(request, version)
    return reply


def results(reply: UpdateFeaturesResponse) -> list[tuple[str, int, str | None]]:
    return [(result.feature, result.error_code, result.error_message) for result in reply.results]


async def test_levels_go_down_and_up() -> None:
    """And the log's end, which is their epoch, moves."""
    async with world() as w:
        before = w.cluster.image.finalized_features
        epoch = w.cluster.metadata_offset
        assert await update(w, (ELR, 0, SAFE)) == UpdateFeaturesResponse(error_message=None)
        assert w.cluster.image.finalized_features == {name: level for name, level in before.items() if name != ELR}
        assert w.cluster.metadata_offset == epoch + 1
        assert await update(w, (ELR, 1, UPGRADE)) == UpdateFeaturesResponse(error_message=None)
        assert w.cluster.image.finalized_features == before


async def test_a_dry_run_changes_nothing() -> None:
    """It is answered as the real one would be."""
    async with world() as w:
        epoch = w.cluster.metadata_offset
        assert (await update(w, (ELR, 0, SAFE), validate_only=True)).error_code == 0
        assert (await update(w, (ELR, 0, UPGRADE), validate_only=True)).error_code == ErrorCode.INVALID_UPDATE_VERSION
        assert w.cluster.metadata_offset == epoch


@pytest.mark.parametrize("version", versions_of(UpdateFeaturesRequest))
async def test_results_are_listed_up_to_v1(version: int) -> None:
    """Every update once more, in its order, even twice; and NONE for a message, as Kafka has it."""
    async with world() as w:
        reply = await update(
            w, (ELR, 1, UPGRADE), ("metadata.version", 33, UPGRADE), (ELR, 1, UPGRADE), version=version
        )
        listed = [(ELR, 0, "NONE"), ("metadata.version", 0, "NONE"), (ELR, 0, "NONE")]
        assert (reply.error_code, reply.error_message) == (0, None)
        assert results(reply) == (listed if version < 2 else [])
        assert await update(w, version=version) == UpdateFeaturesResponse(error_message=None)


@pytest.mark.parametrize("version", versions_of(UpdateFeaturesRequest))
async def test_one_refusal_refuses_all(version: int) -> None:
    """Its words stand above, and there are no results."""
    async with world() as w:
        epoch = w.cluster.metadata_offset
        reply = await update(w, (ELR, 1, UPGRADE), ("nope", 1, UPGRADE), version=version)
        assert reply.error_code == ErrorCode.INVALID_UPDATE_VERSION
        assert reply.error_message == (
            "The update failed for all features since the following feature had an error: Invalid update version 1 for "
            "feature nope. Local controller 1 does not support this feature."
        )
        assert results(reply) == []
        assert w.cluster.metadata_offset == epoch


async def test_v0_only_raises() -> None:
    """Its `allow_downgrade` is not looked at, as in Kafka."""
    async with world() as w:
        key = FeatureUpdateKey(feature=ELR, max_version_level=0, allow_downgrade=True)
        reply = await w.ask(UpdateFeaturesRequest(feature_updates=[key]), 0)
        assert "without setting the upgrade type" in reply.error_message


async def test_replicas_in_sync_belong_to_brokers_where_the_cluster_knows_no_elr() -> None:
    """As `eligible.leader.replicas.version` says, for both ways to alter a config."""
    name = "min.insync.replicas"

    async def codes(w: World, broker: str, value: str | None) -> list[int]:
        operation = 1 if value is None else 0
        change = IncrementalConfig(name=name, config_operation=operation, value=value)
        resource = IncrementalResource(resource_type=4, resource_name=broker, configs=[change])
        incremental = await w.ask(IncrementalAlterConfigsRequest(resources=[resource]), 1)
        configs = [] if value is None else [AlterableConfig(name=name, value=value)]
        whole = AlterConfigsResource(resource_type=4, resource_name=broker, configs=configs)
        replaced = await w.ask(AlterConfigsRequest(resources=[whole]), 2)
        return [incremental.responses[0].error_code, replaced.responses[0].error_code]

    refused = [ErrorCode.INVALID_CONFIG] * 2
    async with world() as w:
        assert await codes(w, "1", "3") == await codes(w, "", None) == refused
        await update(w, (ELR, 0, SAFE))
        assert await codes(w, "1", "3") == await codes(w, "", None) == [0, 0]
        await update(w, (ELR, 1, UPGRADE))
        assert w.cluster.image.broker_configs("") == {name: "1"}
        assert w.cluster.image.broker_configs("1") == {}
        assert await codes(w, "1", "3") == await codes(w, "", None) == refused


async def test_all_levels_of_a_release_can_be_given_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `kafka-features upgrade --release-version` asks for, of a cluster of 3.7, once all of it is served."""
    newest = levels_of_release(33)
    newest.pop("kraft.version")
    monkeypatch.setattr(features, "SERVED", {**newest, "metadata.version": 19})
    monkeypatch.setattr(features, "new_cluster_levels", lambda: {"metadata.version": 19})
    async with world() as w:
        assert w.cluster.image.finalized_features == {"metadata.version": 19}
        topic = CreatableTopic(name="made-before", num_partitions=2, replication_factor=1)
        assert (await w.ask(CreateTopicsRequest(topics=[topic]), 7)).topics[0].error_code == 0
        monkeypatch.setattr(features, "SERVED", newest)
        monkeypatch.setattr(w.cluster, "features", features.supported_features())
        reply = await update(w, *((name, level, UPGRADE) for name, level in newest.items()))
        assert reply.error_code == 0
        assert w.cluster.image.finalized_features == newest


@pytest.mark.parametrize(("metadata_version", "record_version"), [(16, 0), (17, 1), (22, 1), (23, 2), (33, 2)])
async def test_records_are_written_as_the_level_says(
    monkeypatch: pytest.MonkeyPatch, metadata_version: int, record_version: int
) -> None:
    """A Kafka of that level must be able to read the partitions that were made here."""
    monkeypatch.setattr(features, "new_cluster_levels", lambda: {"metadata.version": metadata_version})
    async with world() as w:
        topic = CreatableTopic(name="t", num_partitions=1, replication_factor=1)
        assert (await w.ask(CreateTopicsRequest(topics=[topic]), 7)).topics[0].error_code == 0
        log = w.services.store.log(METADATA_LOG)
        [found] = await w.services.store.read_many([Read(log, 0, 1 << 20, log.log_end_offset)], 1 << 20)
        assert not isinstance(found, KafkaError)
        data = found.records
        assert isinstance(data, bytes | memoryview)
        values = [record.value or b"" for _, batch in whole_batches(bytes(data)) for record in iter_records(batch)]
        assert [value[2] for value in values if value[1] == PartitionRecord.api_key] == [record_version]
