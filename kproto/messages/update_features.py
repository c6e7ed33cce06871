"""UpdateFeatures, API 57."""

from kproto.schema.declare import Array, Bool, Int8, Int16, Int32, Request, Response, String, Struct, field


class FeatureUpdateKey(Struct):
    feature: String = field("0+", map_key=True)
    max_version_level: Int16 = field("0+")
    allow_downgrade: Bool = field("0")
    upgrade_type: Int8 = field("1+", default=1)


class UpdateFeaturesRequest(Request, api=57, versions="0-2", flexible="0+"):
    """Change finalized features (KIP-584). v1 knows kinds of upgrade and dry runs (KIP-778)."""

    timeout_ms: Int32 = field("0+", default=60000)
    feature_updates: Array[FeatureUpdateKey] = field("0+")
    validate_only: Bool = field("1+")


class UpdatableFeatureResult(Struct):
    feature: String = field("0+", map_key=True)
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")


class UpdateFeaturesResponse(Response, to=UpdateFeaturesRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    results: Array[UpdatableFeatureResult] = field("0-1", ignorable=True)
