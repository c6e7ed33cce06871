"""SASL and delegation tokens on a listener in plain text: what a client is answered that asks for them all the same."""

from __future__ import annotations

from kproto.messages.create_delegation_token import CreatableRenewers, CreateDelegationTokenRequest
from kproto.messages.describe_delegation_token import DescribeDelegationTokenOwner, DescribeDelegationTokenRequest
from kproto.messages.expire_delegation_token import ExpireDelegationTokenRequest
from kproto.messages.renew_delegation_token import RenewDelegationTokenRequest
from kproto.messages.sasl_authenticate import SaslAuthenticateRequest
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


@scenario(SaslHandshakeRequest)
def in_plain_text(stage: Stage) -> None:
    """An error that ends nothing, whatever the mechanism."""
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "GSSAPI", "X", ""):
        stage.ask(f"{mechanism}.", SaslHandshakeRequest(mechanism=mechanism))


@scenario(SaslAuthenticateRequest)
def in_plain_text_as_well(stage: Stage) -> None:
    """The same."""
    for message in (b"", b"\0user\0password", b"n,,n=user,r=x"):
        stage.ask(f"{len(message)} bytes", SaslAuthenticateRequest(auth_bytes=message))


@scenario(CreateDelegationTokenRequest)
def tokens_in_plain_text(stage: Stage) -> None:
    """Not allowed; the reply names owner and requester."""
    renewer = CreatableRenewers(principal_type="User", principal_name="r")
    stage.ask("one", CreateDelegationTokenRequest(renewers=[renewer], max_lifetime_ms=1000))
    stage.ask("an odd renewer", CreateDelegationTokenRequest(renewers=[CreatableRenewers(principal_type="Group")]))
    if stage.version >= 3:
        for kind, name in (("User", "zed"), ("Group", "zed"), ("User", ""), (None, None)):
            request = CreateDelegationTokenRequest(owner_principal_type=kind, owner_principal_name=name)
            stage.ask(f"for {kind} {name}", request)


@scenario(RenewDelegationTokenRequest)
def renewed_in_plain_text(stage: Stage) -> None:
    """Not allowed."""
    stage.ask("one", RenewDelegationTokenRequest(hmac=b"x" * 64, renew_period_ms=1000))


@scenario(ExpireDelegationTokenRequest)
def expired_in_plain_text(stage: Stage) -> None:
    """Not allowed."""
    stage.ask("one", ExpireDelegationTokenRequest(hmac=b"x" * 64, expiry_time_period_ms=-1))


@scenario(DescribeDelegationTokenRequest)
def described_in_plain_text(stage: Stage) -> None:
    """Not allowed."""
    stage.ask("all", DescribeDelegationTokenRequest(owners=None))
    stage.ask("none", DescribeDelegationTokenRequest(owners=[]))
    owner = DescribeDelegationTokenOwner(principal_type="User", principal_name="u")
    stage.ask("of one", DescribeDelegationTokenRequest(owners=[owner]))
