"""What the matrix does not ask: answers that permission shapes without refusing them, and ACLs that change since."""

from __future__ import annotations

from typing import Any

from broker.context import Peer
from broker.coordinators.cluster import NewTopic
from broker.coordinators.cluster.acl_changes import create_acls, delete_acls
from broker.security.acls import Acl
from broker.security.operations import NOT_ASKED, Operation, Resource
from broker.security.principals import Principal
from broker.testing.contexts import World, world
from broker.tests.handlers.acl_requests import SECURED
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kproto.messages.create_delegation_token import CreateDelegationTokenRequest
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kproto.messages.describe_cluster import DescribeClusterRequest
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData

REFUSED = ErrorCode.TOPIC_AUTHORIZATION_FAILED
ALICE = Principal.parse("User:alice")
BATCH = bytes(build_batch([RecordData(0, 0, None, b"value")]))
T, G, C = Resource.TOPIC, Resource.GROUP, Resource.CLUSTER


def acl(operation: Operation, kind: Resource = T, name: str = "t", *, prefixed: bool = False) -> Acl:
    """Alice may do this."""
    return Acl(kind, name, 4 if prefixed else 3, "User:alice", "*", operation, 3)


async def allow(w: World, *acls: Acl) -> None:
    assert set(await create_acls(acls, w.cluster, w.services.entropy)) == {None}


async def forget(w: World) -> None:
    """Remove all ACLs."""
    await delete_acls(list(w.cluster.image.acls), w.cluster)


async def make(w: World, *names: str) -> None:
    await w.cluster.create_topics([NewTopic(name, partition_count=1) for name in names])


def bits(*operations: Operation) -> int:
    return sum(1 << operation for operation in operations)


# --- what is asked again with every request


def fetch(session: int, epoch: int, *topics: str) -> FetchRequest:
    named = [
        FetchTopic(topic=name, partitions=[FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1000)])
        for name in topics
    ]
    return FetchRequest(session_id=session, session_epoch=epoch, max_bytes=1000, topics=named)


def found(response: Any) -> dict[str, int]:
    return {topic.topic: part.error_code for topic in response.responses for part in topic.partitions}


async def test_a_fetch_session_learns_of_acls_that_change() -> None:
    """An incremental request looks only at what has moved; with other ACLs it looks at everything once."""
    async with world(SECURED) as w:
        await make(w, "t", "u")
        await allow(w, acl(Operation.READ), acl(Operation.READ, name="u"))
        w.be(ALICE)
        first = await w.ask(fetch(0, 0, "t", "u"), 11)
        assert found(first) == {"t": 0, "u": 0}
        assert found(await w.ask(fetch(first.session_id, 1), 11)) == {}
        await forget(w)
        await allow(w, acl(Operation.READ))
        assert found(await w.ask(fetch(first.session_id, 2), 11)) == {"u": REFUSED}
        assert found(await w.ask(fetch(first.session_id, 3), 11)) == {"u": REFUSED}
        await allow(w, acl(Operation.READ, name="u"))
        assert found(await w.ask(fetch(first.session_id, 4), 11)) == {"u": 0}
        assert found(await w.ask(fetch(first.session_id, 5), 11)) == {}
        w.services.fetches.sessions.check()


async def test_one_topic_of_a_produce_request_may_be_refused() -> None:
    """The others are written."""
    async with world(SECURED) as w:
        await make(w, "t", "u")
        await allow(w, acl(Operation.WRITE))
        w.be(ALICE)
        data = [PartitionProduceData(index=0, records=BATCH)]
        topics = [TopicProduceData(name=name, partition_data=data) for name in ("t", "u", "gone")]
        response = await w.ask(ProduceRequest(acks=1, timeout_ms=1000, topic_data=topics), 9)
        codes = {topic.name: topic.partition_responses[0].error_code for topic in response.responses}
        assert codes == {"t": 0, "u": REFUSED, "gone": REFUSED}


# --- creating


async def test_metadata_creates_a_topic_for_a_client_that_may_create_it() -> None:
    """CREATE on the cluster or on the topic; without DESCRIBE the question does not come up."""

    async def asked(w: World, name: str) -> int:
        w.be(ALICE)
        response = await w.ask(MetadataRequest(topics=[MetadataRequestTopic(name=name)]), 9)
        [topic] = response.topics
        return int(topic.error_code)

    async with world(SECURED) as w:
        await allow(w, acl(Operation.CREATE, name="created"))
        assert await asked(w, "created") == REFUSED
        await allow(w, acl(Operation.DESCRIBE, name="*"))
        assert await asked(w, "t") == REFUSED
        assert await asked(w, "created") == 0
        await allow(w, acl(Operation.CREATE, C, "kafka-cluster"))
        assert await asked(w, "t") == 0
        assert set(w.cluster.image.topics) == {"created", "t"}


async def test_the_configs_of_a_new_topic_are_shown_to_those_who_may_see_them() -> None:
    """Else there is an error in their place; the topic is created."""
    async with world(SECURED) as w:
        await allow(w, acl(Operation.CREATE, prefixed=True, name=""), acl(Operation.DESCRIBE_CONFIGS, name="u"))
        w.be(ALICE)
        topics = [CreatableTopic(name=name, num_partitions=2, replication_factor=1) for name in ("t", "u")]
        response = await w.ask(CreateTopicsRequest(topics=topics, timeout_ms=1000), 7)
        t, u = sorted(response.topics, key=lambda topic: topic.name)
        assert (t.error_code, t.topic_config_error_code, t.num_partitions, t.configs) == (0, REFUSED, -1, [])
        assert (u.error_code, u.topic_config_error_code, u.num_partitions) == (0, 0, 2)
        assert u.configs


async def test_a_deletion_by_id_gives_no_name_away() -> None:
    """To a client that may not describe the topic."""

    async def asked(w: World) -> tuple[int, str | None]:
        w.be(ALICE)
        topic_id = w.cluster.image.topics["t"].topic_id
        response = await w.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name=None, topic_id=topic_id)]), 6)
        [answer] = response.responses
        return answer.error_code, answer.name

    async with world(SECURED) as w:
        await make(w, "t")
        assert await asked(w) == (REFUSED, None)
        await allow(w, acl(Operation.DESCRIBE))
        assert await asked(w) == (REFUSED, "t")
        await allow(w, acl(Operation.DELETE))
        assert await asked(w) == (0, "t")


# --- groups


async def test_an_expression_matches_what_its_member_may_describe() -> None:
    """A subscription by regular expression does not find out what there is."""
    async with world(SECURED, groups=True) as w:
        await w.ask(FindCoordinatorRequest(key_type=0, coordinator_keys=["g"]), 4)
        await make(w, "team-a", "team-b")
        await allow(w, acl(Operation.READ, G, "g"), acl(Operation.READ, name="team-a"))
        w.be(ALICE)
        beat = ConsumerGroupHeartbeatRequest(
            group_id="g",
            member_id="m",
            rebalance_timeout_ms=1000,
            subscribed_topic_regex="team-.*",
            topic_partitions=[],
        )
        response = await w.ask(beat, 1)
        assert response.error_code == 0
        owned = [topic.topic_id for topic in response.assignment.topic_partitions]
        assert owned == [w.cluster.image.topics["team-a"].topic_id]


async def test_a_group_of_other_topics_is_not_described() -> None:
    """Its members' assignments would name them; so the group has an error, and no members."""
    async with world(SECURED, groups=True) as w:
        await w.ask(FindCoordinatorRequest(key_type=0, coordinator_keys=["g"]), 4)
        await make(w, "t")
        beat = ConsumerGroupHeartbeatRequest(
            group_id="g", member_id="m", rebalance_timeout_ms=1000, subscribed_topic_names=["t"], topic_partitions=[]
        )
        await w.ask(beat, 1)
        await allow(w, acl(Operation.DESCRIBE, G, "g"))
        w.be(ALICE)
        asked = ConsumerGroupDescribeRequest(group_ids=["g"])
        [group] = (await w.ask(asked, 1)).groups
        assert (group.error_code, group.members) == (REFUSED, [])
        await allow(w, acl(Operation.DESCRIBE))
        [group] = (await w.ask(asked, 1)).groups
        assert (group.error_code, len(group.members)) == (0, 1)


# --- what one may do, as bit fields


async def test_bit_fields_are_those_of_the_client() -> None:
    """Of the cluster only for a client that may describe it."""
    async with world(SECURED, groups=True) as w:
        await w.ask(FindCoordinatorRequest(key_type=0, coordinator_keys=["g"]), 4)
        await make(w, "t")
        await allow(w, acl(Operation.READ), acl(Operation.READ, G, "g"), acl(Operation.CREATE, C, "kafka-cluster"))
        w.be(ALICE)
        asked = MetadataRequest(topics=[MetadataRequestTopic(name="t")], include_topic_authorized_operations=True)
        [topic] = (await w.ask(asked, 9)).topics
        assert topic.topic_authorized_operations == bits(Operation.READ, Operation.DESCRIBE)
        asked = MetadataRequest(topics=[MetadataRequestTopic(name="u")], include_topic_authorized_operations=True)
        [topic] = (await w.ask(asked, 9)).topics
        assert (topic.error_code, topic.topic_authorized_operations) == (REFUSED, NOT_ASKED)
        [group] = (await w.ask(DescribeGroupsRequest(groups=["g"], include_authorized_operations=True), 5)).groups
        assert group.authorized_operations == bits(Operation.READ, Operation.DESCRIBE)
        cluster = DescribeClusterRequest(include_cluster_authorized_operations=True)
        assert (await w.ask(cluster, 1)).cluster_authorized_operations == 0
        await allow(w, acl(Operation.DESCRIBE, C, "kafka-cluster"))
        assert (await w.ask(cluster, 1)).cluster_authorized_operations == bits(Operation.CREATE, Operation.DESCRIBE)


# --- delegation tokens


async def test_tokens_for_others_take_a_permission_on_the_other() -> None:
    """CREATE_TOKENS of the user, which is a resource of its own kind (KIP-373)."""

    async def asked(w: World) -> int:
        w.peer = Peer("127.0.0.1", 1, principal=ALICE, security_protocol="SASL_PLAINTEXT")
        request = CreateDelegationTokenRequest(owner_principal_type="User", owner_principal_name="bob")
        return int((await w.ask(request, 3)).error_code)

    async with world(SECURED | {"delegation.token.secret.key": "s3cret"}) as w:
        await allow(w, acl(Operation.CREATE_TOKENS, Resource.USER, "User:carol"))
        assert await asked(w) == ErrorCode.DELEGATION_TOKEN_AUTHORIZATION_FAILED
        await allow(w, acl(Operation.CREATE_TOKENS, Resource.USER, "User:bob"))
        assert await asked(w) == 0
