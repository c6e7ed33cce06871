"""What a shard asks of a group, whatever the protocol of its members.

There is one group per id. The machine (`machine.py`) keeps them all in one map, with what they have committed, and
knows of a group only what stands here: `Group` is the state of one, `GroupKind` what its members' protocol decides
about it. Each kind has a folder of its own with both (`classic/`); what its members send goes to it directly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

from broker.coordinators.groups.decision import CommittingMember, Draft, TimerName
from broker.coordinators.groups.offsets import OffsetToCommit
from broker.coordinators.groups.records import GroupRecord
from kproto.errors import ErrorCode
from kproto.messages.list_groups import ListedGroup
from storage.seams.clock import Instant


class OffsetAge(NamedTuple):
    """From when on the age of a group's offsets counts; Kafka's OffsetExpirationCondition."""

    expires: bool
    """False: none of them may be forgotten now."""
    since: int | None = None
    """Wall milliseconds; None: each one's age counts from its own commit."""


class Group(Protocol):
    """The state of one group."""

    group_id: str
    held: int
    """Bytes of memory, without its offsets: the part of the machine's account that is the group's."""

    @property
    def kind(self) -> str:
        """As ListGroups calls it: "classic", for example."""
        ...

    @property
    def is_empty(self) -> bool:
        """True when no client is a member."""
        ...

    @property
    def is_forgettable(self) -> bool:
        """True when the group has no members and none that are about to join: without offsets it may go."""
        ...

    @property
    def uses_consumer_protocol(self) -> bool:
        """True when the members say which topics they read, so that offsets of others may be deleted beside them."""
        ...

    @property
    def offset_age(self) -> OffsetAge:
        """How the age of the group's offsets is counted."""
        ...

    def subscribed_among(self, topics: Iterable[str]) -> set[str]:
        """Those of `topics` that the members read."""
        ...

    def listed(self) -> ListedGroup:
        """The group as ListGroups shows it."""
        ...

    def release(self) -> None:
        """The group is gone: give back what it has in the machine's account."""
        ...

    def tombstones(self) -> Sequence[GroupRecord]:
        """The records after which the group is gone. Its offsets are not of it."""
        ...


GroupT_contra = TypeVar("GroupT_contra", bound=Group, contravariant=True)


class GroupKind(Protocol[GroupT_contra]):
    """The decisions on groups of one kind. It owns their deadlines."""

    def commit_error(
        self, group: GroupT_contra, committing: CommittingMember, commits: Sequence[OffsetToCommit]
    ) -> ErrorCode:
        """NONE if this client may commit these offsets for the group."""
        ...

    def fetch_error(self, group: GroupT_contra, member_id: str | None, epoch: int) -> ErrorCode:
        """NONE if a client that says so of itself may learn what was committed for the group."""
        ...

    def heard_of(self, group: GroupT_contra, member_id: str, now: Instant) -> None:
        """A client that may commit has committed: a sign of life, if it is a member."""
        ...

    def resume(self, group: GroupT_contra, now: Instant) -> Iterator[None]:
        """The log has been loaded: every member gets a fresh session, step by step."""
        ...

    def expired(self, name: TimerName, group: GroupT_contra, draft: Draft) -> None:
        """A deadline of the group has passed."""
        ...

    def cancel_all(self, group: GroupT_contra) -> None:
        """The group is gone, and so are its deadlines."""
        ...

    def check(self, group: GroupT_contra) -> None:
        """Assert that every client that could be waited for in vain has a deadline."""
        ...
