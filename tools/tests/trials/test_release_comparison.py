"""The tables of a release are held against what a Kafka says of itself, and every kind of difference is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.config.keys import ConfigKey, Update
from kproto.errors import ErrorCode
from kproto.release.apis import APIS
from tools.trials.release_comparison import CONFIGS, OWN_DEFAULTS, main

Files = dict[str, list[dict[str, Any]]]


def config(name: str, key: ConfigKey) -> dict[str, Any]:
    return {
        "name": name,
        "type": key.type.name,
        "read_only": key.update is Update.READ_ONLY,
        "sensitive": key.sensitive,
        "synonyms": [{"name": name, "value": key.default, "source": "DEFAULT_CONFIG"}],
    }


def our_own() -> Files:
    """What a Kafka would say that had exactly our tables."""
    files: Files = {
        "errors": [{"code": each.value, "name": each.name, "retriable": each.retriable} for each in ErrorCode],
        "api-keys": [
            {"key": key, "name": api.module.upper(), "oldest": api.oldest, "latest_stable": api.newest}
            for key, api in APIS.items()
        ]
        + [{"key": 4, "name": "LEADER_AND_ISR", "oldest": 0, "latest_stable": -1}],
        "api-versions": [{"key": key, "min": api.oldest_advertised, "max": api.newest} for key, api in APIS.items()],
    }
    for resource, keys in CONFIGS.items():
        files[f"configs-{resource}"] = [
            config(name, key) for name, key in keys.items() if not key.internal and not name.startswith("ottla.")
        ]
    return files


def compared(folder: Path, files: Files) -> int:
    for name, rows in files.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    return main([str(folder)])


def named(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    [row] = [each for each in rows if each["name"] == name]
    return row


def test_the_same_tables_have_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Retired APIs, hidden keys and keys of our own do not count."""
    assert compared(tmp_path, our_own()) == 0
    assert capsys.readouterr().out == "0 differences\n"


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (lambda f: f["errors"].pop(), "error 136: name and retriable: Kafka has None, we have ('CONTROLLER_ID_NOT_"),
        (lambda f: f["errors"][7].update(retriable=False), "error 6:"),
        (lambda f: f["errors"].append({"code": 999, "name": "X", "retriable": True}), "error 999:"),
        (lambda f: f["api-keys"][1].update(latest_stable=99), "API 1: name and versions: Kafka has ('FETCH', 4, 99)"),
        (lambda f: f["api-keys"][0].update(name="PRODUCES"), "API 0: name and versions"),
        (lambda f: f["api-keys"].pop(2), "API 2: name and versions: Kafka has None"),
        (lambda f: f["api-versions"][0].update(min=3), "API 0: advertised versions: Kafka has (3, "),
        (lambda f: f["api-versions"].append({"key": 999, "min": 0, "max": 0}), "API 999: advertised versions"),
        (
            lambda f: named(f["configs-topic"], "retention.ms").update(type="INT"),
            "topic config retention.ms: type: Kafka has 'INT', we have 'LONG'",
        ),
        (
            lambda f: named(f["configs-topic"], "retention.ms")["synonyms"][0].update(value="1"),
            "topic config retention.ms: default: Kafka has '1', we have '604800000'",
        ),
        (
            lambda f: named(f["configs-broker"], "num.partitions").update(read_only=False),
            "broker config num.partitions: read-only: Kafka has False",
        ),
        (
            lambda f: named(f["configs-group"], "share.auto.offset.reset").update(sensitive=True),
            "group config share.auto.offset.reset: sensitive",
        ),
        (
            lambda f: f["configs-client-metrics"].pop(0),
            "client-metrics config interval.ms: known: Kafka has False, we have True",
        ),
        (
            lambda f: f["configs-broker"].append({"name": "new.key"}),
            "broker config new.key: known: Kafka has True, we have False",
        ),
    ],
)
def test_every_kind_of_difference_is_found(
    change: Callable[[Files], object], reported: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the place and both sides."""
    files = our_own()
    change(files)
    assert compared(tmp_path, files) == 1
    out = capsys.readouterr().out
    assert reported in out
    assert out.endswith("\n1 differences\n")


def test_defaults_of_our_own_are_no_difference(tmp_path: Path) -> None:
    """A single node that starts without a file has other needs."""
    files = our_own()
    for name in OWN_DEFAULTS:
        named(files["configs-broker"], name)["synonyms"][0]["value"] = "Kafka's"
    assert compared(tmp_path, files) == 0


@pytest.mark.parametrize("text", [None, "{", "{}", "[]", '[{"code": 1}]'])
def test_a_folder_that_cannot_be_read_is_no_agreement(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file, no JSON, no list, no rows, rows without what they should have."""
    if text is not None:
        (tmp_path / "errors.json").write_text(text)
    assert main([str(tmp_path)]) == 2
    assert "compare-release: " in capsys.readouterr().err
