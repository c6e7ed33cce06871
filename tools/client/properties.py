"""The settings of a connection, in Kafka's words: the options that all verbs share, and client properties files.

A file for `kafka-topics.sh --command-config`, and one for `kcat -F`, works as it is. Of each thing there are two
spellings, Java's and librdkafka's:

| Kafka's Java clients | librdkafka | here |
|---|---|---|
| `bootstrap.servers` | the same, `metadata.broker.list` | `ClientProperties.bootstrap` |
| `security.protocol` | the same, in lower case | `ClientProperties.protocol` |
| `ssl.truststore.*`, `ssl.keystore.*`, `ssl.key.password` | `ssl.ca.*`, `ssl.certificate.*`, `ssl.key.*` | `tls.py` |
| `sasl.mechanism`, `sasl.jaas.config` | `sasl.mechanisms`, `sasl.username`, `sasl.password` | `sasl.py` |

What is given on the command line goes over the file: `--bootstrap-server` over `bootstrap.servers`, `-X key=value`
(Kafka's `--command-property`) over any key, in whichever spelling the file says it: with `-X sasl.username=alice` no
one logs in as the user of the file's `sasl.jaas.config`. Without an address there is the variable
OTTLA_BOOTSTRAP_SERVER, and then 127.0.0.1:9092. A key that means nothing here is passed over, since such files are
shared between programs; one that would make the connection more secure is never, nor one of the command line that is
almost called so: see `sasl.py` and `tls.py` for what is
refused.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from broker.config.properties import PropertiesError, decode, parse_properties
from tools.failures import Misunderstood

DEFAULT_TIMEOUT_MS: Final = 30_000
DEFAULT_ADDRESS: Final = "127.0.0.1:9092"
ADDRESS_VARIABLE: Final = "OTTLA_BOOTSTRAP_SERVER"
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

SAME_THING: Final[Mapping[str, tuple[str, ...]]] = {
    "bootstrap.servers": ("metadata.broker.list",),
    "metadata.broker.list": ("bootstrap.servers",),
    "sasl.mechanism": ("sasl.mechanisms",),
    "sasl.mechanisms": ("sasl.mechanism",),
    "sasl.jaas.config": ("sasl.username", "sasl.password"),
    "sasl.username": ("sasl.jaas.config",),
    "sasl.password": ("sasl.jaas.config",),
    **{
        key: tuple(other for other in spellings if other != key)
        for spellings in (
            ("ssl.truststore.location", "ssl.truststore.certificates", "ssl.ca.location", "ssl.ca.pem"),
            (
                "ssl.keystore.location",
                "ssl.keystore.certificate.chain",
                "ssl.certificate.location",
                "ssl.certificate.pem",
            ),
            ("ssl.keystore.key", "ssl.key.location", "ssl.key.pem"),
        )
        for key in spellings
    },
}
"""What of the file a key of the command line takes the place of, beside itself: other spellings of what it says."""

SECURING: Final = (
    "security.protocol",
    *(key for key in SAME_THING if key.startswith(("sasl.", "ssl."))),
    "ssl.truststore.type",
    "ssl.keystore.type",
    "ssl.truststore.password",
    "ssl.keystore.password",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
)
"""What decides how a connection is secured. A word of the command line that almost is one of them is misspelt."""

Address = tuple[str, int]


class ClientProperties:
    """What a client is told: properties under the names in which they came, and what each verb reads of them."""

    def __init__(self, given: Mapping[str, str], timeout: float = 30.0) -> None:
        """`timeout`, in seconds, is for each wait. Raises Misunderstood for an address or a protocol that is none."""
        self.given = dict(given)
        self.timeout = timeout
        self.bootstrap = parse_addresses(
            self.first("bootstrap.servers", "metadata.broker.list")
            or os.environ.get(ADDRESS_VARIABLE)
            or DEFAULT_ADDRESS
        )
        self.protocol = (self.first("security.protocol") or PROTOCOLS[0]).upper()
        if self.protocol not in PROTOCOLS:
            raise Misunderstood(f"security.protocol is {self.protocol}; there are {', '.join(PROTOCOLS)}")

    def first(self, *keys: str) -> str | None:
        """The value of the first of these keys that is set to anything."""
        return next((value for key in keys if (value := self.given.get(key, "").strip())), None)

    @property
    def addresses(self) -> str:
        """The bootstrap servers in one line."""
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.bootstrap)


def add_connection_options(parser: argparse.ArgumentParser, *, with_timeout: bool = True) -> None:
    """The options of every verb that asks a cluster; the consumer's --timeout-ms has another meaning, Kafka's."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "-b", "--bootstrap-server", metavar="HOST:PORT,...",
        help=f"where to begin (default: bootstrap.servers of the file, ${ADDRESS_VARIABLE}, {DEFAULT_ADDRESS})",
    )  # fmt: skip
    group.add_argument(
        "-F",
        "--command-config",
        metavar="FILE",
        help="client properties, as Kafka's tools and kcat take them (SASL, TLS)",
    )
    group.add_argument(
        "-X", "--command-property", metavar="KEY=VALUE", action="append", default=[], type=property_of,
        help="one client property, over the file; may be repeated",
    )  # fmt: skip
    if with_timeout:
        group.add_argument(
            "--timeout-ms", metavar="MS", type=milliseconds, default=DEFAULT_TIMEOUT_MS,
            help=f"wait no longer than that (default {DEFAULT_TIMEOUT_MS})",
        )  # fmt: skip


def properties_of(options: argparse.Namespace, timeout_ms: int | None = None) -> ClientProperties:
    """The settings that the words of a command line come to. Raises Misunderstood."""
    given = read_properties(options.command_config) if options.command_config else {}
    over = dict(options.command_property)
    for key in over:
        _check_spelling(key)
    if options.bootstrap_server:
        over["bootstrap.servers"] = options.bootstrap_server
    for key in over:
        for other in SAME_THING.get(key, ()):
            given.pop(other, None)
    given.update(over)
    return ClientProperties(given, (timeout_ms or options.timeout_ms) / 1000)


def _check_spelling(key: str) -> None:
    """Raise Misunderstood for what is almost the name of a property of security."""
    if key in SECURING:
        return
    import difflib

    if near := difflib.get_close_matches(key, SECURING, n=1, cutoff=0.93):  # ssl.crl.location is at 0.90
        raise Misunderstood(f"there is no client property {key}; did you mean {near[0]}?")


def read_properties(path: str) -> dict[str, str]:
    """The keys of a properties file. Raises Misunderstood when it cannot be read."""
    try:
        return {item.key: item.value.strip() for item in parse_properties(decode(Path(path).read_bytes()))}
    except OSError as error:
        raise Misunderstood(f"{path}: {error.strerror or error}") from None
    except PropertiesError as error:
        raise Misunderstood(f"{path}, line {error.line}: {error}") from None


def parse_addresses(text: str) -> tuple[Address, ...]:
    """`host:port,host:port`, also `[::1]:9092`; a port that is left out is 9092. Raises Misunderstood."""
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        address = word.rpartition("://")[2]
        host, colon, port = address.rpartition(":")
        if not colon or address.endswith("]"):
            host, port = address, "9092"
        if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise Misunderstood(f"{word} is not HOST:PORT")
        found.append((host.strip("[]"), int(port)))
    if not found:
        raise Misunderstood("there is no address in the bootstrap servers")
    return tuple(found)


def property_of(word: str) -> tuple[str, str]:
    """`key=value`. Raises ArgumentTypeError."""
    key, equals, value = word.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"{word!r} is not KEY=VALUE")
    return key.strip(), value.strip()


def milliseconds(word: str) -> int:
    """A time to wait. Raises ArgumentTypeError."""
    if not word.isdecimal() or int(word) == 0:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of milliseconds")
    return int(word)
