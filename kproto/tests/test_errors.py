"""The table of error codes: complete, and of one mind with an independent client about what is worth a retry."""

import importlib
import struct
import warnings
from types import ModuleType
from typing import Any

import pytest

from kproto.errors import ErrorCode, FrameTooLarge, KafkaError, ProtocolError, Truncated


@pytest.fixture(scope="module")
def client_errors() -> ModuleType:
    """kafka-python's own table; importing it warns on newer interpreters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("kafka.errors")


def test_codes_run_from_minus_1_to_136_without_a_gap() -> None:
    """Every code that Kafka can send has a name here."""
    assert [code.value for code in ErrorCode] == list(range(-1, 137))


def test_every_code_has_a_sentence_of_its_own() -> None:
    """A sentence is what a person reads, so no two codes share one and each is one."""
    sentences = [code.sentence for code in ErrorCode]
    assert len(set(sentences)) == len(sentences)
    assert all(sentence[0].isupper() or sentence.startswith("acks") for sentence in sentences)
    assert all(sentence.endswith(".") for sentence in sentences)


def test_retriable_agrees_with_what_kafka_python_does(client_errors: ModuleType) -> None:
    """Clients act on this flag, so an independent client's table is the witness, save where it is known to differ."""
    errors: list[Any] = [error for error in vars(client_errors).values() if isinstance(error, type)]
    family = client_errors.BrokerResponseError
    witness: dict[int, bool] = {error.errno: error.retriable for error in errors if issubclass(error, family)}
    differing = {
        code.name
        for code in ErrorCode
        if code in witness and code > ErrorCode.NONE and witness[code.value] != code.retriable
    }
    # kafka-python gives up after this one; Kafka's own clients send the batch again.
    assert differing == {"CORRUPT_MESSAGE"}


def test_a_code_is_the_number_on_the_wire() -> None:
    """Codecs pack codes as int16, and code read off the wire finds its name."""
    assert struct.pack(">h", ErrorCode.INVALID_RECORD) == b"\0\x57"
    assert ErrorCode(3) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert ErrorCode.UNKNOWN_TOPIC_OR_PARTITION.retriable
    assert not ErrorCode.INVALID_RECORD.retriable


def test_a_refusal_says_its_own_words_or_the_codes() -> None:
    """The message of a refusal goes into the reply; without one the code speaks."""
    assert KafkaError(ErrorCode.INVALID_RECORD, "no key").message == "no key"
    assert KafkaError(ErrorCode.INVALID_RECORD).message == ErrorCode.INVALID_RECORD.sentence
    assert str(KafkaError(ErrorCode.INVALID_RECORD, "no key")) == "INVALID_RECORD: no key"


@pytest.mark.parametrize("error", [FrameTooLarge, Truncated])
def test_a_broken_wire_is_one_family(error: type[Exception]) -> None:
    """A connection's owner catches ProtocolError and closes; a refusal is no such thing."""
    assert issubclass(error, ProtocolError)
    assert not issubclass(KafkaError, ProtocolError)
