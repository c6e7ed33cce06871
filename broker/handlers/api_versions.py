"""ApiVersions (18): what this broker speaks.

- v3: the client says what software it is (KIP-511), and is given features (KIP-584).
- v4: features whose lowest version is 0 are listed too, which readers of v3 cannot take.
- v5: the client may say which broker it means to reach (KIP-1242), by the cluster's id and the node's id. It says both
  or neither, else it is answered INVALID_REQUEST; if one of the two is another's, REBOOTSTRAP_REQUIRED: an address that
  now belongs to another cluster sends the client back to its bootstrap servers, before it has written anything.
- A client of the future asks in a version that is not known here: it is answered in v0 with UNSUPPORTED_VERSION and the
  range of this API, and comes back. An error leaves the connection open, as in Kafka.

The list is derived from `HANDLERS`, so it says exactly what is served (telemetry only where it is wanted); levels of
features take nothing from it. A broker that plays an older release (`broker/emulation.py`) lists what that release did.
The supported features are those of which Ottla serves a level, the finalized ones are
the levels that the cluster's log says (`coordinators/cluster/features.py`). Their epoch is the offset that the log has
reached.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from broker.handlers import ADVERTISED_VERSIONS, SERVED_VERSIONS
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.emulation import Emulation

API_VERSIONS = 18
TELEMETRY = (71, 72)
"""Clients that find these push metrics."""
ANY_NODE = -1

_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
"""What a client's name and version may look like (KIP-511)."""


async def handle(request: ApiVersionsRequest, ctx: RequestContext) -> ApiVersionsResponse:
    """Remember the client's software, list the APIs."""
    if ctx.api_version >= 3:
        name, version = request.client_software_name, request.client_software_version
        if not (_SOFTWARE.fullmatch(name) and _SOFTWARE.fullmatch(version)):
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        _check_expectation(request, ctx)
        ctx.peer.client_software = (name, version)
    emulation, features = ctx.services.emulation, ctx.cluster.features
    advertised = ADVERTISED_VERSIONS if emulation is None else emulation.advertised
    return ApiVersionsResponse(
        api_keys=[
            ApiVersion(api_key=key, min_version=advertised[key][0], max_version=advertised[key][1])
            for key in sorted(advertised)
            if key not in TELEMETRY or ctx.config.ottla_telemetry_enable
        ],
        supported_features=[
            SupportedFeatureKey(name=name, min_version=oldest, max_version=newest)
            for name, (oldest, newest) in features.ranges.items()
            if oldest > 0 or ctx.api_version >= 4
        ],
        finalized_features_epoch=0 if emulation is not None and emulation.of_zookeeper else ctx.cluster.metadata_offset,
        finalized_features=[
            FinalizedFeatureKey(name=name, min_version_level=level, max_version_level=level)
            for name, level in features.shown(ctx.cluster.image.finalized_features).items()
        ],
    )


def _check_expectation(request: ApiVersionsRequest, ctx: RequestContext) -> None:
    """Refuse a client that means another broker. Raises KafkaError: INVALID_REQUEST, REBOOTSTRAP_REQUIRED."""
    expected = (request.cluster_id, request.node_id)
    if expected == (None, ANY_NODE):
        return
    if request.cluster_id is None or request.node_id == ANY_NODE:
        raise KafkaError(ErrorCode.INVALID_REQUEST)
    if expected != (ctx.store.cluster_id, ctx.config.node_id):
        raise KafkaError(ErrorCode.REBOOTSTRAP_REQUIRED)


def refuse(request: ApiVersionsRequest, error: ErrorCode, version: int) -> ApiVersionsResponse:
    """The error, and no list."""
    return ApiVersionsResponse(error_code=error)


def unsupported_version(emulation: Emulation | None = None) -> ApiVersionsResponse:
    """The answer, in v0, to a version that is not known."""
    oldest, newest = (SERVED_VERSIONS if emulation is None else emulation.served)[API_VERSIONS]
    own = ApiVersion(api_key=API_VERSIONS, min_version=oldest, max_version=newest)
    return ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[own])
