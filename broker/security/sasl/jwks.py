"""The keys of an issuer of tokens: read from a file or an address, kept, and read again (RFC 7517).

Keys are read when the first token comes, and again once they are older than
`sasl.oauthbearer.jwks.endpoint.refresh.ms`, or when a token names a key that is not among them: issuers change their
keys. A key that there is not costs no more than a reading every `UNKNOWN_KEY_SECONDS`, whatever clients send. While
they cannot be read, those that were read last count, and it is tried again after a pause that doubles, from
`...retry.backoff.ms` to `...retry.backoff.max.ms`; without any, tokens are refused.

**An issuer that does not answer** is one that cannot be read. A client has ten seconds to prove who it is, so a reading
is given up after `READ_SECONDS`, while there is time left to check the token with the keys of before; and a client
whose key is known does not wait for a reading that another's token has brought about. A reading is not given up because
its client goes: else clients that come and go would have the issuer asked without a pause, and never heard.

Reading happens in a thread that does nothing else (`Lane.KEYS`), since an issuer may hold it for long; checking in
another, as does the import of the library that checks (`joserfc`, of the extra `security`), which takes a third of a
second.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.security.sasl.oauthbearer import ALGORITHMS, BadToken
from storage.seams.logging import RateLimitedLogger
from storage.seams.offload import Lane

if TYPE_CHECKING:
    from broker.config.sasl_settings import OAuthSettings
    from storage.seams.offload import Offload

UNKNOWN_KEY_SECONDS: Final = 10.0
READ_SECONDS: Final = 5.0
"""How long an issuer may take to answer."""
MOST_KEYS: Final = 100


class KeySetError(Exception):
    """Keys cannot be read; the message says why."""


class JsonWebKeys:
    """The keys at one address. `load` reads it, in a thread: it returns the bytes, or raises KeySetError."""

    def __init__(
        self, settings: OAuthSettings, load: Callable[[str], bytes], offload: Offload, log: RateLimitedLogger
    ) -> None:
        assert settings.jwks_url is not None
        self._url = settings.jwks_url
        self._settings = settings
        self._load = load
        self._offload = offload
        self._log = log
        self._keys: list[Any] | None = None
        self._read_at = -math.inf
        self._again_at = -math.inf  # not before, after a failure
        self._pause = 0.0
        self._reading = trio.Lock()

    async def verified(self, token: str) -> bytes:
        """The payload of a token that one of the keys has signed. Raises BadToken."""
        kid = await self._offload.run(_key_id, token, abandonable=True, lane=Lane.REQUESTS)
        if not (self._reading.locked() and self._candidates(kid)):
            await self._read_if(lambda: self._age > self._settings.refresh_ms / 1000)
        if not self._candidates(kid):
            await self._read_if(lambda: not self._candidates(kid) and self._age > UNKNOWN_KEY_SECONDS)
        keys = self._candidates(kid)
        if not keys:
            raise BadToken("its key is unknown" if self._keys is not None else "there are no keys to check it with")
        return await self._offload.run(_payload, token, keys, abandonable=True, lane=Lane.REQUESTS)

    @property
    def _age(self) -> float:
        return trio.current_time() - self._read_at

    def _candidates(self, kid: str | None) -> list[Any]:
        """The keys that may have signed: the one that is named, or all if none is."""
        keys = self._keys or []
        return keys if kid is None else [key for key in keys if key.kid == kid]

    async def _read_if(self, due: Callable[[], bool]) -> None:
        if not due() or trio.current_time() < self._again_at:
            return
        async with self._reading:
            if not due() or trio.current_time() < self._again_at:
                return  # another client's token has brought it about
            try:
                self._keys = await self._read()
            except KeySetError as error:
                least, most = self._settings.retry_ms / 1000, self._settings.retry_max_ms / 1000
                self._pause = min(max(2 * self._pause, least), most)
                self._again_at = trio.current_time() + self._pause
                self._log.error("keys of tokens cannot be read", reason=str(error), address=self._url)
            else:
                self._read_at = trio.current_time()
                self._pause = 0.0

    async def _read(self) -> list[Any]:
        """The keys that there are now. Raises KeySetError."""
        with trio.move_on_after(READ_SECONDS, shield=True):
            return await self._offload.run(_read, self._load, self._url, abandonable=True, lane=Lane.KEYS)
        raise KeySetError(f"they have not come within {READ_SECONDS:g} s")


def _read(load: Callable[[str], bytes], url: str) -> list[Any]:
    """In a thread: the keys at `url`. Raises KeySetError."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    try:
        found = json.loads(load(url))
        entries = found["keys"]
        assert isinstance(entries, list)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        raise KeySetError("what is there is no set of keys (RFC 7517)") from None
    keys = []
    for entry in entries[:MOST_KEYS]:
        try:
            if entry.get("use", "sig") == "sig":
                keys.append(JWKRegistry.import_key(entry))
        except (JoseError, ValueError, KeyError, TypeError, AttributeError):
            continue  # of a kind that is not known here: those beside it may be
    if not keys:
        raise KeySetError("none of the keys there is of a kind that is known here")
    return keys


def _key_id(token: str) -> str | None:
    """In a thread: the id of the key that the token names. Raises BadToken."""
    from joserfc import jws
    from joserfc.errors import JoseError

    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise BadToken("it is no signed token") from None
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None


def _payload(token: str, keys: list[Any]) -> bytes:
    """In a thread: what the token says, if one of the keys has signed it. Raises BadToken."""
    from joserfc import jws
    from joserfc.errors import JoseError

    for key in keys:
        try:
            payload = jws.deserialize_compact(token, key, algorithms=ALGORITHMS).payload
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
        return bytes(payload)
    raise BadToken("none of the keys has signed it")
