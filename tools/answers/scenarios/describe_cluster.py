"""DescribeCluster: who is there."""

from __future__ import annotations

from kproto.messages.describe_cluster import DescribeClusterRequest
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


@scenario(DescribeClusterRequest)
def brokers(stage: Stage) -> None:
    stage.ask("brokers", DescribeClusterRequest())
    stage.ask("what one may do", DescribeClusterRequest(include_cluster_authorized_operations=True))
    if stage.version >= 1:
        for kind in (2, 0, 3, -1):
            stage.ask(f"endpoints of type {kind}", DescribeClusterRequest(endpoint_type=kind))
    if stage.version >= 2:
        stage.ask("fenced ones too", DescribeClusterRequest(include_fenced_brokers=True))
