"""AddRaftVoter, RemoveRaftVoter, UnregisterBroker, UnregisterController: always refused, and why.

The order of refusals is tested where they are made, `broker/tests/coordinators/cluster/test_quorum.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from broker.testing.contexts import versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.add_raft_voter import AddRaftVoterRequest, Listener
from kproto.messages.remove_raft_voter import RemoveRaftVoterRequest
from kproto.messages.unregister_broker import UnregisterBrokerRequest
from kproto.messages.unregister_controller import UnregisterControllerRequest

DIRECTORY = b"\x01" * 16


@pytest.mark.parametrize("version", versions_of(AddRaftVoterRequest))
@pytest.mark.parametrize(
    ("fields", "listener", "code"),
    [
        ({"cluster_id": "another"}, "CONTROLLER", ErrorCode.INCONSISTENT_CLUSTER_ID),
        ({"cluster_id": ""}, "CONTROLLER", ErrorCode.INCONSISTENT_CLUSTER_ID),
        ({"voter_id": -1}, "CONTROLLER", ErrorCode.INVALID_REQUEST),
        ({"voter_directory_id": bytes(16)}, "CONTROLLER", ErrorCode.INVALID_REQUEST),
        ({}, "PLAINTEXT", ErrorCode.INVALID_REQUEST),
        ({}, "CONTROLLER", ErrorCode.UNSUPPORTED_VERSION),
        ({}, "controller", ErrorCode.UNSUPPORTED_VERSION),
    ],
)
async def test_no_voter_is_added(version: int, fields: dict[str, Any], listener: str, code: ErrorCode) -> None:
    """A cluster that is not named is this one; a listener's name may be in small letters."""
    async with world() as w:
        wanted: dict[str, Any] = {"voter_id": 2, "voter_directory_id": DIRECTORY, "cluster_id": None, **fields}
        listeners = [Listener(name=listener, host="127.0.0.1", port=9093)]
        reply = await w.ask(AddRaftVoterRequest(timeout_ms=1000, listeners=listeners, **wanted), version)
        assert reply.error_code == code and reply.error_message


@pytest.mark.parametrize("version", versions_of(RemoveRaftVoterRequest))
async def test_no_voter_is_removed(version: int) -> None:
    """Not even by a request that means this cluster."""
    async with world() as w:
        for cluster_id, code in (
            ("another", ErrorCode.INCONSISTENT_CLUSTER_ID),
            (None, ErrorCode.UNSUPPORTED_VERSION),
            (w.cluster.cluster_id, ErrorCode.UNSUPPORTED_VERSION),
        ):
            asked = RemoveRaftVoterRequest(cluster_id=cluster_id, voter_id=1, voter_directory_id=DIRECTORY)
            reply = await w.ask(asked, version)
            assert reply.error_code == code and reply.error_message


@pytest.mark.parametrize("version", versions_of(UnregisterBrokerRequest))
@pytest.mark.parametrize(
    ("node", "broker_code", "controller_code"),
    [
        (1, ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_REQUEST),
        (2, ErrorCode.BROKER_ID_NOT_REGISTERED, ErrorCode.CONTROLLER_ID_NOT_REGISTERED),
        (-1, ErrorCode.BROKER_ID_NOT_REGISTERED, ErrorCode.CONTROLLER_ID_NOT_REGISTERED),
    ],
)
async def test_no_node_is_unregistered(
    version: int, node: int, broker_code: ErrorCode, controller_code: ErrorCode
) -> None:
    """K17: this one is at work, and no other is registered."""
    async with world() as w:
        end = w.cluster.metadata_offset
        reply = await w.ask(UnregisterBrokerRequest(broker_id=node), version)
        assert reply.error_code == broker_code and reply.error_message
        reply = await w.ask(UnregisterControllerRequest(controller_id=node), version)
        assert reply.error_code == controller_code and reply.error_message
        assert w.cluster.metadata_offset == end
