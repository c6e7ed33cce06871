"""`ottla acls`: who may do what, as `kafka-acls.sh` has it.

    ottla acls list
    ottla acls list --topic orders
    ottla acls add --allow-principal User:alice --producer --topic orders
    ottla acls add --allow-principal User:bob --consumer --topic orders --group payments
    ottla acls add --deny-principal User:eve --operation Read --topic private- --resource-pattern-type prefixed
    ottla acls remove --topic orders --allow-principal User:alice

An ACL says that a principal, from a host, may or may not do an operation to the resources of a pattern. `--producer`
and `--consumer` stand for all that such a client needs. `remove` asks first on a terminal, unless `--force` is there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

from broker.security.acls import WILDCARD, Acl, PatternType, Permission
from broker.security.operations import CLUSTER_NAME, Operation, Resource
from kproto.messages.create_acls import AclCreation, CreateAclsRequest
from kproto.messages.delete_acls import DeleteAclsFilter, DeleteAclsRequest
from kproto.messages.describe_acls import DescribeAclsRequest
from tools.actions import Action, Options, run_action, verb_parser
from tools.client.cluster import Cluster, check
from tools.client.properties import properties_of
from tools.failures import Failed, Misunderstood
from tools.output.tables import Table, is_terminal, show

Place = tuple[Resource, str]

PRODUCER = {
    Resource.TOPIC: (Operation.WRITE, Operation.DESCRIBE, Operation.CREATE),
    Resource.TRANSACTIONAL_ID: (Operation.WRITE, Operation.DESCRIBE),
}
CONSUMER = {Resource.TOPIC: (Operation.READ, Operation.DESCRIBE), Resource.GROUP: (Operation.READ,)}
COLUMNS = ("RESOURCE-TYPE", "RESOURCE-NAME", "PATTERN-TYPE", "PRINCIPAL", "HOST", "OPERATION", "PERMISSION")


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for and return the exit status. Raises Failed."""
    return run_action(parser(), ACTIONS, arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla acls`."""
    return verb_parser("ottla acls", "Who may do what.", ACTIONS)


def list_acls(options: Options) -> None:
    """ACLs of the patterns and principals that the options name, or all."""
    with Cluster(properties_of(options)) as cluster:
        found = {
            acl
            for kind, name in _places(options) or [(Resource.ANY, "")]
            for acl in _described(cluster, kind, name or None, options)
            if not options.principal or acl.principal in options.principal
        }
    _show(sorted(found), options, "Current ACLs")


def add(options: Options) -> None:
    """New ACLs."""
    acls = wanted(options)
    creations = [
        AclCreation(
            resource_type=acl.resource_type, resource_name=acl.resource_name, resource_pattern_type=acl.pattern_type,
            principal=acl.principal, host=acl.host, operation=acl.operation, permission_type=acl.permission,
        )
        for acl in acls
    ]  # fmt: skip
    with Cluster(properties_of(options)) as cluster:
        for result in cluster.ask(CreateAclsRequest(creations=creations)).results:
            check(result.error_code, result.error_message)
    _show(acls, options, "Adding ACLs")


def remove(options: Options) -> None:
    """The ACLs that match, after a question."""
    places = _places(options)
    if not places:
        raise Misunderstood("of what? --topic, --group, --cluster, --transactional-id ...")
    principals = options.allow_principal or options.deny_principal
    exact = wanted(options) if principals else []
    filters = [
        DeleteAclsFilter(
            resource_type_filter=acl.resource_type, resource_name_filter=acl.resource_name,
            pattern_type_filter=acl.pattern_type, principal_filter=acl.principal, host_filter=acl.host,
            operation=acl.operation, permission_type=acl.permission,
        )
        for acl in exact
    ] or [
        DeleteAclsFilter(
            resource_type_filter=kind, resource_name_filter=name, pattern_type_filter=_pattern(options),
            principal_filter=None, host_filter=None, operation=Operation.ANY, permission_type=Permission.ANY,
        )
        for kind, name in places
    ]  # fmt: skip
    what = f"{len(exact)} ACLs" if exact else f"all ACLs of {', '.join(f'{kind.name} {name}' for kind, name in places)}"
    if not options.force and not _agreed(f"Remove {what}? (y/n) "):
        raise Failed("nothing was removed")
    removed = []
    with Cluster(properties_of(options)) as cluster:
        for result in cluster.ask(DeleteAclsRequest(filters=filters)).filter_results:
            check(result.error_code, result.error_message)
            for each in result.matching_acls:
                check(each.error_code, each.error_message)
                removed.append(
                    Acl(each.resource_type, each.resource_name, each.pattern_type, each.principal, each.host,
                        each.operation, each.permission_type)
                )  # fmt: skip
    _show(sorted(removed), options, "Removed ACLs")


def wanted(options: Options) -> list[Acl]:
    """The ACLs that options describe. Raises Misunderstood."""
    whom = [(name, options.allow_host, Permission.ALLOW) for name in options.allow_principal]
    whom += [(name, options.deny_host, Permission.DENY) for name in options.deny_principal]
    if not whom:
        raise Misunderstood("who? --allow-principal User:NAME or --deny-principal User:NAME")
    for name, _, _ in whom:
        if ":" not in name:
            raise Misunderstood(f"{name} is not a principal; write User:{name}")
    pattern = _pattern(options, PatternType.LITERAL)
    if pattern not in (PatternType.LITERAL, PatternType.PREFIXED):
        raise Misunderstood("--resource-pattern-type is literal or prefixed where ACLs are named one by one")
    return sorted(
        {
            Acl(kind, name, pattern, principal, host, operation, permission)
            for kind, name, operation in _operations(options)
            for principal, hosts, permission in whom
            for host in hosts or [WILDCARD]
        }
    )


def _operations(options: Options) -> Iterator[tuple[Resource, str, Operation]]:
    places = _places(options)
    if not places:
        raise Misunderstood("on what? --topic, --group, --cluster, --transactional-id ...")
    roles = [role for role, is_one in ((PRODUCER, options.producer), (CONSUMER, options.consumer)) if is_one]
    if roles and options.operation:
        raise Misunderstood("--producer and --consumer say which operations, so --operation may not")
    for kind, name in places:
        for role in roles:
            yield from ((kind, name, operation) for operation in role.get(kind, ()))
        if not roles:
            for word in options.operation or ["All"]:
                yield kind, name, _operation(word)
    if options.idempotent:
        yield Resource.CLUSTER, CLUSTER_NAME, Operation.IDEMPOTENT_WRITE


def _places(options: Options) -> list[Place]:
    named = (
        (Resource.TOPIC, options.topic),
        (Resource.GROUP, options.group),
        (Resource.CLUSTER, [CLUSTER_NAME] if options.cluster else []),
        (Resource.TRANSACTIONAL_ID, options.transactional_id),
        (Resource.DELEGATION_TOKEN, options.delegation_token),
        (Resource.USER, options.user_principal),
    )
    return [(kind, name) for kind, names in named for name in names]


def _operation(word: str) -> Operation:
    """`Read`, `READ`, `DescribeConfigs`. Raises Misunderstood."""
    bare = word.replace("_", "").replace("-", "").lower()
    for operation in Operation:
        if operation.name.replace("_", "").lower() == bare and operation not in (Operation.UNKNOWN, Operation.ANY):
            return operation
    names = ", ".join(camel(each.name) for each in Operation if each > Operation.ANY)
    raise Misunderstood(f"{word} is no operation; there are {names}")


def camel(name: str) -> str:
    """`DESCRIBE_CONFIGS` as `DescribeConfigs`."""
    return name.title().replace("_", "")


def _pattern(options: Options, default: PatternType = PatternType.ANY) -> PatternType:
    return PatternType[options.resource_pattern_type.upper()] if options.resource_pattern_type else default


def _described(cluster: Cluster, kind: Resource, name: str | None, options: Options) -> Iterator[Acl]:
    request = DescribeAclsRequest(
        resource_type_filter=kind, resource_name_filter=name, pattern_type_filter=_pattern(options),
        principal_filter=None, host_filter=None, operation=Operation.ANY, permission_type=Permission.ANY,
    )  # fmt: skip
    reply = cluster.ask(request)
    check(reply.error_code, reply.error_message)
    for resource in reply.resources:
        for acl in resource.acls:
            yield Acl(resource.resource_type, resource.resource_name, resource.pattern_type, acl.principal, acl.host,
                      acl.operation, acl.permission_type)  # fmt: skip


def _show(acls: Sequence[Acl], options: Options, heading: str) -> None:
    rows = [
        (_name(Resource, acl.resource_type), acl.resource_name, _name(PatternType, acl.pattern_type), acl.principal,
         acl.host, _name(Operation, acl.operation), _name(Permission, acl.permission))
        for acl in acls
    ]  # fmt: skip
    show(Table(COLUMNS, rows), as_json=options.json, lines=_kafka_lines(rows, heading))


def _kafka_lines(rows: Sequence[tuple[str, ...]], heading: str) -> Iterator[str]:
    """The lines of kafka-acls.sh, with its blanks."""
    for (kind, name, pattern), group in groupby(rows, lambda row: row[:3]):
        yield f"{heading} for resource `ResourcePattern(resourceType={kind}, name={name}, patternType={pattern})`: "
        for _, _, _, principal, host, operation, permission in group:
            yield f" \t(principal={principal}, host={host}, operation={operation}, permissionType={permission}) "
        yield ""


def _name(kinds: type[Resource] | type[PatternType] | type[Operation] | type[Permission], code: int) -> str:
    try:
        return kinds(code).name
    except ValueError:  # of a release to come
        return f"UNKNOWN({code})"


def _agreed(question: str) -> bool:
    if not is_terminal(sys.stdin):
        raise Misunderstood("--force is needed where no person can be asked")
    return input(question).strip().lower() in ("y", "yes")


def _place_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-t", "--topic", action="append", default=[], metavar="TOPIC", help="a topic; * is all")
    parser.add_argument("-G", "--group", action="append", default=[], metavar="GROUP", help="a group; * is all")
    parser.add_argument("--cluster", action="store_true", help="the cluster itself")
    parser.add_argument("--transactional-id", action="append", default=[], metavar="ID", help="a transactional id")
    parser.add_argument("--delegation-token", action="append", default=[], metavar="ID", help="a delegation token")
    parser.add_argument("--user-principal", action="append", default=[], metavar="User:NAME", help="a user, for tokens")
    parser.add_argument(
        "--resource-pattern-type", choices=("literal", "prefixed", "any", "match"),
        help="how names are meant; literal where ACLs are added, any where they are looked for",
    )  # fmt: skip


def _list_options(parser: argparse.ArgumentParser) -> None:
    _place_options(parser)
    parser.add_argument("--principal", action="append", default=[], metavar="User:NAME", help="only of this one")


def _add_options(parser: argparse.ArgumentParser) -> None:
    _place_options(parser)
    parser.add_argument(
        "--allow-principal", action="append", default=[], metavar="User:NAME", help="who may; User:* is all"
    )
    parser.add_argument("--deny-principal", action="append", default=[], metavar="User:NAME", help="who may not")
    parser.add_argument("--allow-host", action="append", default=[], metavar="ADDRESS", help="from there only")
    parser.add_argument("--deny-host", action="append", default=[], metavar="ADDRESS", help="not from there")
    parser.add_argument("--operation", action="append", metavar="OP", help="Read, Write, Create ...; default: All")
    parser.add_argument("--producer", action="store_true", help="what a producer needs")
    parser.add_argument("--consumer", action="store_true", help="what a consumer needs")
    parser.add_argument("--idempotent", action="store_true", help="with --producer, for brokers before 2.8")


def _remove_options(parser: argparse.ArgumentParser) -> None:
    _add_options(parser)
    parser.add_argument("--force", action="store_true", help="do not ask")


ACTIONS = {
    "list": Action(list_acls, _list_options, "list ACLs"),
    "add": Action(add, _add_options, "add ACLs"),
    "remove": Action(remove, _remove_options, "remove ACLs"),
}
