"""Client properties: Java's and librdkafka's spelling come to the same, and the command line goes over the file."""

from __future__ import annotations

import argparse
import ssl
from pathlib import Path

import pytest

from broker.testing.certificates import Authority
from tools.client.library import library_properties
from tools.client.properties import ClientProperties, add_connection_options, parse_addresses, properties_of
from tools.client.sasl import Credentials, Exchange, credentials_of
from tools.client.tls import tls_context, tls_material
from tools.failures import Failed, Misunderstood

AUTHORITY = Authority()
CLIENT = AUTHORITY.issue("CN=client")
LIBRDKAFKA = "sasl.username=alice\nsasl.password=a"
JAAS = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="it\'s \\"x\\"";'


def parsed(*words: str) -> ClientProperties:
    """What a command line comes to."""
    parser = argparse.ArgumentParser()
    add_connection_options(parser)
    return properties_of(parser.parse_args(words))


def test_the_command_line_goes_over_the_file_and_the_file_over_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four places, the nearest one wins."""
    monkeypatch.delenv("OTTLA_BOOTSTRAP_SERVER", raising=False)
    assert parsed().bootstrap == (("127.0.0.1", 9092),)
    monkeypatch.setenv("OTTLA_BOOTSTRAP_SERVER", "variable:1")
    assert parsed().bootstrap == (("variable", 1),)
    file = tmp_path / "client.properties"
    file.write_text("bootstrap.servers = file:2\nclient.id=me\n")
    assert parsed("-F", str(file)).bootstrap == (("file", 2),)
    given = parsed("-F", str(file), "-b", "word:3", "-X", "client.id=you")
    assert (given.bootstrap, given.first("client.id")) == ((("word", 3),), "you")


def test_addresses() -> None:
    """Several, IPv6, a listener's name in front, the port left out."""
    assert parse_addresses("a:1, [::1]:2,PLAINTEXT://b:3,c") == (("a", 1), ("::1", 2), ("b", 3), ("c", 9092))
    for wrong in ("", "a:b", "a:0", ":1", "a:70000"):
        with pytest.raises(Misunderstood):
            parse_addresses(wrong)


@pytest.mark.parametrize(
    "given",
    [
        {"sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": JAAS},
        {"sasl.mechanisms": "SCRAM-SHA-256", "sasl.username": "alice", "sasl.password": 'it\'s "x"'},
    ],
    ids=["Java", "librdkafka"],
)
def test_credentials_of_either_spelling(given: dict[str, str]) -> None:
    """The same user, and the same thing for librdkafka."""
    properties = ClientProperties({"security.protocol": "sasl_plaintext", **given})
    assert credentials_of(properties) == Credentials("SCRAM-SHA-256", "alice", 'it\'s "x"')
    told = library_properties(properties)
    assert (told["sasl.username"], told["sasl.password"]) == ("alice", 'it\'s "x"')
    assert "sasl.jaas.config" not in told


def test_secrets_stand_in_no_sentence() -> None:
    """A login module that cannot be read is refused without showing any of it."""
    properties = ClientProperties(
        {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": "x.Y required password=secret"}
    )
    with pytest.raises(Misunderstood) as refused:
        credentials_of(properties)
    assert "sasl.jaas.config" in str(refused.value) and "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"security.protocol": "TLS"}, "security.protocol is TLS"),
        ({"security.protocol": "SASL_SSL"}, "sasl.mechanism is GSSAPI"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}, "wants a user and a password"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}, "token.endpoint.url"),
    ],
)
def test_what_is_set_and_cannot_be_done_is_refused(given: dict[str, str], sentence: str) -> None:
    """W9: never a connection that is less secure than was asked for."""
    with pytest.raises(Misunderstood, match=sentence.replace(".", r"\.")):
        credentials_of(ClientProperties(given))


def test_a_scram_exchange_is_that_of_rfc_7677() -> None:
    """Section 3 of it; a broker that does not know the password is found out."""
    exchange = Exchange(Credentials("SCRAM-SHA-256", "user", "pencil"), nonce="rOprNGfwEbeRWgbNEkqO")
    assert exchange.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert exchange.next(challenge) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert exchange.next(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") is None
    with pytest.raises(Failed, match="does not know the password"):
        exchange.next(b"v=" + b"A" * 43 + b"=")


def test_a_nonce_of_another_exchange_is_refused() -> None:
    """What a broker answers belongs to what was asked."""
    exchange = Exchange(Credentials("SCRAM-SHA-512", "a,b=c", "x", token=True), nonce="mine")
    assert exchange.first() == b"n,,n=a=2Cb=3Dc,r=mine,tokenauth=true"
    with pytest.raises(Failed, match="makes no sense"):
        exchange.next(b"r=other,s=AAAA,i=4096")


def test_an_unsecured_token_is_made_for_tests() -> None:
    """Of three parts, the last one empty, in the message of RFC 7628."""
    jaas = 'x.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="alice";'
    given = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER", "sasl.jaas.config": jaas}
    credentials = credentials_of(ClientProperties(given))
    assert credentials is not None and credentials.bearer.count(".") == 2 and credentials.bearer.endswith(".")
    assert Exchange(credentials).first() == f"n,,\x01auth=Bearer {credentials.bearer}\x01\x01".encode()


def test_stores_of_all_kinds_come_to_the_same(tmp_path: Path) -> None:
    """PEM in files and in the properties themselves, PKCS12, librdkafka's files; JKS is refused with what to do."""
    (tmp_path / "ca.pem").write_text(AUTHORITY.certificate)
    (tmp_path / "own.pem").write_text(CLIENT.combined)
    (tmp_path / "key.pem").write_text(CLIENT.key)
    (tmp_path / "chain.pem").write_text(CLIENT.chain)
    (tmp_path / "own.p12").write_bytes(CLIENT.pkcs12("secret"))
    (tmp_path / "ca.p12").write_bytes(AUTHORITY.pkcs12("secret"))
    (tmp_path / "old.jks").write_bytes(b"\xfe\xed\xfe\xed....")
    for given in (
        {"ssl.truststore.location": "ca.pem", "ssl.keystore.location": "own.pem"},
        {"ssl.truststore.location": "ca.p12", "ssl.truststore.password": "secret", "ssl.keystore.location": "own.p12",
         "ssl.keystore.password": "secret"},
        {"ssl.ca.location": "ca.pem", "ssl.certificate.location": "chain.pem", "ssl.key.location": "key.pem"},
    ):  # fmt: skip
        placed = {key: str(tmp_path / value) if key.endswith("location") else value for key, value in given.items()}
        context = tls_context(ClientProperties({"security.protocol": "SSL", **placed}))
        assert context is not None and context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
        assert len(context.get_ca_certs()) == 1, given
    unnamed = {"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": ""}
    assert not tls_material(ClientProperties(unnamed)).checks_name
    with pytest.raises(Misunderstood, match="keytool -importkeystore"):
        tls_context(
            ClientProperties({"security.protocol": "SSL", "ssl.truststore.location": str(tmp_path / "old.jks")})
        )
    with pytest.raises(Misunderstood, match="password of the store is wrong"):
        wrong = {"ssl.keystore.location": str(tmp_path / "own.p12"), "ssl.keystore.password": "no"}
        tls_context(ClientProperties({"security.protocol": "SSL", **wrong}))


@pytest.mark.parametrize(
    ("file", "words", "user"),
    [
        (f"sasl.jaas.config={JAAS}", ("sasl.username=bob", "sasl.password=b"), ("bob", "b")),
        (
            "sasl.username=alice\nsasl.password=a",
            ("sasl.jaas.config=x.Y required username=bob password=b;",),
            ("bob", "b"),
        ),
        (LIBRDKAFKA, ("sasl.password=b",), ("alice", "b")),
    ],
)
def test_the_command_line_goes_over_a_user_in_the_other_spelling(
    tmp_path: Path, file: str, words: tuple[str, ...], user: tuple[str, str]
) -> None:
    """Else what was asked for as `bob` would be done as `alice`, without a word about it."""
    path = tmp_path / "client.properties"
    path.write_text(f"security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n{file}\n")
    given = parsed("-F", str(path), *(part for word in words for part in ("-X", word)))
    assert credentials_of(given) == Credentials("PLAIN", *user)


def test_half_a_user_of_the_command_line_is_not_filled_up_from_a_login_module(tmp_path: Path) -> None:
    """The password of the file's user is not sent for another one."""
    path = tmp_path / "client.properties"
    path.write_text(f"security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config={JAAS}\n")
    with pytest.raises(Misunderstood, match="wants a user and a password"):
        credentials_of(parsed("-F", str(path), "-X", "sasl.username=bob"))


def test_the_command_line_goes_over_every_spelling_of_what_it_says(tmp_path: Path) -> None:
    """Addresses, mechanisms and whom to trust."""
    path = tmp_path / "client.properties"
    path.write_text("bootstrap.servers=file:1\nsasl.mechanism=PLAIN\nssl.truststore.location=/nowhere/at/all\n")
    authority = tmp_path / "ca.pem"
    authority.write_text("the authority")
    words = ("metadata.broker.list=word:2", "sasl.mechanisms=SCRAM-SHA-256", f"ssl.ca.location={authority}")
    given = parsed("-F", str(path), *(part for word in words for part in ("-X", word)))
    assert given.bootstrap == (("word", 2),)
    assert given.first("sasl.mechanism", "sasl.mechanisms") == "SCRAM-SHA-256"
    assert tls_material(given).authorities == "the authority"


def test_a_misspelt_property_does_not_make_a_connection_less_secure() -> None:
    """Else it would be made in plain text. What librdkafka and Java know beside those is let through."""
    with pytest.raises(Misunderstood, match=r"securty.protocol; did you mean security.protocol\?"):
        parsed("-X", "securty.protocol=SSL")
    others = (
        "linger.ms",
        "ssl.crl.location",
        "ssl.ca.certificate.stores",
        "ssl.protocol",
        "sasl.kerberos.service.name",
    )
    assert parsed(*(part for key in others for part in ("-X", f"{key}=x"))).protocol == "PLAINTEXT"
