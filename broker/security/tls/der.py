"""What of a certificate is looked at here, read from its DER bytes (X.690, RFC 5280).

OpenSSL has verified a certificate before any of this is asked, so this is no check, only a look: at the subject, in its
own bytes, since Java's way to write it depends on how it is encoded; at the other names that it is for; at the end of
its time. The standard library gives the subject as text only, and `cryptography` is an extra that TLS with PEM files
does without; what is needed takes forty lines.

    Certificate  ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature }
    tbsCertificate ::= SEQUENCE { [0] version OPTIONAL, serialNumber, signature, issuer, validity SEQUENCE of two times,
                                  subject, subjectPublicKeyInfo, ..., [3] extensions OPTIONAL }

Bytes that are no such thing raise `NotDer`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Final, NamedTuple

SEQUENCE: Final = 0x30
SET: Final = 0x31
OBJECT_IDENTIFIER: Final = 0x06
UTC_TIME: Final = 0x17
_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_OCTET_STRING: Final = 0x04
_SUBJECT_ALTERNATIVE_NAME: Final = "2.5.29.17"


class NotDer(ValueError):
    """These bytes are not what they should be."""


class Value(NamedTuple):
    """A tag, the bytes of the content, and all bytes, tag and length included."""

    tag: int
    content: bytes
    whole: bytes


class Certificate(NamedTuple):
    """What is looked at. `subject` is the DER of the name; `names` are those of the subject's alternative names, each
    as its DER."""

    subject: bytes
    names: frozenset[bytes]
    ends: datetime.datetime


def values(data: bytes) -> Iterator[Value]:
    """The values that stand one after the other in `data`. Raises NotDer."""
    at = 0
    while at < len(data):
        start = at
        if at + 2 > len(data) or data[at] & 0x1F == 0x1F:
            raise NotDer("a value is cut short, or its tag is long")
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4 or at + count > len(data):
                raise NotDer("a length makes no sense")
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + length > len(data):
            raise NotDer("a value is cut short")
        yield Value(tag, data[at : at + length], data[start : at + length])
        at += length


def only(data: bytes, tag: int) -> bytes:
    """The content of the first value in `data`, which must have that tag. Raises NotDer."""
    first = next(values(data), None)
    if first is None or first.tag != tag:
        raise NotDer(f"a value with tag {tag:#x} is missing")
    return first.content


def read_certificate(data: bytes) -> Certificate:
    """What is looked at of the certificate in `data`. Raises NotDer."""
    fields = list(values(only(only(data, SEQUENCE), SEQUENCE)))
    if fields and fields[0].tag == _VERSION:
        del fields[0]
    if len(fields) < 6:
        raise NotDer("a certificate has at least six fields")
    _, _, _, validity, subject, *rest = fields
    times = list(values(validity.content))
    if len(times) != 2:
        raise NotDer("a time of validity has a beginning and an end")
    extensions = next((each.content for each in rest if each.tag == _EXTENSIONS), None)
    return Certificate(subject.whole, _alternative_names(extensions), _time(times[1]))


def identifier(content: bytes) -> str:
    """The dotted form of an object identifier's content. Raises NotDer."""
    numbers, number = [], 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers or content[-1] & 0x80:
        raise NotDer("an object identifier is cut short")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _alternative_names(extensions: bytes | None) -> frozenset[bytes]:
    if extensions is None:
        return frozenset()
    for extension in values(only(extensions, SEQUENCE)):
        parts = list(values(extension.content))
        if len(parts) >= 2 and identifier(parts[0].content) == _SUBJECT_ALTERNATIVE_NAME:
            if parts[-1].tag != _OCTET_STRING:
                raise NotDer("an extension has no content")
            return frozenset(each.whole for each in values(only(parts[-1].content, SEQUENCE)))
    return frozenset()


def _time(value: Value) -> datetime.datetime:
    text = value.content.decode("ascii", "replace")
    if value.tag == UTC_TIME:  # two digits of the year: 1950 to 2049 (RFC 5280, 4.1.2.5.1)
        text = ("19" if text[:2] >= "50" else "20") + text
    try:
        return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise NotDer(f"{text} is no time") from None
