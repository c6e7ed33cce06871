"""What brokers of one cluster answer: the requests whose answers depend on there being several.

Three brokers with the node ids 1, 2 and 3, in the racks `rack-1` to `rack-3`. Which of them leads or coordinates what
is chance in Kafka and follows from weights here, so that is not compared, but what clients can rely on: that all
brokers say the same, how partitions are spread, which code answers what cannot be. A play writes down codes, and such
facts.

    ask("a factor of four", 2, CreateTopicsRequest(...), codes)     # asked of broker 2

Kafka's recorded answers are in `recorded/kafka-cluster.jsonl.gz`. What differs on purpose is `CLUSTER_EXPLAINED`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from broker.handlers import SERVED_VERSIONS
from kproto.errors import ErrorCode
from kproto.messages.add_raft_voter import AddRaftVoterRequest, Listener
from kproto.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from kproto.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from kproto.messages.create_topics import CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest
from kproto.messages.describe_cluster import DescribeClusterRequest
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest
from kproto.messages.describe_quorum import DescribeQuorumRequest, RequestPartitionData, RequestTopicData
from kproto.messages.describe_topic_partitions import DescribeTopicPartitionsRequest, TopicRequest
from kproto.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.list_partition_reassignments import ListPartitionReassignmentsRequest
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.messages.remove_raft_voter import RemoveRaftVoterRequest
from kproto.messages.unregister_broker import UnregisterBrokerRequest
from kproto.schema.declare import Request, Struct, fields_of
from tools.answers.comparison import Explanation
from tools.answers.requests import batch, fetch, list_offsets, produce
from tools.answers.scenarios.alter_configs import DELETE, SET, alter
from tools.answers.site import Answers, Plain, Site
from tools.answers.stage import Stage, Topic

NODES: Final = (1, 2, 3)
CLUSTER_RECORDED: Final = Path(__file__).parent / "recorded" / "kafka-cluster.jsonl.gz"
BROKER: Final = 4
SHOWN: Final = ("node.id", "broker.rack", "log.cleaner.threads")
METADATA: Final = "__cluster_metadata"


def codes(message: Any) -> list[str]:
    """All error codes in a reply, in their order, by their names."""
    return [ErrorCode(code).name for code in _codes(message)]


def _codes(value: Any) -> Iterator[int]:
    if isinstance(value, Struct):
        for field in fields_of(type(value)):
            found = getattr(value, field.name)
            if field.name.endswith("error_code") and isinstance(found, int):
                yield found
            else:
                yield from _codes(found)
    elif isinstance(value, list):
        for each in value:
            yield from _codes(each)


class Nodes:
    """The brokers in one play, each over a connection of its own."""

    def __init__(self, sites: Sequence[Site], name: str, api: type[Request], answers: Answers) -> None:
        first = Stage(sites[0], f"{api.__name__.removesuffix('Request')}/{name}", api, newest(api), answers)
        self.stages = {1: first, **{node: first.at(site) for node, site in zip(NODES[1:], sites[1:], strict=True)}}
        self.name, self.write_down = first.name, first.write_down

    def ask(self, step: str, node: int, request: Request, shown: Callable[[Any], Plain] = codes) -> Any:
        """Ask one broker, and write down what of its answer counts."""
        reply = self.stages[node].arrange(request)
        self.write_down(step, shown(reply))
        return reply

    def ask_all(self, step: str, request: Request, shown: Callable[[Any], Plain]) -> None:
        """Ask every broker; what they say is written down once if it is the same."""
        said = [shown(self.stages[node].arrange(request)) for node in NODES]
        self.write_down(step, said[0] if said == [said[0]] * len(NODES) else {"they differ": said})

    def topic(self, short: str, partitions: int = 1, factor: int = 1, assigned: Sequence[Sequence[int]] = ()) -> Topic:
        """Make a topic, and wait until every broker knows all of its leaders."""
        made = self.stages[1].arrange(creation(self.name(short), partitions, factor, assigned)).topics[0]
        assert made.error_code == 0, made
        for stage in self.stages.values():
            stage.until(about(self.name(short)), lambda reply: not any(_codes(reply.topics)))
        return Topic(self.name(short), made.topic_id)

    def leader(self, topic: Topic, partition: int = 0) -> int:
        """The node id of a partition's leader."""
        found = self.stages[1].arrange(about(topic.name)).topics[0].partitions
        return int(next(each.leader_id for each in found if each.partition_index == partition))

    def close(self) -> None:
        """Close the connections."""
        for stage in self.stages.values():
            stage.close()


def newest(api: type[Request]) -> int:
    """The newest version of an API; of how versions differ the recording of one broker says all."""
    return SERVED_VERSIONS[api.api_key][1]


def creation(name: str, partitions: int, factor: int, assigned: Sequence[Sequence[int]] = ()) -> CreateTopicsRequest:
    """A topic with so many replicas, or replicas where they are assigned."""
    placed = [CreatableReplicaAssignment(partition_index=at, broker_ids=list(ids)) for at, ids in enumerate(assigned)]
    topic = CreatableTopic(
        name=name,
        num_partitions=-1 if assigned else partitions,
        replication_factor=-1 if assigned else factor,
        assignments=placed,
    )
    return CreateTopicsRequest(topics=[topic], timeout_ms=10_000)


def about(*names: str) -> MetadataRequest:
    """These topics, which are not to be made."""
    return MetadataRequest(topics=[MetadataRequestTopic(name=name) for name in names], allow_auto_topic_creation=False)


def spread(reply: Any) -> Plain:
    """Of a topic's partitions: how many each leader has, whether replicas are in order."""
    partitions = reply.topics[0].partitions
    return {
        "led by": sorted(Counter(each.leader_id for each in partitions).values()),
        "replicas": sorted({len(set(each.replica_nodes)) for each in partitions}),
        "all in sync": all(set(each.isr_nodes) == set(each.replica_nodes) <= set(NODES) for each in partitions),
        "led by the first": all(each.leader_id == each.replica_nodes[0] for each in partitions),
        "offline": [each.offline_replicas for each in partitions if each.offline_replicas],
        "epochs": sorted({each.leader_epoch for each in partitions}),
    }


# --- the plays


def brokers_in_metadata(nodes: Nodes) -> None:
    """All brokers, their racks, and one controller."""

    def shown(reply: Any) -> Plain:
        found = {str(each.node_id): each.rack for each in reply.brokers}
        ports = {each.port for each in reply.brokers}
        return {"racks": found, "ports": len(ports), "controller is one": str(reply.controller_id) in found}

    nodes.ask_all("brokers", MetadataRequest(topics=[]), shown)
    for short, partitions, factor in (("four", 4, 1), ("six", 6, 2), ("twelve", 12, 3)):
        name = nodes.topic(short, partitions, factor).name
        nodes.ask_all(f"{partitions} partitions, {factor} replicas", about(name), spread)


def brokers_described(nodes: Nodes) -> None:
    """The same by DescribeCluster, and what each is."""

    def shown(reply: Any) -> Plain:
        return sorted([each.broker_id, each.rack, each.is_fenced] for each in reply.brokers)

    nodes.ask_all("brokers", DescribeClusterRequest(), shown)
    nodes.ask_all("controllers asked for", DescribeClusterRequest(endpoint_type=2), codes)


def topics_made(nodes: Nodes) -> None:
    """Replication factors and assignments that can be, and those that cannot."""
    for node, factor in ((1, 1), (2, 2), (3, 3), (1, 4), (2, 0), (3, -2), (1, -1)):
        nodes.ask(f"a factor of {factor}", node, creation(nodes.name(f"f{factor + 2}"), 3, factor))
    for step, assigned in (
        ("three places", [[1, 2], [2, 3], [3, 1]]),
        ("a broker that is not there", [[1, 9]]),
        ("the same broker twice", [[2, 2]]),
        ("different numbers", [[1, 2], [3]]),
        ("nowhere", [[]]),
        ("a negative broker", [[-1]]),
    ):
        nodes.ask(step, 2, creation(nodes.name("a" + step[-4:].strip().replace(" ", "")), 1, 1, assigned))
    topic = nodes.topic("placed", assigned=[[3, 1], [1, 2], [2, 3]])
    found = nodes.stages[2].arrange(about(topic.name)).topics[0].partitions
    nodes.write_down("numbers of replicas", sorted(len(each.replica_nodes) for each in found))
    placed = [each.replica_nodes for each in sorted(found, key=lambda each: each.partition_index)]
    nodes.write_down("where they were placed", placed)


def topics_grown(nodes: Nodes) -> None:
    """More partitions, on brokers that are there and that are not."""
    topic = nodes.topic("t", 1, 2)

    def growth(count: int, *assigned: Sequence[int]) -> CreatePartitionsRequest:
        wanted = [CreatePartitionsAssignment(broker_ids=list(ids)) for ids in assigned] or None
        return CreatePartitionsRequest(
            topics=[CreatePartitionsTopic(name=topic.name, count=count, assignments=wanted)], timeout_ms=10_000
        )

    nodes.ask("on a broker that is not there", 3, growth(2, [1, 9]))
    nodes.ask("on the same broker twice", 3, growth(2, [1, 1]))
    nodes.ask("on one replica less", 3, growth(2, [1]))
    nodes.ask("on two brokers", 3, growth(2, [2, 3]))
    nodes.ask("four more", 1, growth(6))


def partitions_described(nodes: Nodes) -> None:
    """What Metadata says, DescribeTopicPartitions says as well."""
    topic = nodes.topic("t", 6, 3)
    request = DescribeTopicPartitionsRequest(topics=[TopicRequest(name=topic.name)])
    nodes.ask_all("six partitions", request, spread)


def coordinators(nodes: Nodes) -> None:
    """One broker coordinates a group, all say which, and another one refuses."""
    group = nodes.name("g")
    for key_type, kind in ((0, "group"), (1, "transaction")):
        asked = FindCoordinatorRequest(key_type=key_type, coordinator_keys=[group])
        for stage in nodes.stages.values():  # the topic of the coordinators' records is made first
            stage.until(asked, lambda reply: not any(_codes(reply)))
        said = {nodes.stages[node].arrange(asked).coordinators[0].node_id for node in NODES}
        nodes.write_down(f"of a {kind}", [len(said), said <= set(NODES)])
    coordinator = nodes.stages[1].arrange(FindCoordinatorRequest(key_type=0, coordinator_keys=[group]))
    other = next(node for node in NODES if node != coordinator.coordinators[0].node_id)
    nodes.ask("a broker that does not coordinate it", other, DescribeGroupsRequest(groups=[group]))


def other_leaders(nodes: Nodes) -> None:
    """A broker that does not lead a partition is asked for it."""
    topic = nodes.topic("t")
    other = next(node for node in NODES if node != nodes.leader(topic))
    nodes.ask("produce", other, produce(topic, batch()))
    nodes.ask("list offsets", other, list_offsets(topic))
    nodes.ask("fetch", other, fetch(topic))


def configs_of_brokers(nodes: Nodes) -> None:
    """A broker describes its own, and not another one's; both can be changed anywhere."""

    def described(name: str) -> DescribeConfigsRequest:
        resource = DescribeConfigsResource(
            resource_type=BROKER,
            resource_name=name,
            configuration_keys=list(SHOWN),
        )
        return DescribeConfigsRequest(resources=[resource])

    def shown(reply: Any) -> Plain:
        [result] = reply.results
        return [codes(reply), {each.name: each.value for each in result.configs}]

    for node, name in ((1, "1"), (1, "2"), (2, "2"), (3, "9"), (2, "")):
        nodes.ask(f"of {name or 'all'}, asked of {node}", node, described(name), shown)
    change = alter(BROKER, "2", ("log.cleaner.threads", SET, "2"))
    nodes.ask("of 2, changed at 1", 1, change)
    nodes.ask("of 2, changed at 2", 2, change)

    def is_changed(reply: Any) -> bool:
        return any(each.name == "log.cleaner.threads" and each.value == "2" for each in reply.results[0].configs)

    nodes.stages[2].until(described("2"), is_changed)
    nodes.ask("of 2, changed", 2, described("2"), shown)
    nodes.ask("of 3, not changed", 3, described("3"), shown)
    nodes.stages[2].arrange(alter(BROKER, "2", ("log.cleaner.threads", DELETE, None)))


def elections(nodes: Nodes) -> None:
    """No election is needed while all live."""
    topic = nodes.topic("t", 2, 3)
    for kind, name in ((0, "preferred"), (1, "unclean")):
        partitions = [TopicPartitions(topic=topic.name, partitions=[0, 1, 7])]
        nodes.ask(name, 2, ElectLeadersRequest(election_type=kind, topic_partitions=partitions, timeout_ms=10_000))


def reassignments(nodes: Nodes) -> None:
    """To brokers that are there, and that are not."""
    topic = nodes.topic("t", 1, 2)

    def to(*replicas: int, none: bool = False) -> AlterPartitionReassignmentsRequest:
        part = ReassignablePartition(partition_index=0, replicas=None if none else list(replicas))
        return AlterPartitionReassignmentsRequest(
            topics=[ReassignableTopic(name=topic.name, partitions=[part])], timeout_ms=10_000
        )

    where = nodes.stages[1].arrange(about(topic.name)).topics[0].partitions[0].replica_nodes
    nodes.ask("where it is", 2, to(*where))
    nodes.ask("the end of none", 2, to(none=True))
    nodes.ask("a broker that is not there", 3, to(where[0], 9))
    nodes.ask("the same broker twice", 3, to(where[0], where[0]))
    nodes.ask("nowhere", 3, to())
    elsewhere = next(node for node in NODES if node not in where)
    nodes.ask("another broker", 1, to(where[0], elsewhere))
    listing = ListPartitionReassignmentsRequest(topics=None, timeout_ms=10_000)
    nodes.stages[1].until(listing, lambda reply: not reply.topics)
    nodes.ask_all("all moves", listing, lambda reply: [codes(reply), len(reply.topics)])


def quorum(nodes: Nodes) -> None:
    """All brokers vote, and one of them leads, whichever is asked."""

    def shown(reply: Any) -> Plain:
        [part] = reply.topics[0].partitions
        voters = sorted(each.replica_id for each in part.current_voters)
        return {
            "codes": codes(reply),
            "voters": voters,
            "led by a voter": part.leader_id in voters,
            "observers": len(part.observers),
            "nodes": sorted(each.node_id for each in reply.nodes),
        }

    log = RequestTopicData(topic_name=METADATA, partitions=[RequestPartitionData(partition_index=0)])
    nodes.ask_all("the log", DescribeQuorumRequest(topics=[log]), shown)
    cluster_id = nodes.stages[1].arrange(DescribeClusterRequest()).cluster_id
    listeners = [Listener(name="CONTROLLER", host="127.0.0.1", port=9)]
    for voter in (2, 9):
        adding = AddRaftVoterRequest(
            cluster_id=cluster_id, timeout_ms=2000, voter_id=voter, voter_directory_id=b"\x01" * 16, listeners=listeners
        )
        nodes.ask(f"voter {voter} to add", 1, adding)
        removing = RemoveRaftVoterRequest(cluster_id=cluster_id, voter_id=voter, voter_directory_id=b"\x01" * 16)
        nodes.ask(f"voter {voter} to remove", 3, removing)
    nodes.ask("a broker that is not there", 2, UnregisterBrokerRequest(broker_id=9))


def directories(nodes: Nodes) -> None:
    """Each replica is in a directory of its broker."""
    topic = nodes.topic("t", 3, 2)
    request = DescribeLogDirsRequest(topics=[DescribableLogDirTopic(topic=topic.name, partitions=[0, 1, 2])])
    found = [nodes.stages[node].arrange(request) for node in NODES]
    parts = [part for reply in found for each in reply.results for name in each.topics for part in name.partitions]
    nodes.write_down("replicas in all directories", sorted(part.partition_index for part in parts))


PLAYS: Final[tuple[tuple[type[Request], Callable[[Nodes], None]], ...]] = (
    (FindCoordinatorRequest, coordinators),
    (MetadataRequest, brokers_in_metadata),
    (DescribeClusterRequest, brokers_described),
    (CreateTopicsRequest, topics_made),
    (CreatePartitionsRequest, topics_grown),
    (DescribeTopicPartitionsRequest, partitions_described),
    (MetadataRequest, other_leaders),
    (DescribeConfigsRequest, configs_of_brokers),
    (ElectLeadersRequest, elections),
    (AlterPartitionReassignmentsRequest, reassignments),
    (DescribeQuorumRequest, quorum),
    (DescribeLogDirsRequest, directories),
)


def perform_on(sites: Sequence[Site]) -> Answers:
    """Play everything on a cluster, whose brokers are given in the order of their node ids."""
    answers: Answers = {}
    for api, play in PLAYS:
        nodes = Nodes(sites, play.__name__.replace("_", "-"), api, answers)
        try:
            play(nodes)
        finally:
            nodes.close()
    return answers


PLACES_NOTHING: Final = (
    "brokers that share a store hold no replicas: an assignment is checked, and which brokers serve a partition "
    "follows from who lives"
)
ANY_BROKER: Final = "any broker serves any partition, so a client with old metadata is served where it asks"

CLUSTER_EXPLAINED: Final[list[Explanation]] = [
    Explanation("CreateTopics/topics-made: where they were placed", "*", PLACES_NOTHING),
    Explanation("AlterPartitionReassignments/reassignments: another broker", "[1]", PLACES_NOTHING),
    Explanation("Metadata/other-leaders: *", "*", ANY_BROKER, kafkas="NOT_LEADER_OR_FOLLOWER"),
]
