"""UpdateFeatures (57): raise or lower the cluster's levels of features, all that are named or none.

- v1: kinds of upgrade and `validate_only` (KIP-778). `allow_downgrade` of v0 is not looked at, as in Kafka: v0 can only
  raise.
- v2: no result for each feature; v0 and v1 list every update once more, with the message NONE.
- A refusal is one error above the results, and there are none. Nothing waits here that `timeout_ms` could end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.features import FeatureUpdate, UpgradeType
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.update_features import UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: UpdateFeaturesRequest, ctx: RequestContext) -> UpdateFeaturesResponse:
    """Change the levels, or say whether they could be changed."""
    typed = ctx.api_version >= 1
    slices = Slices()
    updates = {
        update.feature: FeatureUpdate(update.max_version_level, update.upgrade_type if typed else UpgradeType.UPGRADE)
        async for update in slices.over(request.feature_updates)
    }
    try:
        await ctx.cluster.update_features(updates, validate_only=request.validate_only)
    except KafkaError as error:
        return UpdateFeaturesResponse(error_code=error.code, error_message=error.message)
    if ctx.api_version >= 2:
        return UpdateFeaturesResponse(error_message=None)
    results = [
        UpdatableFeatureResult(feature=update.feature, error_message="NONE")
        async for update in slices.over(request.feature_updates)
    ]
    return UpdateFeaturesResponse(error_message=None, results=results)


def refuse(request: UpdateFeaturesRequest, error: ErrorCode, version: int) -> UpdateFeaturesResponse:
    """The error, and no results."""
    return UpdateFeaturesResponse(error_code=error, error_message=None)
