"""Values that are kept elsewhere: `${provider:path:key}` in a value is replaced by what a provider has under that key.

    config.providers=env,file
    config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
    config.providers.env.param.allowlist.pattern=KAFKA_.*
    config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
    ssl.keystore.password=${file:/run/secrets/broker.properties:keystore}

| class of Kafka          | reference              | is                                    | may be narrowed by  |
|-------------------------|------------------------|---------------------------------------|---------------------|
| EnvVarConfigProvider    | `${env:NAME}`          | an environment variable               | `allowlist.pattern` |
| FileConfigProvider      | `${file:/path:key}`    | a key of a `.properties` file         | `allowed.paths`     |
| DirectoryConfigProvider | `${directory:/path:f}` | the text of the file f of a directory | `allowed.paths`     |

The names before the first colon are free; the list gives them. What a pattern must match is the whole variable's name;
allowed paths are files, or directories with all that is below them, named absolutely, and links are not followed when
a path is held against them. A value that was put in is not searched for references again.

A reference to a provider that `config.providers` does not name stays as it is, which is said once: such a text may
mean itself. What does not resolve although its provider is there (no such variable, key or file, or not an allowed
one) stops the start. Kafka leaves such a text as it is, and would keep its data in a directory called `${env:DATA}`.

Values that were put in may be secrets, so no sentence repeats them: sentences show the reference. DescribeConfigs shows
them, like any value, unless their key is sensitive; Kafka does so too.

Source: KIP-297, KIP-421, KIP-887, KIP-993 and `ConfigTransformer`.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

from broker.config.keys.definition import split_list, trimmed
from broker.config.properties import PropertiesError, decode, parse_properties

LIST_KEY: Final = "config.providers"
PREFIX: Final = "config.providers."
_REFERENCE: Final = re.compile(r"\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}")
_KAFKAS: Final = "org.apache.kafka.common.config.provider."


class Files(Protocol):
    """What providers need of a disk (`storage/seams/disk.py`)."""

    def read_file(self, path: str) -> bytes | None:
        """The bytes of a file; None if there is none. Raises OSError."""
        ...

    def list_directory(self, path: str) -> list[str]:
        """The names in a directory. Raises OSError."""
        ...


class Unresolved(ValueError):
    """A provider cannot be made, or has no value for a reference. The message completes "<key>=<value>: ...".

    `key` is the configuration key at fault, where that is not the one whose value was looked at.
    """

    def __init__(self, complaint: str, key: str | None = None) -> None:
        super().__init__(complaint)
        self.key = key


class Reference(NamedTuple):
    """One `${provider:path:key}`; `path` is empty where there is none."""

    provider: str
    path: str
    key: str


Provider = Callable[[Reference], str]
"""The value that a reference stands for. Raises Unresolved."""


class Providers:
    """The providers that a configuration names, in the environment and on the disk that they look at."""

    def __init__(self, given: Mapping[str, str], environment: Mapping[str, str], files: Files) -> None:
        """Make the providers of `given`'s list. Raises Unresolved."""
        self._files = files
        self._environment = environment
        self._providers = {name: self._make(name, given) for name in split_list(given.get(LIST_KEY, "")) if name}

    def resolve(self, text: str) -> tuple[str, list[Reference]]:
        """`text` with references replaced, and those that no provider is there for. Raises Unresolved."""
        strangers: list[Reference] = []

        def value(match: re.Match[str]) -> str:
            reference = Reference(match[1], match[2] or "", match[3])
            provider = self._providers.get(reference.provider)
            if provider is None:
                strangers.append(reference)
                return match[0]
            return provider(reference)

        return _REFERENCE.sub(value, text), strangers

    def _make(self, name: str, given: Mapping[str, str]) -> Provider:
        class_key = f"{PREFIX}{name}.class"
        wanted = given.get(class_key)
        parameter = f"{PREFIX}{name}.param."
        if wanted is None:
            raise Unresolved(f"{class_key} does not say what the provider {name} is", LIST_KEY)
        if wanted == _KAFKAS + "EnvVarConfigProvider":
            key = parameter + "allowlist.pattern"
            return partial(self._variable, _pattern(key, given.get(key)))
        if wanted == _KAFKAS + "FileConfigProvider":
            return partial(self._property, _allowed(parameter + "allowed.paths", given))
        if wanted == _KAFKAS + "DirectoryConfigProvider":
            return partial(self._file_of_directory, _allowed(parameter + "allowed.paths", given))
        raise Unresolved(
            f"no Java class is loaded here; there are EnvVarConfigProvider, FileConfigProvider and "
            f"DirectoryConfigProvider of {_KAFKAS.rstrip('.')}",
            class_key,
        )

    def _variable(self, allowed: re.Pattern[str] | None, reference: Reference) -> str:
        if reference.path:
            raise Unresolved(f"an environment variable has no path such as {reference.path}")
        if allowed is not None and not allowed.fullmatch(reference.key):
            raise Unresolved(f"allowlist.pattern does not allow the variable {reference.key}")
        value = self._environment.get(reference.key)
        if value is None:
            raise Unresolved(f"the environment has no variable {reference.key}")
        return value

    def _property(self, allowed: tuple[str, ...] | None, reference: Reference) -> str:
        path = _narrowed(reference, allowed)
        data = self._read(path)
        try:
            found = {key: value for key, value, _ in parse_properties(decode(data))}
        except PropertiesError as error:
            raise Unresolved(f"{path}, line {error.line}: {error}") from error
        if reference.key not in found:
            raise Unresolved(f"{path} has no key {reference.key}")
        return found[reference.key]

    def _file_of_directory(self, allowed: tuple[str, ...] | None, reference: Reference) -> str:
        directory = _narrowed(reference, allowed)
        try:
            names = self._files.list_directory(directory)
        except OSError as error:
            raise Unresolved(f"the directory {directory} cannot be read: {error.strerror}") from error
        if reference.key not in names:  # which no path that leads out of it is
            raise Unresolved(f"the directory {directory} has no file {reference.key}")
        return decode(self._read(f"{directory}/{reference.key}"))

    def _read(self, path: str) -> bytes:
        try:
            data = self._files.read_file(path)
        except OSError as error:
            raise Unresolved(f"{path} cannot be read: {error.strerror}") from error
        if data is None:
            raise Unresolved(f"{path} does not exist")
        return data


def _pattern(key: str, text: str | None) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise Unresolved(f"it is no regular expression: {error}", key) from error


def _allowed(key: str, given: Mapping[str, str]) -> tuple[str, ...] | None:
    """The paths below which a provider may look; None for all."""
    text = trimmed(given.get(key, ""))
    if not text:
        return None
    paths = tuple(os.path.normpath(path) for path in split_list(text) if path)
    for path in paths:
        if not os.path.isabs(path):
            raise Unresolved(f"{path} is no absolute path", key)
    return paths


def _narrowed(reference: Reference, allowed: tuple[str, ...] | None) -> str:
    if not reference.path:
        raise Unresolved(f"there is no path before the key {reference.key}")
    path = os.path.normpath(reference.path)
    if allowed is not None and not any(_is_below(path, each) for each in allowed):
        raise Unresolved(f"allowed.paths does not allow {reference.path}")
    return path


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
