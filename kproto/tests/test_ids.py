"""Identifiers: the 22 characters of a UUID, and the name of a partition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.ids import METADATA_TOPIC_ID, ZERO_UUID, TopicPartition, format_uuid, parse_uuid


def test_uuids_are_written_as_kafkas_tools_write_them() -> None:
    """Known values: zero, the id of the cluster's own log, and one with both special characters."""
    assert format_uuid(ZERO_UUID) == "AAAAAAAAAAAAAAAAAAAAAA"
    assert format_uuid(METADATA_TOPIC_ID) == "AAAAAAAAAAAAAAAAAAAAAQ"
    assert format_uuid(bytes.fromhex("fbff" * 8)) == "-__7__v_-__7__v_-__7_w"


@given(st.binary(min_size=16, max_size=16))
def test_every_uuid_survives_being_written_down(uuid: bytes) -> None:
    """parse_uuid undoes format_uuid, with padding or without."""
    assert parse_uuid(format_uuid(uuid)) == uuid
    assert parse_uuid(format_uuid(uuid) + "==") == uuid


@pytest.mark.parametrize("text", ["", "A" * 21, "A" * 23, "A" * 21 + "é", "A" * 21 + "+", "A" * 10 + " " + "A" * 11])
def test_what_is_no_uuid_is_refused(text: str) -> None:
    """Wrong length, wrong alphabet, stray characters."""
    with pytest.raises(ValueError, match="UUID"):
        parse_uuid(text)


def test_a_partition_is_called_like_its_directory() -> None:
    """Topic, hyphen, number."""
    assert str(TopicPartition("orders", 12)) == "orders-12"
