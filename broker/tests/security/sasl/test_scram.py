"""SCRAM: both sides prove that they know the password, and who exists is not told."""

from __future__ import annotations

import base64

import pytest

from broker.security.sasl.exchange import Identity, Refusal
from broker.security.sasl.scram import (
    HASHES,
    LONGEST_MESSAGE,
    MIN_ITERATIONS,
    SCRAM_SHA_256,
    SCRAM_SHA_512,
    Hash,
    Known,
    ScramExchange,
    credential_of,
    false_salt,
    salted,
)

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO"
SECRET = b"of this broker"


class Users:
    """Where an exchange looks users up. All have the password `pencil`."""

    def __init__(self, which: Hash, *names: str, tokens: tuple[str, ...] = ()) -> None:
        self._credential = credential_of(which, salted(which, "pencil", SALT, MIN_ITERATIONS), SALT, MIN_ITERATIONS)
        self._names = names
        self._tokens = tokens

    async def find(self, which: Hash, name: str, by_token: bool) -> Known | None:
        if name not in (self._tokens if by_token else self._names):
            return None
        return Known(self._credential, Identity("owner", True, 99) if by_token else Identity(name))


class Client:
    """The other side, as RFC 5802 has it."""

    def __init__(self, which: Hash, name: str, password: str, extensions: str = "", header: str = "n,,") -> None:
        self._hash = which
        self._password = password
        self._header = header
        self._bare = f"n={name},r={CLIENT_NONCE}{extensions}"

    def first(self) -> bytes:
        return (self._header + self._bare).encode()

    def final(self, server_first: bytes) -> bytes:
        fields = dict(field.split("=", 1) for field in server_first.decode().split(","))
        assert fields["r"].startswith(CLIENT_NONCE) and len(fields["r"]) > len(CLIENT_NONCE)
        unproved = f"c={base64.b64encode(self._header.encode()).decode()},r={fields['r']}"
        password = salted(self._hash, self._password, base64.b64decode(fields["s"]), int(fields["i"]))
        signed = f"{self._bare},{server_first.decode()},{unproved}".encode()
        key = self._hash.mac(password, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(key, self._hash.mac(self._hash.digest(key), signed), strict=True))
        self.signature = self._hash.mac(self._hash.mac(password, b"Server Key"), signed)
        return f"{unproved},p={base64.b64encode(proof).decode()}".encode()


async def exchanged(exchange: ScramExchange, client: Client) -> bytes:
    return await exchange.evaluate(client.final(await exchange.evaluate(client.first())))


def exchange_of(which: Hash, *names: str, tokens: tuple[str, ...] = (), nonce: str = "server") -> ScramExchange:
    return ScramExchange(which, Users(which, *names, tokens=tokens).find, nonce, SECRET)


@pytest.mark.parametrize("which", HASHES.values(), ids=lambda each: each.mechanism)
async def test_a_right_password_proves_the_user_and_the_broker(which: Hash) -> None:
    """The broker's signature can only be made of what it keeps of the password."""
    exchange, client = exchange_of(which, "user"), Client(which, "user", "pencil")
    answer = await exchanged(exchange, client)
    assert answer == b"v=" + base64.b64encode(client.signature)
    assert exchange.identity == Identity("user")


async def test_the_example_of_rfc_7677() -> None:
    """SCRAM-SHA-256, message by message."""
    exchange = exchange_of(HASHES[SCRAM_SHA_256], "user", nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    first = await exchange.evaluate(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    assert first == b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = await exchange.evaluate(b"c=biws,r=" + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    assert final == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("which", HASHES.values(), ids=lambda each: each.mechanism)
async def test_an_unknown_user_is_refused_where_a_wrong_password_is(which: Hash) -> None:
    """T8. A full exchange, and nothing in it says which of the two it was."""
    told = []
    for name, password in (("user", "wrong"), ("mallory", "pencil"), ("mallory", "wrong")):
        exchange = exchange_of(which, "user")
        client = Client(which, name, password)
        first = await exchange.evaluate(client.first())
        with pytest.raises(Refusal) as refused:
            await exchange.evaluate(client.final(first))
        told.append((refused.value.told, first.split(b",")[2], exchange.identity))
    assert told[0] == told[1] == told[2] == (None, b"i=4096", None)


async def test_a_false_salt_is_always_the_same() -> None:
    """Else two attempts would tell that there is no such user; it also looks like one that Kafka's tool makes."""
    which, other = HASHES[SCRAM_SHA_256], HASHES[SCRAM_SHA_512]
    salt = false_salt(SECRET, which, "mallory")
    assert salt == false_salt(SECRET, which, "mallory")
    assert len(salt) == 26 and salt.isalnum() and salt.islower()
    others = {
        false_salt(b"another", which, "mallory"),
        false_salt(SECRET, other, "mallory"),
        false_salt(SECRET, which, "x"),
    }
    assert salt not in others and len(others) == 3
    firsts = {await exchange_of(which, "user").evaluate(Client(which, "mallory", "x").first()) for _ in range(3)}
    assert len(firsts) == 1


async def test_names_may_have_commas_and_equals_signs() -> None:
    """They are written =2C and =3D."""
    which = HASHES[SCRAM_SHA_256]
    exchange = exchange_of(which, "CN=a,O=b")
    await exchanged(exchange, Client(which, "CN=3Da=2CO=3Db", "pencil"))
    assert exchange.identity == Identity("CN=a,O=b")


async def test_a_token_makes_the_client_its_owner() -> None:
    """The extension says that the name is a token's id: no user is looked up, and no token without it."""
    which = HASHES[SCRAM_SHA_512]
    exchange = exchange_of(which, "user", tokens=("id",))
    await exchanged(exchange, Client(which, "id", "pencil", ",tokenauth=true"))
    assert exchange.identity == Identity("owner", True, 99)
    for name, extensions in (("id", ""), ("user", ",tokenauth=true"), ("id", ",tokenauth=false")):
        with pytest.raises(Refusal):
            await exchanged(exchange_of(which, "user", tokens=("id",)), Client(which, name, "pencil", extensions))


async def test_an_authorization_id_must_be_the_user() -> None:
    """No client acts for another one."""
    which = HASHES[SCRAM_SHA_256]
    exchange = exchange_of(which, "user")
    await exchanged(exchange, Client(which, "user", "pencil", header="n,a=user,"))
    assert exchange.identity == Identity("user")
    with pytest.raises(Refusal) as refused:
        await exchange_of(which, "user").evaluate(Client(which, "user", "pencil", header="n,a=other,").first())
    assert "authorization id" in str(refused.value.told)


@pytest.mark.parametrize(
    "message",
    [
        b"", b"n,,", b"y,,n=user,r=x", b"p=tls-unique,,n=user,r=x", b"n,,n=,r=x", b"n,,n=us=er,r=x", b"n,,n=user,r=",
        b"n,,n=user,r=x,", b"n,,n=user,r=x,=1", b"n,,n=us\xc3\xa9r,r=x", b"n,,n=user,r=\x00", b"\xff" * 99,
        b"n,,n=user,r=x" + b",a=" * 20_000,
    ],
)  # fmt: skip
async def test_what_is_no_first_message_is_refused(message: bytes) -> None:
    """With the sentence that is the same for all, and soon, however long it is."""
    with pytest.raises(Refusal) as refused:
        await exchange_of(HASHES[SCRAM_SHA_256], "user").evaluate(message)
    assert refused.value.told is None


@pytest.mark.parametrize("step", ["first", "final"])
async def test_a_long_message_is_not_looked_at(step: str) -> None:
    """Any peer may send one, and what is looked at keeps all others waiting."""
    exchange = exchange_of(HASHES[SCRAM_SHA_256], "user")
    if step == "final":
        await exchange.evaluate(b"n,,n=user,r=abc")
    with pytest.raises(Refusal, match="too long"):
        await exchange.evaluate(b"n,,n=user,r=" + b"x" * LONGEST_MESSAGE)
    longest = await exchange_of(HASHES[SCRAM_SHA_256], "user").evaluate(b"n,,n=user,r=".ljust(LONGEST_MESSAGE, b"x"))
    assert longest.startswith(b"r=x")


@pytest.mark.parametrize("change", ["nonce", "proof", "short", "none", "long"])
async def test_a_final_message_that_was_tampered_with_is_refused(change: str) -> None:
    """Each part of it counts."""
    which = HASHES[SCRAM_SHA_256]
    exchange, client = exchange_of(which, "user"), Client(which, "user", "pencil")
    final = client.final(await exchange.evaluate(client.first()))
    unproved, proof = final.split(b",p=")
    raw = base64.b64decode(proof)
    altered = {
        "nonce": unproved + b"x,p=" + proof,
        "proof": unproved + b",p=" + base64.b64encode(bytes([raw[0] ^ 1]) + raw[1:]),
        "short": unproved + b",p=" + base64.b64encode(raw[:-1]),
        "none": unproved,
        "long": unproved + b",p=" + base64.b64encode(raw + b"x"),
    }
    with pytest.raises(Refusal):
        await exchange.evaluate(altered[change])
    assert exchange.identity is None


def test_secrets_do_not_show() -> None:
    """A credential may stand in a traceback."""
    which = HASHES[SCRAM_SHA_256]
    credential = credential_of(which, b"pencil", SALT, 4096)
    for secret in (credential.salt, credential.stored_key, credential.server_key):
        assert repr(secret) not in repr(credential)
