"""A listener's TLS as people's files have it, and what stops the start."""

from __future__ import annotations

import pytest

from broker.config.loading import parse_config
from broker.config.settings import BrokerConfig, ConfigError, Contradiction

FILE = """
listeners=PLAINTEXT://:9092,SSL://:9093,CLIENTS://:9094
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,CLIENTS:SSL
ssl.keystore.location=/etc/broker.p12
ssl.keystore.password=secret
"""


def config(text: str = "") -> BrokerConfig:
    return parse_config(FILE + text, "server.properties", {})


def test_a_listener_with_tls_is_served() -> None:
    """A file of Kafka's that was once refused."""
    settings = config().tls_settings()
    assert list(settings) == ["SSL", "CLIENTS"]
    assert settings["SSL"].key_store.location == "/etc/broker.p12"
    assert settings["SSL"].protocols == ("TLSv1.2", "TLSv1.3")
    assert settings["SSL"].client_auth == "none"
    assert not config().notices


def test_a_listeners_prefix_counts_before_the_key_alone() -> None:
    """Whatever the layers of both: Kafka puts the values with the prefix over those without."""
    text = (
        "listener.name.clients.ssl.keystore.location=/etc/other.p12\nlistener.name.clients.ssl.client.auth=required\n"
    )
    trusted = "ssl.truststore.location=/etc/ca.pem\n"
    settings = config(text + trusted).tls_settings()
    assert settings["CLIENTS"].key_store.location == "/etc/other.p12"
    assert settings["CLIENTS"].client_auth == "required"
    assert settings["SSL"].key_store.location == "/etc/broker.p12"
    altered = config(text + trusted).with_dynamic({}, {"ssl.client.auth": "requested"})
    assert altered.listener_setting("CLIENTS", "ssl.client.auth") == "required"
    assert altered.listener_setting("SSL", "ssl.client.auth") == "requested"
    own = altered.with_dynamic({}, {"listener.name.clients.ssl.client.auth": "none"})
    assert own.listener_setting("CLIENTS", "ssl.client.auth") == "none"


PEM = "ssl.keystore.type=PEM\nssl.keystore.location=\nssl.keystore.password=\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "ssl.keystore.location=",
            "ssl.keystore.location in server.properties, line 6: ssl.keystore.password is given",
        ),
        (
            "ssl.keystore.location=\nssl.keystore.password=",
            "it must be given, or listener SSL has no certificate to show",
        ),
        (PEM + "ssl.keystore.key=x", "ssl.keystore.certificate.chain: it must be given beside ssl.keystore.key"),
        (PEM + "ssl.keystore.certificate.chain=x", "ssl.keystore.key: it must be given beside"),
        ("ssl.keystore.key=x\nssl.keystore.certificate.chain=y", "it must be PEM where certificates are given as text"),
        ("ssl.keystore.type=PEM\nssl.keystore.key=x\nssl.keystore.certificate.chain=y", "cannot be given beside"),
        ("ssl.client.auth=required", "listener SSL asks clients for certificates"),
        ("ssl.client.auth=requested", "listener SSL asks clients for certificates"),
        ("ssl.truststore.password=x", "ssl.truststore.location: ssl.truststore.password is given, and no store"),
        ("ssl.enabled.protocols=TLSv1.1", "only TLSv1.2 and TLSv1.3 are served"),
        ("ssl.enabled.protocols=TLSv1.3,TLSv1.4", "TLSv1.4 is no version of TLS"),
        ("ssl.keystore.type=BCFKS", "ssl.keystore.type=BCFKS in server.properties, line 6: it must be one of"),
        ("ssl.provider=BCFIPS", "no connection would be secured by that provider"),
        ("listener.name.clients.ssl.client.auth=required", "ssl.truststore.location: listener CLIENTS asks"),
    ],
)
def test_what_contradicts_itself_or_is_not_there_stops_the_start(text: str, sentence: str) -> None:
    """One sentence that names key, file and line; nothing that was configured for security is passed over."""
    with pytest.raises(ConfigError) as refused:
        config(text)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_sasl_listener_asks_for_certificates_under_its_own_prefix_only() -> None:
    """KIP-684: a file that asks clients of one listener for certificates does not shut those of another out."""
    from broker.config.layers import Layers
    from broker.config.listener_specs import Listener
    from broker.config.settings import tls_of

    listener = Listener("SASL_SSL", "", 9095, "SASL_SSL")
    keys = {"ssl.keystore.location": "a", "ssl.truststore.location": "b", "ssl.client.auth": "required"}
    assert tls_of([listener], Layers(keys))["SASL_SSL"].client_auth == "none"
    keys["listener.name.sasl_ssl.ssl.client.auth"] = "required"
    assert tls_of([listener], Layers(keys))["SASL_SSL"].client_auth == "required"


def test_secrets_stay_out_of_words() -> None:
    """Of a store, where it is."""
    settings = config("ssl.key.password=canary\n").tls_settings()["SSL"]
    assert "secret" not in repr(settings) and "canary" not in repr(settings)


def test_an_alteration_that_would_leave_a_listener_without_certificates_is_refused() -> None:
    """The same checks as at the start."""
    with pytest.raises(Contradiction):
        config().check_dynamic({}, {"ssl.client.auth": "required"})


def test_what_has_no_effect_for_a_listener_is_said() -> None:
    """Old versions of TLS beside those that are served, and certificates that a SASL listener will not ask for."""
    text = "ssl.enabled.protocols=TLSv1.1,TLSv1.2\nssl.client.auth=required\nssl.truststore.location=/etc/ca.pem\n"
    mixed = FILE.replace("CLIENTS:SSL", "CLIENTS:SASL_SSL") + "sasl.enabled.mechanisms=SCRAM-SHA-512\n"
    jaas = "listener.name.clients.scram-sha-512.sasl.jaas.config=a.ScramLoginModule required;\n".replace(
        "a.Scram", "org.apache.kafka.common.security.scram.Scram"
    )
    notices = parse_config(mixed + jaas + text, "server.properties", {}).notices
    assert notices == (
        "versions of TLS that are not served, and listener SSL names: TLSv1.1",
        "versions of TLS that are not served, and listener CLIENTS names: TLSv1.1",
        "ssl.client.auth does not count for CLIENTS, which has SASL: listener.name.clients.ssl.client.auth would "
        "(KIP-684)",
    )
