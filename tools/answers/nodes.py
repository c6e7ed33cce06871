"""The recorded node had the id 1. Another node's id and 1 change places, on the way there and on the way back.

It is done by the names of fields: a number is a node's id because its field says so. Brokers and their loggers are also
named in settings, by their id as a text.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from kproto.schema.declare import Struct, fields_of
from tools.answers.site import RECORDED_NODE

S = TypeVar("S", bound=Struct)

FIELDS: Final = frozenset(
    ("node_id", "broker_id", "broker_ids", "controller_id", "leader_id", "leader", "replicas", "replica_nodes",
     "isr_nodes", "offline_replicas", "eligible_leader_replicas", "last_known_elr", "voter_id", "adding_replicas",
     "removing_replicas", "replica_id", "preferred_read_replica", "current_voters", "observers")
)  # fmt: skip
NAMED_BY_ID: Final = (4, 8)
"""The types of resources in DescribeConfigs and its siblings that are named by a node's id: BROKER, BROKER_LOGGER."""


def swapped(value: Any, node_id: int) -> Any:
    """A field's value, which is an id or a list of them, with `node_id` and the recorded one in each other's place."""
    if isinstance(value, list):
        return [swapped(each, node_id) for each in value]
    if isinstance(value, int) and value in (node_id, RECORDED_NODE):
        return node_id + RECORDED_NODE - value
    return value


def with_nodes(message: S, node_id: int) -> S:
    """A copy of a message in which the ids of nodes have changed places."""
    changed: dict[str, Any] = {}
    for field in fields_of(type(message)):
        value = getattr(message, field.name)
        if isinstance(value, list) and value and isinstance(value[0], Struct):
            changed[field.name] = [with_nodes(each, node_id) for each in value]
        elif field.name in FIELDS:
            changed[field.name] = swapped(value, node_id)
        elif field.name == "resource_name" and getattr(message, "resource_type", None) in NAMED_BY_ID:
            changed[field.name] = swapped_name(value, node_id)
    kept = {field.name: getattr(message, field.name) for field in fields_of(type(message))}
    return type(message)(**kept | changed)


def swapped_name(name: str, node_id: int) -> str:
    """The same for an id that is written as a name."""
    here, recorded = str(node_id), str(RECORDED_NODE)
    return {here: recorded, recorded: here}.get(name, name)
