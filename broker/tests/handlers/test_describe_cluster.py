"""DescribeCluster, as Kafka answers it."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.describe_cluster import DescribeClusterRequest


@pytest.mark.parametrize("version", versions_of(DescribeClusterRequest))
async def test_every_version_describes_this_node(version: int) -> None:
    """It is the only broker, and the controller."""
    async with world({"broker.rack": "r1"}) as w:
        response = await w.ask(DescribeClusterRequest(include_cluster_authorized_operations=True), version)
        assert (response.error_code, response.error_message) == (0, None)
        assert (response.cluster_id, response.controller_id) == (w.cluster.cluster_id, 1)
        [broker] = response.brokers
        assert (broker.broker_id, broker.host, broker.port, broker.rack) == (1, "broker.example", 9092, "r1")
        assert not broker.is_fenced
        assert response.cluster_authorized_operations == 8096
        assert (await w.ask(DescribeClusterRequest(), version)).cluster_authorized_operations == -(2**31)


@pytest.mark.parametrize("version", versions_of(DescribeClusterRequest, 1))
async def test_this_is_an_endpoint_of_a_broker(version: int) -> None:
    """Controllers are not to be had here (114); other kinds there are none (115)."""
    async with world() as w:
        for kind, expected in (
            (1, ErrorCode.NONE),
            (2, ErrorCode.MISMATCHED_ENDPOINT_TYPE),
            (0, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
            (3, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
        ):
            response = await w.ask(DescribeClusterRequest(endpoint_type=kind), version)
            assert response.error_code == expected
            assert (response.brokers == []) == (expected != 0)


async def test_fenced_brokers_there_are_none() -> None:
    """Asking for them changes nothing."""
    async with world() as w:
        assert len((await w.ask(DescribeClusterRequest(include_fenced_brokers=True), 2)).brokers) == 1
