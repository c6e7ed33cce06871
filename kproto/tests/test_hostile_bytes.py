"""What a peer's bytes can cost: never more memory than the budget of elements allows, whatever a count claims."""

import tracemalloc
from collections.abc import Iterator

import pytest

from kproto.errors import Malformed, OverBudget, ProtocolError, Truncated
from kproto.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from kproto.messages.create_topics import CreateTopicsRequest
from kproto.messages.delete_groups import DeleteGroupsRequest
from kproto.messages.fetch import FetchRequest
from kproto.messages.metadata import MetadataRequest
from kproto.messages.produce import ProduceRequest
from kproto.primitives import MAX_TAGGED_FIELDS, uvarint
from kproto.schema.compile import DEFAULT_ELEMENT_BUDGET, decode
from kproto.schema.declare import Field, Message, Request, Struct
from kproto.tests.arbitrary_messages import VERSIONS, carried, joined

KIB = 1024
MIB = 1024 * KIB
BYTES_PER_ELEMENT = 576
"""What one element of any request costs at most, with everything that comes with it by default."""


def peak_of(cls: type[Message], version: int, body: bytes, budget: int = DEFAULT_ELEMENT_BUDGET) -> int:
    """The most memory that decoding held at any moment, in bytes; its outcome does not matter here."""
    tracemalloc.start()
    try:
        decode(cls, version, body, budget=budget)
    except ProtocolError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("count", [1, 1000, 0x7FFF_FFFF])
def test_a_count_without_elements_allocates_nothing(count: int) -> None:
    """Two billion topics in five bytes are not believed."""
    bodies: list[tuple[type[Message], int, bytes]] = [
        (MetadataRequest, 1, count.to_bytes(4, "big")),
        (MetadataRequest, 9, uvarint(count + 1)),
        (DeleteGroupsRequest, 2, uvarint(count + 1)),
        (CreateTopicsRequest, 5, uvarint(count + 1)),
        (ProduceRequest, 9, bytes.fromhex("00 ff ff 00 00 05 dc") + uvarint(count + 1)),
        (ProduceRequest, 3, bytes.fromhex("ff ff ff ff 00 00 05 dc") + count.to_bytes(4, "big")),
        (FetchRequest, 4, bytes(17) + count.to_bytes(4, "big")),
    ]
    for cls, version, body in bodies:
        with pytest.raises(Truncated):
            decode(cls, version, body)
        assert peak_of(cls, version, body) < 16 * KIB, cls


def test_a_count_is_held_against_the_smallest_size_of_its_elements() -> None:
    """A partition of Produce takes at least six bytes, so eleven bytes hold one at most."""
    head = bytes.fromhex("00 ff ff 00 00 05 dc 02 02 74")
    with pytest.raises(Truncated, match="partition_data announces 2 elements in 1 bytes"):
        decode(ProduceRequest, 9, head + uvarint(3) + bytes(11))


def test_elements_beyond_the_budget_are_refused_before_they_are_made() -> None:
    """A megabyte of empty names is within its count, but not within the budget."""
    body = uvarint(MIB + 1) + b"\x01" * MIB + b"\0"
    with pytest.raises(OverBudget, match="200000 are left"):
        decode(DeleteGroupsRequest, 2, body)
    assert peak_of(DeleteGroupsRequest, 2, body) < 16 * KIB
    assert len(decode(DeleteGroupsRequest, 2, body, budget=MIB).groups_names) == MIB


def test_the_budget_is_one_for_the_whole_message() -> None:
    """C8: every element counts, on every level: here two topics, each with a thousand partitions."""
    topics = 2 * (b"\x02t" + uvarint(1001) + bytes(4 * 1000) + b"\0")
    body = b"\x02t" + bytes(8) + bytes(2) + b"\x03" + topics + b"\0"
    assert len(decode(AddPartitionsToTxnRequest, 3, body, budget=2002).v3_and_below_topics) == 2
    with pytest.raises(OverBudget):
        decode(AddPartitionsToTxnRequest, 3, body, budget=2001)


def test_the_budget_counts_inside_tagged_fields_as_well() -> None:
    """FetchResponse's node endpoints: a tag does not hide an array from the budget."""
    response = FetchRequest.response_type
    endpoints = b"\x04" + b"\0\0\0\1\x02h\0\0\0\1\0\0" * 3
    body = bytes(10) + b"\x01" + b"\x01\x00" + uvarint(len(endpoints)) + endpoints
    assert len(decode(response, 16, body, budget=3).node_endpoints) == 3  # type: ignore[attr-defined]
    with pytest.raises(OverBudget):
        decode(response, 16, body, budget=2)


@pytest.mark.parametrize("cls", [MetadataRequest, FetchRequest])
def test_a_section_of_tagged_fields_is_bounded_as_in_kafka(cls: type[Request]) -> None:
    """C8: 10,000 in a section and not one more, whether the struct has tagged fields of its own (Fetch) or not."""
    version = 12
    body = joined(cls(), version)
    assert body[-1] == 0, "a message of defaults ends in a section without fields"

    def with_fields(count: int) -> bytes:
        return bytes(body[:-1]) + uvarint(count) + b"\x63\x00" * count

    assert decode(cls, version, with_fields(MAX_TAGGED_FIELDS)) == cls()
    with pytest.raises(Malformed, match="10001 tagged fields"):
        decode(cls, version, with_fields(MAX_TAGGED_FIELDS + 1))


def test_every_struct_has_a_section_of_its_own() -> None:
    """Each of two topics may have 10,000 tagged fields."""
    section = uvarint(MAX_TAGGED_FIELDS) + b"\x63\x00" * MAX_TAGGED_FIELDS
    topic = bytes(16) + b"\x02t" + section
    assert len(decode(MetadataRequest, 12, b"\x03" + topic + topic + b"\0\0" + section).topics or ()) == 2


def test_no_request_needs_much_memory_per_element() -> None:
    """So the default budget bounds a request to some tens of megabytes, beside its bytes."""
    elements = 400
    for cls, version in VERSIONS:
        if not issubclass(cls, Request) or version not in (cls.min_version, cls.max_version):
            continue
        for path in arrays(cls, version):
            try:
                body = joined(crowded(cls, path, elements), version)
            except ValueError:
                continue  # a default that this version cannot carry
            decode(cls, version, body)
            peak = peak_of(cls, version, body)
            assert peak < elements * BYTES_PER_ELEMENT + 8 * KIB, (cls, version, path[-1].name, peak / elements)


def test_strings_cost_at_most_four_times_their_bytes() -> None:
    """One wide character makes Python store all others as wide."""
    text = ("x" * 32_000 + "🙂").encode()
    body = uvarint(41) + 40 * (uvarint(len(text) + 1) + text) + b"\0"
    assert peak_of(DeleteGroupsRequest, 2, body) < 4 * len(body) + 256 * KIB


def test_noise_of_a_megabyte_is_refused_quickly_and_cheaply() -> None:
    """A megabyte of any one byte."""
    for byte in range(0, 256, 15):
        for cls, version in VERSIONS[::7]:
            body = bytes((byte,)) * (MIB // 16)
            assert peak_of(cls, version, body, budget=1000) < 1000 * 4 * BYTES_PER_ELEMENT + 8 * len(body)


def arrays(cls: type[Struct], version: int, path: tuple[Field, ...] = ()) -> Iterator[tuple[Field, ...]]:
    """The ways to each array in a struct."""
    for field in carried(cls, version):
        element = field.type.element or field.type
        if field.type.element is not None:
            yield (*path, field)
        if element.struct is not None:
            yield from arrays(element.struct, version, (*path, field))


def crowded(cls: type[Message] | type[Struct], path: tuple[Field, ...], elements: int) -> Struct:
    """A message with many elements at the end of a path, and one of everything on the way."""
    field, *rest = path
    kind = field.type.element or field.type
    if rest:
        assert kind.struct is not None
        inner = crowded(kind.struct, tuple(rest), elements)
        return cls(**{field.name: inner if field.type.element is None else [inner]})
    element = kind.zero if kind.struct is None else kind.struct()
    return cls(**{field.name: [element] * elements})
