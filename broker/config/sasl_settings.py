"""What a listener that asks for SASL is made from: its mechanisms, and what each of them needs.

A key is looked for in four places, and the first that has it counts (KIP-103, KIP-86):

    listener.name.{listener}.{mechanism}.KEY  >  listener.name.{listener}.KEY  >  KEY  >  the default

**Login modules.** `listener.name.{listener}.{mechanism}.sasl.jaas.config` names Kafka's login module of the mechanism,
with the users of PLAIN in its options. Kafka reads no `sasl.jaas.config` without that prefix; here one is taken where
its login module is the mechanism's, so that it is not there in vain. SCRAM's users are in the cluster's log, and
OAUTHBEARER's tokens are signed, so these two need none. A login module that is not Kafka's stops the start.

**OAUTHBEARER** checks signatures with the keys that `sasl.oauthbearer.jwks.endpoint.url` gives. Kafka takes tokens that
are not signed at all unless another class is named; here they are taken only where Kafka's class for that is named.

Nothing is passed over: what cannot be had stops the start with a sentence that names the key.

Source: SaslChannelBuilder, JaasContext, ConfigurationUtils.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

from broker.config.jaas import JaasError, LoginModule, parse_jaas
from broker.config.keys.definition import Value

PLAIN: Final = "PLAIN"
OAUTHBEARER: Final = "OAUTHBEARER"
GSSAPI: Final = "GSSAPI"

_SECURITY: Final = "org.apache.kafka.common.security"
PLAIN_MODULE: Final = f"{_SECURITY}.plain.PlainLoginModule"
SCRAM_MODULE: Final = f"{_SECURITY}.scram.ScramLoginModule"
OAUTH_MODULE: Final = f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule"
MODULES: Final = {
    PLAIN: PLAIN_MODULE,
    "SCRAM-SHA-256": SCRAM_MODULE,
    "SCRAM-SHA-512": SCRAM_MODULE,
    OAUTHBEARER: OAUTH_MODULE,
}
"""Mechanism -> its login module; those that are served."""

SIGNED_HANDLER: Final = f"{_SECURITY}.oauthbearer.OAuthBearerValidatorCallbackHandler"
UNSIGNED_HANDLER: Final = f"{_SECURITY}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
OLD_SIGNED_HANDLER: Final = f"{_SECURITY}.oauthbearer.secured.OAuthBearerValidatorCallbackHandler"

JAAS: Final = "sasl.jaas.config"
HANDLER: Final = "sasl.server.callback.handler.class"
MECHANISMS: Final = "sasl.enabled.mechanisms"
AUDIENCE: Final = "sasl.oauthbearer.expected.audience"
ISSUER: Final = "sasl.oauthbearer.expected.issuer"
JWKS: Final = "sasl.oauthbearer.jwks.endpoint.url"

Ask = Callable[[str, str], tuple[str, Value]]
"""Mechanism (empty: none in particular) and key -> the key where the value was found, and the value."""


class BadSasl(ValueError):
    """A listener's SASL cannot be had as configured. `key` is the culprit; the message says why, and shows nothing
    secret."""

    def __init__(self, complaint: str, key: str) -> None:
        super().__init__(complaint)
        self.key = key


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """How OAUTHBEARER's tokens are checked. `jwks_url` is None where they are not signed."""

    jwks_url: str | None
    refresh_ms: int
    retry_ms: int
    retry_max_ms: int
    audiences: tuple[str, ...]
    issuer: str | None
    scope_claim: str
    subject_claim: str
    required_scope: tuple[str, ...]
    skew_ms: int


@dataclass(frozen=True, slots=True)
class SaslSettings:
    """One listener's. `passwords` are PLAIN's, user to password."""

    mechanisms: tuple[str, ...]
    passwords: Mapping[str, str] = field(repr=False)
    oauth: OAuthSettings | None
    sessions_ms: Mapping[str, int]
    """Mechanism -> `connections.max.reauth.ms`, 0 for no end."""
    refusal_delay_ms: int
    largest_message: int


def sasl_settings(listener: str, ask: Ask) -> SaslSettings:
    """The settings of the listener called so. Raises BadSasl."""
    where, enabled = ask("", MECHANISMS)
    mechanisms = enabled if isinstance(enabled, tuple) else ()
    if not mechanisms:
        raise BadSasl(f"listener {listener} would ask its clients for SASL and offer no mechanism", where)
    for mechanism in mechanisms:
        if mechanism == GSSAPI:
            raise BadSasl(
                f"listener {listener} would offer GSSAPI (Kerberos), which is not served; name the mechanisms that it "
                f"shall have, of {', '.join(MODULES)}",
                where,
            )
        if mechanism not in MODULES:
            raise BadSasl(f"{mechanism} of listener {listener} is not served; {', '.join(MODULES)} are", where)
    logins = {mechanism: _login(listener, mechanism, ask) for mechanism in mechanisms}
    for mechanism in mechanisms:
        _check_handler(mechanism, ask)
    return SaslSettings(
        mechanisms=mechanisms,
        passwords=_passwords(listener, logins[PLAIN]) if PLAIN in logins else {},
        oauth=_oauth(listener, logins[OAUTHBEARER], ask) if OAUTHBEARER in logins else None,
        sessions_ms={
            mechanism: max(0, _integer(ask(mechanism, "connections.max.reauth.ms"))) for mechanism in mechanisms
        },
        refusal_delay_ms=_integer(ask("", "connection.failed.authentication.delay.ms")),
        largest_message=_integer(ask("", "sasl.server.max.receive.size")),
    )


def _integer(found: tuple[str, Value]) -> int:
    assert isinstance(found[1], int), "its default is a number"
    return found[1]


def _text(found: tuple[str, Value]) -> str | None:
    return str(found[1]) if found[1] else None


def _login(listener: str, mechanism: str, ask: Ask) -> LoginModule | None:
    """The mechanism's login module; None where it needs none and has none."""
    where, text = ask(mechanism, JAAS)
    own = where.lower().endswith(f".{mechanism.lower()}.{JAAS}")
    if not isinstance(text, str):
        return None
    try:
        module = parse_jaas(text)
    except JaasError as error:
        raise BadSasl(str(error), where) from None
    if module.name == MODULES[mechanism]:
        return module
    if module.name not in MODULES.values():
        gssapi = ", and Kerberos is not served" if "Krb5" in module.name else ""
        raise BadSasl(f"the login module {module.name} is none of Kafka's{gssapi}", where)
    if own:
        raise BadSasl(f"{module.name} is not the login module of {mechanism}, which is {MODULES[mechanism]}", where)
    return None  # that of another mechanism of the listener


def _passwords(listener: str, login: LoginModule | None) -> dict[str, str]:
    key = f"listener.name.{listener.lower()}.plain.{JAAS}"
    options = login.options if login is not None else {}
    users = {name.removeprefix("user_"): each for name, each in options.items() if name.startswith("user_")}
    if not users:
        raise BadSasl(
            f"no user could log in by PLAIN at listener {listener}: give each one an option user_NAME with its "
            f"password, in the login module {PLAIN_MODULE}",
            key,
        )
    return users


def _check_handler(mechanism: str, ask: Ask) -> None:
    where, name = ask(mechanism, HANDLER)
    if name and mechanism != OAUTHBEARER and mechanism.lower() in where:
        raise BadSasl(f"{name} is for OAUTHBEARER, and {mechanism} would not be asked by it", where)


def _oauth(listener: str, login: LoginModule | None, ask: Ask) -> OAuthSettings:
    def get(key: str) -> tuple[str, Value]:
        return ask(OAUTHBEARER, key)

    where, url = get(JWKS)
    handler_where, handler = get(HANDLER)
    unsigned = handler == UNSIGNED_HANDLER
    if unsigned and url:
        raise BadSasl("it takes tokens that are not signed, and the keys of sasl.oauthbearer.jwks.endpoint.url would "
                      "not be used", handler_where)  # fmt: skip
    if not unsigned and not url:
        raise BadSasl(
            f"listener {listener} needs it to check the tokens of OAUTHBEARER; only where {HANDLER} is "
            f"{UNSIGNED_HANDLER}, tokens are taken that are not signed",
            where,
        )
    if unsigned:
        return _unsigned(login)
    if find_spec("joserfc") is None:
        raise BadSasl("tokens are checked with a library that is not installed: pip install 'ottla[security]'", where)
    scheme = str(url).partition(":")[0].lower()
    if scheme not in ("https", "http", "file"):
        raise BadSasl("it must begin with https:, http: or file:", where)
    audiences, issuer = get(AUDIENCE), get(ISSUER)
    for (key, wanted), anything, what in (
        (audiences, "sasl.oauthbearer.allow.unverified.audience", "audiences that stand for this cluster"),
        (issuer, "sasl.oauthbearer.allow.unverified.issuer", "issuer of the tokens"),
    ):
        if not wanted and not get(anything)[1]:
            raise BadSasl(f"it must name the {what}; only with {anything}=true any would do", key)
    return OAuthSettings(
        jwks_url=str(url),
        refresh_ms=_integer(get("sasl.oauthbearer.jwks.endpoint.refresh.ms")),
        retry_ms=_integer(get("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms")),
        retry_max_ms=_integer(get("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms")),
        audiences=audiences[1] if isinstance(audiences[1], tuple) else (),
        issuer=_text(issuer),
        scope_claim=_text(get("sasl.oauthbearer.scope.claim.name")) or "scope",
        subject_claim=_text(get("sasl.oauthbearer.sub.claim.name")) or "sub",
        required_scope=(),
        skew_ms=1000 * _integer(get("sasl.oauthbearer.clock.skew.seconds")),
    )


def _unsigned(login: LoginModule | None) -> OAuthSettings:
    """Kafka's validator of tokens that are not signed takes its settings from the login module's options."""
    options = login.options if login is not None else {}
    skew = options.get("unsecuredValidatorAllowableClockSkewMs", "0")
    return OAuthSettings(
        jwks_url=None,
        refresh_ms=0,
        retry_ms=0,
        retry_max_ms=0,
        audiences=(),
        issuer=None,
        scope_claim=options.get("unsecuredValidatorScopeClaimName") or "scope",
        subject_claim=options.get("unsecuredValidatorPrincipalClaimName") or "sub",
        required_scope=tuple(options.get("unsecuredValidatorRequiredScope", "").split()),
        skew_ms=int(skew) if skew.isdecimal() else 0,
    )
