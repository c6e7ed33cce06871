"""`docs/cluster-failures.md`: the matrix, with what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tools.trials.cluster_failures.audit import Audit
from tools.trials.cluster_failures.load import Verdict, Written
from tools.trials.cluster_failures.rows import Row

HEAD = """# What happens when a part of a cluster fails

Each row was done to three brokers over a PostgreSQL with a synchronous standby and an object store (SeaweedFS), all
real processes, with proxies between them, while three idempotent producers wrote to four partitions. Then everything
was read and held against what had been acknowledged, and the objects in the bucket against the database. After the last
row all brokers were killed, and everything was read once more, from the bucket. The page is written by

```
python -m tools.trials cluster-failures --page docs/cluster-failures.md
```

*Lost* and *twice* count acknowledged records; *silence* is the longest time in which no producer got an answer. What
failed, with an error to its producer, may be there or not. Orphans are objects that were uploaded and not committed;
they are collected when they are two hours old. What else can go wrong, and what to do about it, is in
[cluster.md](cluster.md).

| failure | done | promised | acknowledged | failed | lost | twice | disorder | silence | orphans |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


class Result(NamedTuple):
    """One row, done."""

    row: Row
    verdict: Verdict
    objects: Audit
    topic: str
    written: Sequence[Written]

    @property
    def is_sound(self) -> bool:
        """Whether every promise was kept."""
        return self.verdict.is_sound and not self.objects.missing


def page(results: Sequence[Result]) -> str:
    """The whole page. Orphans are those that came with the row."""
    lines = []
    before = 0
    for row, verdict, objects, *_ in results:
        lines.append(
            f"| {row.name} | {row.what} | {row.outcome} | {verdict.acknowledged:,} | {verdict.failed} | "
            f"{verdict.lost + verdict.misplaced} | {verdict.doubled} | {verdict.reordered} | {verdict.silence:.1f} s | "
            f"{max(0, objects.orphans - before)} |\n"
        )
        before = objects.orphans
    return HEAD + "".join(lines)
