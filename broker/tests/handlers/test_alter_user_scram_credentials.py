"""AlterUserScramCredentials: users' credentials are set, changed and deleted, each user once."""

from __future__ import annotations

from broker.security.sasl.scram import HASHES, SCRAM_SHA_256, SCRAM_SHA_512, credential_of, salted
from broker.testing.contexts import World, world
from kproto.errors import ErrorCode
from kproto.messages.alter_user_scram_credentials import (
    AlterUserScramCredentialsRequest,
    ScramCredentialDeletion,
    ScramCredentialUpsertion,
)

TWICE = "A user credential cannot be altered twice in the same request"
MISSING = "Attempt to delete a user credential that does not exist"
UNKNOWN = "Unknown SCRAM mechanism"


def upsertion(
    name: str, mechanism: int = 1, iterations: int = 4096, salt: bytes = b"salt", password: bytes = b"x" * 32
) -> ScramCredentialUpsertion:
    return ScramCredentialUpsertion(
        name=name, mechanism=mechanism, iterations=iterations, salt=salt, salted_password=password
    )


def deletion(name: str, mechanism: int = 1) -> ScramCredentialDeletion:
    return ScramCredentialDeletion(name=name, mechanism=mechanism)


async def alter(
    w: World, deletions: list[ScramCredentialDeletion], upsertions: list[ScramCredentialUpsertion]
) -> dict[str, tuple[int, str | None]]:
    request = AlterUserScramCredentialsRequest(deletions=deletions, upsertions=upsertions)
    response = await w.ask(request, 0)
    users = [each.user for each in response.results]
    assert len(users) == len(set(users)), "each user is answered once"
    return {each.user: (each.error_code, each.error_message) for each in response.results}


async def test_a_credential_is_what_scram_makes_of_the_salted_password() -> None:
    """RFC 5802: the password cannot be made of what is kept."""
    which = HASHES[SCRAM_SHA_256]
    async with world() as w:
        password = salted(which, "secret", b"salt", 4096)
        assert await alter(w, [], [upsertion("a", password=password)]) == {"a": (0, None)}
        kept = w.cluster.image.credentials[which.number, "a"]
        assert kept == credential_of(which, password, b"salt", 4096)
        assert password not in (kept.stored_key, kept.server_key)


async def test_a_later_credential_takes_the_place_of_the_first() -> None:
    """Of the same mechanism; the other one stays."""
    async with world() as w:
        await alter(w, [], [upsertion("a")])
        await alter(w, [], [upsertion("a", HASHES[SCRAM_SHA_512].number)])
        await alter(w, [], [upsertion("a", iterations=8192)])
        assert {key: each.iterations for key, each in w.cluster.image.credentials.items()} == {
            (1, "a"): 8192,
            (2, "a"): 4096,
        }
        assert await alter(w, [deletion("a", 2)], []) == {"a": (0, None)}
        assert dict(w.cluster.image.credentials).keys() == {(1, "a")}


async def test_refusals_are_kafkas() -> None:
    """Each code and sentence as a running Kafka answers it."""
    async with world() as w:
        await alter(w, [], [upsertion("b", 2)])
        answers = await alter(
            w,
            [deletion(""), deletion("x"), deletion("z", 0), deletion("a", 3), deletion("b", 1)],
            [
                upsertion("q", 0),
                upsertion("w", 1, 4095),
                upsertion("e", 1, 16385),
                upsertion("r", salt=b"", password=b"x"),
                upsertion("t", password=b""),
                upsertion("y", -1),
            ],
        )
    assert answers == {
        "": (ErrorCode.UNACCEPTABLE_CREDENTIAL, "Username must not be empty"),
        "x": (ErrorCode.RESOURCE_NOT_FOUND, MISSING),
        "z": (ErrorCode.UNSUPPORTED_SASL_MECHANISM, UNKNOWN),
        "a": (ErrorCode.UNSUPPORTED_SASL_MECHANISM, UNKNOWN),
        "b": (ErrorCode.RESOURCE_NOT_FOUND, MISSING),
        "q": (ErrorCode.UNSUPPORTED_SASL_MECHANISM, UNKNOWN),
        "w": (ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too few iterations"),
        "e": (ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too many iterations"),
        "r": (ErrorCode.NONE, None),
        "t": (ErrorCode.UNKNOWN_SERVER_ERROR, None),
        "y": (ErrorCode.UNSUPPORTED_SASL_MECHANISM, UNKNOWN),
    }


async def test_a_user_is_altered_once_in_a_request() -> None:
    """Else nothing of the user is, whatever the mechanisms."""
    async with world() as w:
        await alter(w, [], [upsertion("a")])
        twice = {"a": (ErrorCode.DUPLICATE_RESOURCE, TWICE)}
        assert await alter(w, [], [upsertion("a"), upsertion("a", 2)]) == twice
        assert await alter(w, [deletion("a"), deletion("a", 2)], []) == twice
        assert await alter(w, [deletion("a")], [upsertion("a", 2)]) == twice
        assert await alter(w, [], [upsertion("a"), upsertion("a", 2), upsertion("a", 2)]) == twice
        assert dict(w.cluster.image.credentials).keys() == {(1, "a")}
        assert await alter(w, [], []) == {}


async def test_users_are_there_after_a_restart() -> None:
    """In the cluster's log, in Kafka's records."""
    async with world() as w:
        await alter(w, [], [upsertion("a"), upsertion("b", 2)])
        kept = dict(w.cluster.image.credentials)
        store = w.services.store
        async with world(store=store) as again:
            assert dict(again.cluster.image.credentials) == kept
            assert len(kept) == 2
