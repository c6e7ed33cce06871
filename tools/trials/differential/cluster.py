"""`trials compare-cluster`: ask three Ottlas over one store what three Kafkas were asked (`tools/answers/cluster.py`).

With `--kafka ADDRESS,ADDRESS,ADDRESS` the brokers of a Kafka that runs are asked, in the order of their node ids, and
their answers are kept; `python -m tools.trials kafka-cluster PORT DIR 'broker.rack=rack-{node}'` runs one. Otherwise
the recorded ones count. The exit status is 0 if every difference is explained, 1 if one is not.
"""

from __future__ import annotations

import argparse
import random
import string
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.answers.cluster import CLUSTER_EXPLAINED, CLUSTER_RECORDED, NODES, perform_on
from tools.answers.comparison import compare
from tools.answers.recording import read_answers, write_answers
from tools.answers.site import Answers, Site
from tools.trials.cluster_test.whole import Cluster
from tools.trials.differential.command import summary

SETTINGS: Final = ("broker.rack=rack-{node}", "num.partitions=4", "group.initial.rebalance.delay.ms=0")


def main(arguments: Sequence[str]) -> int:
    """Compare; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials compare-cluster", description=__doc__)
    parser.add_argument("--kafka", metavar="ADDRESSES", help="record these brokers of a Kafka of three nodes first")
    parser.add_argument("--bucket", choices=("seaweedfs", "directory"), default="seaweedfs", help="what keeps objects")
    options = parser.parse_args(arguments)
    if options.kafka:
        ports = [int(address.rpartition(":")[2]) for address in options.kafka.split(",")]
        if len(ports) != len(NODES):
            parser.error(f"--kafka names {len(NODES)} brokers")
        write_answers(CLUSTER_RECORDED, perform_on(_not_fresh(ports)))
    ours = answers_of_cluster(seaweedfs=options.bucket == "seaweedfs")
    report = compare(ours, read_answers(CLUSTER_RECORDED), CLUSTER_EXPLAINED)
    print(summary(report))
    return 1 if report.unexplained else 0


def answers_of_cluster(*, seaweedfs: bool) -> Answers:
    """What three brokers of Ottla answer, over a store of their own. Raises BrokerFailed, ServerError."""
    with (
        tempfile.TemporaryDirectory(prefix="compare-cluster-") as folder,
        Cluster(Path(folder), len(NODES), SETTINGS, seaweedfs=seaweedfs) as cluster,
    ):
        return perform_on([Site.here(process.port) for process in cluster.brokers.processes])


def _not_fresh(ports: Sequence[int]) -> list[Site]:
    """Brokers that may know the plays' names from before: names get a part that is new."""
    token = "".join(random.choices(string.ascii_lowercase, k=3))
    sites = [Site.here(port) for port in ports]
    for site in sites:
        site.token = token
    return sites
