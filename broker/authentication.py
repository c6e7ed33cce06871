"""Who may log in at which listener: mechanisms as configured, users and tokens where they are kept.

`Offer`s are made of the settings in force, so a password that is altered counts for the next client, and a credential
in the cluster's log as soon as its record is durable. What a client that has logged in may do is not asked here.

**The audit log.** A line for each client that has proved who it is, and for each that has not: address, listener,
mechanism, principal, and why. A user that does not exist is not named, for that text may be a password; nor is
anything else shown that a client sent. What many clients cause at once is a line a second of each kind.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.config.sasl_settings import OAUTHBEARER
from broker.security.sasl.conversation import Conversation, Offer, Proof
from broker.security.sasl.exchange import Exchange, Identity, Refusal
from storage.seams.logging import RateLimitedLogger, get_logger

if TYPE_CHECKING:
    from broker.config.sasl_settings import OAuthSettings, SaslSettings
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterCoordinator
    from broker.delegation_tokens import DelegationTokens
    from broker.security.sasl.scram import Hash, Known, ScramExchange
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy
    from storage.seams.offload import Offload

NONCE_BYTES: Final = 24

BROKERS_MECHANISM: Final = "OTTLA-BROKER"
"""`broker/security/sasl/brokers.py`, which is loaded when a broker comes."""
REFUSAL_DELAY_MS: Final = 100
LARGEST_OF_BROKERS: Final = 4096
"""Bytes of a message of theirs."""


class Authentication:
    """One per broker. `secret` makes the salts of users that do not exist; it is to be the same after a restart."""

    def __init__(
        self,
        cluster: ClusterCoordinator,
        tokens: DelegationTokens,
        clock: Clock,
        entropy: Entropy,
        offload: Offload,
        *,
        secret: bytes,
        load_keys: Callable[[str], bytes],
        world: Clock | None = None,
    ) -> None:
        """`load_keys` reads the keys of an issuer of tokens, in a thread (`JsonWebKeys`). `world` is the clock that
        issuers of signed tokens go by, where `clock` may be ahead of it."""
        self._cluster = cluster
        self._tokens = tokens
        self._clock = clock
        self._entropy = entropy
        self._offload = offload
        self._secret = secret
        self._load_keys = load_keys
        self._world = world or clock
        self._config: BrokerConfig | None = None
        self._brokers_secret: bytes | None = None
        self._offers: dict[str, Offer] = {}
        self.log = RateLimitedLogger(get_logger(__name__), trio.current_time)
        """The audit log. The owner of connections calls `flush`."""

    def conversation(self, listener: str) -> Conversation:
        """What a new client of this listener is asked."""
        if self._config is not self._cluster.config:
            self._config = self._cluster.config
            self._offers.clear()
        offer = self._offers.get(listener)
        if offer is None:
            offer = self._offers[listener] = self._offer(self._config.sasl_settings(listener))
        return Conversation(offer)

    def let_brokers_in(self, secret: bytes) -> None:
        """Let those in who know this, as brokers of the cluster, at every listener."""
        self._brokers_secret = secret
        self._offers.clear()

    def conversation_with_broker(self, mechanism: str) -> Conversation | None:
        """What is spoken with a client of a listener without SASL that asks for this mechanism; None for one that is
        not for brokers, and where there are no others."""
        if mechanism != BROKERS_MECHANISM or self._brokers_secret is None:
            return None
        return Conversation(Offer({mechanism: self._begin_with_broker}, {}, REFUSAL_DELAY_MS, LARGEST_OF_BROKERS))

    def _begin_with_broker(self) -> Exchange:
        from broker.security.sasl.brokers import NONCE, BrokerExchange

        assert self._brokers_secret is not None
        return BrokerExchange(self._brokers_secret, self._entropy.bytes(NONCE))

    def _offer(self, settings: SaslSettings) -> Offer:
        from broker.security.sasl.plain import PLAIN, PlainExchange
        from broker.security.sasl.scram import HASHES

        exchanges: dict[str, Callable[[], Exchange]] = {}
        if self._brokers_secret is not None:
            exchanges[BROKERS_MECHANISM] = self._begin_with_broker
        for mechanism in settings.mechanisms:
            if mechanism == PLAIN:
                exchanges[mechanism] = lambda: PlainExchange(settings.passwords)
            elif mechanism in HASHES:
                exchanges[mechanism] = self._scram(HASHES[mechanism])
            elif settings.oauth is not None:
                exchanges[mechanism] = self._bearer(settings.oauth)
        return Offer(exchanges, settings.sessions_ms, settings.refusal_delay_ms, settings.largest_message)

    def _bearer(self, settings: OAuthSettings) -> Callable[[], Exchange]:
        from broker.security.sasl.jwks import JsonWebKeys
        from broker.security.sasl.oauthbearer import OAuthBearerExchange, SignedTokens, UnsignedTokens

        now = self._world.wall_millis
        if settings.jwks_url is None:
            return partial(OAuthBearerExchange, UnsignedTokens(settings, now))
        keys = JsonWebKeys(settings, self._load_keys, self._offload, self.log)
        return partial(OAuthBearerExchange, SignedTokens(settings, keys, now))

    def _scram(self, which: Hash) -> Callable[[], ScramExchange]:
        from broker.security.sasl.scram import ScramExchange

        def begin() -> ScramExchange:
            nonce = base64.b64encode(self._entropy.bytes(NONCE_BYTES)).decode()
            return ScramExchange(which, self._find, nonce, self._secret)

        return begin

    async def has_password(self, user: str, password: str) -> bool:
        """Whether a listener with PLAIN or SCRAM would let this user in with this password. For who comes by another
        way than Kafka's protocol; takes milliseconds, in a thread, whether there is such a user or not."""
        from broker.security.sasl.plain import PLAIN, PlainExchange
        from broker.security.sasl.scram import HASHES, MIN_ITERATIONS, credential_of, salted

        listeners = [one.name for one in self._cluster.config.listeners if one.protocol.startswith("SASL")]
        settings = [self._cluster.config.sasl_settings(name) for name in listeners]
        names = {name for each in settings for name in each.mechanisms}
        credentials = self._cluster.image.credentials
        alike = False
        for which in HASHES.values():
            if which.mechanism in names:
                known = credentials.get((which.number, user))
                salt, iterations = (b"", MIN_ITERATIONS) if known is None else (known.salt, known.iterations)
                word = await self._offload.run(salted, which, password, salt, iterations)
                made = credential_of(which, word, salt, iterations)
                alike |= known is not None and hmac.compare_digest(made.stored_key, known.stored_key)
        for each in settings:
            if PLAIN in each.mechanisms:
                with contextlib.suppress(Refusal):
                    await PlainExchange(each.passwords).evaluate(f"\0{user}\0{password}".encode())
                    alike = True
        if not alike:
            self.refused("a wrong name or password", mechanism="Basic")
        return alike

    async def _find(self, which: Hash, name: str, by_token: bool) -> Known | None:
        from broker.security.sasl.scram import Known

        if by_token:
            found = await self._tokens.credential(which, name)
            if found is None:
                return None
            token = found[1]
            return Known(found[0], Identity(token.owner.name, True, token.expires))
        credential = self._cluster.image.credentials.get((which.number, name))
        return None if credential is None else Known(credential, Identity(name))

    async def evaluate(self, conversation: Conversation, message: bytes, **who: Any) -> Proof:
        """A message of the client's mechanism; `who` it came from is for the log. Raises Refusal."""
        again = conversation.again
        try:
            proof = await conversation.evaluate(message, partial(self._now, conversation))
        except Refusal as refusal:
            self.refused(refusal.reason, mechanism=conversation.mechanism, user=refusal.user, **who)
            raise
        if conversation.authenticated:
            self.log.info(
                "client authenticated",
                again=again,
                principal=str(conversation.principal),
                mechanism=conversation.mechanism,
                **who,
            )
        return proof

    def refused(self, reason: str, *, mechanism: str = "", user: str | None = None, **who: Any) -> None:
        """A client has not proved who it is."""
        more = {key: value for key, value in (("mechanism", mechanism), ("user", user)) if value}
        self.log.warning("authentication failed", kind=f"authentication failed: {reason}", reason=reason, **more, **who)

    def _now(self, conversation: Conversation) -> tuple[float, int]:
        clock = self._world if conversation.mechanism == OAUTHBEARER else self._clock
        return trio.current_time(), clock.wall_millis()
