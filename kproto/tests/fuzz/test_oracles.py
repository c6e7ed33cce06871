"""A target that finds nothing is worth something only if it would find something: planted mistakes are noticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kproto.batches import decompression, record_walk, validate
from kproto.batches.compression import Codec
from kproto.connection import ServerConnection
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from kproto.framing import FrameReader
from kproto.messages.header import RequestHeader
from kproto.schema import compile as compiler
from kproto.tests.fuzz import (
    compressed_batches,
    consumer_protocol,
    decompressors,
    frames,
    internal_records,
    primitives,
    record_batches,
    requests,
    responses,
)
from kproto.tests.fuzz.bounds import KIB, measured
from kproto.tests.fuzz.families import Target


def finds_something(module: Any, target: Target) -> bool:
    """Whether any of the seeds is a finding now."""
    for seed in module.seeds():
        try:
            target(seed)
        except Exception:
            return True
    return False


def test_time_out_of_proportion_is_noticed() -> None:
    """A tenth of a second of work for one byte."""
    with pytest.raises(AssertionError, match="took"):
        measured(lambda: sum(range(5_000_000)), 1, bytes_per_byte=1)


def test_memory_out_of_proportion_is_noticed() -> None:
    """A megabyte for one byte, though it is given back; and also when the action ends in an error."""
    with pytest.raises(AssertionError, match="memory"):
        measured(lambda: len(bytearray(1024 * KIB)), 1, bytes_per_byte=64)

    def fail() -> None:
        bytearray(1024 * KIB)
        raise ProtocolError

    with pytest.raises(AssertionError, match="memory"):
        measured(fail, 1, bytes_per_byte=64)


def test_errors_pass_through_the_measuring() -> None:
    """What an action raises, its measuring raises."""
    with pytest.raises(ProtocolError):
        measured(lambda: compiler.decode(RequestHeader, 1, b""), 1, bytes_per_byte=64)


def test_a_lost_frame_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that drops a byte of each frame."""
    honest = FrameReader.next_frame

    def short(self: FrameReader) -> memoryview | None:
        frame = honest(self)
        return frame[:-1] if frame else frame

    monkeypatch.setattr(FrameReader, "next_frame", short)
    assert finds_something(frames, frames.fuzz_frames)


def test_a_lax_varint_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes no notice of the fifth byte."""
    monkeypatch.setattr(primitives, "read_varint", lambda view, at: (0, at + 1))
    assert finds_something(primitives, primitives.fuzz_primitives)


@pytest.mark.parametrize("module", [requests, responses, consumer_protocol, internal_records])
def test_a_decoder_that_forgets_is_noticed(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that gives back the default message whatever it has read, and is done with half of it."""
    target: Target = getattr(module, f"fuzz_{module.__name__.rpartition('.')[2]}")
    honest = compiler.decoder

    def forgetful(cls: Any, version: int) -> Any:
        def decode(view: memoryview, at: int, budget: int) -> tuple[Any, int]:
            _, end = honest(cls, version)(view, at, budget)
            return cls(), end + 1

        return decode

    monkeypatch.setattr("kproto.connection.decoder", forgetful)
    monkeypatch.setattr("kproto.connection._decoders", {})
    monkeypatch.setattr("kproto.formats.consumer_protocol.decoder", forgetful)
    monkeypatch.setattr("kproto.formats.coordinator_records.decode", lambda cls, version, data: cls())
    monkeypatch.setattr("kproto.tests.fuzz.requests.decode", lambda cls, version, data: cls())
    assert finds_something(module, target)


def test_another_error_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken peer must not look like a fault of ours."""

    def fault(self: ServerConnection) -> None:
        raise IndexError

    monkeypatch.setattr(ServerConnection, "next_request", fault)
    assert finds_something(requests, requests.fuzz_requests)


def test_an_unchecked_crc_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksum of batches, taken for right."""

    class Right(int):
        def __ne__(self, other: object) -> bool:
            return False

    monkeypatch.setattr(validate, "crc32c", lambda data: Right())
    assert finds_something(record_batches, record_batches.fuzz_record_batches)


def test_walks_that_disagree_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk that calls every record well-formed."""
    summary = record_walk.RecordSummary(-1, -1, False, True)
    monkeypatch.setattr(record_batches, "summarise", lambda header, source: summary)
    assert finds_something(record_batches, record_batches.fuzz_record_batches)


def test_an_output_above_the_bound_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decompressor that allows itself ten times as much."""
    honest = decompression.decompress
    monkeypatch.setattr(decompressors, "decompress", lambda codec, data, bound: honest(codec, data, 10 * bound + 10))
    assert finds_something(decompressors, decompressors.fuzz_decompressors)


def test_a_codec_with_rules_of_its_own_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is packed with lz4 is refused."""
    honest = decompression.pieces

    def partial(codec: int, data: Any) -> Iterator[bytes]:
        if codec == Codec.LZ4:
            raise KafkaError(ErrorCode.INVALID_RECORD)
        return honest(codec, data)

    monkeypatch.setattr(validate, "unpacked", partial)
    assert finds_something(compressed_batches, compressed_batches.fuzz_compressed_batches)
