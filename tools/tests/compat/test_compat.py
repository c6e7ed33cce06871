"""`ottla compat` against a running broker: answers, a client's scenarios, the files, and words that make no sense."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ottla import Broker
from tools.commands.compat import main
from tools.failures import Failed, Misunderstood


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A broker for this module."""
    with Broker() as broker:
        yield broker.bootstrap_servers


def test_answers_and_a_client(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice on one broker, which is not fresh then: nothing differs; page, JSON and XML say what was compared."""
    words = ["-b", address, "--to", str(tmp_path), "--explained", "ottla", "--only", "OffsetForLeaderEpoch"]
    assert main([*words, "--clients", "none"]) == 0
    words += ["--only", "a_left_group_is_deleted"]
    assert main([*words, "--clients", "kafka-python", "--name", "this one"]) == 0
    assert (
        "0 requests answered differently; 1 scenarios of 1 clients played, 0 come out differently"
        in capsys.readouterr().out
    )
    page = (tmp_path / "index.html").read_text()
    assert "<h1>this one beside Apache Kafka" in page and "kafka-python" in page
    found = json.loads((tmp_path / "compat.json").read_text())
    [epochs] = [each for each in found["apis"] if each["name"] == "OffsetForLeaderEpoch"]
    assert (found["alike"], epochs["state"], sorted(epochs["compared"])) == (True, "same", ["2", "3", "4"])
    [client] = found["clients"]
    assert [each["result"] for each in client["scenarios"]] == ["pass"]
    suites = {each.get("name"): each for each in ElementTree.parse(tmp_path / "junit.xml").getroot()}
    assert {"OffsetForLeaderEpoch", "kafka-python"} <= suites.keys()
    assert "passed" in (tmp_path / "kafka_python.log").read_text()


def test_what_differs_ends_with_1(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without our explanations: the log of the cluster has other ids; and with a file that explains it."""
    words = ["-b", address, "--to", str(tmp_path), "--clients", "none", "--only", "DescribeQuorum/quorum"]
    assert main(words) == 1
    differences = json.loads((tmp_path / "compat.json").read_text())["differences"]
    assert {each["step"] for each in differences} == {"the log"}
    known = tmp_path / "known.json"
    known.write_text(json.dumps([{"scenario": "DescribeQuorum/quorum: the log", "reason": "no ids here"}]))
    assert main([*words, "--explained", str(known)]) == 0
    assert "no ids here" in (tmp_path / "index.html").read_text()
    capsys.readouterr()


@pytest.mark.parametrize(
    "words",
    [
        ("--clients", "no_such_client"),
        ("--only", "no such API", "--clients", "none"),
        ("--explained", "no/such/file"),
        ("--to", "/dev/null/x", "--clients", "none"),
    ],
)
def test_words_that_make_no_sense(words: tuple[str, ...], address: str, tmp_path: Path) -> None:
    """Each is a sentence, before anything is asked."""
    with pytest.raises(Misunderstood):
        main(["-b", address, "--to", str(tmp_path), *words])


def test_an_explanation_without_a_reason_is_refused(address: str, tmp_path: Path) -> None:
    """It names the row."""
    known = tmp_path / "known.json"
    known.write_text('[{"scenario": "Fetch/*"}]')
    with pytest.raises(Misunderstood, match="scenario, reason"):
        main(["-b", address, "--to", str(tmp_path), "--explained", str(known)])


def test_no_broker_is_one_sentence(tmp_path: Path) -> None:
    """Nothing listens there."""
    with pytest.raises(Failed, match="no broker answers"):
        main(["-b", "127.0.0.1:1", "--to", str(tmp_path), "--clients", "none"])
