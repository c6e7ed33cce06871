"""Values that cost more than they say: found by fuzzing. A client may send any, and the event loop looks at them."""

from __future__ import annotations

import time

import pytest

from broker.admin.config_changes import check_client_metrics_configs
from broker.config.keys import TOPIC_KEYS
from broker.config.keys.definition import BadValue, split_list
from broker.config.loading import parse_config
from broker.config.settings import ConfigError
from kproto.errors import ErrorCode, KafkaError

LONG = 32_000


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("cleanup.policy", "a" + " " * LONG + "b"),
        ("cleanup.policy", "delete" + " ," * (LONG // 2)),
        ("min.cleanable.dirty.ratio", "1" * LONG + "x"),
        ("min.cleanable.dirty.ratio", "1" * LONG + "e"),
        ("leader.replication.throttled.replicas", "1:" * (LONG // 2)),
        ("retention.ms", "1" * LONG),
    ],
)
def test_a_long_value_is_judged_at_once(key: str, text: str) -> None:
    """A list with a long run of blanks took ten seconds, a number with a letter at its end more than a minute."""
    began = time.thread_time()
    with pytest.raises(BadValue):
        TOPIC_KEYS[key].parse(text)
    assert time.thread_time() - began < 0.5


def test_lists_are_still_split_as_java_does() -> None:
    """Blanks around a comma go, those inside an item stay; an item of blanks is empty."""
    assert split_list("a , b\t,\n c d,, ,e") == ("a", "b", "c d", "", "", "e")
    assert split_list("") == ()


@pytest.mark.parametrize("text", ["0.5", ".5", "5.", "1e3", "-1.5E-2d", "NaN", "+Infinity"])
def test_numbers_are_still_read_as_java_does(text: str) -> None:
    """Every form of a double."""
    key = TOPIC_KEYS["min.cleanable.dirty.ratio"]._replace(check=None)
    assert isinstance(key.parse(text), float)


@pytest.mark.parametrize("pattern", ["(" * 2000 + ")" * 2000, "a{99999999999999999999}"])
def test_a_pattern_that_takes_more_than_it_says_is_taken_at_once(pattern: str) -> None:
    """Nested deep or repeated often, it was a fault of the broker's (RecursionError, OverflowError). RE2 takes both."""
    began = time.thread_time()
    check_client_metrics_configs({"match": f"client_id={pattern}"})
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize("pattern", ["(", "*", "a{1000000}"])
def test_a_pattern_that_cannot_be_compiled_is_refused(pattern: str) -> None:
    """With the code for configs."""
    with pytest.raises(KafkaError) as caught:
        check_client_metrics_configs({"match": f"client_id={pattern}"})
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_a_pattern_that_another_python_may_read_differently_is_taken_in_silence() -> None:
    """No warning is written on which no reader could act."""
    check_client_metrics_configs({"match": "client_id=[[a]"})


def test_values_are_trimmed_alike_everywhere() -> None:
    """A control character around a number was passed over by one part of the loader and stumbled over by the next."""
    assert parse_config("broker.id=\x015\x02\nnode.id=5", "file", {}).get("node.id") == 5
    with pytest.raises(ConfigError):
        parse_config("node.id=\u00a05", "file", {})
