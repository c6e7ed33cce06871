"""The offsets that a request wants to commit: OffsetCommit and TxnOffsetCommit ask in the same form.

Each partition gets an answer, in the order of the request. What names no partition that is there, or a topic that the
client may not READ, is answered here; the others are `commits` for the group's coordinator, whose codes `answer` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from broker.coordinators.groups import OffsetToCommit
from broker.security.operations import Operation
from kproto.errors import ErrorCode, KafkaError
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

TopicAnswer = TypeVar("TopicAnswer")


class RequestedCommits(Generic[TopicAnswer]):
    """What is to be committed, and the answer as far as it stands. `read` makes one, `read_few` at once."""

    def __init__(self) -> None:
        self.topics: list[TopicAnswer] = []
        self.commits: list[OffsetToCommit] = []
        self._open: list[Any] = []  # the answers of `commits`

    async def answer(self, codes: Sequence[ErrorCode]) -> None:
        """What has become of the commits, one code for each."""
        async for partition, code in Slices().over(zip(self._open, codes, strict=True)):
            partition.error_code = code

    def answer_few(self, codes: Sequence[ErrorCode]) -> None:
        """The same, at once."""
        for partition, code in zip(self._open, codes, strict=True):
            partition.error_code = code

    @classmethod
    async def read(
        cls,
        topics: Iterable[Any],
        ctx: RequestContext,
        topic_answer: Callable[..., Any],
        partition_answer: Callable[..., Any],
        *,
        by_id: bool,
    ) -> RequestedCommits[TopicAnswer]:
        """Find the partitions of a request's topics, giving way to others."""
        found = cls()
        async for _ in Slices().over(found._find(topics, ctx, topic_answer, partition_answer, by_id)):
            pass
        return found

    @classmethod
    def read_few(
        cls,
        topics: Iterable[Any],
        ctx: RequestContext,
        topic_answer: Callable[..., Any],
        partition_answer: Callable[..., Any],
        *,
        by_id: bool,
    ) -> RequestedCommits[TopicAnswer]:
        """The same, at once: for requests of few partitions."""
        found = cls()
        for _ in found._find(topics, ctx, topic_answer, partition_answer, by_id):
            pass
        return found

    def _find(
        self,
        topics: Iterable[Any],
        ctx: RequestContext,
        topic_answer: Callable[..., Any],
        partition_answer: Callable[..., Any],
        by_id: bool,
    ) -> Iterator[None]:
        """Take over topic after topic, partition after partition; a step for each of either."""
        image = ctx.cluster.image
        for asked in topics:
            topic = ctx.find_topic(image, Operation.READ, asked.name, asked.topic_id if by_id else None)
            partitions: list[Any] = []
            self.topics.append(topic_answer(name=asked.name, topic_id=asked.topic_id, partitions=partitions))
            yield
            for wanted in asked.partitions:
                answer = partition_answer(partition_index=wanted.partition_index)
                partitions.append(answer)
                if isinstance(topic, KafkaError):
                    answer.error_code = topic.code
                elif wanted.partition_index not in topic.partitions:
                    answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                else:
                    self._open.append(answer)
                    self.commits.append(
                        OffsetToCommit(
                            topic.name,
                            topic.topic_id,
                            wanted.partition_index,
                            wanted.committed_offset,
                            wanted.committed_leader_epoch,
                            wanted.committed_metadata or "",
                        )
                    )
                yield
