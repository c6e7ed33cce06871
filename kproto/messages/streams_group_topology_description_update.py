"""StreamsGroupTopologyDescriptionUpdate, API 93."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Request, Response, String, Struct, field


class TopologyDescriptionNode(Struct):
    name: String = field("0+")
    node_type: Int8 = field("0+")
    source_topics: Array[String] = field("0+")
    sink_topic: String | None = field("0+", default=None)
    stores: Array[String] = field("0+")
    successors: Array[String] = field("0+")


class TopologyDescriptionSubtopology(Struct):
    subtopology_id: String = field("0+")
    nodes: Array[TopologyDescriptionNode] = field("0+")


class TopologyDescriptionGlobalStore(Struct):
    source: TopologyDescriptionNode = field("0+")
    processor: TopologyDescriptionNode = field("0+")


class TopologyDescription(Struct):
    subtopologies: Array[TopologyDescriptionSubtopology] = field("0+")
    global_stores: Array[TopologyDescriptionGlobalStore] = field("0+")


class StreamsGroupTopologyDescriptionUpdateRequest(Request, api=93, versions="0", flexible="0+"):
    """Hand in the description of a Kafka Streams topology, which a heartbeat's answer has asked a member for."""

    group_id: String = field("0+")
    member_id: String = field("0+")
    topology_epoch: Int32 = field("0+")
    topology_description: TopologyDescription = field("0+")


class StreamsGroupTopologyDescriptionUpdateResponse(Response, to=StreamsGroupTopologyDescriptionUpdateRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
