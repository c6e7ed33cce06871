"""Changes of a cluster in any order, allowed and refused: the machine knows what its log says (see `decided.py`)."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import partial
from importlib import import_module

from hypothesis import given
from hypothesis import strategies as st

import broker.coordinators.cluster as cluster_package
from broker.coordinators.cluster.acl_changes import decide_acl_removal, decide_acls
from broker.coordinators.cluster.coordinator import _decide_abort
from broker.coordinators.cluster.credentials import Deletion, decide_credentials, prepare
from broker.coordinators.cluster.features import FeatureUpdate, decide_opening, decide_update
from broker.coordinators.cluster.image import ResourceType
from broker.coordinators.cluster.producer_ids import decide_block
from broker.coordinators.cluster.quorum import decide_unregistration_of_broker, decide_unregistration_of_controller
from broker.coordinators.cluster.quota_changes import decide_quotas
from broker.coordinators.cluster.quotas import QuotaAlteration, entity_of
from broker.coordinators.cluster.tokens import decide_expiry, decide_renewal, decide_sweep, decide_token
from broker.coordinators.machine import Decision
from broker.security.acls import Acl
from broker.security.principals import Principal
from broker.security.tokens import DelegationToken
from broker.tests.coordinators.cluster.decided import NODE, Cluster, id_of
from kproto.errors import KafkaError
from kproto.formats.cluster_metadata import (
    BeginTransactionRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    TopicRecord,
)
from kproto.release.features import ELR_VERSION, METADATA_VERSION
from kproto.schema.declare import Record

USER = Principal("User", "u")
NAMES = st.sampled_from(["t", "u.v", "u_v", "w"])
KEYS = st.sampled_from(["retention.ms", "min.insync.replicas", "no.such.key"])
ACLS = st.builds(
    Acl, st.just(2), NAMES, st.sampled_from([3, 4]), st.just("User:a"), st.just("*"), st.just(3), st.just(3)
)
STEPS = st.one_of(
    st.tuples(st.just("create"), NAMES, st.integers(-1, 3)),
    st.tuples(st.just("delete"), st.integers(100, 110)),
    st.tuples(st.just("grow"), NAMES, st.integers(0, 5)),
    st.tuples(st.just("alter"), st.sampled_from([2, 4, 32]), st.sampled_from(["t", "1", ""]), KEYS, st.integers(0, 3)),
    st.tuples(st.just("quota"), st.sampled_from(["u", "", None]), st.sampled_from([None, 0.0, 1.0, 2.5])),
    st.tuples(st.just("block")),
    st.tuples(st.just("open")),
    st.tuples(st.just("update"), st.sampled_from([METADATA_VERSION, ELR_VERSION, "nothing"]), st.integers(0, 30)),
    st.tuples(st.just("transaction"), NAMES),
    st.tuples(st.just("credential"), st.sampled_from(["u", ""]), st.integers(1, 3), st.sampled_from([0, 4096, 8192])),
    st.tuples(st.just("token"), st.sampled_from(["a", "b"]), st.integers(0, 9)),
    st.tuples(st.just("renewal"), st.sampled_from(["a", "b"]), st.sampled_from(["u", "w"]), st.integers(0, 9)),
    st.tuples(st.just("expiry"), st.sampled_from(["a", "b"]), st.integers(-1, 9)),
    st.tuples(st.just("sweep"), st.integers(0, 20)),
    st.tuples(st.just("unregister"), st.booleans(), st.sampled_from([NODE, 7, 8])),
    st.tuples(st.just("acls"), st.lists(st.tuples(st.integers(500, 509), ACLS), max_size=4)),
    st.tuples(st.just("acl removal"), st.lists(st.integers(500, 509), max_size=4)),
)


@given(st.lists(STEPS, max_size=40), st.booleans())
def test_after_every_decision_the_state_is_what_the_log_says(steps: list[tuple[object, ...]], dry: bool) -> None:
    """M10: a machine that only replays what was decided knows the same, step by step."""
    cluster = Cluster()
    for number, step in enumerate(steps):
        try:
            _take(cluster, step, validate_only=dry and number % 3 == 0)
        except KafkaError:
            continue


def _take(cluster: Cluster, step: tuple[object, ...], validate_only: bool) -> None:
    machine = cluster.machine
    match step:
        case ("create", str(name), int(partitions)):
            cluster.create(name, partitions, validate_only=validate_only, configs={"retention.ms": "5"})
        case ("delete", int(number)):
            cluster.delete(id_of(number))
        case ("grow", str(name), int(count)):
            cluster.grow(name, count, validate_only=validate_only)
        case ("alter", int(kind), str(name), str(key), int(value)):

            def compute(current: Mapping[str, str]) -> Mapping[str, str]:
                kept = {each: text for each, text in current.items() if each != key}
                return kept if value == 0 else {**kept, key: str(value)}

            cluster.alter(ResourceType(kind), name, compute, validate_only=validate_only)
        case ("quota", str() | None as name, float() | None as value):
            change = QuotaAlteration(entity_of([("user", name)]), [("controller_mutation_rate", value)])
            cluster.take(lambda promise: decide_quotas(change, validate_only, machine, promise))
        case ("block",):
            cluster.take(lambda promise: decide_block(machine, NODE, promise))
        case ("open",):
            cluster.take(lambda promise: decide_opening(machine, "1", promise))
        case ("update", str(name), int(level)):
            updates = {name: FeatureUpdate(level)}
            cluster.take(lambda promise: decide_update(machine, updates, NODE, "1", promise, validate_only))
        case ("credential", str(user), int(mechanism), int(iterations)):
            upsertions = [prepare(user, mechanism, iterations, b"salt", b"password")] if iterations else []
            deletions = [] if iterations else [Deletion(user, mechanism)]
            cluster.take(lambda promise: decide_credentials(machine, deletions, upsertions, promise))
        case ("token", str(token_id), int(expires)):
            token = DelegationToken(token_id, USER, USER, (), 0, expires, 2 * expires)
            cluster.take(lambda promise: decide_token(machine, token, promise))
        case ("renewal", str(token_id), str(who), int(now)):
            cluster.take(lambda promise: decide_renewal(machine, token_id, Principal("User", who), 5, now, promise))
        case ("expiry", str(token_id), int(period)):
            cluster.take(lambda promise: decide_expiry(machine, token_id, USER, period, 3, promise))
        case ("sweep", int(now)):
            cluster.take(lambda promise: decide_sweep(machine, now, promise))
        case ("acls", list(wanted)):
            free = {acl: id_of(number) for number, acl in wanted if not machine.acls.has_id(id_of(number))}
            numbered = {acl_id: acl for acl, acl_id in free.items()}
            cluster.take(lambda promise: decide_acls(machine, list(numbered.items()), promise))
        case ("acl removal", list(numbers)):
            gone = dict.fromkeys(map(id_of, numbers))
            cluster.take(lambda promise: decide_acl_removal(machine, gone, promise))
        case ("unregister", bool(is_broker), int(number)):
            if is_broker:
                registered: Record = RegisterBrokerRecord(broker_id=7)
                decide = partial(decide_unregistration_of_broker, broker_id=number, at_work={NODE})
            else:
                registered = RegisterControllerRecord(controller_id=7)
                decide = partial(decide_unregistration_of_controller, controller_id=number, node_id=NODE)
            cluster.take(lambda promise: Decision([registered], [(promise, None)]))  # as a log of Kafka's has it
            cluster.take(lambda promise: decide(machine, promise))
        case ("transaction", str(name)):
            half = [BeginTransactionRecord(), TopicRecord(name=name, topic_id=id_of(999))]
            cluster.take(lambda promise: Decision(half, [(promise, None)]))
            cluster.take(lambda promise: _decide_abort(machine, promise))
        case _:
            raise AssertionError(step)


def test_every_decision_of_the_cluster_is_tried() -> None:
    """M10: a decision that is new is tried here as well, where state and log are compared."""
    modules = [
        import_module(f"{cluster_package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(cluster_package.__path__)
    ]
    decisions = {name for module in modules for name in vars(module) if name.lstrip("_").startswith("decide_")}
    assert decisions == {
        "decide_creation",
        "decide_deletion",
        "decide_growth",
        "decide_alteration",
        "decide_quotas",
        "decide_block",
        "decide_opening",
        "decide_update",
        "decide_credentials",
        "decide_token",
        "decide_renewal",
        "decide_expiry",
        "decide_sweep",
        "decide_acls",
        "decide_unregistration_of_broker",
        "decide_unregistration_of_controller",
        "decide_acl_removal",
        "_decide_abort",
    }
