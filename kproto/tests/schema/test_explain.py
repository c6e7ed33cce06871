"""What people are shown of a message."""

import pytest

from kproto.messages.fetch import FetchRequest
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.schema.explain import dump, schema, source
from kproto.tests.arbitrary_messages import VERSIONS, joined


def test_a_schema_tells_versions_and_tags() -> None:
    """All versions at once, nested structs indented."""
    text = schema(FetchRequest)
    assert text.startswith("FetchRequest (key 1), versions 4-18, flexible from 12 on\n")
    assert "  cluster_id: string, versions 12+, nullable 12+, tag 0 in 12+, default None, ignorable\n" in text
    assert "    partitions: []FetchPartition, versions 0+\n      partition: int32, versions 0+\n" in text


def test_the_schema_of_one_version_leaves_out_the_others() -> None:
    """Version 13 has topic ids and no names."""
    text = schema(ProduceRequest, version=13)
    assert "topic_id: uuid" in text
    assert " name: string" not in text


def test_the_source_is_what_runs() -> None:
    """Both functions, ready to read."""
    text = source(ProduceRequest, 9)
    assert "def decode(buf, pos, budget):" in text
    assert "def encode(o, room):" in text
    for cls, version in VERSIONS[::20]:
        compile(source(cls, version), cls.__name__, "exec")


def test_a_dump_shows_each_value_with_its_bytes() -> None:
    """Offset, bytes, name, value."""
    data = PartitionProduceData(index=7, records=b"abc")
    body = joined(ProduceRequest(acks=-1, topic_data=[TopicProduceData(name="t", partition_data=[data])]), 9)
    lines = dump(ProduceRequest, 9, body).splitlines()
    assert lines[0] == "ProduceRequest (key 0), versions 3-13, flexible from 9 on: 22 bytes as version 9"
    assert [line.split(maxsplit=1)[1] for line in lines[1:4]] == [
        "00                                       transactional_id = null",
        "ff ff                                    acks = -1",
        "00 00 00 00                              timeout_ms = 0",
    ]
    assert lines[9].split() == ["000011", "00", "00", "00", "07", "index", "=", "7"]
    assert lines[10].endswith("records: 3 bytes of records")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("00 ff ff 00 00 05 dc 05", "!! the bytes end inside a varint"),
        ("00 ff ff 00 00", "!! 4 bytes wanted, 2 left"),
        ("00 ff ff 00 00 05 dc 01 00 61", "!! 1 bytes left over"),
        ("02 ff ff ff 00 00 05 dc 01 00", "!! transactional_id is not UTF-8: ff"),
    ],
)
def test_a_dump_shows_everything_up_to_the_damage(body: str, complaint: str) -> None:
    """And then says what is wrong."""
    text = dump(ProduceRequest, 9, bytes.fromhex(body))
    assert text.splitlines()[-1].endswith(complaint)
