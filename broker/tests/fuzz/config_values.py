"""Values of settings as clients send them: CreateTopics, AlterConfigs, IncrementalAlterConfigs, for every resource.

Input: a byte that, modulo 5, chooses the resource (topic, broker, group, client metrics, or one single key of any of
them), a byte for the operation, then text: keys and values, alternately, between line feeds, a number standing for the
key at that place in the resource's table.

- Only KafkaError escapes, with INVALID_CONFIG or INVALID_REQUEST; for single keys only BadValue.
- However long a value is, looking at it takes time in proportion: it is done in the event loop.
- A value that is taken is shown as a text that is taken, too, and shown as itself.
- Overrides of a topic that are taken can be lived with: they make a LogConfig; a broker's make a configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from broker.admin.config_changes import ConfigOp, Operation, incremental, replacement
from broker.config.keys import BROKER_KEYS, CLIENT_METRICS_KEYS, GROUP_KEYS, TOPIC_KEYS
from broker.config.keys.definition import BadValue, ConfigKey
from broker.config.loading import parse_config
from broker.config.topics import log_config
from broker.coordinators.cluster.image import ResourceType
from kproto.errors import ErrorCode, KafkaError
from kproto.tests.fuzz.bounds import measured

CONFIG: Final = parse_config("node.id=1", "", {})
TABLES: Final[list[tuple[int, str, Mapping[str, ConfigKey]]]] = [
    (ResourceType.TOPIC, "orders", TOPIC_KEYS),
    (ResourceType.BROKER, "1", BROKER_KEYS),
    (ResourceType.GROUP, "readers", GROUP_KEYS),
    (ResourceType.CLIENT_METRICS, "all", CLIENT_METRICS_KEYS),
]
REFUSALS: Final = {ErrorCode.INVALID_CONFIG, ErrorCode.INVALID_REQUEST}


def fuzz_config_values(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if len(data) < 2:
        return
    words = data[2:].decode("utf-8", "replace").split("\n")
    if data[0] % 5 == 4:
        table = TABLES[data[1] % 4][2]
        check_value(table.get(named(words[0], table)), "\n".join(words[1:]))
        return
    resource, name, table = TABLES[data[0] % 5]
    if data[1] & 0x40 and resource == ResourceType.BROKER:
        name = ""  # the defaults of all brokers
    pairs = [(named(key, table), value) for key, value in zip(words[::2], words[1::2], strict=False)]
    check_change(resource, name, pairs, data[1])


def named(word: str, table: Mapping[str, ConfigKey]) -> str:
    """The key that a number stands for; else the word itself."""
    names = list(table)
    return names[int(word) % len(names)] if word.isascii() and word.isdecimal() and len(word) < 5 else word


def check_value(key: ConfigKey | None, text: str) -> None:
    if key is None:
        return
    try:
        shown = measured(lambda: key.normalised(text), len(text), bytes_per_byte=256)
    except BadValue:
        return
    assert key.normalised(shown) == shown
    assert key.parse(shown) == key.parse(text) or key.parse(text) != key.parse(text)  # not a number equals nothing


def check_change(resource: int, name: str, pairs: list[tuple[str, str]], how: int) -> None:
    operation = Operation(how & 3)
    values = [value if how & 0x20 == 0 or value else None for _, value in pairs]

    def change() -> Mapping[str, str]:
        if how & 0x10:
            each = [(key, value) for (key, _), value in zip(pairs, values, strict=True)]
            return replacement(resource, name, each, CONFIG)({})
        ops = [ConfigOp(key, operation, value) for (key, _), value in zip(pairs, values, strict=True)]
        return incremental(resource, name, ops, CONFIG)({})

    size = sum(len(key) + len(value) for key, value in pairs)
    try:
        wanted = measured(change, 10 * size, bytes_per_byte=64, beside=512 * 1024)
    except KafkaError as error:
        assert error.code in REFUSALS
        return
    if resource == ResourceType.TOPIC:
        log_config(wanted, CONFIG)
    elif resource == ResourceType.BROKER:
        changed = CONFIG.with_dynamic({}, wanted) if name else CONFIG.with_dynamic(wanted, {})
        assert changed.static == CONFIG.static


def seeds() -> Iterator[bytes]:
    """Every key of every table with its default, with lists and numbers; every operation."""
    for number, (_, _, table) in enumerate(TABLES):
        for place, (key_name, key) in enumerate(table.items()):
            text = key.default or "5"
            yield bytes((4, number)) + f"{key_name}\n{text}".encode()
            yield bytes((number, place % 4)) + f"{key_name}\n{text}".encode()
            yield bytes((number, 0x10)) + f"{place}\n{text}\n{place + 1}\n1".encode()
        yield bytes((number, 0)) + b"no.such.key\nx"
    yield b"\0\0" + b"cleanup.policy\ncompact , delete\nretention.ms\n-1\nmin.compaction.lag.ms\n5"
    yield b"\3\0" + b"match\nclient_id=a.*,client_software_name=(x|y)+\ninterval.ms\n1000"
    yield b"\4\0" + b"min.cleanable.dirty.ratio\n.5e-1d"
    yield b"\4\2" + b"share.auto.offset.reset\nby_duration:PT1H30M"
