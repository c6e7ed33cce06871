"""The permissions in the table of APIs: each can be granted, and each names its resource by a field that exists."""

from __future__ import annotations

import pytest

from broker.handlers import HANDLERS
from broker.security.needs import DEPENDS, NONE
from broker.security.operations import SUPPORTED, Resource
from kproto.messages import request_type


@pytest.mark.parametrize("key", [key for key, api in HANDLERS.items() if api.needs is not DEPENDS])
def test_what_an_api_needs_can_be_granted(key: int) -> None:
    """Kafka refuses an ACL with an operation that its resource does not support, so such a need could never be met."""
    for need in HANDLERS[key].needs or ():
        assert need.operation in SUPPORTED[need.resource]


@pytest.mark.parametrize("key", [key for key, api in HANDLERS.items() if api.needs is not DEPENDS])
def test_the_resource_is_named_by_a_field_of_every_version(key: int) -> None:
    """There is one cluster; any other resource is named in the request, in each version that is served."""
    api = HANDLERS[key]
    for need in api.needs or ():
        if need.resource is Resource.CLUSTER:
            assert need.named_by is None
        else:
            assert need.named_by is not None
            request = request_type(key)(**{need.named_by: "named"})
            assert getattr(request, need.named_by) == "named"


def test_a_stranger_may_ask_only_whom_it_talks_to() -> None:
    """What needs no permission at all: the versions that are spoken, the brokers of the cluster, and to say who one is
    and how one fares (KIP-714)."""
    free = {
        "api_versions", "describe_cluster", "get_telemetry_subscriptions", "push_telemetry", "sasl_authenticate",
        "sasl_handshake",
    }  # fmt: skip
    assert {api.module for api in HANDLERS.values() if api.needs == NONE} == free
