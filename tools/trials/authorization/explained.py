"""Where a secured Ottla answers a case of the matrix otherwise than Kafka does, on purpose."""

from __future__ import annotations

from tools.answers.comparison import Explanation

EXPLAINED: list[Explanation] = [
    Explanation("*", "*error_message", "what a refusal says to people, if it says anything, is each broker's own"),
]
