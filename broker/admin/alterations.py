"""The resources that AlterConfigs and IncrementalAlterConfigs name, changed part by part.

Each resource is changed on its own; one that is named more than once is refused each time. A request may name
thousands, so they go to the cluster coordinator in parts of `AT_ONCE`, and other requests are served in between. A
client that leaves in the midst of that leaves the rest undone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from broker.coordinators.cluster import Alteration, ClusterCoordinator
from broker.coordinators.cluster.configs import MAX_CONFIGS
from kproto.errors import ErrorCode, KafkaError
from storage.seams.slices import Slices

AT_ONCE: Final = 1000

REPEATED: Final = KafkaError(ErrorCode.INVALID_REQUEST, "the resource is named more than once")
TOO_MANY: Final = KafkaError(ErrorCode.POLICY_VIOLATION, f"a resource may have {MAX_CONFIGS} configs")


class Resource(Protocol):
    """What both requests have in common."""

    resource_type: int
    resource_name: str
    configs: list[Any]


R = TypeVar("R", bound=Resource)


async def alter_each(
    resources: Sequence[R],
    change: Callable[[R], Alteration | None],
    check: Callable[[Alteration], Awaitable[None]],
    cluster: ClusterCoordinator,
    validate_only: bool,
) -> list[KafkaError | None]:
    """Change each resource; why not, in the order of `resources`.

    `change` says what is to become of a resource, None if that is done already, or raises KafkaError; so does `check`,
    which may take its time.
    """
    slices = Slices()
    times: Counter[tuple[int, str]] = Counter()
    async for resource in slices.over(resources):
        times[resource.resource_type, resource.resource_name] += 1
    results: list[KafkaError | None] = []
    alterations: dict[int, Alteration] = {}

    async def alter() -> None:
        altered = await cluster.alter_configs(list(alterations.values()), validate_only=validate_only)
        for index, result in zip(alterations, altered, strict=True):
            results[index] = result
        alterations.clear()

    async for resource in slices.over(resources):
        problem: KafkaError | None = None
        if times[resource.resource_type, resource.resource_name] > 1:
            problem = REPEATED
        elif len(resource.configs) > MAX_CONFIGS:
            problem = TOO_MANY
        else:
            try:
                alteration = change(resource)
                if alteration is not None:
                    await check(alteration)
                    alterations[len(results)] = alteration
            except KafkaError as error:
                problem = KafkaError(error.code, error.message)  # without the frames in its traceback
        results.append(problem)
        if len(alterations) == AT_ONCE:
            await alter()
    if alterations:
        await alter()
    return results
