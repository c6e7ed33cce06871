"""What needs several nodes, asked of one: reassignments, elections, directories, the quorum and its members.

Tools ask these things of any cluster, and a cluster of one node answers nearly all of them with a refusal of its own.
"""

from __future__ import annotations

from kproto.messages.add_raft_voter import AddRaftVoterRequest, Listener
from kproto.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from kproto.messages.alter_replica_log_dirs import (
    AlterReplicaLogDir,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirTopic,
)
from kproto.messages.describe_cluster import DescribeClusterRequest
from kproto.messages.describe_log_dirs import DescribeLogDirsRequest
from kproto.messages.describe_quorum import DescribeQuorumRequest, RequestPartitionData, RequestTopicData
from kproto.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from kproto.messages.list_config_resources import ListConfigResourcesRequest
from kproto.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
)
from kproto.messages.remove_raft_voter import RemoveRaftVoterRequest
from kproto.messages.unregister_broker import UnregisterBrokerRequest
from kproto.messages.unregister_controller import UnregisterControllerRequest
from tools.answers.scenario import scenario
from tools.answers.scenarios.alter_configs import SET, alter
from tools.answers.scenarios.describe_configs import CLIENT_METRICS, GROUP
from tools.answers.stage import Stage

METADATA = "__cluster_metadata"
DIRECTORY_ID = b"\x01" * 16
CONTROLLERS = ("CONTROLLER", "127.0.0.1", 9)
FOREIGN_KINDS = (0, 1, 3, 64, -1, 127)


@scenario(AlterPartitionReassignmentsRequest)
def assignments(stage: Stage) -> None:
    topic = stage.topic("t", 2)

    def ask(step: str, *partitions: tuple[int, list[int] | None], name: str = topic.name, timeout_ms: int = 10_000,
            **fields: bool) -> None:  # fmt: skip
        parts = [ReassignablePartition(partition_index=index, replicas=replicas) for index, replicas in partitions]
        topics = [ReassignableTopic(name=name, partitions=parts)]
        stage.ask(step, AlterPartitionReassignmentsRequest(topics=topics, timeout_ms=timeout_ms, **fields))

    ask("where it is", (0, [1]))
    ask("both where they are", (0, [1]), (1, [1]))
    ask("the end of nothing", (0, None))
    ask("no replicas", (0, []))
    ask("two brokers", (0, [1, 2]))
    ask("another broker", (0, [2]))
    ask("a negative broker", (0, [-1]))
    ask("the same broker twice", (0, [1, 1]))
    ask("another broker twice", (0, [2, 2]))
    ask("unknown partitions", (2, [1]), (-1, [1]), (9, None))
    ask("one good, one bad", (0, [1]), (1, [2]))
    ask("the same partition twice", (0, [1]), (0, None), (0, [1]))
    ask("no partitions")
    ask("an unknown topic", (0, [1]), (0, None), name=stage.name("unknown"))
    ask("an empty name", (0, [1]), name="")
    ask("a bad name", (0, [1]), name="what is this?")
    ask("the log of the cluster", (0, [1]), name=METADATA)
    ask("no time", (0, [1]), timeout_ms=0)
    ask("negative time", (0, [1]), timeout_ms=-1)
    if stage.version >= 1:
        ask("as many as before", (0, [1]), allow_replication_factor_change=False)
        ask("more than before", (0, [1, 2]), allow_replication_factor_change=False)
        ask("none, as many as before", (0, []), allow_replication_factor_change=False)
    stage.ask("no topics, no time", AlterPartitionReassignmentsRequest(timeout_ms=0))
    twice = [ReassignableTopic(name=topic.name, partitions=[ReassignablePartition(replicas=[1])])] * 2
    stage.ask("the same topic twice", AlterPartitionReassignmentsRequest(topics=twice, timeout_ms=10_000))


@scenario(ListPartitionReassignmentsRequest)
def reassignments(stage: Stage) -> None:
    topic = stage.topic("t")

    def ask(step: str, *topics: tuple[str, list[int]], timeout_ms: int = 10_000) -> None:
        asked = [ListPartitionReassignmentsTopics(name=name, partition_indexes=parts) for name, parts in topics]
        stage.ask(step, ListPartitionReassignmentsRequest(topics=asked, timeout_ms=timeout_ms))

    stage.ask("all", ListPartitionReassignmentsRequest(topics=None))
    ask("none")
    ask("one", (topic.name, [0]))
    ask("unknown partitions", (topic.name, [1, -1]))
    ask("an unknown topic", (stage.name("unknown"), [0]))
    ask("a bad name", ("what is this?", [0]))
    ask("no time", (topic.name, [0]), timeout_ms=0)


@scenario(ElectLeadersRequest)
def elections(stage: Stage) -> None:
    topic = stage.topic("t", 2)

    def ask(step: str, *topics: tuple[str, list[int]], kind: int = 0, timeout_ms: int = 10_000) -> None:
        if stage.version >= 1 or kind == 0:
            asked = [TopicPartitions(topic=name, partitions=partitions) for name, partitions in topics]
            stage.ask(step, ElectLeadersRequest(topic_partitions=asked, timeout_ms=timeout_ms, **elected(stage, kind)))

    ask("preferred", (topic.name, [0, 1]))
    ask("unclean", (topic.name, [0]), kind=1)
    ask("unknown kind", (topic.name, [0]), kind=2)
    ask("negative kind", (topic.name, [0]), kind=-1)
    ask("unknown partitions", (topic.name, [0, 2, -1]))
    ask("the same twice", (topic.name, [0, 0]))
    ask("no partitions", (topic.name, []))
    ask("no topics")
    ask("no topics, unknown kind", kind=2)
    ask("an unknown topic", (stage.name("unknown"), [0]), (topic.name, [0]))
    ask("an empty name", ("", [0]))
    ask("the log of the cluster", (METADATA, [0]))
    ask("no time", (topic.name, [0]), timeout_ms=0)
    ask("negative time", (topic.name, [0]), timeout_ms=-1)
    everything = ElectLeadersRequest(topic_partitions=None, timeout_ms=10_000)
    stage.ask("all", everything, only_mine=True)
    if stage.version >= 1:
        stage.ask("all, unknown kind", ElectLeadersRequest(topic_partitions=None, election_type=3), only_mine=True)


def elected(stage: Stage, kind: int) -> dict[str, int]:
    """The kind of an election, where it can be said."""
    return {"election_type": kind} if stage.version >= 1 else {}


@scenario(AlterReplicaLogDirsRequest)
def moves(stage: Stage) -> None:
    topic = stage.topic("t", 2)
    here = stage.arrange(DescribeLogDirsRequest(topics=[])).results[0].log_dir

    def ask(step: str, *moves: tuple[str, str, list[int]]) -> None:
        dirs = [
            AlterReplicaLogDir(path=path, topics=[AlterReplicaLogDirTopic(name=name, partitions=partitions)])
            for path, name, partitions in moves
        ]
        stage.ask(step, AlterReplicaLogDirsRequest(dirs=dirs))

    ask("where it is", (here, topic.name, [0]))
    ask("with a slash", (here + "/", topic.name, [0]))
    ask("elsewhere", ("/no/such/directory", topic.name, [0, 1]))
    ask("no path", ("", topic.name, [0]))
    ask("a relative path", ("data", topic.name, [0]))
    ask("unknown partitions", (here, topic.name, [0, 2, -1]))
    ask("unknown partitions elsewhere", ("/no", topic.name, [2]))
    ask("an unknown topic", (here, stage.name("unknown"), [0]))
    ask("an unknown topic elsewhere", ("/no", stage.name("unknown"), [0]))
    ask("an empty name", (here, "", [0]))
    ask("a bad name", (here, "what is this?", [0]))
    ask("no partitions", (here, topic.name, []))
    ask("the same twice", (here, topic.name, [0, 0]))
    ask("here and elsewhere", (here, topic.name, [0]), ("/no", topic.name, [0, 1]))
    ask("elsewhere and here", ("/no", topic.name, [0]), (here, topic.name, [0, 1]))
    ask("no directories")
    for length in (211, 212, 213, 214, 249):
        ask(f"{length} characters", (here, "x" * length, [0]), ("/no", "y" * length, [0]))
    ask("a long name, many partitions", (here, "x" * 211, [1000]))


@scenario(DescribeQuorumRequest)
def quorum(stage: Stage) -> None:
    def ask(step: str, *topics: tuple[str, list[int]]) -> None:
        asked = [
            RequestTopicData(topic_name=name, partitions=[RequestPartitionData(partition_index=part) for part in parts])
            for name, parts in topics
        ]
        stage.ask(step, DescribeQuorumRequest(topics=asked))

    ask("the log", (METADATA, [0]))
    ask("another partition", (METADATA, [1]))
    ask("two partitions", (METADATA, [0, 1]))
    ask("the same twice", (METADATA, [0, 0]))
    ask("another topic", (stage.topic("t").name, [0]))
    ask("another topic too", (METADATA, [0]), (stage.name("unknown"), [0]))
    ask("the log twice", (METADATA, [0]), (METADATA, [0]))
    ask("no partitions", (METADATA, []))
    ask("no topics")


@scenario(ListConfigResourcesRequest)
def resources(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.arrange(alter(GROUP, stage.name("g"), ("consumer.session.timeout.ms", SET, "50000")))
    stage.arrange(alter(CLIENT_METRICS, stage.name("m"), ("interval.ms", SET, "10000")))
    stage.settle()

    def ask(step: str, *kinds: int) -> None:
        if stage.version >= 1:
            stage.ask(step, ListConfigResourcesRequest(resource_types=list(kinds)), only_mine=True)

    stage.ask("defaults", ListConfigResourcesRequest(), only_mine=True)
    for kind in (2, 16, 32):
        ask(f"type {kind}", kind)
    ask("two types", 2, 32)
    ask("the same twice", 2, 2)
    ask("one unknown", 2, 0)
    for kind in FOREIGN_KINDS:
        ask(f"type {kind}, which is none", kind)
    if stage.version >= 1:
        for kind in (4, 8):
            stage.ask(f"type {kind}", ListConfigResourcesRequest(resource_types=[kind]))
    assert topic.name


@scenario(AddRaftVoterRequest)
def voters_to_add(stage: Stage) -> None:
    cluster_id = stage.arrange(DescribeClusterRequest()).cluster_id

    def ask(step: str, voter_id: int = 2, *, cluster: str | None = cluster_id, directory: bytes = DIRECTORY_ID,
            listeners: tuple[tuple[str, str, int], ...] = (CONTROLLERS,)) -> None:  # fmt: skip
        named = [Listener(name=name, host=host, port=port) for name, host, port in listeners]
        stage.ask(
            step,
            AddRaftVoterRequest(
                cluster_id=cluster, timeout_ms=2000, voter_id=voter_id, voter_directory_id=directory, listeners=named
            ),
        )

    ask("another cluster", cluster="another")
    ask("another cluster, and all else wrong", -1, cluster="", directory=bytes(16), listeners=())
    ask("a negative id", -1)
    ask("no directory", directory=bytes(16))
    ask("no directory, this node", 1, directory=bytes(16))
    ask("no addresses", listeners=())
    ask("no addresses, this node", 1, listeners=())
    ask("another listener", listeners=(("OTHER", "127.0.0.1", 9),))
    ask("this node", 1)
    ask("this node, no cluster", 1, cluster=None)
    ask("a new voter")


@scenario(RemoveRaftVoterRequest)
def voters_to_remove(stage: Stage) -> None:
    cluster_id = stage.arrange(DescribeClusterRequest()).cluster_id

    def ask(step: str, voter_id: int, *, cluster: str | None = cluster_id, directory: bytes = DIRECTORY_ID) -> None:
        stage.ask(step, RemoveRaftVoterRequest(cluster_id=cluster, voter_id=voter_id, voter_directory_id=directory))

    ask("another cluster", 2, cluster="another")
    ask("another cluster, and all else wrong", -1, cluster="", directory=bytes(16))
    ask("a negative id", -1)
    ask("no directory", 2, directory=bytes(16))
    ask("this node", 1)
    ask("another", 2)
    ask("another, no cluster", 2, cluster=None)


@scenario(UnregisterBrokerRequest)
def brokers_to_unregister(stage: Stage) -> None:
    for broker_id in (0, 2, -1, 2**31 - 1):
        stage.ask(f"broker {broker_id}", UnregisterBrokerRequest(broker_id=broker_id))


@scenario(UnregisterControllerRequest)
def controllers_to_unregister(stage: Stage) -> None:
    for controller_id in (0, 1, 2, -1, 2**31 - 1):
        stage.ask(f"controller {controller_id}", UnregisterControllerRequest(controller_id=controller_id))
