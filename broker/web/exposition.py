"""Metrics as Prometheus reads them: its text format, version 0.0.4, written by its own library, `prometheus_client`.

The library renders a whole registry in one go, which for many samples would hold the event loop. So each block is
rendered by itself, and of those that go on with a family the two lines about the family are dropped.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric

from broker.web.collecting import Block, Groups, Running, collect

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_process: Final = ProcessCollector(registry=None)


class _Shown:
    """What the library asks for metrics."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def texts(running: Running, groups: Groups | None, wanted: Set[str] = frozenset()) -> Iterator[bytes]:
    """The whole text in pieces, some empty; of the families in `wanted` alone, if there are any. The caller gives way
    between the pieces."""
    process = [metric for metric in _process.collect() if not wanted or wanted & {each.name for each in metric.samples}]
    yield generate_latest(_Shown(process))
    family = ""
    for block in collect(running, groups):
        if block is None or (wanted and block.family.name not in wanted):
            yield b""
            continue
        text = render(block)
        yield text if block.family.name != family else text.split(b"\n", 2)[2]
        family = block.family.name


def render(block: Block) -> bytes:
    """One block, with the two lines about its family."""
    family = block.family
    metric = Metric(family.name.removesuffix("_total"), family.text, family.kind)
    for values, number in block.samples:
        metric.add_sample(family.name, dict(zip(family.labels, values, strict=False)), number)
    return generate_latest(_Shown([metric]))
