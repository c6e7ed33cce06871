"""The decision to change the quotas of an entity; what may be changed is in `quotas.py`, which the machine keeps."""

from __future__ import annotations

from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.cluster.quotas import QuotaAlteration, changed_quotas
from broker.coordinators.machine import Decision, Promise
from kproto.errors import KafkaError


def decide_quotas(
    alteration: QuotaAlteration, validate_only: bool, machine: ClusterMachine, promise: Promise[None]
) -> ClusterDecision:
    """Change the quotas of one entity, or only look whether they may be changed so."""
    try:
        records = changed_quotas(machine.quotas, alteration)
    except KafkaError as error:
        return Decision(replies=[(promise, error.with_traceback(None))])
    return Decision([] if validate_only else list(records), [(promise, None)])
