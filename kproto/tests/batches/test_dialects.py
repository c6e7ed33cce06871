"""Which dialects of each codec are read: each was produced to Apache Kafka, whose answers are recorded."""

from __future__ import annotations

import pytest

from kproto.batches.compression import Codec
from kproto.batches.decompression import pieces
from kproto.batches.dialects import DEPARTURES, REFUSED, TAKEN
from kproto.batches.header import BatchHeader
from kproto.batches.record_walk import Bounds, Source, summarise
from kproto.errors import ErrorCode, KafkaError


def walked(codec: Codec, payload: bytes) -> None:
    """Look at the two records that `payload` should hold. Raises KafkaError."""
    header = BatchHeader(0, 49 + len(payload), 0, 2, 0, codec, 1, -1, -1, -1, -1, -1, 2)
    summarise(header, Source(pieces(codec, payload), Bounds()))


def cases(table: dict[Codec, dict[str, bytes]]) -> list[object]:
    return [
        pytest.param(codec, payload, id=f"{codec.name.lower()}: {name}")
        for codec, named in table.items()
        for name, payload in named.items()
    ]


@pytest.mark.parametrize(("codec", "payload"), cases(TAKEN))
def test_what_kafka_reads_is_read(codec: Codec, payload: bytes) -> None:
    """Both records come out."""
    walked(codec, payload)


@pytest.mark.parametrize(("codec", "payload"), cases(REFUSED) + cases(DEPARTURES))
def test_what_kafka_refuses_is_refused(codec: Codec, payload: bytes) -> None:
    """With the code that stops a client, where Kafka mostly says -1."""
    with pytest.raises(KafkaError) as caught:
        walked(codec, payload)
    assert caught.value.code is ErrorCode.INVALID_RECORD
