"""Batches in both directions against two independent clients: the builders and readers of kafka-python and aiokafka."""

import importlib
import warnings
from collections.abc import Iterable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.batches.compression import Codec
from kproto.batches.header import has_valid_crc, read_header
from kproto.batches.record_walk import Bounds, Source, summarise
from kproto.batches.records import RecordData, build_batch, iter_records, record_pieces

RECORDS = [
    RecordData(0, 1_700_000_000_000 + (37 * n) % 101, b"key-%d" % n if n % 3 else None, b"value %d, " % n * 20, headers)
    for n, headers in enumerate([(), (("a", b"1"), ("ü", b"")), (("n", None),)] * 20)
]
RECORDS.append(RecordData(0, 1_700_000_000_000, b"tombstone", None))


@pytest.fixture(scope="module")
def kafka_python(request: pytest.FixtureRequest) -> ModuleType:
    """kafka-python's record module. Its framing of snappy is its own; for the raw blocks it is lent our library."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        codec: Any = importlib.import_module("kafka.codec")
        if codec.snappy is None:
            codec.snappy = SimpleNamespace(
                compress=lambda data: bytes(cramjam.snappy.compress_raw(data)),
                decompress=lambda data: bytes(cramjam.snappy.decompress_raw(data)),
            )
            request.addfinalizer(lambda: setattr(codec, "snappy", None))
        return importlib.import_module("kafka.record.default_records")


@pytest.fixture(scope="module")
def aiokafka() -> ModuleType:
    """aiokafka's record module: all four codecs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("aiokafka.record.default_records")


def built_by(client: ModuleType, records: Sequence[RecordData], codec: int, **fields: int) -> bytes:
    """The batch that the client's producer would send."""
    numbers = {"is_transactional": 0, "producer_id": -1, "producer_epoch": -1, "base_sequence": -1, **fields}
    builder: Any = client.DefaultRecordBatchBuilder(magic=2, compression_type=codec, batch_size=1 << 24, **numbers)
    for offset, record in enumerate(records):
        taken = builder.append(
            offset=offset,
            timestamp=record.timestamp,
            key=record.key,
            value=record.value,
            headers=[*record.headers],
        )
        assert taken is not None
    return bytes(builder.build())


def read_by(client: ModuleType, batch: bytes | bytearray) -> list[RecordData]:
    """What the client's consumer makes of a batch."""
    reader: Any = client.DefaultRecordBatch(bytes(batch))
    assert reader.validate_crc()
    found: Iterable[Any] = reader
    return [RecordData(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in found]


def numbered(records: Sequence[RecordData], base_offset: int = 0) -> list[RecordData]:
    return [record._replace(offset=base_offset + n) for n, record in enumerate(records)]


CLIENTS = [("kafka_python", codec) for codec in (Codec.NONE, Codec.GZIP, Codec.SNAPPY)]
CLIENTS += [("aiokafka", codec) for codec in Codec]


@pytest.mark.parametrize(("client", "codec"), CLIENTS)
def test_what_a_client_writes_is_read(client: str, codec: Codec, request: pytest.FixtureRequest) -> None:
    """Every codec of each client, with producer fields; nothing in the header contradicts the records."""
    module = request.getfixturevalue(client)
    batch = built_by(module, RECORDS, codec, producer_id=3, producer_epoch=1, base_sequence=10)
    header = read_header(batch)
    assert has_valid_crc(header, batch)
    assert header.compression == codec
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (3, 1, 10)
    assert header.max_timestamp == max(record.timestamp for record in RECORDS)
    summary = summarise(header, Source(record_pieces(header, batch), Bounds()))
    assert (summary.max_timestamp, summary.offsets_count_up) == (header.max_timestamp, True)
    assert list(iter_records(batch)) == numbered(RECORDS)


@pytest.mark.parametrize(("client", "codec"), CLIENTS)
def test_what_is_written_a_client_reads(client: str, codec: Codec, request: pytest.FixtureRequest) -> None:
    """Every codec of each client, at an offset in the middle of a log."""
    module = request.getfixturevalue(client)
    batch = build_batch(RECORDS, base_offset=1000, compression=codec, leader_epoch=4)
    assert read_by(module, batch) == numbered(RECORDS, 1000)


simple_records = st.lists(
    st.builds(
        RecordData,
        offset=st.just(0),
        timestamp=st.integers(0, 2**44),
        key=st.none() | st.binary(max_size=80),
        value=st.none() | st.binary(max_size=80),
        headers=st.lists(st.tuples(st.text(max_size=4), st.none() | st.binary(max_size=4)), max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("client", ["kafka_python", "aiokafka"])
def test_uncompressed_batches_are_the_same_bytes(client: str, request: pytest.FixtureRequest) -> None:
    """From the magic byte on, for any records: what lies before is the broker's to write."""
    module = request.getfixturevalue(client)

    @settings(deadline=None, max_examples=60)
    @given(simple_records, st.booleans())
    def compare(records: list[RecordData], transactional: bool) -> None:
        fields = {"producer_id": 9, "producer_epoch": 2, "base_sequence": 5}
        theirs = built_by(module, records, 0, is_transactional=transactional, **fields)
        ours = build_batch(records, transactional=transactional, producer_id=9, producer_epoch=2, base_sequence=5)
        assert ours[16:] == theirs[16:]
        assert ours[:12] == theirs[:12]
        assert read_by(module, ours) == list(iter_records(theirs))

    compare()
