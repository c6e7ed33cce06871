"""Answers in a file: one JSON line per scenario and version, gzip over all, the same bytes for the same answers.

["Produce/a-gap", 9, {"first": {...}, "third": {...}}]
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tools.trials.differential.stage import Answers, Key

RECORDED = Path(__file__).parent / "recorded" / "kafka-4.3.1.jsonl.gz"
"""What Apache Kafka 4.3.1 answered."""


def read_answers(path: Path) -> Answers:
    """The answers in a file. Raises OSError, ValueError."""
    answers: Answers = {}
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        scenario, version, steps = json.loads(line)
        for step, answer in steps.items():
            answers[Key(scenario, version, step)] = answer
    return answers


def write_answers(path: Path, answers: Answers) -> None:
    """Replace the answers in a file. Raises OSError."""
    scenes: dict[tuple[str, int], dict[str, object]] = {}
    for key, answer in answers.items():
        scenes.setdefault((key.scenario, key.version), {})[key.step] = answer
    lines = [json.dumps([*scene, scenes[scene]], separators=(",", ":")) for scene in sorted(scenes)]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without name and time of its own the file changes only when answers do.
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))
