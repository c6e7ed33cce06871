"""The quorum that keeps the cluster's log, as clients see it: the brokers that live, most often this one alone.

Kafka's controllers agree on the cluster's log by voting (KIP-595). Here one process decides alone, so the quorum can be
described and not changed: a voter to be added or removed is looked at as Kafka looks at it, in the same order and with
the same codes, and is always refused.

Of brokers that share the log each decides for itself. All that live are shown as voters that know the whole of it, and
the one that Metadata calls the controller as their leader: whichever is asked, the answer is the same.

The level of `kraft.version` says where voters are written down. At 0 they stand in the configuration and have no
directory ids: Kafka refuses to change them, and so does Ottla. At 1, which only a log has that Kafka wrote, they are
records of the log, and the ids and addresses in these records are shown as they are.

What can be forgotten are registrations of brokers and controllers that a log of Kafka's brought with it. They have no
effect here, but a return to Kafka would wait for these nodes.

Source: KIP-853; Kafka's KafkaRaftClient, AddVoterHandler, RemoveVoterHandler, ClusterControlManager; and what a running
Kafka answered at both levels.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import TypeGuard

from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.machine import Decision, Promise
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import (
    RegisterBrokerRecord,
    RegisterControllerRecord,
    UnregisterBrokerRecord,
    UnregisterControllerRecord,
)
from kproto.formats.control_records import QuorumVoter
from kproto.ids import ZERO_UUID, Uuid
from kproto.release.features import NEWEST_METADATA_VERSION
from kproto.schema.declare import Record


@dataclass(frozen=True, slots=True)
class QuorumImage:
    """The quorum now."""

    leader_id: int
    leader_epoch: int
    high_watermark: int
    log_end_offset: int
    kraft_version: int
    voters: tuple[QuorumVoter, ...]
    """What the log says of voters; empty at `kraft.version` 0."""
    members: tuple[int, ...]
    """Node ids of the voters that there are, in order; the leader is one of them."""

    @property
    def described(self) -> list[QuorumVoter]:
        """The members: as the log describes them, else without directory and addresses."""
        known = {voter.voter_id: voter for voter in self.voters}
        return [known.get(member) or QuorumVoter(voter_id=member) for member in self.members]


def refusal_to_add_voter(quorum: QuorumImage, voter_id: int, directory_id: Uuid, *, has_endpoint: bool) -> KafkaError:
    """Why a voter cannot be added. `has_endpoint`: the request names an address on the controllers' listener."""
    if voter_id < 0 or directory_id == ZERO_UUID:
        return KafkaError(ErrorCode.INVALID_REQUEST, "a voter has an id that is not negative, and a directory id")
    if not has_endpoint:
        return KafkaError(ErrorCode.INVALID_REQUEST, "the voter has no address on the controllers' listener")
    if quorum.kraft_version == 0:
        return KafkaError(ErrorCode.UNSUPPORTED_VERSION, "voters cannot be added at level 0 of kraft.version")
    if voter_id in {*quorum.members, *(voter.voter_id for voter in quorum.voters)}:
        return KafkaError(ErrorCode.DUPLICATE_VOTER, f"{voter_id} is a voter already")
    return KafkaError(ErrorCode.UNSUPPORTED_VERSION, "no vote is taken here; no voter can be added")


def refusal_to_remove_voter(quorum: QuorumImage, voter_id: int, directory_id: Uuid) -> KafkaError:
    """Why a voter cannot be removed: the last one never can, and others stay as long as they live."""
    if voter_id < 0 or directory_id == ZERO_UUID:
        return KafkaError(ErrorCode.INVALID_REQUEST, "a voter has an id that is not negative, and a directory id")
    if quorum.kraft_version == 0:
        return KafkaError(ErrorCode.UNSUPPORTED_VERSION, "voters cannot be removed at level 0 of kraft.version")
    if voter_id not in quorum.members:
        return KafkaError(ErrorCode.VOTER_NOT_FOUND, f"{voter_id} is no voter")
    if len(quorum.members) > 1:
        return KafkaError(ErrorCode.VOTER_NOT_FOUND, f"{voter_id} votes as long as its broker lives")
    return KafkaError(ErrorCode.VOTER_NOT_FOUND, f"{voter_id} is the last voter, which cannot be removed")


def decide_unregistration_of_broker(
    machine: ClusterMachine, promise: Promise[None], *, broker_id: int, at_work: Container[int]
) -> ClusterDecision:
    """Forget a broker that a log of Kafka's names. The reply is None, or BROKER_ID_NOT_REGISTERED.

    Departs from Kafka, which forgets a broker at work as well: its partitions then have no leader until that broker is
    restarted. Here those `at_work` are refused, with the code that Kafka has for a controller at work.
    """
    if broker_id in at_work:
        refusal = KafkaError(ErrorCode.INVALID_REQUEST, f"broker {broker_id} is at work")
        return Decision(replies=[(promise, refusal)])
    for record in machine.kept_of((RegisterBrokerRecord,)):
        if isinstance(record, RegisterBrokerRecord) and record.broker_id == broker_id:
            gone = UnregisterBrokerRecord(broker_id=broker_id, broker_epoch=record.broker_epoch)
            return Decision([gone], [(promise, None)])
    unknown = KafkaError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"no broker {broker_id} is registered")
    return Decision(replies=[(promise, unknown)])


def decide_unregistration_of_controller(
    machine: ClusterMachine, promise: Promise[None], *, controller_id: int, node_id: int
) -> ClusterDecision:
    """Forget a controller that a log of Kafka's names. The reply is None, or a KafkaError: INVALID_REQUEST for this
    node, CONTROLLER_ID_NOT_REGISTERED, UNSUPPORTED_VERSION for a log at a level without such records."""
    if controller_id == node_id:
        refusal = KafkaError(ErrorCode.INVALID_REQUEST, "a controller cannot unregister itself while it is active")
        return Decision(replies=[(promise, refusal)])
    registered = machine.kept_of((RegisterControllerRecord,))
    if controller_id not in {record.controller_id for record in registered if _is_controller(record)}:
        unknown = KafkaError(ErrorCode.CONTROLLER_ID_NOT_REGISTERED, f"no controller {controller_id} is registered")
        return Decision(replies=[(promise, unknown)])
    if machine.metadata_version < NEWEST_METADATA_VERSION:
        refusal = KafkaError(ErrorCode.UNSUPPORTED_VERSION, "metadata.version is too low for this to be written down")
        return Decision(replies=[(promise, refusal)])
    return Decision([UnregisterControllerRecord(controller_id=controller_id)], [(promise, None)])


def _is_controller(record: Record) -> TypeGuard[RegisterControllerRecord]:
    return isinstance(record, RegisterControllerRecord)
