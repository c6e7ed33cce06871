"""AlterUserScramCredentials and DescribeUserScramCredentials: users come, change and go, and what is refused."""

from __future__ import annotations

from kproto.messages.alter_user_scram_credentials import (
    AlterUserScramCredentialsRequest,
    ScramCredentialDeletion,
    ScramCredentialUpsertion,
)
from kproto.messages.describe_user_scram_credentials import DescribeUserScramCredentialsRequest, UserName
from tools.answers.scenario import scenario
from tools.answers.stage import Stage

SHA_256, SHA_512 = 1, 2


def upsertion(
    user: str, mechanism: int = SHA_256, iterations: int = 4096, salt: bytes = b"salt", password: bytes = b"x" * 32
) -> ScramCredentialUpsertion:
    """A credential of a salted password."""
    return ScramCredentialUpsertion(
        name=user, mechanism=mechanism, iterations=iterations, salt=salt, salted_password=password
    )


def alter(
    *upsertions: ScramCredentialUpsertion, gone: tuple[tuple[str, int], ...] = ()
) -> AlterUserScramCredentialsRequest:
    """Set credentials, and delete those of `gone`."""
    deletions = [ScramCredentialDeletion(name=user, mechanism=mechanism) for user, mechanism in gone]
    return AlterUserScramCredentialsRequest(deletions=deletions, upsertions=list(upsertions))


def describe(*users: str) -> DescribeUserScramCredentialsRequest:
    """Ask about users."""
    return DescribeUserScramCredentialsRequest(users=[UserName(name=user) for user in users])


@scenario(AlterUserScramCredentialsRequest)
def changes(stage: Stage) -> None:
    """Of one user: set, changed, deleted, and seen in between; not while it has two, which Kafka shows in any order."""
    user = stage.name("u")

    def change(step: str, request: AlterUserScramCredentialsRequest, *, seen: bool = True) -> None:
        stage.ask(step, request)
        stage.settle()
        if seen:
            stage.ask(f"{step}, seen", describe(user))

    change("nothing", alter())
    change("set", alter(upsertion(user)))
    change("changed", alter(upsertion(user, iterations=8192)))
    change("another mechanism", alter(upsertion(user, SHA_512)), seen=False)
    change("two mechanisms at once", alter(upsertion(user), upsertion(user, SHA_512)), seen=False)
    change("three times", alter(upsertion(user), upsertion(user, SHA_512), upsertion(user, SHA_512)), seen=False)
    change("set and deleted", alter(upsertion(user, SHA_512), gone=((user, SHA_256),)), seen=False)
    change("two deleted at once", alter(gone=((user, SHA_256), (user, SHA_512))), seen=False)
    change("deleted", alter(gone=((user, SHA_256),)))
    change("deleted again", alter(gone=((user, SHA_256),)))
    change("the other deleted", alter(gone=((user, SHA_512),)))


@scenario(AlterUserScramCredentialsRequest)
def refusals(stage: Stage) -> None:
    """One at a time, since users are answered in no order."""
    user = stage.name("u")
    for step, request in {
        "no user": alter(upsertion("")),
        "no user and no mechanism": alter(upsertion("", 9, 1)),
        "mechanism 0": alter(upsertion(user, 0)),
        "mechanism 3": alter(upsertion(user, 3)),
        "mechanism -1": alter(upsertion(user, -1)),
        "4095 iterations": alter(upsertion(user, iterations=4095)),
        "16385 iterations": alter(upsertion(user, iterations=16385)),
        "iterations below 0": alter(upsertion(user, SHA_512, -1)),
        "an empty password": alter(upsertion(user, password=b"")),
        "no user to delete": alter(gone=(("", SHA_256),)),
        "an unknown user to delete": alter(gone=((user, SHA_256),)),
        "mechanism 0 to delete": alter(gone=((user, 0),)),
        "mechanism 7 to delete": alter(gone=((user, 7),)),
    }.items():
        stage.ask(step, request)
    stage.settle()
    stage.ask("seen", describe(user))


@scenario(DescribeUserScramCredentialsRequest)
def users(stage: Stage) -> None:
    """Known, unknown, named twice, and strange ones."""
    known, strange = stage.name("u"), stage.name("ü,=\n")
    stage.ask("set", alter(upsertion(known), upsertion(strange, SHA_512, 16384, b"", b"x")))
    stage.settle()
    stage.ask("known", describe(known))
    stage.ask("strange", describe(strange))
    stage.ask("unknown", describe(stage.name("v")))
    stage.ask("no name", describe(""))
    stage.ask("twice", describe(known, known))
    stage.ask("unknown twice", describe(stage.name("v"), stage.name("v")))
    stage.ask("deleted", alter(gone=((known, SHA_256),)))
    stage.ask("the strange one deleted", alter(gone=((strange, SHA_512),)))
