"""Three brokers over one store answer as three nodes of Apache Kafka do, or the difference is explained."""

from __future__ import annotations

import pytest

from kproto.release import RELEASE
from storage.testing.postgres import binaries
from tools.answers.cluster import CLUSTER_EXPLAINED, CLUSTER_RECORDED
from tools.answers.comparison import alike, compare, described
from tools.answers.recording import read_answers, read_release
from tools.trials.differential.cluster import answers_of_cluster


@pytest.mark.skipif(binaries(16) is None, reason="PostgreSQL is not installed")
def test_a_clusters_answers_are_kafkas_or_explained() -> None:
    """No difference without a reason, and no reason without a difference."""
    report = compare(answers_of_cluster(seaweedfs=False), read_answers(CLUSTER_RECORDED), CLUSTER_EXPLAINED)
    assert not report.unexplained, "\n" + "\n".join(described(group) for group in alike(report.unexplained))
    assert report.compared >= 50
    idle = [f"{each.scenario} | {each.path}" for each in CLUSTER_EXPLAINED if each not in report.explained]
    assert not idle, f"these explain nothing any more: {idle}"


def test_the_answers_are_of_the_release() -> None:
    """The release moves on with its answers recorded again."""
    assert read_release(CLUSTER_RECORDED) == RELEASE
