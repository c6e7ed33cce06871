"""Starting with settings: what is taken, what is said about them, and what stops the start."""

from __future__ import annotations

import pytest

from broker.config.keys import BROKER_KEYS, PER_LISTENER, PER_MECHANISM, Effect
from broker.config.listener_specs import Listener
from broker.config.loading import Flags, load_config, parse_config
from broker.config.settings import BrokerConfig, ConfigError
from broker.tests.config.combined_mode import COMBINED_MODE


class OneFile:
    """A disk with one readable file."""

    def __init__(self, path: str, data: bytes) -> None:
        self._path, self._data = path, data

    def read_file(self, path: str) -> bytes | None:
        if path == "forbidden":
            raise PermissionError(13, "Permission denied")
        return self._data if path == self._path else None


def config(text: str = "", **overrides: str) -> BrokerConfig:
    return parse_config(text, "server.properties", {key.replace("_", "."): value for key, value in overrides.items()})


def refusal(text: str, overrides: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "server.properties", overrides or {})
    sentence = str(refused.value)
    assert "\n" not in sentence
    return sentence


# --- what is taken


def test_defaults_are_for_people() -> None:
    """Loopback, one directory, topics on demand, no wait for more members, one copy of internal topics, synced acks."""
    default = config()
    assert default.listeners == (Listener("PLAINTEXT", "127.0.0.1", 9092),)
    assert default.advertised_listeners == {}
    assert default.log_dirs == ("ottla-data",)
    assert default.data_directory == "ottla-data"
    assert default.auto_create_topics_enable
    assert default.group_initial_rebalance_delay_ms == 100
    assert default.offsets_topic_replication_factor == 1
    assert default.ottla_ack_fsync
    assert not default.memory
    assert default.notices == ()


def test_a_combined_server_properties_of_kafka_is_understood() -> None:
    """Its file works unmodified: values count, the controller's listener stays shut, the rest is said once."""
    kafka = config(COMBINED_MODE)
    assert kafka.node_id == 7
    assert kafka.listeners == (Listener("PLAINTEXT", "", 9092),)
    assert kafka.advertised_listeners == {"PLAINTEXT": ("localhost", 9092)}
    assert kafka.log_dirs == ("/tmp/kraft-combined-logs",)
    assert kafka.num_partitions == 3
    assert kafka.log_retention_ms == 24 * 3_600_000
    said = "\n".join(kafka.notices)
    assert said.count("num.io.threads") == 1
    assert "CONTROLLER://:9093" in said
    assert "num.partitions" not in said
    assert len(kafka.notices) == 3


def test_the_command_line_wins_over_the_file() -> None:
    """And the last of two lines over the first."""
    assert config("num.partitions=3\nnum.partitions=4").num_partitions == 4
    assert config("num.partitions=3", num_partitions="5").num_partitions == 5


def test_values_are_trimmed_and_typed() -> None:
    """A blank at the end of a line is no part of a number."""
    assert config("num.partitions = 12 \nauto.create.topics.enable=FALSE ").num_partitions == 12
    assert not config("auto.create.topics.enable= False\t").auto_create_topics_enable


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("", 604_800_000),
        ("log.retention.hours=1", 3_600_000),
        ("log.retention.hours=1\nlog.retention.minutes=2", 120_000),
        ("log.retention.hours=1\nlog.retention.minutes=2\nlog.retention.ms=3", 3),
        ("log.retention.ms=-1", -1),
        ("log.retention.hours=-1", -1),
    ],
)
def test_the_finest_unit_of_a_duration_counts(text: str, millis: int) -> None:
    """Milliseconds before minutes before hours; any negative time is forever."""
    assert config(text).log_retention_ms == millis


def test_log_dirs_wins_over_log_dir() -> None:
    """As in Kafka."""
    assert config("log.dir=a").log_dirs == ("a",)
    assert config("log.dir=a\nlog.dirs=b").log_dirs == ("b",)


def test_broker_id_is_the_older_name_of_node_id() -> None:
    """Each stands for both, for those who ask."""
    assert config("broker.id=3").node_id == 3
    assert config("node.id=3").get("broker.id") == 3


def test_any_key_can_be_asked_for() -> None:
    """Keys without an attribute too, typed; unknown ones are a programming error."""
    assert config().get("log.cleaner.min.cleanable.ratio") == 0.5
    assert config().get("log.retention.ms") is None
    assert config("group.consumer.assignors=range").get("group.consumer.assignors") == ("range",)
    with pytest.raises(KeyError):
        config().get("no.such.key")


def test_every_key_that_acts_is_an_attribute() -> None:
    """A key that is said to act is one that the broker can see, so the table tells the truth or is corrected."""
    derived = {
        "log.dir",
        "broker.id",
        "listener.security.protocol.map",
        "controller.listener.names",
        "config.providers",
    }
    derived |= PER_MECHANISM  # looked for under prefixes too (sasl_settings.py)
    units = {"log.retention.hours", "log.retention.minutes", "log.roll.hours", "log.roll.jitter.hours"}
    acting = {key.name for key in BROKER_KEYS.values() if key.effect is Effect.ACTS}
    acting -= {name for name in PER_LISTENER if name.startswith("ssl.")}  # asked for by listener
    attributes = {name for name in BROKER_KEYS if hasattr(config(), name.replace(".", "_"))}
    assert acting - attributes == derived | units | {"log.flush.scheduler.interval.ms", "config.providers"}


def test_settings_cannot_be_changed_and_do_not_tell_secrets() -> None:
    """A setting changes by a new value of the whole; passwords in the file stay out of repr."""
    settings = config("ssl.key.password=hunter2")
    with pytest.raises(AttributeError):
        settings.node_id = 5  # type: ignore[misc]
    assert "hunter2" not in repr(settings)


# --- where it comes from


def test_a_file_is_read_and_flags_go_over_it() -> None:
    """`--port` and `--data` are shorthand for keys; so is `--memory`, which says that the file's directory is idle."""
    disk = OneFile("server.properties", f"{COMBINED_MODE}log.dirs=of-the-file".encode())
    loaded = load_config("server.properties", {}, port=0, data="elsewhere", disk=disk)  # type: ignore[arg-type]
    assert loaded.listeners == (Listener("PLAINTEXT", "", 0),)
    assert loaded.log_dirs == ("elsewhere",)
    assert loaded.num_partitions == 3
    loaded = load_config("server.properties", {}, memory=True, disk=disk)  # type: ignore[arg-type]
    assert loaded.memory
    assert any("data is kept in memory: log.dirs in server.properties, line" in notice for notice in loaded.notices)


@pytest.mark.parametrize(
    ("flags", "overrides", "words"),
    [
        (Flags(memory=True), {"log.dirs": "/d"}, "--memory and log.dirs=/d contradict each other"),
        (Flags(memory=True), {"metadata.log.dir": "/d"}, "--memory and metadata.log.dir=/d"),
        (Flags(memory=True), {"ottla.storage": "local"}, "--memory and ottla.storage=local"),
        (Flags(data="/a"), {"log.dirs": "/d"}, "--data and log.dirs=/d"),
        (Flags(data="/a"), {"ottla.storage": "memory"}, "--data and ottla.storage=memory"),
    ],
)
def test_words_that_contradict_each_other_are_refused(flags: Flags, overrides: dict[str, str], words: str) -> None:
    """Only one of them can be meant, and data would be somewhere else than its owner believes."""
    with pytest.raises(ConfigError, match=words):
        parse_config("", "", overrides, flags=flags)


def test_unknown_keys_are_an_error_if_that_is_asked_for() -> None:
    """`--strict`, which a broker of `ottla.Broker` gets: a test with a misspelt setting tests something else."""
    text = "num.partitons=3\nnode.id=1"
    assert "num.partitons in f, line 1 is unknown and ignored; did you mean num.partitions?" in notices(text)
    with pytest.raises(ConfigError, match=r"num\.partitons in f, line 1 is unknown; did you mean num\.partitions\?"):
        parse_config(text, "f", {}, flags=Flags(strict=True))


def notices(text: str) -> tuple[str, ...]:
    """What is said of the settings of a file called `f`."""
    return parse_config(text, "f", {}).notices


@pytest.mark.parametrize("text", ["bootstrap.servers=a:1\ngroup.id=g", '{"listeners": []}', "services:\n  kafka:\n"])
def test_a_file_that_is_no_configuration_of_a_broker_is_refused(text: str) -> None:
    """A client's, a JSON or a compose file given by mistake would start a broker with the defaults."""
    with pytest.raises(ConfigError, match=r"f has not a single setting .* server\.properties"):
        parse_config(text, "f", {})


def test_a_file_without_settings_is_one_of_defaults() -> None:
    """An empty file, and one in which everything is commented out, say nothing wrong."""
    assert parse_config("# num.partitions=3\n", "f", {}).num_partitions == 1


@pytest.mark.parametrize("line", ["zookeeper.connect=localhost:2181", "zookeeper.metadata.migration.enable=true"])
def test_a_file_of_a_cluster_in_zookeeper_is_refused(line: str) -> None:
    """The topics that it is about are in ZooKeeper; the sentence has the way out."""
    with pytest.raises(ConfigError, match=r"zookeeper.* in f, line 2 is of Kafka before 4\.0.*KRaft first"):
        parse_config(f"broker.id=0\n{line}", "f", {})


def test_a_data_directory_on_the_command_line_is_for_everything() -> None:
    """The cluster's log is kept there too, wherever the file keeps it, which is said; both can be named in words."""
    disk = OneFile("f", b"log.dirs=a\nmetadata.log.dir=m")
    kept = load_config("f", {}, disk=disk)  # type: ignore[arg-type]
    assert (kept.data_directory, kept.metadata_log_dir) == ("a", "m")
    moved = load_config("f", {}, data="d", disk=disk)  # type: ignore[arg-type]
    assert (moved.data_directory, moved.metadata_log_dir) == ("d", None)
    assert moved.notices == ("metadata.log.dir in f, line 2 is ignored, since --data names one directory",)
    both = load_config("f", {"metadata.log.dir": "n"}, data="d", disk=disk)  # type: ignore[arg-type]
    assert (both.data_directory, both.metadata_log_dir) == ("d", "n")


def test_a_moved_listener_forgets_what_the_file_advertises() -> None:
    """Otherwise clients would be sent to a port without a listener."""
    disk = OneFile("f", COMBINED_MODE.encode())
    assert load_config("f", {}, port=19092, disk=disk).advertised_listeners == {}  # type: ignore[arg-type]
    explicit = {"advertised.listeners": "PLAINTEXT://broker.example:9092"}
    moved = load_config("f", explicit, host="::1", disk=disk)  # type: ignore[arg-type]
    assert moved.advertised_listeners == {"PLAINTEXT": ("broker.example", 9092)}
    assert moved.listeners == (Listener("PLAINTEXT", "::1", 9092),)


@pytest.mark.parametrize(("path", "reason"), [("missing", "does not exist"), ("forbidden", "Permission denied")])
def test_a_file_that_cannot_be_read_stops_the_start(path: str, reason: str) -> None:
    """With its name, and the system's reason."""
    with pytest.raises(ConfigError, match=rf"^the configuration file {path} .*{reason}$"):
        load_config(path, {}, disk=OneFile("other", b""))  # type: ignore[arg-type]


# --- what is said


def test_an_unknown_key_is_said_with_the_nearest_known_one() -> None:
    """A slip of the pen does not stop the start, and does not go unnoticed either."""
    assert config("node.id=1\nlog.retention.mss=1").notices == (
        "log.retention.mss in server.properties, line 2 is unknown and ignored; did you mean log.retention.ms?",
    )
    assert config("node.id=1\ncom.example.plugin=1").notices == (
        "com.example.plugin in server.properties, line 2 is unknown and ignored",
    )


def test_keys_for_one_listener_are_known() -> None:
    """`listener.name.<listener>.` may stand before a key, for SASL with a mechanism between."""
    given = "listener.name.plaintext.max.connections=5\nlistener.name.x.scram-sha-256.sasl.jaas.config=y"
    assert not any("unknown" in notice for notice in config(given).notices)


# --- what stops the start


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\nnum.partitions=three", "num.partitions=three in server.properties, line 2: it must be a whole number from"),
        ("num.partitions=0", "num.partitions=0 in server.properties, line 1: it must be at least 1"),
        ("num.partitions=3000000000", "num.partitions=3000000000 in server.properties, line 1: it must be a whole"),
        ("delete.topic.enable=yes", "delete.topic.enable=yes in server.properties, line 1: it must be true or false"),
        ("compression.type=zip", "compression.type=zip in server.properties, line 1: it must be one of"),
        ("log.cleanup.policy=remove", "log.cleanup.policy=remove in server.properties, line 1: its items must be"),
        ("log.dirs=", "log.dirs= in server.properties, line 1: it must name at least one"),
        ("log.dirs=a,b", "log.dirs in server.properties, line 1: 2 directories are named, but all data is kept under"),
        ("log.retention.minutes=0", "log.retention.minutes in server.properties, line 1: it must be -1"),
        ("process.roles=controller", "process.roles in server.properties, line 1: a process that is only a"),
        ("node.id=1\nbroker.id=2", "broker.id=2 in server.properties, line 2: node.id says 1"),
        ("max.connections.per.ip.overrides=x", "max.connections.per.ip.overrides in server.properties, line 1: x is"),
        ("max.connections=0", "max.connections in server.properties, line 1: it would let no client in"),
        ("max.connections.per.ip=0", "max.connections.per.ip in server.properties, line 1: it may be 0 only with"),
        ("group.min.session.timeout.ms=1800001", "group.min.session.timeout.ms in server.properties, line 1: it is"),
        (
            "node.id=1\ncontroller.quorum.voters=1@a:9093,2@b:9093",
            "controller.quorum.voters in server.properties, line 2: 2@b:9093 would keep the cluster's metadata too",
        ),
        ("metadata.log.dir=", "metadata.log.dir= in server.properties, line 1: it must not be empty"),
        ("a=1\nb=\\u00", "server.properties, line 2: \\u is not followed by four hexadecimal digits"),
    ],
)
def test_a_malformed_value_stops_the_start(text: str, sentence: str) -> None:
    """One sentence that names key, file and line."""
    assert refusal(text).startswith(sentence)


def test_a_malformed_value_on_the_command_line_says_so() -> None:
    """There is no file to name."""
    assert refusal("", {"num.partitions": "x"}).startswith("num.partitions=x on the command line: ")


def test_secrets_stay_out_of_sentences() -> None:
    """A malformed value of a sensitive key is not repeated; all texts are passwords, so none is malformed today."""
    assert not config("ssl.key.password=x").notices


# --- dynamic values


def test_a_dynamic_value_counts_more_than_the_file() -> None:
    """The broker's own more than the cluster's; taking them away brings the file's back."""
    file = config("log.retention.hours=24\nmessage.max.bytes=5")
    assert file.with_dynamic({"log.retention.ms": "7"}, {}).log_retention_ms == 7
    both = file.with_dynamic({"log.retention.ms": "7"}, {"log.retention.ms": "8"})
    assert both.log_retention_ms == 8
    assert both.get("log.retention.ms") == 8
    assert both.with_dynamic({}, {}).log_retention_ms == 24 * 3_600_000
    assert both.message_max_bytes == 5


def test_dynamic_values_that_make_no_sense_do_not_stop_a_broker() -> None:
    """They were checked when they were set; whatever changed since, the broker starts."""
    file = config("log.retention.hours=24")
    assert file.with_dynamic({"log.retention.ms": "soon"}, {}).log_retention_ms == 24 * 3_600_000
    assert file.with_dynamic({"log.retention.ms": "0"}, {}).log_retention_ms == 24 * 3_600_000


def test_bound_ports_show_in_the_settings() -> None:
    """Port 0 becomes the port that the system gave, also after a dynamic change."""
    bound = config("listeners=A://127.0.0.1:0,B://:0\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT")
    bound = bound.with_bound_ports([40_001, 40_002]).with_dynamic({}, {})
    assert [listener.port for listener in bound.listeners] == [40_001, 40_002]
    assert bound.static["listeners"] == "A://127.0.0.1:40001,B://:40002"
    assert bound.static["advertised.listeners"] == "A://127.0.0.1:40001"
    assert bound.advertised_listeners == {}
