"""`ottla users`, as far as no broker is needed for it."""

from __future__ import annotations

import pytest

from broker.security.sasl.scram import HASHES, false_salt
from kproto.messages.alter_user_scram_credentials import AlterUserScramCredentialsRequest
from tools.actions import Options
from tools.commands import users


@pytest.mark.parametrize("mechanism", sorted(HASHES))
def test_a_salt_does_not_show_that_its_user_exists(mechanism: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker sends it to whom it does not know yet, and to users that there are not one that looks the same."""
    sent: list[AlterUserScramCredentialsRequest] = []

    def alter(options: Options, request: AlterUserScramCredentialsRequest) -> None:
        sent.append(request)

    monkeypatch.setattr(users, "_alter", alter)
    monkeypatch.setattr(users, "read_password", lambda: "secret")
    for _ in range(2):
        users.main(["set", "alice", "--mechanism", mechanism])
    salts = [bytes(request.upsertions[0].salt) for request in sent]
    false = false_salt(b"secret", HASHES[mechanism], "unknown")
    assert salts[0] != salts[1]
    for salt in (*salts, false):
        assert len(salt) == len(false) and salt.isalnum() and salt == salt.lower()
