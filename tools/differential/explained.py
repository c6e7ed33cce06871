"""Where Ottla answers something else than Apache Kafka on purpose: one table, each row with its reason.

A row names the scenarios and steps it is about (`Api/scenario: step`), the path in the answer, and if need be the two
values; `*` stands for anything. A row that explains nothing any more fails the comparison, so the table cannot rot.
"""

from __future__ import annotations

from tools.differential.comparison import Explanation

EXPLAINED: list[Explanation] = []
