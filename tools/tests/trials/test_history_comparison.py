"""The comparison of Kafka's releases with their definitions finds what differs, and the page on emulation is true."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from kproto.release.history import api_ranges
from tools.trials.history_comparison import differences, main, what_is_left_out
from tools.trials.schema_comparison import Definition

PAGE = Path(__file__).parents[3] / "docs" / "emulation.md"


def requests_of(release: str) -> list[Definition]:
    """Definitions that say what the history says."""
    return [
        {"apiKey": key, "validVersions": f"{oldest}-{newest}", "listeners": ["broker"]}
        for key, (oldest, newest) in api_ranges(release).items()
    ]


def test_the_same_is_no_difference() -> None:
    """Nor is a version that is not stable, an API of another listener, or one that is gone."""
    others: list[Definition] = [
        {"apiKey": 200, "validVersions": "0", "listeners": ["controller"]},
        {"apiKey": 201, "validVersions": "0", "listeners": ["broker"], "latestVersionUnstable": True},
        {"apiKey": 202, "validVersions": "none", "listeners": ["broker"]},
    ]
    assert differences("4.3", requests_of("4.3") + others) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [({"validVersions": "0-3"}, "API 12 is (0, 4)"), ({"listeners": []}, "API 12 is (0, 4) in the history, None")],
)
def test_every_difference_is_a_line(change: Definition, found: str) -> None:
    """A range, and an API that one side lacks."""
    requests = [{**each, **change} if each["apiKey"] == 12 else each for each in requests_of("4.3")]
    (line,) = differences("4.3", requests)
    assert line.startswith(found)


def test_definitions_are_read_from_a_jar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the comments that Kafka's files have, and the brace too many that some end with."""
    with zipfile.ZipFile(tmp_path / "clients.jar", "w") as jar:
        for each in requests_of("4.1"):
            jar.writestr(f"common/message/{each['apiKey']}Request.json", "// a comment\n" + json.dumps(each) + "\n}")
    assert main([f"4.1={tmp_path / 'clients.jar'}"]) == 0
    assert main([f"4.0={tmp_path / 'clients.jar'}"]) == 1
    assert main([f"4.0={tmp_path / 'none.jar'}"]) == 2
    assert main(["5.0=x.jar"]) == 2
    assert "API 1 is (4, 17) in the history, (4, 18) in the definitions" in capsys.readouterr().out


def test_the_page_lists_what_is_left_out() -> None:
    """Row by row: regenerate it with `what_is_left_out` when a lowest version changes."""
    assert "\n".join(what_is_left_out()) in PAGE.read_text(encoding="utf-8")
