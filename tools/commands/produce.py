"""`ottla produce TOPIC`: a record for each line of standard input, or of files.

    echo hello | ottla produce greetings
    ottla produce orders -k customer-7 -H source=shop order.json
    ottla produce orders -K : < lines-of-key-colon-value
    ottla consume orders -J -e | ottla produce copies -J       with keys, headers and timestamps

Records go with `acks=all` and in order, idempotently, unless `-X` says otherwise. With `-X transactional.id=ID` all of
them are one transaction. The exit status is 0 when every record was acknowledged, 1 when one was not. On SIGINT and
SIGTERM what was read before is still delivered, except in a transaction, which is aborted.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from tools.actions import Options
from tools.client.cluster import Cluster
from tools.client.library import made, missing
from tools.client.properties import ClientProperties, add_connection_options, properties_of, property_of
from tools.failures import Failed, Misunderstood
from tools.moments import parse_moment
from tools.output.progress import progress
from tools.output.tables import is_terminal
from tools.stopping import Stopping

ANY_PARTITION = -1
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")


class Draft(NamedTuple):
    """A record to be; `timestamp` in milliseconds, 0 for now."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    partition: int = ANY_PARTITION
    timestamp: int = 0


def main(arguments: Sequence[str]) -> int:
    """Produce what was given and return the exit status. Raises Failed."""
    options = parser().parse_args(arguments)
    topic = options.topic or options.name
    if topic is None:
        raise Misunderstood("to which topic? Name it first")
    if options.topic and options.name:
        options.files.insert(0, options.name)
    _read_as_kafka_does(options)
    properties = properties_of(options)
    with Delivery(properties, topic, options) as delivery:
        with Stopping(raises=True) as stopping:
            read = _size(options.files)
            with progress(f"producing to {topic}", read, wanted=bool(options.files)) as advance:
                for draft in _drafts(options, advance):
                    delivery.send(draft)
        if stopping.requested and delivery.in_transaction:
            delivery.abort()
        else:
            delivery.finish()
    stopping.end("ottla produce", f"after {delivery.delivered} records were delivered")
    return 0


def _read_as_kafka_does(options: Options) -> None:
    """Kafka's properties of its line reader, as the options that mean the same. Raises Misunderstood."""
    given = dict(options.reader_property)
    if unknown := set(given) - {"parse.key", "key.separator", "null.marker"}:
        raise Misunderstood(f"--reader-property has parse.key, key.separator and null.marker here, not {min(unknown)}")
    if given.get("parse.key", "false") == "true":
        options.key_delimiter = delimiter_of(given.get("key.separator", "\t"))
    options.null = given.get("null.marker", options.null)


class Delivery:
    """A producer, and what has become of its records."""

    def __init__(self, properties: ClientProperties, topic: str, options: Options) -> None:
        try:
            from confluent_kafka import Producer
        except ImportError:
            raise missing() from None
        with Cluster(properties) as cluster:  # a wrong address or password is found out here, in a sentence
            cluster.nodes()
        own: dict[str, Any] = {"partitioner": "murmur2_random"}
        if options.acks is not None:
            own["acks"] = options.acks
        if options.compression_codec is not None:
            own["compression.codec"] = options.compression_codec
        told = {"enable.idempotence", "acks", "request.required.acks"} & set(properties.given)
        if options.acks in (None, "all", "-1") and not told:
            own["enable.idempotence"] = True
        self._topic = topic
        self._timeout = properties.timeout
        self._prints = options.verbose
        self.in_transaction = "transactional.id" in properties.given
        self._producer: Any = made(Producer, properties, own)
        self._failure: str | None = None
        self.delivered = 0

    def __enter__(self) -> Delivery:
        if self.in_transaction:
            self._step("init_transactions", self._timeout)
            self._step("begin_transaction")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self.in_transaction:
            self.abort()

    def abort(self) -> None:
        """End the transaction as if nothing had been sent; the coordinator does so later if it cannot be reached."""
        with contextlib.suppress(Exception):
            self._producer.abort_transaction(self._timeout)
        self.delivered = 0

    def send(self, draft: Draft) -> None:
        """Hand a record over. Raises Failed if an earlier one was refused."""
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=draft.value,
                    key=draft.key,
                    partition=draft.partition,
                    timestamp=draft.timestamp,
                    headers=draft.headers,
                    on_delivery=self._note,
                )
                break
            except BufferError:
                self._producer.poll(0.1)
            except Exception as error:
                raise Failed(_said(error)) from None
        self._producer.poll(0)
        self._check()

    def finish(self) -> None:
        """Wait until all are acknowledged. Raises Failed if one is not."""
        left = self._producer.flush(self._timeout)
        self._check()
        if left:
            raise Failed(f"{left} records were not acknowledged within {self._timeout:g} s")
        if self.in_transaction:
            self._step("commit_transaction", self._timeout)

    def _note(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failure = self._failure or f"a record was not taken: {error.name()}: {error.str()}"
            return
        self.delivered += 1
        if self._prints:
            print(f"{message.topic()}-{message.partition()}@{message.offset()}")

    def _check(self) -> None:
        if self._failure is not None:
            raise Failed(f"{self._failure}; {self.delivered} were before")

    def _step(self, name: str, *arguments: float) -> None:
        try:
            getattr(self._producer, name)(*arguments)
        except Exception as error:
            raise Failed(_said(error)) from None


def _said(error: Exception) -> str:
    """What librdkafka says, without Python's brackets."""
    reason = error.args[0] if error.args else error
    return str(reason.str()) if hasattr(reason, "str") else str(reason)


def _size(files: Sequence[str]) -> int | None:
    """Bytes to read; None if that is not known."""
    try:
        return sum(os.path.getsize(file) for file in files) if files and "-" not in files else None
    except OSError:
        return None


def _drafts(options: Options, advance: Any) -> Iterator[Draft]:
    """The records of all files, or of standard input. Raises Misunderstood."""
    if not options.files and is_terminal(sys.stdin) and not options.quiet:
        print("One record a line; Ctrl-D ends.", file=sys.stderr)
    common = [_header(word) for word in options.header]
    for name in options.files or ["-"]:
        for number, line in enumerate(_lines(name, options.delimiter), 1):
            advance(len(line))
            try:
                draft = _from_json(line) if options.json_lines else _from_line(line, options)
            except ValueError as error:
                raise Misunderstood(f"{name if name != '-' else 'standard input'}, line {number}: {error}") from None
            if options.partition is not None:
                draft = draft._replace(partition=options.partition)
            if options.timestamp is not None:
                draft = draft._replace(timestamp=parse_moment(options.timestamp))
            yield draft._replace(headers=[*draft.headers, *common])


def _lines(name: str, delimiter: bytes) -> Iterator[bytes]:
    """What stands between delimiters. Raises Misunderstood for a file that cannot be read."""
    if name == "-":
        yield from _parts(sys.stdin.buffer, delimiter)
        return
    try:
        with open(name, "rb") as file:
            yield from _parts(file, delimiter)
    except OSError as error:
        raise Misunderstood(f"{name}: {error.strerror or error}") from None


def _parts(stream: BinaryIO, delimiter: bytes) -> Iterator[bytes]:
    if delimiter == b"\n":
        yield from (line.removesuffix(b"\n") for line in stream)
        return
    rest = b""
    while part := stream.read(1 << 16):
        *whole, rest = (rest + part).split(delimiter)
        yield from whole
    if rest.removesuffix(b"\n"):
        yield rest.removesuffix(b"\n")


def _from_line(line: bytes, options: Options) -> Draft:
    key = options.key.encode() if options.key is not None else None
    value: bytes | None = line
    if options.key_delimiter is not None:
        found, delimiter, value = line.partition(options.key_delimiter)
        if not delimiter:
            raise ValueError(
                f"there is no {options.key_delimiter.decode(errors='replace')!r} between a key and a value"
            )
        key = found
    if options.null is not None:
        null = options.null.encode()
        key, value = (None if key == null else key), (None if value == null else value)
    return Draft(key, value, [])


def _from_json(line: bytes) -> Draft:
    """A line of `kcat -J`, or `ottla consume -J`. Raises ValueError."""
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    pairs = found.get("headers") or []
    if len(pairs) % 2 or not all(isinstance(name, str) for name in pairs[::2]):
        raise ValueError("headers are a list of a name, a value, a name, a value")
    headers = [(name, _bytes(value)) for name, value in zip(pairs[::2], pairs[1::2], strict=True)]
    timestamp = found.get("ts") or 0
    return Draft(_field(found, "key"), _field(found, "payload"), headers, ANY_PARTITION, max(0, int(timestamp)))


def _field(found: dict[str, Any], name: str) -> bytes | None:
    """A key or a value: text, or bytes that are no text under a name of their own. Raises ValueError."""
    encoded = found.get(f"{name}_base64")
    if encoded is None:
        return _bytes(found.get(name))
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError(f"{name}_base64: {error}") from None


def _bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, str):
        return None if value is None else value.encode()
    return json.dumps(value).encode()


def _header(word: str) -> tuple[str, bytes | None]:
    name, equals, value = word.partition("=")
    return name, value.encode() if equals else None


def delimiter_of(word: str) -> bytes:
    """Text with `\\n`, `\\t`, `\\0` and `\\xHH` as kcat has them."""
    try:
        found = word.encode().decode("unicode_escape").encode("latin-1")
    except (UnicodeDecodeError, UnicodeEncodeError):
        found = word.encode()
    if not found:
        raise argparse.ArgumentTypeError("a delimiter has one byte at least")
    return found


def parser() -> argparse.ArgumentParser:
    """All words of `ottla produce`."""
    made = argparse.ArgumentParser(
        prog="ottla produce", description="Produce a record for each line of standard input, or of files."
    )
    made.add_argument("name", nargs="?", metavar="TOPIC", help="the topic")
    made.add_argument("files", nargs="*", metavar="FILE", help="files to read; - is standard input")
    made.add_argument("-t", "--topic", metavar="TOPIC", help="the topic, in Kafka's and kcat's way")
    made.add_argument("-p", "--partition", type=int, metavar="N", help="this one; default: by the key, as Java does")
    made.add_argument("-k", "--key", help="the key of all records")
    made.add_argument("-K", "--key-delimiter", type=delimiter_of, metavar="D", help="lines are KEY D VALUE")
    made.add_argument(
        "--reader-property", action="append", default=[], type=property_of, metavar="KEY=VALUE",
        help="Kafka's: parse.key=true, key.separator=:, null.marker=NULL",
    )  # fmt: skip
    made.add_argument("-H", "--header", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    made.add_argument("-D", "--delimiter", type=delimiter_of, default=b"\n", metavar="D", help="between records (\\n)")
    made.add_argument("-Z", "--null", metavar="TEXT", nargs="?", const="", help="keys and values like this are null")
    made.add_argument("-J", "--json-lines", action="store_true", help="lines are JSON, as `ottla consume -J` has them")
    made.add_argument("-T", "--timestamp", metavar="MOMENT", help="of all records; default: now")
    made.add_argument("-z", "--compression-codec", choices=COMPRESSIONS, help="default: none")
    made.add_argument("-a", "--acks", choices=("all", "-1", "1", "0"), help="default: all")
    made.add_argument(
        "-v", "--verbose", action="store_true", help="print where each record went: TOPIC-PARTITION@OFFSET"
    )
    made.add_argument("-q", "--quiet", action="store_true", help="no hint on a terminal")
    add_connection_options(made)
    return made
