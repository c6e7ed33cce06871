"""DeleteTopics, API 20."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, Uuid, field


class DeleteTopicState(Struct):
    name: String | None = field("6+", default=None)
    topic_id: Uuid = field("6+")


class DeleteTopicsRequest(Request, api=20, versions="1-6", flexible="4+"):
    """Delete topics.

    v4 is flexible, v5 adds messages (KIP-599 made them necessary), v6 names topics by name or by id (KIP-516).
    """

    topics: Array[DeleteTopicState] = field("6+")
    topic_names: Array[String] = field("0-5", ignorable=True)
    timeout_ms: Int32 = field("0+")


class DeletableTopicResult(Struct):
    name: String | None = field("0+", nullable="6+", map_key=True)
    topic_id: Uuid = field("6+", ignorable=True)
    error_code: Int16 = field("0+")
    error_message: String | None = field("5+", default=None, ignorable=True)


class DeleteTopicsResponse(Response, to=DeleteTopicsRequest):
    throttle_time_ms: Int32 = field("1+", ignorable=True)
    responses: Array[DeletableTopicResult] = field("0+")
