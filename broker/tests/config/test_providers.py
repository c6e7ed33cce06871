"""Values that are kept elsewhere: in the environment, in another file, in a directory of secrets.

What Kafka does was asked of a running broker; where the broker departs, the test says so.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from broker.admin.config_description import describe_broker
from broker.config.loading import parse_config
from broker.config.settings import BrokerConfig, ConfigError

PROVIDERS: Final = """
config.providers=env,file,dir
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
config.providers.dir.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider
"""
ENVIRONMENT: Final = {"PARTITIONS": " 7 ", "RACK": "r1", "NESTED": "${env:RACK}", "MANY": "many"}


class Disk:
    """Two files: one of properties, one that is a secret by itself."""

    def __init__(self) -> None:
        self.files = {
            "/run/secrets/p.properties": b"segment=2097152\nkeystore=hunter2\nbad\\u00=1",
            "/run/secrets/good.properties": b"segment=2097152\nkeystore=hunter2",
            "/run/secrets/colon.properties": b"with\\:colon=5",
            "/run/secrets/level": b"INFO\n",
            "/etc/passwd": b"root=0",
        }

    def read_file(self, path: str) -> bytes | None:
        if path == "/run/secrets/forbidden":
            raise PermissionError(13, "Permission denied")
        return self.files.get(path)

    def list_directory(self, path: str) -> list[str]:
        names = [name.rpartition("/")[2] for name in self.files if name.rpartition("/")[0] == path]
        if not names:
            raise FileNotFoundError(2, "No such file or directory")
        return names


def config(text: str, **more: str) -> BrokerConfig:
    disk: Any = Disk()
    return parse_config(PROVIDERS + text, "server.properties", more, environment=ENVIRONMENT, disk=disk)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        config(text)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# --- what is put in


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("num.partitions=${env:PARTITIONS}", "num.partitions", 7),
        ("log.segment.bytes=${file:/run/secrets/good.properties:segment}", "log.segment.bytes", 2_097_152),
        ("metrics.recording.level=${dir:/run/secrets:level}", "metrics.recording.level", "INFO"),
        ("broker.rack=a-${env:RACK}-${env:RACK}", "broker.rack", "a-r1-r1"),
        ("broker.rack=${env:NESTED}", "broker.rack", "${env:RACK}"),
        ("broker.rack=${env}${:}$5}", "broker.rack", "${env}${:}$5}"),
    ],
)
def test_a_reference_is_replaced_by_its_value(text: str, key: str, value: object) -> None:
    """Wherever it stands in a value, once: what was put in is no reference. What looks like none is left alone."""
    assert config(text).get(key) == value


def test_a_key_may_have_a_colon() -> None:
    """The path ends at the first one, and the key has the rest."""
    assert config("num.partitions=${file:/run/secrets/colon.properties:with:colon}").num_partitions == 5


def test_a_secret_is_used_and_not_shown() -> None:
    """DescribeConfigs shows what was put in, as Kafka does, unless the key is sensitive."""
    given = config(
        "ssl.keystore.password=${file:/run/secrets/good.properties:keystore}\nnum.partitions=${env:PARTITIONS}"
    )
    assert given.get("ssl.keystore.password") == "hunter2"
    shown = {entry.name: entry for entry in describe_broker(given)}
    assert shown["num.partitions"].value == "7"
    assert shown["ssl.keystore.password"].value is None
    assert "hunter2" not in repr(shown)


def test_flags_may_refer_too() -> None:
    """Kafka's --override goes the same way."""
    assert config("", **{"num.partitions": "${env:PARTITIONS}"}).num_partitions == 7


def test_providers_are_known_keys() -> None:
    """No notice calls them unknown."""
    assert config("").notices == ()


# --- what stops the start


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("broker.rack=${env:NONE}", "the environment has no variable NONE"),
        ("broker.rack=${env:/path:RACK}", "an environment variable has no path such as /path"),
        ("broker.rack=${file:/run/secrets/good.properties:x}", "/run/secrets/good.properties has no key x"),
        ("broker.rack=${file:/run/none:x}", "/run/none does not exist"),
        ("broker.rack=${file:/run/secrets/forbidden:x}", "/run/secrets/forbidden cannot be read: Permission denied"),
        ("broker.rack=${file:x}", "there is no path before the key x"),
        ("broker.rack=${file:/run/secrets/p.properties:segment}", "/run/secrets/p.properties, line 3: \\u is not"),
        ("broker.rack=${dir:/run/secrets:x}", "the directory /run/secrets has no file x"),
        ("broker.rack=${dir:/none:x}", "the directory /none cannot be read: No such file or directory"),
        ("broker.rack=${dir:/run/secrets:../../etc/passwd}", "the directory /run/secrets has no file ../../etc/"),
    ],
)
def test_what_does_not_resolve_stops_the_start(text: str, sentence: str) -> None:
    """Kafka leaves most of these as they are, and would keep its data in a directory called ${env:DATA}."""
    assert refusal(text).startswith(f"{text} in server.properties, line 6: {sentence}")


def test_a_malformed_value_from_elsewhere_is_not_repeated() -> None:
    """It may be a secret that was meant for another key: the sentence shows the reference."""
    assert refusal("num.partitions=${file:/run/secrets/good.properties:keystore}").startswith(
        "num.partitions=${file:/run/secrets/good.properties:keystore} in server.properties, line 6: it must be a whole"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("config.providers=x", "config.providers=x {}: config.providers.x.class does not say what the provider x is"),
        ("config.providers.env.class=a.B", "config.providers.env.class=a.B {}: no Java class is loaded here; there"),
        ("config.providers.env.param.allowlist.pattern=(", "config.providers.env.param.allowlist.pattern=( {}: it is"),
        ("config.providers.file.param.allowed.paths=a", "config.providers.file.param.allowed.paths=a {}: a is no"),
    ],
)
def test_a_provider_that_cannot_be_is_named(text: str, sentence: str) -> None:
    """Also if no value refers to it."""
    assert refusal(text).startswith(sentence.format("in server.properties, line 6"))


# --- what narrows a provider


def test_a_pattern_must_match_the_whole_name() -> None:
    """As Java's matches() does."""
    allow = "config.providers.env.param.allowlist.pattern=R|RA.*\n"
    assert config(allow + "broker.rack=${env:RACK}").broker_rack == "r1"
    assert "allowlist.pattern does not allow the variable PARTITIONS" in refusal(
        allow + "broker.rack=${env:PARTITIONS}"
    )


@pytest.mark.parametrize(
    ("paths", "reference", "allowed"),
    [
        ("/run/secrets", "${file:/run/secrets/good.properties:segment}", True),
        ("/a,/run/secrets/good.properties", "${file:/run/secrets/good.properties:segment}", True),
        ("/run/secret", "${file:/run/secrets/good.properties:segment}", False),
        ("/run/secrets", "${file:/run/secrets/../../etc/passwd:root}", False),
        ("/run/secrets/../secrets/", "${file:/run/secrets/good.properties:segment}", True),
        ("/", "${file:/etc/passwd:root}", True),
    ],
)
def test_allowed_paths_hold_what_is_below_them(paths: str, reference: str, allowed: bool) -> None:
    """By whole names of directories, after `..` has been followed."""
    text = f"config.providers.file.param.allowed.paths={paths}\nbroker.rack={reference}"
    if allowed:
        assert config(text).broker_rack
    else:
        assert "allowed.paths does not allow" in refusal(text)


# --- what stays


def test_a_reference_to_no_provider_stays_and_is_said() -> None:
    """As in Kafka; without config.providers every reference is such a one."""
    text = "broker.rack=${vault:x}"
    assert config(text).broker_rack == "${vault:x}"
    assert config(text).notices == (
        "broker.rack in server.properties, line 6 refers to vault, which config.providers does not name: "
        "it stays as it is",
    )
    assert parse_config("broker.rack=${env:HOME}", "f", {}).broker_rack == "${env:HOME}"
