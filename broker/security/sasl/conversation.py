"""What a client says until it is authenticated, in which order, and how long that counts.

    ApiVersions, once  ->  SaslHandshake  ->  SaslAuthenticate, as often as the mechanism needs
                                          ->  after a SaslHandshake v0: the mechanism's messages, framed, and no more

Anything else is not even decoded (`admits`). Once the client is authenticated, a SaslHandshake is an error, unless its
session ends some time: then it begins a new authentication on the same connection (KIP-368), at most one a second.

**A session ends** when what proved the client's identity expires (a token), or `connections.max.reauth.ms` after the
proof, whichever comes first. The client learns how long it has. It may then only authenticate again, with the same
mechanism and as the same principal; any other request of it closes the connection (`overdue`).

`Conversation` is told what arrives and says what is so; it sends nothing and closes nothing. Times are monotonic
seconds, but for what expires, which is wall-clock milliseconds.

Source: SaslServerAuthenticator (SaslState, ReauthInfo), KafkaChannel.maybeBeginServerReauthentication.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from broker.security.principals import Principal
from broker.security.sasl.exchange import Exchange, Identity, Refusal
from kproto.errors import ErrorCode, KafkaError

SASL_HANDSHAKE: Final = 17
API_VERSIONS: Final = 18
SASL_AUTHENTICATE: Final = 36

SECONDS_BETWEEN_PROOFS: Final = 1.0
"""A client may begin to authenticate again once in so many."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a listener has for its clients: by mechanism, how an exchange begins, and the longest session in ms (0: as
    long as the client likes)."""

    exchanges: Mapping[str, Callable[[], Exchange]]
    sessions_ms: Mapping[str, int]
    refusal_delay_ms: int
    """How long a refusal is held back (`connection.failed.authentication.delay.ms`)."""
    largest_message: int
    """Bytes of a frame with a mechanism's message (`sasl.server.max.receive.size`)."""


class Step(Enum):
    """What is expected next."""

    VERSIONS_OR_HANDSHAKE = auto()
    HANDSHAKE = auto()
    TOKEN = auto()
    RAW_TOKEN = auto()
    """A mechanism's message, without a request around it."""
    NOTHING = auto()
    """The client is authenticated."""
    REFUSED = auto()


class Proof(NamedTuple):
    """What an evaluated message has led to."""

    answer: bytes
    """For the client."""
    session_ms: int = 0
    """How long the session lasts that has begun; 0 for no end, and while the proof is not complete."""


class Conversation:
    """One connection's."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.step = Step.VERSIONS_OR_HANDSHAKE
        self.mechanism = ""
        self.principal: Principal | None = None
        """Who the client is; kept while it proves that again."""
        self._exchange: Exchange | None = None
        self._proved_with = ""
        self._session_ends = math.inf
        self._began_again = -math.inf

    @property
    def authenticated(self) -> bool:
        """Whether the client has proved who it is, and nothing is under way."""
        return self.step is Step.NOTHING

    @property
    def refused(self) -> bool:
        """Whether the client has not proved who it is."""
        return self.step is Step.REFUSED

    @property
    def again(self) -> bool:
        """Whether this is not the first proof on this connection."""
        return self.principal is not None

    def admits(self, api_key: int) -> bool:
        """Whether a request of this API may be decoded, before the client is authenticated. In the midst of an exchange
        any is, since Kafka answers that it does not belong there."""
        if self.step is Step.VERSIONS_OR_HANDSHAKE:
            return api_key in (API_VERSIONS, SASL_HANDSHAKE)
        return api_key == SASL_HANDSHAKE if self.step is Step.HANDSHAKE else self.step is Step.TOKEN

    def overdue(self, api_key: int, now: float) -> bool:
        """Whether an authenticated client sends this too late: its session is over, or it is being renewed."""
        if self.step is Step.TOKEN:
            return api_key != SASL_AUTHENTICATE
        return now > self._session_ends and api_key != SASL_HANDSHAKE

    def versions_told(self) -> None:
        """ApiVersions has been answered without an error: the next one would close the connection."""
        if self.step is Step.VERSIONS_OR_HANDSHAKE:
            self.step = Step.HANDSHAKE

    def choose(self, mechanism: str, version: int, now: float) -> None:
        """A SaslHandshake has come. Raises KafkaError: ILLEGAL_SASL_STATE for one that comes at no time for it,
        UNSUPPORTED_SASL_MECHANISM, after which the conversation is over."""
        if self.step is Step.NOTHING:
            soon = now - self._began_again < SECONDS_BETWEEN_PROOFS
            if self._session_ends == math.inf or soon or version == 0:
                raise KafkaError(ErrorCode.ILLEGAL_SASL_STATE)
            self._began_again = now
        elif self.step not in (Step.VERSIONS_OR_HANDSHAKE, Step.HANDSHAKE):
            raise KafkaError(ErrorCode.ILLEGAL_SASL_STATE)
        begin = self.offer.exchanges.get(mechanism)
        if begin is None:
            self.step = Step.REFUSED
            raise KafkaError(ErrorCode.UNSUPPORTED_SASL_MECHANISM)
        self.mechanism = mechanism
        self._exchange = begin()
        self.step = Step.TOKEN if version > 0 else Step.RAW_TOKEN

    async def evaluate(self, message: bytes, clock: Callable[[], tuple[float, int]]) -> Proof:
        """A message of the mechanism has come; `clock` is asked for the time once it has been looked at. Raises
        Refusal, after which the conversation is over."""
        assert self.step in (Step.TOKEN, Step.RAW_TOKEN) and self._exchange is not None
        try:
            if self.again and self.mechanism != self._proved_with:
                raise Refusal("another mechanism than before")
            answer = await self._exchange.evaluate(message)
            if (identity := self._exchange.identity) is None:
                return Proof(answer)
            self._check_unchanged(principal := Principal(identity.kind, identity.name, identity.token))
        except Refusal:
            self.step = Step.REFUSED
            raise
        self.principal, self._proved_with, self._exchange = principal, self.mechanism, None
        self.step = Step.NOTHING
        now, wall = clock()
        session_ms = self._session_of(identity, wall)
        self._session_ends = math.inf if session_ms is None else now + session_ms / 1000
        return Proof(answer, session_ms or 0)

    def _check_unchanged(self, principal: Principal) -> None:
        before = self.principal
        if before is not None and before != principal:
            raise Refusal(
                "another principal than before",
                "Cannot change principals during re-authentication from "
                f"{before.kind}.{before.name}: {principal.kind}.{principal.name}",
            )

    def _session_of(self, identity: Identity, wall: int) -> int | None:
        """Milliseconds that the session lasts; None for no end."""
        limits = [identity.expires - wall] if identity.expires is not None else []
        if longest := self.offer.sessions_ms.get(self.mechanism, 0):
            limits.append(longest)
        return max(0, min(limits)) if limits else None

    def told(self, refusal: Refusal) -> str:
        """What the client is sent: Kafka's sentence, which is the same whether the user exists or not."""
        if refusal.told is not None:
            return refusal.told
        what = "re-authentication" if self.again else "authentication"
        return f"Authentication failed during {what} due to invalid credentials with SASL mechanism {self.mechanism}"
