"""DescribeLogDirs, API 35."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Int64, Request, Response, String, Struct, field


class DescribableLogDirTopic(Struct):
    topic: String = field("0+", map_key=True)
    partitions: Array[Int32] = field("0+")


class DescribeLogDirsRequest(Request, api=35, versions="1-5", flexible="2+"):
    """Describe the log directories of a broker and the partitions in them (KIP-113).

    v4 adds the size of the volumes (KIP-827), v5 a cordoned flag.
    """

    topics: Array[DescribableLogDirTopic] | None = field("0+")


class DescribeLogDirsPartition(Struct):
    partition_index: Int32 = field("0+")
    partition_size: Int64 = field("0+")
    offset_lag: Int64 = field("0+")
    is_future_key: Bool = field("0+")


class DescribeLogDirsTopic(Struct):
    name: String = field("0+")
    partitions: Array[DescribeLogDirsPartition] = field("0+")


class DescribeLogDirsResult(Struct):
    error_code: Int16 = field("0+")
    log_dir: String = field("0+")
    topics: Array[DescribeLogDirsTopic] = field("0+")
    total_bytes: Int64 = field("4+", default=-1, ignorable=True)
    usable_bytes: Int64 = field("4+", default=-1, ignorable=True)
    is_cordoned: Bool = field("5+", ignorable=True)


class DescribeLogDirsResponse(Response, to=DescribeLogDirsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("3+", ignorable=True)
    results: Array[DescribeLogDirsResult] = field("0+")
