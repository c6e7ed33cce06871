"""Request and response headers: what all versions share, and the tag section behind it."""

from __future__ import annotations

import pytest

from kproto.errors import Malformed, Truncated
from kproto.headers import (
    read_request_head,
    read_response_header,
    skip_tagged_fields,
    write_request_header,
    write_response_header,
)
from kproto.primitives import MAX_TAGGED_FIELDS, uvarint


def test_a_client_id_that_is_no_text_is_read_with_marks_in_it() -> None:
    """It names a client to people; Kafka answers such a request too."""
    data = write_request_header(3, 12, 77, "ab", False).replace(b"ab", b"a\xff")
    assert read_request_head(memoryview(data)).client_id == "a\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("client_id", [None, "", "client", "ü"])
@pytest.mark.parametrize("flexible", [False, True])
def test_a_request_header_is_read_as_it_was_written(client_id: str | None, flexible: bool) -> None:
    """Key, version, correlation id and client id; an empty id is not a missing one."""
    data = memoryview(write_request_header(3, 12, 77, client_id, flexible))
    head = read_request_head(data)
    assert head[:4] == (3, 12, 77, client_id)
    assert (skip_tagged_fields(data, head.tags_at) if flexible else head.tags_at) == len(data)


def test_a_response_header_is_read_as_it_was_written() -> None:
    """Both versions."""
    for flexible in (False, True):
        data = memoryview(write_response_header(5, flexible))
        assert read_response_header(data, flexible) == (5, len(data))


def test_unknown_tagged_fields_are_skipped() -> None:
    """Two of them, one empty."""
    assert skip_tagged_fields(memoryview(b"\x02\x00\x00\x85\x01\x03abcbody"), 0) == 9


def test_a_header_holds_as_many_tagged_fields_as_in_kafka() -> None:
    """Ten thousand are passed over."""
    section = uvarint(MAX_TAGGED_FIELDS) + b"\0\0" * MAX_TAGGED_FIELDS
    assert skip_tagged_fields(memoryview(section), 0) == len(section)


@pytest.mark.parametrize(
    ("section", "error"),
    [
        (b"", Truncated),
        (b"\x01", Truncated),
        (b"\x01\x00\x05abc", Truncated),
        (b"\xff\xff\xff\xff\xff\xff", Malformed),
        (uvarint(MAX_TAGGED_FIELDS + 1) + b"\0" * 2 * (MAX_TAGGED_FIELDS + 1), Malformed),
    ],
)
def test_a_broken_tag_section_is_refused(section: bytes, error: type[Exception]) -> None:
    """It ends early, leads outside, has an endless number or too many fields."""
    with pytest.raises(error):
        skip_tagged_fields(memoryview(section), 0)


def test_a_number_of_more_than_32_bits_is_refused() -> None:
    """Found by fuzzing: a tag of 35 bits was passed over, where every other reader of varints refuses it."""
    with pytest.raises(Malformed):
        skip_tagged_fields(memoryview(b"\x01\xff\xff\xff\xff\x2d\x00"), 0)
