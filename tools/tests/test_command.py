"""The command's own words: help, versions, unknown verbs, and what `ottla serve` makes of its options.

The broker behind `serve` is a stand-in here; the real one is started in ottla/tests.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from ottla import __version__
from tools.__main__ import VERBS, main
from tools.commands import serve
from tools.trials import __main__ as trials


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """`ottla --help` lists the table; `ottla` alone does too, but did nothing that was asked."""
    assert main(["--help"]) == 0
    listing = capsys.readouterr().out
    assert all(f"  {name} " in listing and verb.summary in listing for name, verb in VERBS.items())
    assert main([]) == 2


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    """`ottla --version` prints the distribution's version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ottla {__version__}\n"


def test_an_unknown_verb_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the finger gets a proposal, anything else the way to the list; both are status 2."""
    assert main(["sevre"]) == 2
    assert capsys.readouterr().err == "ottla: no verb 'sevre'; did you mean 'serve'?\n"
    assert main(["xyzzy"]) == 2
    assert "ottla --help" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*VERBS, *trials.VERBS])
def test_every_verb_has_its_module(name: str) -> None:
    """The tables name modules that are there."""
    verbs = {**VERBS, **trials.VERBS}
    assert importlib.util.find_spec(verbs[name].target.partition(":")[0]) is not None


class ConfigError(Exception):
    """What the stand-in configuration raises."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the command asked of the configuration and of the broker; `error` in it is raised by the configuration."""
    calls: dict[str, object] = {}

    def load_config(path: str | None, overrides: dict[str, str], **options: object) -> types.SimpleNamespace:
        if "error" in calls:
            raise ConfigError(calls["error"])
        calls.update(path=path, overrides=overrides, options=options)
        return types.SimpleNamespace(node_id=3, memory=True, ottla_objects=None)

    def run(config: object, *, ready: Callable[[str, int], None], **_: object) -> None:
        calls["config"] = config
        ready("127.0.0.1", 4711)
        file = calls.get("ready file")
        calls["file while running"] = file.read_text() if isinstance(file, Path) else None

    stand_ins: dict[str, dict[str, object]] = {
        "broker.config.loading": {"load_config": load_config},
        "broker.config.settings": {"ConfigError": ConfigError},
        "broker.server": {"run": run},
    }
    for name, content in stand_ins.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(name, module, raising=False)
    return calls


def test_serve_announces_itself_once(calls: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    """One line on standard output, when the broker says that it is ready, and nothing else ever."""
    assert main(["serve", "--memory"]) == 0
    assert capsys.readouterr().out == "ready 127.0.0.1:4711\n"


def test_the_ready_file_is_true_while_it_exists(calls: dict[str, object], tmp_path: Path) -> None:
    """A file left from an earlier run is removed, the line appears with readiness and goes with the broker."""
    file = tmp_path / "ready"
    file.write_text("ready 127.0.0.1:1\n")
    calls["error"] = "no"
    assert main(["serve", "--memory", "--ready-file", str(file)]) == 2
    del calls["error"]
    calls["ready file"] = file
    assert main(["serve", "--memory", "--ready-file", str(file)]) == 0
    assert calls["file while running"] == f"ready 127.0.0.1:4711\npid {os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


def test_the_lines_of_a_kafka_come_first(calls: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    """What testcontainers' modules wait for in the output of a container, each on a line of its own."""
    assert main(["serve", "--memory", "--kafka-ready-lines"]) == 0
    printed = capsys.readouterr().out
    for pattern in (  # Java and Go; Python and scripts; Python with KRaft, .NET
        r".*Transitioning from RECOVERY to RUNNING.*",
        r".*\[KafkaServer id=\d+\] started.*",
        r".*Kafka Server started.*",
    ):
        assert re.search(f"^{pattern}$", printed, re.MULTILINE), pattern
    assert printed.endswith("ready 127.0.0.1:4711\n")


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe")])
def test_a_lost_standard_output_does_not_keep_a_broker_from_serving(
    failure: OSError, calls: dict[str, object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is full, or its reader has gone: a line in the log, and the broker goes on."""
    capsys.readouterr()

    class Lost(io.StringIO):
        def write(self, text: str) -> int:
            raise failure

    monkeypatch.setattr(sys, "stdout", Lost())
    assert main(["serve", "--memory"]) == 0
    assert "standard output is lost" in capsys.readouterr().err


def test_a_ready_file_in_no_folder_stops_the_start(
    calls: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is found before the broker runs, and reported in a sentence."""
    assert main(["serve", "--ready-file", str(tmp_path / "missing" / "ready")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["serve", "--ready-file", str(tmp_path)]) == 2
    assert "is a directory: name a file" in capsys.readouterr().err
    assert "config" not in calls


def test_a_configuration_that_cannot_be_is_one_sentence(
    calls: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, one line on standard error, and no ready line."""
    calls["error"] = "num.partitions in server.properties: 'many' is not a number"
    assert main(["serve", "server.properties"]) == 2
    output = capsys.readouterr()
    assert output.err == "ottla serve: num.partitions in server.properties: 'many' is not a number\n"
    assert output.out == ""


@pytest.mark.parametrize(
    "words", [["--port", "http"], ["--port", "65536"], ["--set", "num.partitions"], ["--data", "d", "--memory"]]
)
def test_words_that_mean_nothing_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is none, a setting without a value, and two places for the data at once: status 2 and the reason."""
    with pytest.raises(SystemExit) as ended:
        serve.parse(words)
    assert ended.value.code == 2
    assert "ottla serve: error: " in capsys.readouterr().err


def test_a_setting_is_split_at_its_first_equals_sign() -> None:
    """Values may contain equals signs; blanks around either side are not part of them."""
    assert serve.setting("listeners = PLAINTEXT://:1?a=b ") == ("listeners", "PLAINTEXT://:1?a=b")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["topics", "lst"], "ottla topics: no action 'lst'; did you mean 'list'?"),
        (["quotas", "x"], "ottla quotas: no action 'x'; there are describe, alter"),
        (["users"], "\n    create-token\n"),
        (["topics", "-b", "a:1", "list"], "ottla topics: the action comes first, then its options; there are list, "),
    ],
)
def test_an_unknown_action_is_answered_with_the_nearest(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an unknown verb is; without a word, there is the list of them."""
    assert main(words) == 2
    assert sentence in capsys.readouterr().err
