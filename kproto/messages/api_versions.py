"""ApiVersions, API 18."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Int64, Request, Response, String, Struct, field


class ApiVersionsRequest(Request, api=18, versions="0-5", flexible="3+"):
    """Ask which versions of which APIs the broker serves.

    v3 introduces the client's software (KIP-511) and is flexible, v3's reply carries features (KIP-584), v4 allows
    a feature's lowest version to be 0, v5 says which broker the client means to reach: its cluster's id and its node's
    id, as far as the client knows them (KIP-1242). The reply's header is always v0.
    """

    client_software_name: String = field("3+", ignorable=True)
    client_software_version: String = field("3+", ignorable=True)
    cluster_id: String | None = field("5+", default=None, ignorable=True)
    node_id: Int32 = field("5+", default=-1, ignorable=True)


class ApiVersion(Struct):
    api_key: Int16 = field("0+", map_key=True)
    min_version: Int16 = field("0+")
    max_version: Int16 = field("0+")


class SupportedFeatureKey(Struct):
    name: String = field("3+", map_key=True)
    min_version: Int16 = field("3+")
    max_version: Int16 = field("3+")


class FinalizedFeatureKey(Struct):
    name: String = field("3+", map_key=True)
    max_version_level: Int16 = field("3+")
    min_version_level: Int16 = field("3+")


class ApiVersionsResponse(Response, to=ApiVersionsRequest):
    error_code: Int16 = field("0+")
    api_keys: Array[ApiVersion] = field("0+")
    throttle_time_ms: Int32 = field("1+", ignorable=True)
    supported_features: Array[SupportedFeatureKey] = field("3+", tag=0, ignorable=True)
    finalized_features_epoch: Int64 = field("3+", tag=1, default=-1, ignorable=True)
    finalized_features: Array[FinalizedFeatureKey] = field("3+", tag=2, ignorable=True)
    zk_migration_ready: Bool = field("3+", tag=3, ignorable=True)
