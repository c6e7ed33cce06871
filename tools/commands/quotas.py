"""`ottla quotas`: limits for users, client ids and addresses, as `kafka-configs.sh --entity-type users` has them.

    ottla quotas describe
    ottla quotas alter --user alice --add-config producer_byte_rate=1048576
    ottla quotas alter --user alice --client-id etl --add-config request_percentage=50
    ottla quotas alter --client-defaults --delete-config consumer_byte_rate

An entity is a user, a client id, both, or an address; the defaults hold for all that have no quota of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kproto.messages.alter_client_quotas import (
    AlterClientQuotasRequest,
    EntityData,
    OpData,
    RequestEntryData,
)
from kproto.messages.describe_client_quotas import ComponentData, DescribeClientQuotasRequest
from tools.actions import Action, Options, run_action, verb_parser
from tools.client.cluster import Cluster, check
from tools.client.properties import properties_of
from tools.commands.configs import parse_pairs
from tools.failures import Misunderstood
from tools.output.tables import Table, show

EXACT, DEFAULT, ANY = 0, 1, 2
"""How a component of a filter matches (KIP-546)."""
WORDS = {"user": "user-principal", "client-id": "client-id", "ip": "ip"}

Entity = dict[str, str | None]
"""Type -> name; None: the default."""


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for and return the exit status. Raises Failed."""
    return run_action(parser(), ACTIONS, arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla quotas`."""
    return verb_parser("ottla quotas", "Limits for users, client ids and addresses.", ACTIONS)


def describe(options: Options) -> None:
    """Quotas of what the options name, or all."""
    components = [
        ComponentData(entity_type=kind, match_type=DEFAULT if name is None else EXACT, match=name)
        for kind, name in _entity(options).items()
    ]
    with Cluster(properties_of(options)) as cluster:
        reply = cluster.ask(DescribeClientQuotasRequest(components=components, strict=options.strict))
    check(reply.error_code, reply.error_message)
    found = [
        ({part.entity_type: part.entity_name for part in entry.entity}, {each.key: each.value for each in entry.values})
        for entry in reply.entries or ()
    ]
    found.sort(key=lambda pair: sorted((kind, name or "") for kind, name in pair[0].items()))
    rows = [
        (*("<default>" if kind in entity and entity[kind] is None else entity.get(kind) for kind in WORDS), quotas)
        for entity, quotas in found
    ]
    lines = [
        f"Quota configs for {named(entity)} are {', '.join(f'{key}={value}' for key, value in quotas.items())}"
        for entity, quotas in found
    ]
    show(Table(("USER", "CLIENT-ID", "IP", "QUOTAS"), rows), as_json=options.json, lines=lines)


def alter(options: Options) -> None:
    """Set and take away quotas of one entity."""
    entity = _entity(options)
    if not entity:
        raise Misunderstood("whose? --user, --client-id, --ip, or one of the defaults")
    operations = [
        OpData(key=key, value=_number(key, value), remove=False)
        for word in options.add_config
        for key, value in parse_pairs(word)
    ]
    keys = [key.strip() for word in options.delete_config for key in word.split(",") if key.strip()]
    operations += [OpData(key=key, value=0.0, remove=True) for key in keys]
    if not operations:
        raise Misunderstood("nothing to change: --add-config or --delete-config")
    parts = [EntityData(entity_type=kind, entity_name=name) for kind, name in entity.items()]
    request = AlterClientQuotasRequest(
        entries=[RequestEntryData(entity=parts, ops=operations)], validate_only=options.dry_run
    )
    with Cluster(properties_of(options)) as cluster:
        reply = cluster.ask(request)
    for entry in reply.entries:
        check(entry.error_code, entry.error_message)
    line = f"Completed updating config for {named(entity)}."
    if options.dry_run:
        line = f"The quotas of {named(entity)} would be changed."
    show(Table(("ENTITY",), [(named(entity),)]), as_json=options.json, lines=[line])


def named(entity: Entity) -> str:
    """An entity in the words of Kafka's tool."""
    parts = []
    for kind, word in WORDS.items():
        if kind in entity:
            name = entity[kind]
            parts.append(f"the default {word}" if name is None else f"{word} '{name}'")
    return ", ".join(parts)


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Misunderstood(f"{key} is {text}, which is not a number") from None


def _entity(options: Options) -> Entity:
    entity: Entity = {}
    for kind, name, default in (
        ("user", options.user, options.user_defaults),
        ("client-id", options.client_id, options.client_defaults),
        ("ip", options.ip, options.ip_defaults),
    ):
        if name is not None and default:
            raise Misunderstood(f"a {kind} and the default of all contradict each other")
        if name is not None or default:
            entity[kind] = name
    return entity


def _entity_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", metavar="NAME", help="a user")
    parser.add_argument("--client-id", metavar="ID", help="a client id; with --user only that user's")
    parser.add_argument("--ip", metavar="ADDRESS", help="an address")
    parser.add_argument("--user-defaults", action="store_true", help="all users without a quota of their own")
    parser.add_argument("--client-defaults", action="store_true", help="all client ids without one")
    parser.add_argument("--ip-defaults", action="store_true", help="all addresses without one")


def _describe_options(parser: argparse.ArgumentParser) -> None:
    _entity_options(parser)
    parser.add_argument("--strict", action="store_true", help="nothing that has more parts than were named")


def _alter_options(parser: argparse.ArgumentParser) -> None:
    _entity_options(parser)
    parser.add_argument("--add-config", action="append", default=[], metavar="KEY=VALUE,...", help="set quotas")
    parser.add_argument("--delete-config", action="append", default=[], metavar="KEY,...", help="take quotas away")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, only say whether it could be done")


ACTIONS = {
    "describe": Action(describe, _describe_options, "show quotas"),
    "alter": Action(alter, _alter_options, "set quotas and take them away"),
}
