"""What is asked: one module per API (or family of them), each function a situation.

They are asked in the order of the table below, for some see what those before them have left. Importing a module
registers its scenarios.
"""

from __future__ import annotations

from importlib import import_module

from tools.answers.scenario import Scenario, registered

MODULES = (
    "frames",
    "every_api",
    "describe_cluster",
    "metadata",
    "create_topics",
    "change_topics",
    "describe_topic_partitions",
    "produce",
    "produced_batches",
    "producer_sequences",
    "fetch",
    "fetch_sessions",
    "list_offsets",
    "leader_epochs",
    "delete_records",
    "producer_ids",
    "find_coordinator",
    "join_group",
    "group_members",
    "rebalances",
    "offsets",
    "group_listings",
    "consumer_members",
    "consumer_groups",
    "describe_configs",
    "alter_configs",
    "client_quotas",
    "acls",
    "scram_credentials",
    "no_authentication",
    "telemetry",
    "log_dirs",
    "one_node",
    "transactional_ids",
    "transactions",
    "transactional_offsets",
    "transaction_markers",
    "transactional_batches",
    "transaction_listings",
)


def load() -> list[Scenario]:
    """All scenarios, in order, whichever modules were imported before."""
    for module in MODULES:
        import_module(f"{__name__}.{module}")
    places = {module: place for place, module in enumerate(MODULES)}
    return sorted(registered(), key=lambda each: places[each.module])
