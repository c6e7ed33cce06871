"""The quorum as clients see it: what it refuses, and what of a log that Kafka wrote can be forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from broker.coordinators.cluster.machine import ClusterMachine
from broker.coordinators.cluster.quorum import (
    QuorumImage,
    decide_unregistration_of_broker,
    decide_unregistration_of_controller,
    refusal_to_add_voter,
    refusal_to_remove_voter,
)
from broker.tests.coordinators.cluster import kafka_snapshot
from broker.tests.coordinators.cluster.decided import NODE, Cluster
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import FeatureLevelRecord, RegisterBrokerRecord, RegisterControllerRecord
from kproto.formats.control_records import QuorumVoter

DIRECTORY: Final = b"\x01" * 16
NO_DIRECTORY: Final = bytes(16)


def quorum(kraft_version: int, *voters: QuorumVoter, members: tuple[int, ...] = (NODE,)) -> QuorumImage:
    return QuorumImage(
        leader_id=NODE,
        leader_epoch=3,
        high_watermark=9,
        log_end_offset=9,
        kraft_version=kraft_version,
        voters=voters,
        members=members,
    )


OF_KAFKAS: Final = quorum(1, QuorumVoter(voter_id=NODE, voter_directory_id=DIRECTORY))


@pytest.mark.parametrize(
    ("which", "voter_id", "directory_id", "has_endpoint", "code"),
    [
        (quorum(0), -1, DIRECTORY, True, ErrorCode.INVALID_REQUEST),
        (quorum(0), 2, NO_DIRECTORY, True, ErrorCode.INVALID_REQUEST),
        (quorum(0), 1, DIRECTORY, False, ErrorCode.INVALID_REQUEST),
        (quorum(0), 1, DIRECTORY, True, ErrorCode.UNSUPPORTED_VERSION),
        (quorum(0), 2, DIRECTORY, True, ErrorCode.UNSUPPORTED_VERSION),
        (OF_KAFKAS, 1, NO_DIRECTORY, True, ErrorCode.INVALID_REQUEST),
        (OF_KAFKAS, 1, DIRECTORY, False, ErrorCode.INVALID_REQUEST),
        (OF_KAFKAS, 1, DIRECTORY, True, ErrorCode.DUPLICATE_VOTER),
        (OF_KAFKAS, 2, DIRECTORY, True, ErrorCode.UNSUPPORTED_VERSION),
        (quorum(1, members=(1, 2)), 2, DIRECTORY, True, ErrorCode.DUPLICATE_VOTER),
    ],
)
def test_a_voter_is_not_added(
    which: QuorumImage, voter_id: int, directory_id: bytes, has_endpoint: bool, code: ErrorCode
) -> None:
    """In the order in which Kafka was seen to look, at both levels of kraft.version."""
    assert refusal_to_add_voter(which, voter_id, directory_id, has_endpoint=has_endpoint).code is code


@pytest.mark.parametrize(
    ("which", "voter_id", "directory_id", "code"),
    [
        (quorum(0), -1, DIRECTORY, ErrorCode.INVALID_REQUEST),
        (quorum(0), 1, NO_DIRECTORY, ErrorCode.INVALID_REQUEST),
        (quorum(0), 1, DIRECTORY, ErrorCode.UNSUPPORTED_VERSION),
        (OF_KAFKAS, -1, DIRECTORY, ErrorCode.INVALID_REQUEST),
        (OF_KAFKAS, 2, DIRECTORY, ErrorCode.VOTER_NOT_FOUND),
        (OF_KAFKAS, 1, DIRECTORY, ErrorCode.VOTER_NOT_FOUND),
        (quorum(1, members=(1, 2)), 2, DIRECTORY, ErrorCode.VOTER_NOT_FOUND),
    ],
)
def test_a_voter_is_not_removed(which: QuorumImage, voter_id: int, directory_id: bytes, code: ErrorCode) -> None:
    """The last one is not found, as Kafka has it, even by its right directory."""
    assert refusal_to_remove_voter(which, voter_id, directory_id).code is code


def test_a_log_of_kafkas_says_what_its_voter_is() -> None:
    """Directory and addresses are those of its record."""
    machine = ClusterMachine()
    assert (machine.kraft_version, machine.voters) == (0, ())
    machine.adopt_quorum(kafka_snapshot.QUORUM)
    [leader] = quorum(machine.kraft_version, *machine.voters).described
    assert leader.voter_directory_id == kafka_snapshot.DIRECTORY
    assert [(each.name, each.host, each.port) for each in leader.endpoints] == [("CONTROLLER", "127.0.0.1", 29493)]
    assert [each.voter_directory_id for each in quorum(0, members=(1, 2)).described] == [NO_DIRECTORY] * 2


def of_three(metadata_version: int = 33) -> Cluster:
    """A cluster whose log Kafka wrote for three nodes."""
    cluster = Cluster()
    cluster.replay(FeatureLevelRecord(name="metadata.version", feature_level=metadata_version))
    for node in (1, 2, 3):
        cluster.replay(RegisterBrokerRecord(broker_id=node, broker_epoch=10 + node))
        cluster.replay(RegisterControllerRecord(controller_id=node))
    return cluster


def registered(cluster: Cluster) -> tuple[list[int], list[int]]:
    """The ids of brokers, and of controllers."""
    brokers = cluster.machine.kept_of((RegisterBrokerRecord,))
    controllers = cluster.machine.kept_of((RegisterControllerRecord,))
    return (
        [each.broker_id for each in brokers if isinstance(each, RegisterBrokerRecord)],
        [each.controller_id for each in controllers if isinstance(each, RegisterControllerRecord)],
    )


def broker(cluster: Cluster, broker_id: int) -> None:
    cluster.take(
        lambda promise: decide_unregistration_of_broker(cluster.machine, promise, broker_id=broker_id, at_work={NODE})
    )


def controller(cluster: Cluster, controller_id: int) -> None:
    cluster.take(
        lambda promise: decide_unregistration_of_controller(
            cluster.machine, promise, controller_id=controller_id, node_id=NODE
        )
    )


def test_nodes_that_kafka_had_can_be_forgotten() -> None:
    """Once: then they are not registered."""
    cluster = of_three()
    broker(cluster, 2)
    controller(cluster, 3)
    assert registered(cluster) == ([1, 3], [1, 2])
    with pytest.raises(KafkaError) as refused:
        broker(cluster, 2)
    assert refused.value.code is ErrorCode.BROKER_ID_NOT_REGISTERED
    with pytest.raises(KafkaError) as refused:
        controller(cluster, 3)
    assert refused.value.code is ErrorCode.CONTROLLER_ID_NOT_REGISTERED


@pytest.mark.parametrize("unregister", [broker, controller])
def test_the_node_at_work_is_not_forgotten(unregister: Callable[[Cluster, int], None]) -> None:
    """Kafka forgets a broker at work and leaves its partitions without a leader; here that is refused."""
    cluster = of_three()
    with pytest.raises(KafkaError) as refused:
        unregister(cluster, NODE)
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    assert registered(cluster) == ([1, 2, 3], [1, 2, 3])


def test_a_log_at_an_older_level_forgets_no_controller() -> None:
    """A Kafka of that level could not read the record."""
    cluster = of_three(30)
    with pytest.raises(KafkaError) as refused:
        controller(cluster, 2)
    assert refused.value.code is ErrorCode.UNSUPPORTED_VERSION
    broker(cluster, 2)
    assert registered(cluster) == ([1, 3], [1, 2, 3])
