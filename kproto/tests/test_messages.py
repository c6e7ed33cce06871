"""What holds for every version of every message: what goes out comes back, and nothing else comes in."""

import subprocess
import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.errors import ProtocolError
from kproto.messages import APIS, api_name, request_type
from kproto.schema.compile import decode
from kproto.schema.declare import Message, Record, Request, Response
from kproto.schema.explain import dump
from kproto.tests.arbitrary_messages import MESSAGES, VERSIONS, filled, joined, messages


def test_all_of_kafkas_messages_are_there() -> None:
    """Kafka has 91 APIs that are not retired, 77 kinds of record in internal topics, and 14 other messages."""
    assert len(APIS) == 91
    assert sum(issubclass(cls, Request) for cls in MESSAGES) == 91
    assert sum(issubclass(cls, Response) for cls in MESSAGES) == 91
    assert sum(issubclass(cls, Record) for cls in MESSAGES) == 27 + 44 + 2 + 4
    assert len(MESSAGES) == 273
    assert len(VERSIONS) == 738


def test_a_message_of_defaults_survives_every_version() -> None:
    """Every field has a default, and a message made of nothing else can be sent in every version."""
    for cls, version in VERSIONS:
        assert decode(cls, version, joined(cls(), version)) == cls(), (cls, version)


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32))
def test_every_version_of_every_message_survives_a_round_trip(seed: int) -> None:
    """What the version can carry comes back as it was."""
    random = Random(seed)
    for cls, version in VERSIONS:
        message = filled(cls, version, random)
        assert decode(cls, version, joined(message, version)) == message, (cls, version)


@settings(max_examples=150)
@given(data=st.data(), kind=st.sampled_from(VERSIONS))
def test_arbitrary_messages_survive_a_round_trip(data: st.DataObject, kind: tuple[type[Message], int]) -> None:
    """The same with values that Hypothesis chooses and shrinks."""
    cls, version = kind
    message = data.draw(messages(cls, version))
    assert decode(cls, version, joined(message, version)) == message


def test_a_message_cut_short_anywhere_is_a_protocol_error() -> None:
    """No strict prefix of a message is a message, and no other error comes of it (D: only ProtocolError escapes)."""
    random = Random(4)
    for cls, version in VERSIONS:
        whole = memoryview(joined(filled(cls, version, random), version))
        for end in {*range(min(len(whole), 60)), *(random.randrange(len(whole) or 1) for _ in range(20))}:
            if end < len(whole):
                with pytest.raises(ProtocolError):
                    decode(cls, version, whole[:end])


def test_a_byte_too_many_is_a_protocol_error() -> None:
    """A message ends where its body ends."""
    for cls, version in VERSIONS:
        with pytest.raises(ProtocolError):
            decode(cls, version, joined(cls(), version) + b"\0")


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32))
def test_damaged_messages_raise_nothing_but_protocol_errors(seed: int) -> None:
    """Bytes flipped, inserted and removed: a decoder either reads a message or raises ProtocolError.

    The dump of `explain` walks the declaration by itself; it must come to the same verdict.
    """
    random = Random(seed)
    for cls, version in VERSIONS:
        damaged = bytearray(joined(filled(cls, version, random), version))
        for _ in range(random.randint(1, 3)):
            damage(damaged, random)
        assert is_decodable(cls, version, damaged) == ("!!" not in without_values(dump(cls, version, damaged)))


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_noise_raises_nothing_but_protocol_errors(seed: int) -> None:
    """Bytes that were never a message."""
    random = Random(seed)
    for cls, version in VERSIONS:
        few = random.choice((b"\0\1\2\xff", b"\0\1\x7f\x80\xff", bytes(range(256))))
        is_decodable(cls, version, bytes(random.choices(few, k=random.randrange(120))))


def damage(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data) + 1)
    match random.randrange(3):
        case 0:
            data[at : at + 1] = bytes((random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256))),))
        case 1:
            data[at:at] = random.randbytes(random.randint(1, 4))
        case _:
            del data[at : at + random.randint(1, 4)]


def is_decodable(cls: type[Message], version: int, data: bytes | bytearray) -> bool:
    try:
        decode(cls, version, data)
    except ProtocolError:
        return False
    return True


def without_values(text: str) -> str:
    """A dump without what was in the bytes, which might itself look like anything."""
    return "\n".join(line[:11] for line in text.splitlines())


def test_every_api_is_found_by_its_key() -> None:
    """The table leads to the request, the request to its response."""
    for key, api in APIS.items():
        request = request_type(key)
        assert (request.api_key, request.response_type.api_key) == (key, key)
        assert request.__name__ == f"{api.name}Request"
        assert request.response_type.__name__ == f"{api.name}Response"
        assert request.response_type.request_type is request
        assert api_name(key) == api.name
        assert (request.min_version, request.max_version) == (
            request.response_type.min_version,
            request.response_type.max_version,
        )


def test_the_releases_versions_are_declared() -> None:
    """What Kafka serves of an API is what its request declares, but for a newest version that is not stable yet."""
    for key, api in APIS.items():
        request = request_type(key)
        assert (api.oldest, api.newest) == (request.min_version, request.max_version - request.latest_version_unstable)


def test_an_unknown_key_has_a_name_but_no_request() -> None:
    """Logs can speak of an unknown API."""
    assert api_name(4711) == "Unknown(4711)"
    with pytest.raises(KeyError):
        request_type(4711)


def test_modules_of_apis_are_imported_on_demand() -> None:
    """A broker imports what it serves."""
    script = (
        "import sys, kproto.messages as m; m.request_type(18); "
        "print([name for name in sys.modules if name.startswith('kproto.messages.')])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "['kproto.messages.api_versions']"
