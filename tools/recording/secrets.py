"""What is not to be read in a recording: passwords, tokens and what they could be made from.

Recordings are sent to people who are to find a fault. So what proves who a client is never reaches the file, unless it
was asked for: a recording that is masked can be looked at, and its logins cannot be held again.

| where | what |
| --- | --- |
| SaslAuthenticate, and tokens behind SaslHandshake 0 | all that is exchanged |
| AlterUserScramCredentials | salt and salted password |
| delegation tokens | the HMAC, which is the token's password |
| AlterConfigs, IncrementalAlterConfigs, CreateTopics | values of keys called password, secret, token, jaas, key |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from kproto.schema.declare import Message, Struct, fields_of

MASK: Final = b"*"
SENSITIVE: Final = re.compile(r"password|secret|token|credential|jaas|\.key$|keystore\.key", re.IGNORECASE)


def _bytes(*names: str) -> Callable[[Any], bool]:
    """Masks these fields, wherever they are in the message."""

    def mask(message: Any) -> bool:
        found = False
        for struct in structs_of(message):
            for name in names:
                if getattr(struct, name, b""):
                    setattr(struct, name, MASK)
                    found = True
        return found

    return mask


def _configs(message: Any) -> bool:
    found = False
    for struct in structs_of(message):
        name, value = getattr(struct, "name", None), getattr(struct, "value", None)
        if isinstance(name, str) and isinstance(value, str) and SENSITIVE.search(name):
            struct.value = MASK.decode()
            found = True
    return found


MASKS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "SaslAuthenticateRequest": _bytes("auth_bytes"),
    "SaslAuthenticateResponse": _bytes("auth_bytes"),
    "AlterUserScramCredentialsRequest": _bytes("salt", "salted_password"),
    "CreateDelegationTokenResponse": _bytes("hmac"),
    "DescribeDelegationTokenResponse": _bytes("hmac"),
    "RenewDelegationTokenRequest": _bytes("hmac"),
    "ExpireDelegationTokenRequest": _bytes("hmac"),
    "AlterConfigsRequest": _configs,
    "IncrementalAlterConfigsRequest": _configs,
    "CreateTopicsRequest": _configs,
}
"""Message -> a function that masks what is secret in it, and returns whether there was anything."""


def mask(message: Message) -> bool:
    """Mask what is secret in a message, in place; True if something was."""
    found = MASKS.get(type(message).__name__)
    return found is not None and found(message)


def structs_of(struct: Struct) -> Iterator[Any]:
    """A struct and all that are inside of it."""
    yield struct
    for declared in fields_of(type(struct)):
        kind = declared.type.element or declared.type
        if kind.struct is None:
            continue
        value = getattr(struct, declared.name)
        for each in (value or ()) if declared.type.element is not None else [value]:
            if each is not None:
                yield from structs_of(each)
