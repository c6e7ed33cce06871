"""Who a client is."""

import pytest

from broker.context import Peer
from broker.security.principals import ANONYMOUS, Principal


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("User:alice", "User", "alice"),
        ("User:CN=a,O=b:c", "User", "CN=a,O=b:c"),
        ("Group:x", "Group", "x"),
        ("User:", "User", ""),
    ],
)
def test_a_principal_is_a_kind_and_a_name_behind_the_first_colon(text: str, kind: str, name: str) -> None:
    """Names of certificates have colons of their own."""
    principal = Principal.parse(text)
    assert (principal.kind, principal.name) == (kind, name)
    assert str(principal) == text


def test_a_text_without_a_colon_is_no_principal() -> None:
    """As in Kafka, which throws."""
    with pytest.raises(ValueError, match="such as User:alice"):
        Principal.parse("alice")


def test_a_token_does_not_make_another_principal() -> None:
    """ACLs of the owner hold for those who come by a token of the owner."""
    by_token, by_password = Principal("User", "alice", token=True), Principal("User", "alice")
    assert by_token == by_password and hash(by_token) == hash(by_password)


def test_a_client_that_was_not_asked_is_anonymous() -> None:
    """The principal of a listener without authentication."""
    assert Peer("127.0.0.1", 1).principal is ANONYMOUS
    assert str(ANONYMOUS) == "User:ANONYMOUS"
