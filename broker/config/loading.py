"""From a file and flags to settings, or to the one sentence that says why not.

`load_config` reads a `server.properties`, also one written for Apache Kafka in combined mode; `parse_config` does the
same with a text. Both give a `BrokerConfig` or raise `ConfigError`, which names the key, the file and the line. Each
text goes through these steps, and the first that fails ends the start:

1. The file's lines (`properties.py`), the environment's variables over them, where they count (`environment.py`), and
   the flags over both.
2. References such as `${env:NAME}`, replaced by what their providers have (`providers.py`).
3. Each value by itself: its type, its range, whether anything here would do what it asks for (`keys/`).
4. What the command's own flags move: the first listener, the directory of the data.
5. All values together (`settings.py`).

**Nothing is passed over in silence.** What is no error is said once, in `BrokerConfig.notices`, which the caller logs:
keys that mean nothing here or not yet, unknown keys with the nearest known one (an error if `Flags.strict` says so),
listeners that are not opened. A key that says where data is, or who may do what, acts or stops the start. A file in
which a broker knows not a single key stops it, and one for a cluster in ZooKeeper: neither can be what was meant.

The environment and files come in as arguments: the command hands them over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from broker.config.keys import (
    BROKER_KEYS,
    LISTENER_PREFIX,
    MECHANISMS,
    PER_MECHANISM,
    BadValue,
    Effect,
    broker_key,
    effect_of,
)
from broker.config.keys.definition import split_list, trimmed
from broker.config.layers import Layers
from broker.config.listener_specs import Listener
from broker.config.properties import PropertiesError, decode, parse_properties
from broker.config.settings import (
    BrokerConfig,
    ConfigError,
    Contradiction,
    check_together,
    listeners_of,
    tls_notices,
    typed,
)

if TYPE_CHECKING:
    from storage.seams.disk import Disk

ON_COMMAND_LINE: Final = "on the command line"
PROVIDERS: Final = "config.providers"
DIRECTORIES: Final = ("log.dir", "log.dirs", "metadata.log.dir")
OF_ZOOKEEPER: Final = ("zookeeper.connect", "zookeeper.metadata.migration.enable")


class Flags(NamedTuple):
    """What the command can say beside `key=value`.

    `host` and `port` move the first listener, and make it forget what the file advertises for it. `data` is the one
    directory for everything, so it takes the place of `log.dirs` and of the file's `metadata.log.dir`. `memory` is
    `ottla.storage=memory`, over whatever directory the file and the environment name. `variables` says that settings in
    the environment count, `strict` that a key that no broker knows stops the start.
    """

    host: str | None = None
    port: int | None = None
    data: str | None = None
    memory: bool = False
    variables: bool = False
    strict: bool = False


NO_FLAGS: Final = Flags()


def load_config(
    properties_path: str | None,
    overrides: Mapping[str, str],
    *,
    host: str | None = None,
    port: int | None = None,
    data: str | None = None,
    memory: bool = False,
    variables: bool = False,
    strict: bool = False,
    environment: Mapping[str, str] | None = None,
    disk: Disk | None = None,
) -> BrokerConfig:
    """The settings of the file at `properties_path` (none: defaults) with `overrides` and the command's flags over it.

    For the flags see `Flags`. `environment` and `disk` (the system's, if none is given) are what references to other
    places, and settings in variables, are looked up in. Raises ConfigError.
    """
    text, source = "", ""
    if properties_path is not None:
        text, source = _read(properties_path, disk or _system_disk()), properties_path
    flags = Flags(host, port, data, memory, variables, strict)
    return parse_config(text, source, overrides, flags=flags, environment=environment, disk=disk)


def _system_disk() -> Disk:
    from storage.seams.disk import SystemDisk

    return SystemDisk()


def _read(path: str, disk: Disk) -> str:
    try:
        content = disk.read_file(path)
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    if content is None:
        raise ConfigError(f"the configuration file {path} does not exist")
    return decode(content)


def parse_config(
    text: str,
    source: str,
    overrides: Mapping[str, str],
    *,
    flags: Flags = NO_FLAGS,
    environment: Mapping[str, str] | None = None,
    disk: Disk | None = None,
) -> BrokerConfig:
    """The settings in `text`, a `.properties` file called `source`, with `overrides` and `flags` over it.

    Raises ConfigError. For `environment` and `disk` see `load_config`.
    """
    given: dict[str, str] = {}
    origin: dict[str, str] = {}
    try:
        for key, value, line in parse_properties(text):
            given[key], origin[key] = trimmed(value), f"in {source}, line {line}"
    except PropertiesError as error:
        raise ConfigError(f"{source}, line {error.line}: {error}") from error
    _refuse_what_is_no_file_for_this(given, source, origin)
    strange_variables = _add_variables(given, origin, environment or {}) if flags.variables else []
    _refuse_contradictions(overrides, flags)
    overrides = {**overrides, **({"log.dirs": flags.data} if flags.data is not None else {})}
    overrides |= {"ottla.storage": "memory"} if flags.memory else {}
    for key, value in overrides.items():
        given[key], origin[key] = trimmed(value), ON_COMMAND_LINE
    written = dict(given)
    strangers = _resolve(given, origin, environment or {}, disk)
    for key, value in given.items():
        row = broker_key(key)
        if row is not None:
            try:
                row.parse(value)
            except BadValue as error:
                shown = key if row.sensitive else f"{key}={written[key]}"
                raise ConfigError(f"{shown} {origin[key]}: {error}") from error
        elif name := _without_listener(key):
            raise ConfigError(f"{key} {origin[key]}: it counts only with its listener, as {name}")
    _agree_on_node_id(given, origin)
    _add_former_defaults(given, origin)
    unknown = _unknown(given, origin)
    if unknown and flags.strict:
        raise ConfigError("; ".join(f"{sentence} unknown{hint}" for sentence, hint in unknown))
    notices = strange_variables + _notices(given, origin) + strangers
    notices += [f"{sentence} unknown and ignored{hint}" for sentence, hint in unknown]
    if given.get("ottla.storage") == "memory" and (homes := [key for key in DIRECTORIES if key in given]):
        notices.append(f"not used, since data is kept in memory: {', '.join(f'{key} {origin[key]}' for key in homes)}")
    if flags.data is not None and origin.get("metadata.log.dir", ON_COMMAND_LINE) != ON_COMMAND_LINE:
        del given["metadata.log.dir"]
        notices.append(f"metadata.log.dir {origin['metadata.log.dir']} is ignored, since --data names one directory")
    if flags.host is not None or flags.port is not None:
        notices += _move_first_listener(given, origin, flags.host, flags.port)
    layers = Layers(given)
    try:
        values = typed(layers)
        check_together(values, layers)
        notices += tls_notices(values["listeners"], layers)
        notices += _sasl_notices(values["listeners"], given)
    except Contradiction as error:
        where = next((origin[key] for key in error.keys if key in origin), None)
        raise ConfigError(f"{error.keys[0]}{f' {where}' if where else ''}: {error}") from error
    return BrokerConfig(**values, static=given, dynamic_defaults={}, dynamic={}, notices=tuple(notices))


# ---------------------------------------------------------------------------------------------------------------------
# What is done with the given text before its values are taken


def _refuse_what_is_no_file_for_this(given: Mapping[str, str], source: str, origin: Mapping[str, str]) -> None:
    """Raise ConfigError for a file that is not a broker's, or is one of a cluster that ZooKeeper keeps."""
    for key in OF_ZOOKEEPER:
        if given.get(key):
            raise ConfigError(
                f"{key} {origin[key]} is of Kafka before 4.0, whose clusters were kept in ZooKeeper: take the keys of "
                "ZooKeeper out of the file to begin with a new cluster; to go on with the old one, let Kafka 3.9 "
                "migrate it to KRaft first"
            )
    if given and not any(map(broker_key, given)):
        few = ", ".join(f"{name}{_nearest(name)}" for name in list(given)[:3])
        raise ConfigError(
            f"{source} has not a single setting that a broker knows, but {few}: name a broker's configuration, such as "
            "Kafka's server.properties"
        )


def _refuse_contradictions(overrides: Mapping[str, str], flags: Flags) -> None:
    """Raise ConfigError for words of the command line of which only one can be meant."""
    pairs = [("--memory", key) for key in DIRECTORIES] if flags.memory else []
    pairs += [("--data", "log.dir"), ("--data", "log.dirs")] if flags.data is not None else []
    storage = overrides.get("ottla.storage", "").strip()
    if (flags.memory and storage == "local") or (flags.data is not None and storage == "memory"):
        pairs.append(("--memory" if flags.memory else "--data", "ottla.storage"))
    for flag, key in pairs:
        if key in overrides:
            raise ConfigError(f"{flag} and {key}={overrides[key]} contradict each other: leave out one of them")


def _add_variables(given: dict[str, str], origin: dict[str, str], environment: Mapping[str, str]) -> list[str]:
    """Put the settings in the environment's variables over those of the file; returns notices."""
    from broker.config.environment import PREFIX, read

    if not any(variable.startswith(PREFIX) for variable in environment):
        return []
    settings, strangers = read(environment)
    for key, value, variable in settings:
        given[key], origin[key] = trimmed(value), f"in the environment, {variable}"
    return [f"in the environment, but no settings of a broker: {', '.join(strangers)}"] if strangers else []


def _resolve(
    given: dict[str, str], origin: Mapping[str, str], environment: Mapping[str, str], disk: Disk | None
) -> list[str]:
    """Replace the references in values by what they refer to; returns notices about those that stay as they are."""
    referring = [key for key, value in given.items() if "${" in value and not key.startswith(f"{PROVIDERS}.")]
    if not referring and not given.get(PROVIDERS):
        return []
    from broker.config.providers import Providers, Unresolved

    notices: list[str] = []
    key = PROVIDERS
    try:
        providers = Providers(given, environment, disk or _system_disk())
        for key in referring:
            given[key], strangers = providers.resolve(given[key])
            given[key] = trimmed(given[key])
            notices += [
                f"{key} {origin[key]} refers to {stranger.provider}, which {PROVIDERS} does not name: it stays as it is"
                for stranger in strangers
            ]
    except Unresolved as error:
        key = error.key or key
        raise ConfigError(f"{key}={given[key]} {origin[key]}: {error}") from error
    return notices


def _sasl_notices(listeners: Collection[Listener], given: Mapping[str, str]) -> list[str]:
    """What is configured of SASL that no listener has a use for: it lets no client in, and that should be known."""
    keys = [name for name in given if (key := broker_key(name)) is not None and key.name in PER_MECHANISM]
    if not keys:
        return []
    if not any(listener.uses_sasl for listener in listeners):
        return [f"no listener asks its clients who they are, so these have no effect: {', '.join(keys)}"]
    offered = {
        listener.name.lower(): {mechanism.lower() for mechanism in _mechanisms(listener, given)}
        for listener in listeners
        if listener.uses_sasl
    }
    idle = []
    for name in keys:
        if name.startswith(LISTENER_PREFIX):
            listener, _, rest = name.removeprefix(LISTENER_PREFIX).partition(".")
            mechanism = rest.partition(".")[0] if rest not in BROKER_KEYS else None
            if listener not in offered or (mechanism is not None and mechanism not in offered[listener]):
                idle.append(name)
    return [f"of a listener or a mechanism that is not there, so without effect: {', '.join(idle)}"] if idle else []


def _mechanisms(listener: Listener, given: Mapping[str, str]) -> tuple[str, ...]:
    name = "sasl.enabled.mechanisms"
    return split_list(given.get(f"{LISTENER_PREFIX}{listener.name.lower()}.{name}", given.get(name, "")))


def _without_listener(key: str) -> str | None:
    """How a key of a SASL mechanism is written that lacks its listener, if this is one: what it says would be in
    vain."""
    mechanism, _, rest = key.partition(".")
    return f"{LISTENER_PREFIX}<listener>.{key}" if mechanism in MECHANISMS and rest in BROKER_KEYS else None


def _agree_on_node_id(given: dict[str, str], origin: dict[str, str]) -> None:
    """`broker.id` is the older name of `node.id`; each stands for both."""
    old, new = given.get("broker.id"), given.get("node.id")
    if old is not None and new is not None and int(old) != int(new) and int(old) != -1:
        raise ConfigError(f"broker.id={old} {origin['broker.id']}: node.id says {new}; they must be the same")
    identity = new if new is not None else old
    if identity is not None and int(identity) >= 0:
        given["node.id"] = given["broker.id"] = identity
        origin.setdefault("node.id", origin.get("broker.id", ON_COMMAND_LINE))


def _add_former_defaults(given: dict[str, str], origin: dict[str, str]) -> None:
    """Put the defaults of a release that is played beneath what is given."""
    if not (name := given.get("ottla.emulate", "")):
        return
    from broker.emulation import defaults_of
    from kproto.release.history import release_named

    for key, value in defaults_of(release_named(name) or "").items():
        if key not in given:
            given[key], origin[key] = value, f"of release {name}"


def _move_first_listener(
    given: dict[str, str], origin: dict[str, str], host: str | None, port: int | None
) -> list[str]:
    """Let the command's `--host` and `--port` replace those of the first listener; returns notices."""
    try:
        listeners, advertised = listeners_of(Layers(given))
    except Contradiction as error:
        raise ConfigError(f"{error.keys[0]} {origin.get(error.keys[0], ON_COMMAND_LINE)}: {error}") from error
    first = listeners[0]
    moved = first._replace(
        host=first.host if host is None else host.strip("[]"), port=first.port if port is None else port
    )
    given["listeners"] = ",".join(map(str, (moved, *listeners[1:])))
    origin["listeners"] = ON_COMMAND_LINE
    # What the file advertises is true of the address in the file.
    if first.name not in advertised or origin["advertised.listeners"] == ON_COMMAND_LINE:
        return []
    rest = [str(Listener(name, *address)) for name, address in advertised.items() if name != first.name]
    if rest:
        given["advertised.listeners"] = ",".join(rest)
    else:
        del given["advertised.listeners"]
    return [f"advertised.listeners {origin['advertised.listeners']} is ignored for {first.name}, which was moved"]


def _unknown(given: Mapping[str, str], origin: Mapping[str, str]) -> list[tuple[str, str]]:
    """The keys that no broker knows: for each a sentence that lacks its end, and a hint at the nearest known key."""
    return [
        (f"{name} {origin[name]} is", _nearest(name))
        for name in given
        if broker_key(name) is None and not name.startswith(f"{PROVIDERS}.")
    ]


def _notices(given: Mapping[str, str], origin: Mapping[str, str]) -> list[str]:
    """What to say about keys that have no effect, each once."""
    idle: dict[Effect, list[str]] = {Effect.NOTHING: [], Effect.LATER: []}
    for name in given:
        if broker_key(name) is not None and (effect := effect_of(name)) in idle:
            idle[effect].append(name)
    notices = []
    roles = given.get("process.roles", "broker,controller")
    if "controller" not in roles:
        notices.append("process.roles names no controller; this process is its own")
    if idle[Effect.NOTHING]:
        notices.append(f"accepted, but without meaning here: {', '.join(idle[Effect.NOTHING])}")
    if idle[Effect.LATER]:
        notices.append(f"accepted, but not served yet: {', '.join(idle[Effect.LATER])}")
    controllers = {name.upper() for name in split_list(given.get("controller.listener.names", "CONTROLLER"))}
    entries = split_list(given.get("listeners", ""))
    closed = [entry for entry in entries if entry.partition(":")[0].upper() in controllers]
    if closed:
        notices.append(f"not opened, since there is no quorum of controllers here: {', '.join(closed)}")
    return notices


def _nearest(name: str) -> str:
    import difflib

    known = [key.name for key in BROKER_KEYS.values() if not key.internal]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f"; did you mean {nearest[0]}?" if nearest else ""
