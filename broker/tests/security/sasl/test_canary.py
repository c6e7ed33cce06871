"""Secrets go nowhere: not into the log, not into answers, not into what describes settings, whatever goes wrong.

Each secret is a word that occurs nowhere else; all that the broker writes and answers is searched for it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Final

import pytest
import trio
import trio.testing

from broker.config.loading import parse_config
from broker.config.settings import ConfigError
from broker.security.sasl.plain import PlainExchange
from broker.tests.network.test_authentication import HANDSHAKE, newcomer, token
from kproto.messages.alter_user_scram_credentials import AlterUserScramCredentialsRequest, ScramCredentialUpsertion
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from storage.seams.logging import process_lines

CANARY: Final = "canary-zx81"
PREFIX: Final = "listener.name.sasl_plaintext."
JAAS: Final = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="{CANARY}";'
SETTINGS: Final = {
    f"{PREFIX}plain.sasl.jaas.config": JAAS,
    "sasl.jaas.config": f'org.apache.kafka.common.security.scram.ScramLoginModule required password="{CANARY}";',
    "delegation.token.secret.key": CANARY,
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, from the lowest level on."""
    lines, stream = process_lines(), io.StringIO()
    before = lines.__dict__.copy()
    lines.configure(level="debug", form="json", stream=stream)
    yield stream
    lines.__dict__.update(before)


def shows(text: str) -> bool:
    return CANARY in text or base64.b64encode(CANARY.encode()).decode().rstrip("=") in text


async def test_a_password_is_neither_logged_nor_answered(
    log: io.StringIO, autojump_clock: trio.testing.MockClock
) -> None:
    """T9. Right, wrong, in the wrong field, in a message that makes no sense, over either mechanism."""
    said = []
    for mechanism, message in (
        ("PLAIN", f"\0alice\0{CANARY}"),
        ("PLAIN", f"\0alice\0{CANARY}x"),
        ("PLAIN", f"\0{CANARY}\0alice"),
        ("PLAIN", f"{CANARY}\0alice\0{CANARY}"),
        ("PLAIN", CANARY),
        ("SCRAM-SHA-256", f"n,,n={CANARY},r=x"),
        ("SCRAM-SHA-256", CANARY),
        (CANARY, ""),
    ):
        async with newcomer(**SETTINGS) as peer:
            reply = await peer.ask(SaslHandshakeRequest(mechanism=mechanism), 1)
            if reply.error_code == 0:
                said.append(await peer.ask(token(message.encode()), 2))
            peer.world.services.authentication.log.flush()
    assert len(said) == 7 and not any(shows(repr(each)) for each in said)
    assert "authentication failed" in log.getvalue() and "client authenticated" in log.getvalue()
    assert not shows(log.getvalue())


async def test_a_fault_shows_no_password(
    log: io.StringIO, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback is in the log, and what it went through is not."""

    async def fails(self: PlainExchange, response: bytes) -> bytes:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(PlainExchange, "evaluate", fails)
    async with newcomer(**SETTINGS) as peer:
        await peer.ask(HANDSHAKE, 1)
        reply = await peer.ask(token(f"\0alice\0{CANARY}".encode()), 2)
        assert reply is None or reply.error_code != 0
    assert "a fault of ours" in log.getvalue() and not shows(log.getvalue())


async def test_settings_are_described_without_their_secrets(
    log: io.StringIO, autojump_clock: trio.testing.MockClock
) -> None:
    """Sensitive ones have no value, under prefixes too; the object that holds them shows nothing."""
    async with newcomer(**SETTINGS) as peer:
        w = peer.world
        resources = [DescribeConfigsResource(resource_type=4, resource_name="1", configuration_keys=None)]
        request = DescribeConfigsRequest(resources=resources, include_synonyms=True, include_documentation=True)
        described = await w.ask(request, 4)
        names = {each.name: each for result in described.results for each in result.configs}
        assert names[f"{PREFIX}plain.sasl.jaas.config"].is_sensitive
        assert names["delegation.token.secret.key"].is_sensitive
        assert not shows(repr(described))
        settings = w.cluster.config.sasl_settings("SASL_PLAINTEXT")
        offer = w.services.authentication.conversation("SASL_PLAINTEXT").offer
        assert not any(shows(repr(each)) for each in (w.cluster.config, settings, offer, settings.oauth))
    assert not shows(log.getvalue())


@pytest.mark.parametrize("broken", [JAAS[:-1], JAAS.replace("required", ""), JAAS.replace("Plain", "My"), CANARY])
async def test_a_setting_that_makes_no_sense_is_refused_without_its_value(
    broken: str, log: io.StringIO, autojump_clock: trio.testing.MockClock
) -> None:
    """At the start, and of a running broker; the old one goes on counting."""
    key = f"{PREFIX}plain.sasl.jaas.config"
    with pytest.raises(ConfigError) as refused:
        listeners = {"listeners": "SASL_PLAINTEXT://:1", "sasl.enabled.mechanisms": "PLAIN"}
        parse_config("", "", listeners | {key: broken})
    assert key in str(refused.value) and not shows(str(refused.value))
    async with newcomer(**SETTINGS) as peer:
        change = AlterableConfig(name=key, config_operation=0, value=broken)
        resource = AlterConfigsResource(resource_type=4, resource_name="1", configs=[change])
        altered = await peer.world.ask(IncrementalAlterConfigsRequest(resources=[resource]), 1)
        assert altered.responses[0].error_code != 0
        assert not shows(repr(altered))
        await peer.ask(HANDSHAKE, 1)
        assert (await peer.ask(token(f"\0alice\0{CANARY}".encode()), 2)).error_code == 0
    assert not shows(log.getvalue())


async def test_a_password_that_is_altered_counts_for_the_next_client(autojump_clock: trio.testing.MockClock) -> None:
    """Of a running broker, without a restart (KIP-226)."""
    async with newcomer(**SETTINGS) as peer:
        w = peer.world
        value = JAAS.replace(CANARY, "new-secret")
        change = AlterableConfig(name=f"{PREFIX}plain.sasl.jaas.config", config_operation=0, value=value)
        resource = AlterConfigsResource(resource_type=4, resource_name="1", configs=[change])
        altered = await w.ask(IncrementalAlterConfigsRequest(resources=[resource]), 1)
        assert altered.responses[0].error_code == 0
        exchange = w.services.authentication.conversation("SASL_PLAINTEXT").offer.exchanges["PLAIN"]()
        assert await exchange.evaluate(b"\0alice\0new-secret") == b""


async def test_credentials_are_kept_without_what_was_sent(
    log: io.StringIO, autojump_clock: trio.testing.MockClock
) -> None:
    """Not even the salted password is in the cluster's log."""
    async with newcomer(**SETTINGS) as peer:
        upsertion = ScramCredentialUpsertion(
            name="bob", mechanism=1, iterations=4096, salt=b"salt", salted_password=CANARY.encode()
        )
        await peer.world.ask(AlterUserScramCredentialsRequest(upsertions=[upsertion]), 0)
        kept = peer.world.cluster.image.credentials[1, "bob"]
        assert CANARY.encode() not in (kept.salt, kept.stored_key, kept.server_key)
    await trio.lowlevel.checkpoint()
    assert not shows(log.getvalue())
