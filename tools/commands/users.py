"""`ottla users`: passwords of users for SCRAM, and delegation tokens.

    ottla users list
    ottla users set alice                                  asks for the password twice, or reads it from standard input
    ottla users set alice --mechanism SCRAM-SHA-512 --iterations 8192
    ottla users delete alice
    ottla users create-token --max-life-time-period -1     a token for programs without a password of their own

That is `kafka-configs.sh --entity-type users` and `kafka-delegation-tokens.sh`. A password is never an argument, where
all users of a machine could read it; it leaves this machine as a salted hash.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import getpass
import hashlib
import secrets
import sys
from collections.abc import Sequence

from broker.security.sasl.scram import SALT_LENGTH, SALT_LETTERS
from kproto.errors import ErrorCode
from kproto.messages.alter_user_scram_credentials import (
    AlterUserScramCredentialsRequest,
    ScramCredentialDeletion,
    ScramCredentialUpsertion,
)
from kproto.messages.create_delegation_token import CreatableRenewers, CreateDelegationTokenRequest
from kproto.messages.describe_delegation_token import DescribeDelegationTokenOwner, DescribeDelegationTokenRequest
from kproto.messages.describe_user_scram_credentials import DescribeUserScramCredentialsRequest, UserName
from kproto.messages.expire_delegation_token import ExpireDelegationTokenRequest
from kproto.messages.renew_delegation_token import RenewDelegationTokenRequest
from tools.actions import Action, Options, run_action, verb_parser
from tools.client.cluster import Cluster, Refused, check
from tools.client.properties import properties_of
from tools.failures import Failed, Misunderstood
from tools.moments import written
from tools.output.tables import Table, is_terminal, show

MECHANISMS = {"SCRAM-SHA-256": 1, "SCRAM-SHA-512": 2}
HASHES = {1: "sha256", 2: "sha512"}
ITERATIONS = 4096


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for and return the exit status. Raises Failed."""
    return run_action(parser(), ACTIONS, arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla users`."""
    return verb_parser("ottla users", "Passwords of users for SCRAM, and delegation tokens.", ACTIONS)


def list_users(options: Options) -> None:
    """Users with their mechanisms."""
    asked = [UserName(name=name) for name in options.names] or None
    with Cluster(properties_of(options)) as cluster:
        reply = cluster.ask(DescribeUserScramCredentialsRequest(users=asked))
    check(reply.error_code, reply.error_message)
    names = {code: name for name, code in MECHANISMS.items()}
    rows = []
    for result in reply.results:
        check(result.error_code, result.error_message, f"user {result.user}")
        for info in result.credential_infos:
            rows.append((result.user, names.get(info.mechanism, str(info.mechanism)), info.iterations))
    lines = [
        f"SCRAM credential configs for user-principal '{user}' are {mechanism}=iterations={iterations}"
        for user, mechanism, iterations in sorted(rows)
    ]
    show(Table(("USER", "MECHANISM", "ITERATIONS"), sorted(rows)), as_json=options.json, lines=lines)


def set_password(options: Options) -> None:
    """A new user, or another password."""
    mechanism = MECHANISMS[options.mechanism]
    password = read_password()
    salt = "".join(secrets.choice(SALT_LETTERS) for _ in range(SALT_LENGTH)).encode()
    salted = hashlib.pbkdf2_hmac(HASHES[mechanism], password.encode(), salt, options.iterations)
    upsertion = ScramCredentialUpsertion(
        name=options.name, mechanism=mechanism, iterations=options.iterations, salt=salt, salted_password=salted
    )
    _alter(options, AlterUserScramCredentialsRequest(deletions=[], upsertions=[upsertion]))


def delete(options: Options) -> None:
    """A user's passwords, or that of one mechanism."""
    codes = [MECHANISMS[options.mechanism]] if options.mechanism else []
    with Cluster(properties_of(options)) as cluster:
        if not codes:
            asked = DescribeUserScramCredentialsRequest(users=[UserName(name=options.name)])
            (result,) = cluster.ask(asked).results
            check(result.error_code, result.error_message, f"user {options.name}")
            codes = [info.mechanism for info in result.credential_infos]
    _alter(
        options,
        *(  # a user may be there once in a request
            AlterUserScramCredentialsRequest(
                deletions=[ScramCredentialDeletion(name=options.name, mechanism=code)], upsertions=[]
            )
            for code in codes
        ),
    )


def _alter(options: Options, *requests: AlterUserScramCredentialsRequest) -> None:
    with Cluster(properties_of(options)) as cluster:
        for request in requests:
            for result in cluster.ask(request).results:
                check(result.error_code, result.error_message, f"user {result.user}")
    line = f"Completed updating config for user {options.name}."
    show(Table(("USER",), [(options.name,)]), as_json=options.json, lines=[line])


def read_password() -> str:
    """From the terminal, twice, or the first line of standard input. Raises Failed."""
    if not is_terminal(sys.stdin):
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise Failed("the two passwords differ")
    if not password:
        raise Failed("there is no password on standard input")
    return password


TOKEN_COLUMNS = ("TOKENID", "HMAC", "OWNER", "REQUESTER", "RENEWERS", "ISSUEDATE", "EXPIRYDATE", "MAXDATE")


def create_token(options: Options) -> None:
    """A token; its HMAC is what a client uses as a password."""
    renewers = [_principal(word) for word in options.renewer_principal]
    owner = _principal(options.owner_principal) if options.owner_principal else (None, None)
    request = CreateDelegationTokenRequest(
        owner_principal_type=owner[0],
        owner_principal_name=owner[1],
        renewers=[CreatableRenewers(principal_type=kind, principal_name=name) for kind, name in renewers],
        max_lifetime_ms=options.max_life_time_period,
    )
    with Cluster(properties_of(options)) as cluster:
        made = cluster.ask(request)
    check(made.error_code)
    row = (
        made.token_id,
        base64.b64encode(bytes(made.hmac)).decode(),
        f"{made.principal_type}:{made.principal_name}",
        f"{made.token_requester_principal_type}:{made.token_requester_principal_name}",
        [f"{kind}:{name}" for kind, name in renewers],
        written(made.issue_timestamp_ms),
        written(made.expiry_timestamp_ms),
        written(made.max_timestamp_ms),
    )
    show(Table(TOKEN_COLUMNS, [row]), as_json=options.json)


def list_tokens(options: Options) -> None:
    """Tokens that the user may see."""
    owners = [_principal(word) for word in options.owner_principal]
    asked = [DescribeDelegationTokenOwner(principal_type=kind, principal_name=name) for kind, name in owners] or None
    with Cluster(properties_of(options)) as cluster:
        reply = cluster.ask(DescribeDelegationTokenRequest(owners=asked))
    check(reply.error_code)
    rows = [
        (
            token.token_id,
            base64.b64encode(bytes(token.hmac)).decode(),
            f"{token.principal_type}:{token.principal_name}",
            f"{token.token_requester_principal_type}:{token.token_requester_principal_name}",
            [f"{each.principal_type}:{each.principal_name}" for each in token.renewers],
            written(token.issue_timestamp),
            written(token.expiry_timestamp),
            written(token.max_timestamp),
        )
        for token in reply.tokens
    ]
    show(Table(TOKEN_COLUMNS, sorted(rows)), as_json=options.json)


def renew_token(options: Options) -> None:
    """Let a token live longer."""
    request = RenewDelegationTokenRequest(hmac=_hmac(options.hmac), renew_period_ms=options.renew_time_period)
    _ended(options, request)


def expire_token(options: Options) -> None:
    """Let a token end sooner, by default now."""
    request = ExpireDelegationTokenRequest(hmac=_hmac(options.hmac), expiry_time_period_ms=options.expiry_time_period)
    _ended(options, request)


def _ended(options: Options, request: RenewDelegationTokenRequest | ExpireDelegationTokenRequest) -> None:
    with Cluster(properties_of(options)) as cluster:
        reply = cluster.ask(request)
    if reply.error_code == ErrorCode.DELEGATION_TOKEN_NOT_FOUND:
        raise Refused(reply.error_code, "there is no token with this HMAC")
    check(reply.error_code)
    expires = written(reply.expiry_timestamp_ms)
    show(Table(("EXPIRYDATE",), [(expires,)]), as_json=options.json, lines=[f"The token expires at {expires}."])


def _hmac(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Misunderstood("the HMAC is not base64, as create-token prints it") from None


def _principal(text: str) -> tuple[str, str]:
    kind, colon, name = text.partition(":")
    if not colon or not kind or not name:
        raise Misunderstood(f"{text} is not a principal; write User:alice")
    return kind, name


def _list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="USER", help="these only")


def _set_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="USER", help="the user")
    parser.add_argument("--mechanism", choices=MECHANISMS, default="SCRAM-SHA-256", help="default: SCRAM-SHA-256")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, metavar="N", help=f"default: {ITERATIONS}")


def _delete_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="USER", help="the user")
    parser.add_argument("--mechanism", choices=MECHANISMS, help="only this one; default: all")


def _create_token_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-life-time-period", type=int, default=-1, metavar="MS", help="-1: as long as may be")
    parser.add_argument(
        "--renewer-principal", action="append", default=[], metavar="User:NAME", help="who may renew it"
    )
    parser.add_argument("--owner-principal", metavar="User:NAME", help="for this user; default: yourself")


def _list_token_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--owner-principal", action="append", default=[], metavar="User:NAME", help="only this user's")


def _renew_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hmac", required=True, help="the token's, in base64")
    parser.add_argument("--renew-time-period", type=int, default=-1, metavar="MS", help="-1: the broker's default")


def _expire_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hmac", required=True, help="the token's, in base64")
    parser.add_argument("--expiry-time-period", type=int, default=-1, metavar="MS", help="-1: now (the default)")


ACTIONS = {
    "list": Action(list_users, _list_options, "list users with their mechanisms"),
    "set": Action(set_password, _set_options, "make a user, or give one another password"),
    "delete": Action(delete, _delete_options, "delete a user's passwords"),
    "create-token": Action(create_token, _create_token_options, "make a delegation token"),
    "list-tokens": Action(list_tokens, _list_token_options, "list delegation tokens"),
    "renew-token": Action(renew_token, _renew_options, "let a delegation token live longer"),
    "expire-token": Action(expire_token, _expire_options, "let a delegation token end"),
}
