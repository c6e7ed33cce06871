"""What a SASL listener is made from: everything that is configured counts, or stops the start."""

from __future__ import annotations

import pytest

from broker.config.loading import parse_config
from broker.config.sasl_settings import (
    OAUTH_MODULE,
    PLAIN_MODULE,
    SCRAM_MODULE,
    SIGNED_HANDLER,
    UNSIGNED_HANDLER,
    SaslSettings,
)
from broker.config.settings import BrokerConfig, ConfigError

PREFIX = "listener.name.outside."
JWKS = "sasl.oauthbearer.jwks.endpoint.url"
SIGNED = {
    "sasl.enabled.mechanisms": "OAUTHBEARER",
    JWKS: "file:/keys.json",
    "sasl.oauthbearer.expected.audience": "us,them",
    "sasl.oauthbearer.expected.issuer": "https://issuer",
}


def config(mechanisms: str = "", **more: str) -> BrokerConfig:
    listener = {
        "listeners": "PLAINTEXT://:1,OUTSIDE://:2",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,OUTSIDE:SASL_PLAINTEXT",
    }
    keys = {"sasl.enabled.mechanisms": mechanisms} if mechanisms else {}
    return parse_config("", "", listener | keys | more)


def settings(mechanisms: str = "", **more: str) -> SaslSettings:
    return config(mechanisms, **more).sasl_settings("OUTSIDE")


def plain(users: str) -> str:
    return f"{PLAIN_MODULE} required {users};"


@pytest.mark.parametrize("key", [f"{PREFIX}plain.sasl.jaas.config", f"{PREFIX}sasl.jaas.config", "sasl.jaas.config"])
def test_plains_users_are_in_its_login_module(key: str) -> None:
    """With the listener's and the mechanism's prefix, as Kafka reads it, and also without: not in vain."""
    found = settings("PLAIN", **{key: plain('username="me" password="x" user_a="s3cret" user_b="2"')})
    assert found.passwords == {"a": "s3cret", "b": "2"}
    assert found.mechanisms == ("PLAIN",)
    assert "s3cret" not in repr(found)


def test_the_nearest_value_counts() -> None:
    """The mechanism's before the listener's before that of all."""
    found = settings(
        "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        **{
            f"{PREFIX}plain.sasl.jaas.config": plain('user_a="near"'),
            "sasl.jaas.config": plain('user_a="far"'),
            "connections.max.reauth.ms": "1000",
            f"{PREFIX}connections.max.reauth.ms": "2000",
            f"{PREFIX}scram-sha-512.connections.max.reauth.ms": "3000",
            f"{PREFIX}sasl.server.max.receive.size": "70000",
        },
    )
    assert found.passwords == {"a": "near"}
    assert found.sessions_ms == {"PLAIN": 2000, "SCRAM-SHA-256": 2000, "SCRAM-SHA-512": 3000}
    assert found.largest_message == 70_000


def test_each_listener_has_its_mechanisms() -> None:
    """One prefix each."""
    found = config(
        "SCRAM-SHA-256",
        **{
            "listeners": "INSIDE://:1,OUTSIDE://:2",
            "listener.security.protocol.map": "INSIDE:SASL_PLAINTEXT,OUTSIDE:SASL_PLAINTEXT",
            "listener.name.inside.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        },
    )
    assert found.sasl_settings("INSIDE").mechanisms == ("SCRAM-SHA-512",)
    assert found.sasl_settings("OUTSIDE").mechanisms == ("SCRAM-SHA-256",)


def test_scram_needs_no_login_module_but_may_have_one() -> None:
    """Its users are in the cluster's log; what the module says is for brokers that log in to others."""
    assert settings("SCRAM-SHA-256").mechanisms == ("SCRAM-SHA-256",)
    module = f'{SCRAM_MODULE} required username="admin" password="x";'
    assert settings("SCRAM-SHA-256", **{f"{PREFIX}scram-sha-256.sasl.jaas.config": module}).passwords == {}
    assert settings("SCRAM-SHA-256", **{"sasl.jaas.config": module}).passwords == {}


def test_tokens_are_checked_as_configured() -> None:
    """Every key of `sasl.oauthbearer` that a broker's validator has."""
    oauth = settings(
        **SIGNED,
        **{
            "sasl.oauthbearer.clock.skew.seconds": "7",
            "sasl.oauthbearer.scope.claim.name": "scp",
            "sasl.oauthbearer.sub.claim.name": "who",
            f"{PREFIX}oauthbearer.sasl.oauthbearer.jwks.endpoint.refresh.ms": "5000",
            f"{PREFIX}oauthbearer.sasl.server.callback.handler.class": SIGNED_HANDLER,
            f"{PREFIX}oauthbearer.sasl.jaas.config": f"{OAUTH_MODULE} required;",
        },
    ).oauth
    assert oauth is not None
    assert (oauth.jwks_url, oauth.refresh_ms, oauth.skew_ms) == ("file:/keys.json", 5000, 7000)
    assert (oauth.audiences, oauth.issuer) == (("us", "them"), "https://issuer")
    assert (oauth.scope_claim, oauth.subject_claim) == ("scp", "who")


def test_unsigned_tokens_are_taken_only_where_that_is_asked_for() -> None:
    """Kafka takes them unless told otherwise."""
    handler = {f"{PREFIX}oauthbearer.sasl.server.callback.handler.class": UNSIGNED_HANDLER}
    module = (
        f'{OAUTH_MODULE} required unsecuredValidatorRequiredScope="a b" unsecuredValidatorPrincipalClaimName="who" '
        'unsecuredValidatorAllowableClockSkewMs="9";'
    )
    oauth = settings("OAUTHBEARER", **handler, **{f"{PREFIX}oauthbearer.sasl.jaas.config": module}).oauth
    assert oauth is not None and oauth.jwks_url is None
    assert (oauth.required_scope, oauth.subject_claim, oauth.skew_ms) == (("a", "b"), "who", 9)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({}, "sasl.enabled.mechanisms: listener OUTSIDE would offer GSSAPI"),
        ({"sasl.enabled.mechanisms": "PLAIN,GSSAPI"}, "would offer GSSAPI (Kerberos), which is not served"),
        ({"sasl.enabled.mechanisms": "plain"}, "plain of listener OUTSIDE is not served"),
        ({"sasl.enabled.mechanisms": ""}, "offer no mechanism"),
        ({"sasl.enabled.mechanisms": "PLAIN"}, "plain.sasl.jaas.config: no user could log in by PLAIN"),
        ({"sasl.enabled.mechanisms": "PLAIN", f"{PREFIX}plain.sasl.jaas.config": plain('username="s3cret"')},
         "no user could log in"),
        ({"sasl.enabled.mechanisms": "PLAIN", f"{PREFIX}plain.sasl.jaas.config": 'user_a="s3cret"'},
         "plain.sasl.jaas.config on the command line: "),
        ({"sasl.enabled.mechanisms": "PLAIN", f"{PREFIX}plain.sasl.jaas.config": 'com.Mine required user_a="s3cret";'},
         "the login module com.Mine is none of Kafka's"),
        ({"sasl.enabled.mechanisms": "PLAIN", "sasl.jaas.config":
          "com.sun.security.auth.module.Krb5LoginModule required;"}, "Kerberos is not served"),
        ({"sasl.enabled.mechanisms": "PLAIN", f"{PREFIX}plain.sasl.jaas.config": f"{SCRAM_MODULE} required;"},
         "is not the login module of PLAIN"),
        ({"sasl.enabled.mechanisms": "OAUTHBEARER"}, f"{JWKS}: listener OUTSIDE needs it"),
        (SIGNED | {JWKS: "ftp://x"}, "must begin with https:"),
        (SIGNED | {"sasl.oauthbearer.expected.audience": ""}, "sasl.oauthbearer.expected.audience"),
        (SIGNED | {"sasl.oauthbearer.expected.issuer": ""}, "sasl.oauthbearer.expected.issuer"),
        (SIGNED | {f"{PREFIX}oauthbearer.sasl.server.callback.handler.class": UNSIGNED_HANDLER}, "would not be used"),
        ({"sasl.enabled.mechanisms": "PLAIN", f"{PREFIX}plain.sasl.server.callback.handler.class": SIGNED_HANDLER,
          f"{PREFIX}plain.sasl.jaas.config": plain('user_a="1"')}, "is for OAUTHBEARER"),
        ({"plain.sasl.jaas.config": plain('user_a="1"'), "sasl.enabled.mechanisms": "SCRAM-SHA-256"},
         "plain.sasl.jaas.config on the command line: it counts only with its listener"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_stops_the_start(keys: dict[str, str], complaint: str) -> None:
    """T11. With one sentence that names the key, and shows no password."""
    with pytest.raises(ConfigError) as refused:
        config(**keys)
    assert complaint in str(refused.value)
    assert "s3cret" not in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "key", ["sasl.oauthbearer.allow.unverified.audience", "sasl.oauthbearer.allow.unverified.issuer"]
)
def test_an_audience_or_an_issuer_may_be_any_where_that_is_said(key: str) -> None:
    """Kafka asks for both since a token of another cluster, or of another issuer with the same keys, would do."""
    claim = key.rsplit(".", 1)[1]
    oauth = settings(**SIGNED | {f"sasl.oauthbearer.expected.{claim}": "", key: "true"}).oauth
    assert oauth is not None
    assert (oauth.audiences == ()) is (claim == "audience")


@pytest.mark.parametrize(
    "stored",
    [
        {f"{PREFIX}sasl.enabled.mechanisms": "GSSAPI"},
        {f"{PREFIX}sasl.enabled.mechanisms": ""},
        {f"{PREFIX}plain.sasl.jaas.config": "nonsense"},
    ],
)
def test_what_the_log_has_and_cannot_be_had_leaves_the_files_values(stored: dict[str, str]) -> None:
    """A log of Kafka's, or of another release: no user is let in by it, and none kept out."""
    static = config("PLAIN", **{f"{PREFIX}plain.sasl.jaas.config": plain('user_a="1"')})
    for changed in (static.with_dynamic({}, stored), static.with_dynamic(stored, {})):
        assert changed.sasl_settings("OUTSIDE") == static.sasl_settings("OUTSIDE")


def test_what_no_listener_has_a_use_for_is_said() -> None:
    """It lets no client in, which its owner may believe it does."""
    scram = f"{PREFIX}scram-sha-256.sasl.jaas.config"
    lost = "listener.name.inside.plain.sasl.jaas.config"
    used = f"{PREFIX}plain.sasl.jaas.config"
    keys = {used: plain('user_a="s3cret"'), lost: plain('user_a="s3cret"'), scram: f"{SCRAM_MODULE} required;"}
    said = " ".join(config("PLAIN", **keys).notices)
    assert lost in said and scram in said and used not in said and "s3cret" not in said
    said = " ".join(parse_config("", "", {"sasl.enabled.mechanisms": "PLAIN", **keys}).notices)
    assert "no listener asks its clients who they are" in said and used in said
    said = " ".join(config("PLAIN,SCRAM-SHA-256", **{used: keys[used], scram: keys[scram]}).notices)
    assert "without effect" not in said
