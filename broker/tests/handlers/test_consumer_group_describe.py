"""ConsumerGroupDescribe: a consumer group as tools show it."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import with_coordinator, with_member, with_topic
from broker.tests.handlers.test_consumer_group_heartbeat import joining
from kproto.errors import ErrorCode
from kproto.messages.consumer_group_describe import ConsumerGroupDescribeRequest


@pytest.mark.parametrize("version", versions_of(ConsumerGroupDescribeRequest))
async def test_every_version_describes(version: int) -> None:
    """Epochs, state, assignor, and members with what they own and shall own."""
    async with world(groups=True) as w:
        await with_topic(w)
        await with_coordinator(w)
        await w.ask(joining(rack_id="r"), 1)
        asked = ConsumerGroupDescribeRequest(group_ids=["g"], include_authorized_operations=True)
        [group] = (await w.ask(asked, version)).groups
        assert (group.error_code, group.group_state, group.group_epoch, group.assignment_epoch) == (0, "Stable", 2, 2)
        assert (group.assignor_name, group.authorized_operations) == ("uniform", 3400)
        [member] = group.members
        assert (member.member_id, member.rack_id, member.member_epoch) == ("m", "r", 2)
        assert (member.client_id, member.client_host, member.subscribed_topic_names) == ("test", "/127.0.0.1", ["t"])
        [owned] = member.assignment.topic_partitions
        assert (owned.topic_name, owned.partitions) == ("t", [0, 1])
        assert member.target_assignment == member.assignment
        assert member.member_type == (1 if version >= 1 else -1)


async def test_other_groups_are_not_found() -> None:
    """Unknown, of another kind, and without an id; one that is named twice is answered twice."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_member(w)
        asked = ConsumerGroupDescribeRequest(group_ids=["g", "unknown", "", "g"])
        groups = (await w.ask(asked, 1)).groups
        assert [(each.group_id, each.error_code) for each in groups] == [
            ("g", ErrorCode.GROUP_ID_NOT_FOUND),
            ("unknown", ErrorCode.GROUP_ID_NOT_FOUND),
            ("", ErrorCode.INVALID_GROUP_ID),
            ("g", ErrorCode.GROUP_ID_NOT_FOUND),
        ]


async def test_without_a_coordinator_each_group_has_the_error() -> None:
    """NOT_COORDINATOR for each."""
    async with world(groups=True) as w:
        groups = (await w.ask(ConsumerGroupDescribeRequest(group_ids=["a", "b"]), 1)).groups
        assert [each.error_code for each in groups] == [ErrorCode.NOT_COORDINATOR] * 2
