"""Answers in a file: a line that names the release of Kafka, then one per scenario and version.

    "<release>"
    ["Produce/a-gap", 9, {"first": {...}, "third": {...}}]

Each line is JSON, and gzip is over all of them. The same answers are the same bytes.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from kproto.messages import APIS, api_name
from kproto.release import RELEASE
from tools.answers.site import Answers, Key

RECORDED = Path(__file__).parent / "recorded" / "kafka.jsonl.gz"
"""What Apache Kafka answered."""
VERSIONS_LISTED = Key("ApiVersions/nothing-filled-in", 0, "defaults")


def read_release(path: Path) -> str:
    """The release that gave the answers in a file. Raises OSError, ValueError."""
    return str(json.loads(_lines(path)[0]))


def read_answers(path: Path) -> Answers:
    """The answers in a file. Raises OSError, ValueError."""
    answers: Answers = {}
    for line in _lines(path)[1:]:
        scenario, version, steps = json.loads(line)
        for step, answer in steps.items():
            answers[Key(scenario, version, step)] = answer
    return answers


def foreign_versions(answers: Answers) -> list[str]:
    """What `answers` list of APIs in other versions than the release has them: signs that another Kafka was asked.

    Raises KeyError where the answers are not of all scenarios.
    """
    listed = answers[VERSIONS_LISTED]["api_keys"]
    found = {each["api_key"]: (each["min_version"], each["max_version"]) for each in listed}
    release = {key: (api.oldest_advertised, api.newest) for key, api in APIS.items()}
    return [
        f"{api_name(key)} {versions[0]}-{versions[1]}"
        for key, versions in sorted(found.items())
        if release.get(key) != versions
    ]


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def write_answers(path: Path, answers: Answers) -> None:
    """Replace the answers in a file by those of the release that this tree is held against. Raises OSError."""
    scenes: dict[tuple[str, int], dict[str, object]] = {}
    for key, answer in answers.items():
        scenes.setdefault((key.scenario, key.version), {})[key.step] = answer
    lines = [json.dumps([*scene, scenes[scene]], separators=(",", ":")) for scene in sorted(scenes)]
    lines.insert(0, json.dumps(RELEASE))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without name and time of its own the file changes only when answers do.
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))
