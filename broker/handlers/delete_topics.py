"""DeleteTopics (20): delete topics by name or by id.

- v4: flexible.
- v5: an error message beside each code. With a quota of the client's on changes, THROTTLING_QUOTA_EXCEEDED for what is
  too early (KIP-599); in older versions it is deleted, and the client waits the longer for its next answer.
- v6: names or ids (KIP-516).
- The answer comes when the topic is out of metadata and its logs are gone, so that the name can be used again at once.
  Kafka answers when the controller has decided, and deletes later.
- `delete.topic.enable=false` refuses all: TOPIC_DELETION_DISABLED, before v3 INVALID_REQUEST.
- It takes DELETE on the cluster or on the topic, else TOPIC_AUTHORIZATION_FAILED. A client that may not even DESCRIBE
  the topic does not learn whether it exists, nor the name to an id.
- A topic that is named twice, or by name and id, or by neither: INVALID_REQUEST.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import ZERO_UUID, Uuid
from kproto.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.quotas.quotas import MutationQuota

DISABLED_HAS_A_CODE_SINCE = 3
REFUSED_SINCE = 5


async def handle(request: DeleteTopicsRequest, ctx: RequestContext) -> DeleteTopicsResponse:
    """Find the topics meant, delete those."""
    if not ctx.config.delete_topic_enable:
        code = ErrorCode.TOPIC_DELETION_DISABLED
        raise KafkaError(code if ctx.api_version >= DISABLED_HAS_A_CODE_SINCE else ErrorCode.INVALID_REQUEST)
    slices = Slices()
    meant = _Meant(ctx, slices)
    await meant.find(request.topics, request.topic_names)
    quota = ctx.mutation_quota(REFUSED_SINCE)
    if quota is not None:
        meant.count(quota)
    deleted = await ctx.cluster.delete_topics(list(meant.topics))
    ctx.count_changes(quota)
    async for (topic_id, name), result in slices.over(zip(meant.topics.items(), deleted, strict=True)):
        if isinstance(result, KafkaError):
            meant.answer(name, topic_id, result.code, result.message)
        else:
            meant.answers.append(DeletableTopicResult(name=name, topic_id=topic_id))
    return DeleteTopicsResponse(responses=meant.answers)


def refuse(request: DeleteTopicsRequest, error: ErrorCode, version: int) -> DeleteTopicsResponse:
    """The error on every topic."""
    return DeleteTopicsResponse(
        responses=[
            DeletableTopicResult(name=topic.name, topic_id=topic.topic_id, error_code=error)
            for topic in request.topics + [DeleteTopicState(name=name) for name in request.topic_names]
        ]
    )


class _Meant:
    """The topics that a request means, and the answers for everything else in it."""

    def __init__(self, ctx: RequestContext, slices: Slices) -> None:
        self._ctx = ctx
        self._image = ctx.cluster.image
        self._may_delete_all = ctx.may(Operation.DELETE, Resource.CLUSTER, quiet=True)
        self._slices = slices
        self.topics: dict[Uuid, str] = {}
        self.answers: list[DeletableTopicResult] = []

    def answer(self, name: str | None, topic_id: Uuid, error: ErrorCode, message: str | None = None) -> None:
        self.answers.append(
            DeletableTopicResult(
                name=name, topic_id=topic_id, error_code=error, error_message=message or error.sentence
            )
        )

    async def find(self, asked: list[DeleteTopicState], asked_by_name: list[str]) -> None:
        """Look at what either form of the request names."""
        names: Counter[str] = Counter()
        ids: Counter[Uuid] = Counter()
        async for topic in self._slices.over(asked):
            if topic.name is not None and topic.topic_id != ZERO_UUID:
                self.answer(topic.name, topic.topic_id, ErrorCode.INVALID_REQUEST, "name and id cannot both be given")
            elif topic.name is not None:
                names[topic.name] += 1
            elif topic.topic_id != ZERO_UUID:
                ids[topic.topic_id] += 1
            else:
                self.answer(None, ZERO_UUID, ErrorCode.INVALID_REQUEST, "neither name nor id was given")
        async for name in self._slices.over(asked_by_name):
            names[name] += 1
        async for topic_id, times in self._slices.over(ids.items()):
            self._by_id(topic_id, times)
        async for name, times in self._slices.over(names.items()):
            self._by_name(name, times, ids)

    def count(self, quota: MutationQuota) -> None:
        """Count the partitions that are to go, topic by topic; what is too early is answered so."""
        for topic_id, name in list(self.topics.items()):
            topic = self._image.topic_by_id(topic_id)
            try:
                quota(0 if topic is None else topic.partition_count)
            except KafkaError as error:
                self.answer(name, topic_id, error.code)
                del self.topics[topic_id]

    def _may(self, operation: Operation, name: str) -> bool:
        return self._may_delete_all or self._ctx.may(operation, Resource.TOPIC, name)

    def _by_id(self, topic_id: Uuid, times: int) -> None:
        topic = self._image.topic_by_id(topic_id)
        if times > 1:
            self.answer(None, topic_id, ErrorCode.INVALID_REQUEST, "the id is given more than once")
        elif topic is None:
            self.answer(None, topic_id, ErrorCode.UNKNOWN_TOPIC_ID)
        elif not self._may(Operation.DELETE, topic.name):
            name = topic.name if self._may(Operation.DESCRIBE, topic.name) else None
            self.answer(name, topic_id, REFUSAL[Resource.TOPIC])
        else:
            self.topics[topic_id] = topic.name

    def _by_name(self, name: str, times: int, ids: Collection[Uuid]) -> None:
        topic = self._image.topics.get(name)
        if times > 1:
            self.answer(name, ZERO_UUID, ErrorCode.INVALID_REQUEST, "the name is given more than once")
        elif not self._may(Operation.DESCRIBE, name):
            self.answer(name, ZERO_UUID, REFUSAL[Resource.TOPIC])
        elif topic is None:
            self.answer(name, ZERO_UUID, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        elif not self._may(Operation.DELETE, name):
            self.answer(name, ZERO_UUID, REFUSAL[Resource.TOPIC])
        elif topic.topic_id in ids:
            self.topics.pop(topic.topic_id, None)
            self.answer(name, topic.topic_id, ErrorCode.INVALID_REQUEST, "the topic is named by its id as well")
        else:
            self.topics[topic.topic_id] = name
