"""How long our codec takes, next to kafka-python's own compiled one, in one run.

The yardstick is a Produce request of version 9 with ten partitions of 16 KiB: both decoders read the same bytes, in
alternating rounds, with length checks and the element budget of ours switched on as always. Of each side the fastest
round counts, since whatever else the machine does can only make a round slower. Exit status 1 if ours is not at least
1.3 times as fast.

Below it stand the messages of the broker's hot path, ours alone: what one small request costs before and after the
work it asks for. ``--profile`` shows where the time of the yardstick goes.
"""

import argparse
import cProfile
import platform
import pstats
import sys
import timeit
from collections.abc import Callable, Sequence
from typing import Any

from kproto.messages.fetch import (
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from kproto.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from kproto.schema.compile import decode, encode
from kproto.schema.declare import Struct

WANTED_RATIO = 1.3
YARDSTICK_VERSION = 9
TOPIC_ID = bytes(range(16))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print it; 0 if ours is fast enough, 1 if not, 2 if kafka-python is not there."""
    parser = argparse.ArgumentParser(prog="codec-benchmark", description="time the codec against kafka-python's")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each side (default 15)")
    parser.add_argument("--calls", type=int, default=2000, help="calls in a round (default 2000)")
    parser.add_argument("--profile", action="store_true", help="print a cProfile of our decoder on the yardstick")
    arguments = parser.parse_args(argv)
    try:
        import kafka
        from kafka.protocol.producer import ProduceRequest as TheirProduceRequest
    except ImportError:
        print("kafka-python is not installed; there is nothing to compare with", file=sys.stderr)
        return 2

    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {sys.executable}")
    body = encoded(produce_request(partitions=10, record_bytes=16 * 1024), YARDSTICK_VERSION)
    theirs_version: Any = kafka.__version__
    print(f"decode Produce v{YARDSTICK_VERSION}, 10 partitions x 16 KiB, {len(body)} bytes")
    ours, theirs = alternate(
        lambda: decode(ProduceRequest, YARDSTICK_VERSION, body),
        lambda: TheirProduceRequest.decode(body, version=YARDSTICK_VERSION),
        arguments.rounds,
        arguments.calls,
    )
    print(f"  {'ottla':<24}{ours:8.2f} us")
    print(f"  {'kafka-python ' + theirs_version:<24}{theirs:8.2f} us")
    print(f"  {'ratio':<24}{theirs / ours:8.2f}    (wanted: {WANTED_RATIO})")
    print("small messages of the hot path, ours")
    for title, call in hot_path():
        best, _ = alternate(call, call, max(3, arguments.rounds // 3), arguments.calls)
        print(f"  {title:<48}{best:8.2f} us")
    if arguments.profile:
        profile(body, 10 * arguments.calls)
    return 0 if theirs / ours >= WANTED_RATIO else 1


def alternate(ours: Callable[[], object], theirs: Callable[[], object], rounds: int, calls: int) -> tuple[float, float]:
    """The fastest round of each, in microseconds a call."""
    ours(), theirs()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, call in enumerate((ours, theirs)):
            times[side].append(timeit.timeit(call, number=calls) / calls * 1e6)
    return min(times[0]), min(times[1])


def hot_path() -> list[tuple[str, Callable[[], object]]]:
    """What the broker does for one small Produce and one small Fetch, as (title, call)."""
    calls: list[tuple[str, Callable[[], object]]] = []

    def decoding(message: Struct, version: int, title: str) -> None:
        body, cls = encoded(message, version), type(message)
        calls.append((f"decode {title} v{version}", lambda: decode(cls, version, body)))

    def encoding(message: Struct, version: int, title: str) -> None:
        calls.append((f"encode {title} v{version}", lambda: encode(message, version)))

    for version in (7, 9, 13):
        decoding(produce_request(partitions=1, record_bytes=170), version, "Produce, one record of 100 bytes")
    calls.append(("build a ProduceResponse", produce_response))
    for version in (7, 9, 13):
        encoding(produce_response(), version, "ProduceResponse")
    for version in (11, 12, 17):
        decoding(fetch_request(), version, "Fetch, one partition")
    calls.append(("build a FetchResponse", fetch_response))
    for version in (11, 12, 17):
        encoding(fetch_response(), version, "FetchResponse")
    return calls


def encoded(message: Struct, version: int) -> memoryview:
    """The message as it lies in the buffer of a connection."""
    return memoryview(bytearray().join(encode(message, version)))  # type: ignore[arg-type]


def produce_request(*, partitions: int, record_bytes: int) -> ProduceRequest:
    records = bytes(record_bytes)
    data = [PartitionProduceData(index=index, records=records) for index in range(partitions)]
    topic = TopicProduceData(name="topic-name", topic_id=TOPIC_ID, partition_data=data)
    return ProduceRequest(acks=-1, timeout_ms=30_000, topic_data=[topic])


def produce_response() -> ProduceResponse:
    partition = PartitionProduceResponse(index=0, base_offset=12_345, log_start_offset=0)
    topic = TopicProduceResponse(name="topic-name", topic_id=TOPIC_ID, partition_responses=[partition])
    return ProduceResponse(responses=[topic])


def fetch_request() -> FetchRequest:
    partition = FetchPartition(partition=0, fetch_offset=12_345, partition_max_bytes=1 << 20)
    topic = FetchTopic(topic="topic-name", topic_id=TOPIC_ID, partitions=[partition])
    return FetchRequest(max_wait_ms=500, min_bytes=1, session_id=7, session_epoch=3, topics=[topic])


def fetch_response() -> FetchResponse:
    partition = PartitionData(
        partition_index=0,
        high_watermark=12_346,
        last_stable_offset=12_346,
        log_start_offset=0,
        aborted_transactions=None,
        records=bytes(170),
    )
    topic = FetchableTopicResponse(topic="topic-name", topic_id=TOPIC_ID, partitions=[partition])
    return FetchResponse(session_id=7, responses=[topic])


def profile(body: memoryview, calls: int) -> None:
    """Where the time of the yardstick goes, function by function."""
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(calls):
        decode(ProduceRequest, YARDSTICK_VERSION, body)
    profiler.disable()
    print(f"profile of {calls} decodes (cProfile makes small calls look dearer than they are)")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(12)


if __name__ == "__main__":
    sys.exit(main())
