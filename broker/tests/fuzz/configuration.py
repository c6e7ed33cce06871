"""The configuration file: any text makes a configuration, or a ConfigError of one sentence that says what is wrong.

Input: a byte, then the bytes of a `.properties` file. With bit 0 of the first byte `--port` moves the first listener.
Nothing but ConfigError escapes (PropertiesError from the parser beneath, which the loader turns
into one).

- Keys and values, written back with everything escaped that Java escapes, are read the same.
- What was made of them holds together: every listener has a port, what is advertised belongs to a listener, the
  settings show the same values as text, and the same text makes the same configuration again.
- No line of an error or a notice has a line break in it: they go to a terminal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from broker.config.loading import Flags, parse_config
from broker.config.properties import PropertiesError, decode, parse_properties
from broker.config.settings import BrokerConfig, ConfigError
from kproto.tests.fuzz.bounds import measured

MOVED = 1


def fuzz_configuration(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if not data:
        return
    text = decode(data[1:])
    check_properties(text)
    port = 9099 if data[0] & MOVED else None
    try:
        config = parse(text, port)
    except ConfigError as error:
        assert str(error), "an error says something"
        return
    check_configuration(config)
    assert vars_of(parse(text, port)) == vars_of(config)
    if port is not None:
        assert config.listeners[0].port == port


def parse(text: str, port: int | None) -> BrokerConfig:
    # A file has a few hundred lines; each unknown key costs a search for the nearest known one.
    return measured(
        lambda: parse_config(text, "server.properties", {}, flags=Flags(port=port)),
        200 * len(text), bytes_per_byte=8, beside=1 << 20,
    )  # fmt: skip


def check_properties(text: str) -> None:
    try:
        read = [(key, value) for key, value, _ in measured(
            lambda: list(parse_properties(text)), len(text), bytes_per_byte=512)]  # fmt: skip
    except PropertiesError as error:
        assert error.line > 0
        return
    written = "".join(f"{escaped(key)}={escaped(value)}\n" for key, value in read)
    assert [(key, value) for key, value, _ in parse_properties(written)] == read


def escaped(text: str) -> str:
    r"""Every character but letters and digits as \uXXXX, those beyond 16 bits as two, as Java's `store` could."""
    units = text.encode("utf-16-be", "surrogatepass")
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    return "".join(chr(code) if chr(code).isascii() and chr(code).isalnum() else f"\\u{code:04x}" for code in codes)


def check_configuration(config: BrokerConfig) -> None:
    names = [listener.name for listener in config.listeners]
    assert len(names) > 0
    assert len(set(names)) == len(names)
    assert all(0 <= listener.port <= 65535 for listener in config.listeners)
    assert set(config.advertised_listeners) <= set(names)
    assert all(config.notices)
    assert vars_of(config.with_dynamic({}, {})) == vars_of(config)
    bound = config.with_bound_ports([listener.port or 4711 for listener in config.listeners])
    assert [listener.name for listener in bound.listeners] == names


def vars_of(config: BrokerConfig) -> dict[str, str]:
    """The settings as texts, so that one that is not a number equals itself."""
    return {field.name: repr(getattr(config, field.name)) for field in dataclasses.fields(config)}


def seeds() -> Iterator[bytes]:
    """Files as people write them: Kafka's own, one with every kind of value, and broken ones."""
    files = [
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n"
        "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n"
        "advertised.listeners=PLAINTEXT://localhost:9092\ncontroller.listener.names=CONTROLLER\n"
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\nlog.dirs=data\n",
        "listeners=A://[::1]:0,B://0.0.0.0:1,C://host-1.example:65535\n"
        "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT\nadvertised.listeners=A://h:1,B://i:2\n",
        "# comment\n! other\n\nlog.retention.hours = 168\nlog.retention.check.interval.ms:300000\n"
        "log.cleaner.min.cleanable.ratio 0.25\nauto.create.topics.enable=TRUE\nlog.segment.bytes=\\\n   1073741824\n",
        "broker.id=3\nnode.id=3\nlog.dir=a\nmax.connections.per.ip.overrides=127.0.0.1:10,[::1]:5\n"
        "ottla.log.level=DEBUG\nottla.storage=memory\n",
        "sasl.enabled.mechanisms=PLAIN\nlistener.name.x.ssl.keystore.password=secret\nunknwon.key=\\u00e9\\t\\ud83d\\ude00\n",
        "log.retention.ms=0\n", "node.id=x\n", "a=\\u12\n", "listeners=PLAINTEXT://:99999\n", "log.dirs=a,b\n",
        "compression.type=brotli\n", "broker.id=\x015\nnode.id=4\n",
    ]  # fmt: skip
    for text in files:
        yield b"\0" + text.encode()
        yield b"\1" + text.replace("\n", "\r\n").encode("latin-1", "replace")
