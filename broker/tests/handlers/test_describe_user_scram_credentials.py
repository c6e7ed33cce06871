"""DescribeUserScramCredentials: who has which, never the secrets."""

from __future__ import annotations

import pytest

from broker.testing.contexts import World, world
from broker.tests.handlers.test_alter_user_scram_credentials import alter, upsertion
from kproto.errors import ErrorCode
from kproto.messages.describe_user_scram_credentials import DescribeUserScramCredentialsRequest, UserName


async def described(w: World, users: list[str] | None) -> dict[str, tuple[int, str, list[tuple[int, int]]]]:
    names = None if users is None else [UserName(name=user) for user in users]
    response = await w.ask(DescribeUserScramCredentialsRequest(users=names), 0)
    assert (response.error_code, response.error_message) == (0, "")
    return {
        each.user: (
            each.error_code,
            each.error_message,
            [(one.mechanism, one.iterations) for one in each.credential_infos],
        )
        for each in response.results
    }


@pytest.mark.parametrize("users", [None, []])
async def test_no_names_mean_every_user(users: list[str] | None) -> None:
    """Mechanisms by their numbers, with iterations."""
    async with world() as w:
        await alter(w, [], [upsertion("a"), upsertion("b", 2)])
        await alter(w, [], [upsertion("a", 2, 8192)])
        assert await described(w, users) == {"a": (0, "", [(1, 4096), (2, 8192)]), "b": (0, "", [(2, 4096)])}


async def test_unknown_and_repeated_users_are_refused_each() -> None:
    """With Kafka's codes and sentences; the others are answered."""
    async with world() as w:
        await alter(w, [], [upsertion("a"), upsertion("b")])
        missing = "Attempt to describe a user credential that does not exist: "
        twice = "Cannot describe SCRAM credentials for the same user twice in a single request: a"
        assert await described(w, ["a", "b", "nope", "a", ""]) == {
            "a": (ErrorCode.DUPLICATE_RESOURCE, twice, []),
            "b": (0, "", [(1, 4096)]),
            "nope": (ErrorCode.RESOURCE_NOT_FOUND, f"{missing}nope", []),
            "": (ErrorCode.RESOURCE_NOT_FOUND, missing, []),
        }
