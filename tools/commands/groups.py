"""`ottla groups`: list and describe groups with their lag, move what they have committed, delete them.

    ottla groups list --state
    ottla groups describe payments                                  lag for each partition
    ottla groups describe payments --members
    ottla groups reset-offsets payments --topic orders --to-earliest              says what it would do
    ottla groups reset-offsets payments --topic orders --to-earliest --execute    does it
    ottla groups delete payments

These are the words, columns and rules of `kafka-consumer-groups.sh`. Only a group without members can be moved; without
`--execute` nothing ever is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kproto.errors import ErrorCode
from kproto.ids import TopicPartition
from tools.actions import Action, Options, names_from, run_action, verb_parser
from tools.client.cluster import Cluster, Refused
from tools.client.groups import (
    EMPTY_STATES,
    DescribedGroup,
    commit_offsets,
    committed_offsets,
    delete_group,
    delete_offsets,
    describe_group,
    list_groups,
    log_ends,
)
from tools.client.properties import properties_of
from tools.commands import group_resets
from tools.failures import Failed, Misunderstood
from tools.output.tables import Table, show

STATES = (
    "Stable",
    "Empty",
    "PreparingRebalance",
    "CompletingRebalance",
    "Assigning",
    "Reconciling",
    "Dead",
    "NotReady",
)


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for and return the exit status. Raises Failed."""
    return run_action(parser(), ACTIONS, arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla groups`."""
    return verb_parser("ottla groups", "List, describe, move and delete groups.", ACTIONS)


def list_them(options: Options) -> None:
    """Ids, one a line; with --state or --type a table."""
    with Cluster(properties_of(options)) as cluster:
        groups = list_groups(cluster, _words(options.state), [word.lower() for word in _words(options.type)])
    table = Table(("GROUP", "TYPE", "PROTOCOL", "STATE"), groups)
    plain = options.state is None and options.type is None and not options.verbose
    show(table, as_json=options.json, lines=[group.id for group in groups] if plain else None)


def describe(options: Options) -> None:
    """Lag, members or state."""
    with Cluster(properties_of(options)) as cluster:
        groups = [describe_group(cluster, name) for name in _wanted(cluster, options)]
        for group in groups:
            if not group.exists:
                kinds = {each.id: each.type for each in list_groups(cluster)}
                if group.id in kinds:
                    raise Failed(f"group '{group.id}' is of type {kinds[group.id]}, which is listed here and no more")
                raise Refused(ErrorCode.GROUP_ID_NOT_FOUND, f"Consumer group '{group.id}' does not exist.")
            if not group.members and not options.json:
                print(f"Consumer group '{group.id}' has no active members.", file=sys.stderr)
        if options.members:
            table = _members(groups, verbose=options.verbose)
        elif options.state:
            table = _states(cluster, groups)
        else:
            table = _lag(cluster, groups)
    show(table, as_json=options.json)


def _lag(cluster: Cluster, groups: Sequence[DescribedGroup]) -> Table:
    rows: list[tuple[object, ...]] = []
    for group in groups:
        owners = {place: member for member in group.members for place in member.partitions}
        committed = committed_offsets(cluster, group.id)
        places = sorted({*committed, *owners})
        ends = log_ends(cluster, places)
        for place in places:
            at = committed[place].offset if place in committed and committed[place].offset >= 0 else None
            end, owner = ends.get(place), owners.get(place)
            lag = None if at is None or end is None else max(0, end - at)
            whose = (owner.id, owner.host, owner.client) if owner else (None, None, None)
            rows.append((group.id, *place, at, end, lag, *whose))
    return Table(
        ("GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"),
        rows,
    )


def _members(groups: Sequence[DescribedGroup], *, verbose: bool) -> Table:
    rows = [
        (group.id, member.id, member.instance, member.host, member.client, len(member.partitions), member.epoch,
         [f"{place.topic}-{place.partition}" for place in member.partitions])
        for group in groups
        for member in group.members
    ]  # fmt: skip
    columns = ("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "EPOCH", "ASSIGNMENT")
    return Table(columns, rows) if verbose else Table(columns[:6], [row[:6] for row in rows])


def _states(cluster: Cluster, groups: Sequence[DescribedGroup]) -> Table:
    nodes = {node.id: f"{node.host}:{node.port} ({node.id})" for node in cluster.nodes()}
    columns = ("GROUP", "COORDINATOR (ID)", "TYPE", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS")
    return Table(
        columns,
        [
            (group.id, nodes.get(group.coordinator, str(group.coordinator)), group.type, group.assignor, group.state,
             len(group.members))
            for group in groups
        ],
    )  # fmt: skip


def reset_offsets(options: Options) -> None:
    """Say to where offsets would move; with --execute move them."""
    if options.dry_run and options.execute:
        raise Misunderstood("--dry-run and --execute contradict each other")
    with Cluster(properties_of(options)) as cluster:
        plan: list[tuple[str, TopicPartition, int]] = []
        for name in _wanted(cluster, options):
            group = describe_group(cluster, name)
            if group.state not in EMPTY_STATES:
                raise Failed(
                    f"Assignments can only be reset if the group '{name}' is inactive, but the current state is "
                    f"{group.state}."
                )
            moved = group_resets.planned(cluster, name, options)
            plan += [(name, place, offset) for place, offset in sorted(moved.items())]
            if options.execute and moved:
                commit_offsets(cluster, name, moved)
    rows = [(name, *place, offset) for name, place, offset in plan]
    if options.export:
        several = len({name for name, _, _ in plan}) > 1
        for row in rows:
            print(",".join(map(str, row if several else row[1:])))
        return
    show(Table(("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"), rows), as_json=options.json)
    if not options.execute and not options.json:
        print("Nothing was changed: a dry run. --execute does it.", file=sys.stderr)


def delete(options: Options) -> None:
    """Groups without members."""
    failed: list[str] = []
    done: list[str] = []
    with Cluster(properties_of(options)) as cluster:
        for name in _wanted(cluster, options):
            try:
                delete_group(cluster, name)
                done.append(name)
            except Refused as error:
                failed.append(f"Group '{name}' could not be deleted due to: {error}")
    quoted = ", ".join(f"'{name}'" for name in done)
    show(
        Table(("GROUP",), [(name,) for name in done]), as_json=options.json,
        lines=[f"Deletion of requested consumer groups ({quoted}) was successful."] if done else [],
    )  # fmt: skip
    if failed:
        raise Failed("Deletion of some consumer groups failed: " + "; ".join(failed))


def forget_offsets(options: Options) -> None:
    """What is committed for some topics."""
    (name,) = names_from(options.names, options.group) or [""]
    if not name or not options.topic:
        raise Misunderstood("which group, and which --topic?")
    with Cluster(properties_of(options)) as cluster:
        places = group_resets.places_of(cluster, options.topic)
        results = delete_offsets(cluster, name, places)
    rows = [
        (*place, "Successful" if not error else f"Error: {ErrorCode(error).sentence}")
        for place, error in sorted(results.items())
    ]
    show(Table(("TOPIC", "PARTITION", "STATUS"), rows), as_json=options.json)
    if any(results.values()):
        raise Failed("Encountered some partition level error, see the follow-up details.")


def _wanted(cluster: Cluster, options: Options) -> list[str]:
    names = names_from(options.names, options.group)
    if options.all_groups:
        return [group.id for group in list_groups(cluster)]
    if not names:
        raise Misunderstood("which group? Name one, or --group, or --all-groups")
    return names


def _words(option: str | None) -> list[str]:
    return [word.strip() for word in (option or "").split(",") if word.strip()]


def _names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="GROUP", help="ids of groups")
    parser.add_argument("-G", "--group", action="append", metavar="GROUP", help="the same, in Kafka's way")
    parser.add_argument("--all-groups", action="store_true", help="all that there are")


def _list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        nargs="?",
        const="",
        metavar="STATE,...",
        help=f"with their state, or only these: {', '.join(STATES)}",
    )
    parser.add_argument(
        "--type",
        nargs="?",
        const="",
        metavar="TYPE,...",
        help="with their type, or only these: classic, consumer, share, streams",
    )
    parser.add_argument("--verbose", action="store_true", help="with all that is known")


def _describe_options(parser: argparse.ArgumentParser) -> None:
    _names(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--offsets", action="store_true", help="offsets and lag for each partition (the default)")
    what.add_argument("--members", action="store_true", help="members")
    what.add_argument("--state", action="store_true", help="state, coordinator and how many members")
    parser.add_argument("--verbose", action="store_true", help="with --members: which partitions each has")


def _delete_offsets_options(parser: argparse.ArgumentParser) -> None:
    _names(parser)
    parser.add_argument("-t", "--topic", action="append", metavar="TOPIC", help="TOPIC or TOPIC:0,1; may be repeated")


def _reset_options(parser: argparse.ArgumentParser) -> None:
    _names(parser)
    group_resets.add_options(parser)


ACTIONS = {
    "list": Action(list_them, _list_options, "list groups of all types"),
    "describe": Action(describe, _describe_options, "show lag, members or state"),
    "reset-offsets": Action(reset_offsets, _reset_options, "move what is committed; a dry run without --execute"),
    "delete-offsets": Action(forget_offsets, _delete_offsets_options, "forget what is committed for topics"),
    "delete": Action(delete, _names, "delete groups that have no members"),
}  # fmt: skip
