"""The broker at an address: what it serves, which node it is, and what it says of its settings.

Everything that is found out here is found out once, before anything is compared. A broker that cannot say it (because
it lacks DescribeConfigs, or DescribeCluster) is asked less, and no worse for it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from kproto.errors import ErrorCode
from kproto.messages.describe_acls import DescribeAclsRequest
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.metadata import MetadataRequest
from tools.client.connection import BrokerConnection, Security
from tools.client.properties import ClientProperties
from tools.failures import Failed

BROKER = 4
ANY, ANY_KIND = 1, 1


@dataclass(frozen=True)
class Target:
    """A broker that answers."""

    properties: ClientProperties
    versions: Mapping[int, tuple[int, int]]
    """API key -> (oldest, newest) version that it says it serves."""
    node_id: int
    nodes: int
    """How many brokers its cluster has."""
    settings: Mapping[str, str | None] = field(default_factory=dict)
    """Those of the broker; none where it does not describe them."""
    given: frozenset[str] = frozenset()
    """The names of those that were set, and are not defaults."""
    rack: str | None = None
    authorizes: bool = False
    """Whether it has ACLs."""
    security: Security | None = None

    @property
    def name(self) -> str:
        """The address as it is read."""
        return self.properties.addresses

    @property
    def asks_who(self) -> bool:
        """Whether clients log in."""
        return self.properties.protocol.startswith("SASL")

    @property
    def encrypts(self) -> bool:
        """Whether connections are in TLS."""
        return self.properties.protocol.endswith("SSL")

    def connect(self) -> socket.socket:
        """A connection on which requests are answered. Raises Failed."""
        return self._open().stream

    def _open(self) -> BrokerConnection:
        assert self.security is not None
        return BrokerConnection.make(self.properties.bootstrap[0], self.security, self.properties.timeout)


def look_at(properties: ClientProperties) -> Target:
    """The broker at the first of the bootstrap servers. Raises Failed."""
    security = Security.of(properties)
    connection = BrokerConnection.make(properties.bootstrap[0], security, properties.timeout)
    try:
        about = connection.call(MetadataRequest(topics=[]))
        here = [each.node_id for each in about.brokers if (each.host, each.port) == connection.address]
        node_id = here[0] if here else (about.controller_id if len(about.brokers) != 1 else about.brokers[0].node_id)
        settings, given = _settings(connection, node_id)
        rack = next((each.rack for each in about.brokers if each.node_id == node_id), None)
        return Target(
            properties, connection.versions, node_id, len(about.brokers), settings, given, rack,
            _authorizes(connection), security,
        )  # fmt: skip
    except OSError as error:
        raise Failed(f"the broker at {connection.name} does not answer: {error}") from None
    finally:
        connection.close()


def _settings(connection: BrokerConnection, node_id: int) -> tuple[dict[str, str | None], frozenset[str]]:
    if DescribeConfigsRequest.api_key not in connection.versions:
        return {}, frozenset()
    resource = DescribeConfigsResource(resource_type=BROKER, resource_name=str(node_id), configuration_keys=None)
    reply = connection.call(DescribeConfigsRequest(resources=[resource]))
    configs = reply.results[0].configs if reply.results and not reply.results[0].error_code else []
    default = 5  # a ConfigSource of DescribeConfigs
    given = frozenset(each.name for each in configs if each.config_source != default)
    return {each.name: each.value for each in configs}, given


def _authorizes(connection: BrokerConnection) -> bool:
    if DescribeAclsRequest.api_key not in connection.versions:
        return False
    request = DescribeAclsRequest(
        resource_type_filter=ANY_KIND, pattern_type_filter=ANY, operation=ANY, permission_type=ANY
    )
    return bool(connection.call(request).error_code != ErrorCode.SECURITY_DISABLED)
