"""Our answers are Apache Kafka's, recorded; and a comparison that says so finds every kind of difference."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from broker.handlers import SERVED_VERSIONS
from kproto.batches.records import RecordData, build_batch
from kproto.messages import request_type
from kproto.messages.create_topics import CreatableTopicResult, CreateTopicsResponse
from kproto.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData
from kproto.messages.metadata import MetadataResponse, MetadataResponseBroker, MetadataResponseTopic
from kproto.release import RELEASE
from kproto.release.apis import APIS
from tools.answers import scenarios
from tools.answers.canonical import Symbols, canonical
from tools.answers.comparison import ABSENT, Explanation, alike, compare, described, differences, matches
from tools.answers.explained import EXPLAINED
from tools.answers.recording import (
    RECORDED,
    VERSIONS_LISTED,
    foreign_versions,
    read_answers,
    read_release,
    write_answers,
)
from tools.answers.scenario import STOPPED
from tools.answers.site import Answers, Key
from tools.answers.variations import VARIATIONS
from tools.trials.differential.command import main, summary
from tools.trials.differential.contenders import answers_of_ottla
from tools.trials.differential.page import page

LEAST = 1_500
"""Answers that have to be compared."""


@pytest.fixture(scope="module")
def ours() -> Answers:
    """What fresh Ottlas answer to everything."""
    return answers_of_ottla(scenarios.load(), brokers=4)


@pytest.fixture(scope="module")
def kafkas() -> Answers:
    """What Apache Kafka was recorded to answer."""
    return read_answers(RECORDED)


def test_every_answer_is_kafkas_or_explained(ours: Answers, kafkas: Answers) -> None:
    """No difference that is not in the table with its reason, and no row of the table without a difference."""
    report = compare(ours, kafkas, EXPLAINED)
    assert not report.unexplained, "\n" + "\n".join(described(group) for group in alike(report.unexplained))
    assert report.compared >= LEAST
    idle = [f"{each.scenario} | {each.path}" for each in EXPLAINED if each not in report.explained]
    assert not idle, f"these explain nothing any more: {idle}"
    assert summary(report).endswith("0 unexplained")


def test_the_answers_are_of_the_release() -> None:
    """The release moves on with its answers recorded again."""
    assert read_release(RECORDED) == RELEASE
    assert not foreign_versions(read_answers(RECORDED))


def test_another_release_is_not_recorded_by_mistake(kafkas: Answers) -> None:
    """Its ApiVersions give it away."""
    changed = copy.deepcopy(kafkas[VERSIONS_LISTED])
    [fetch] = [each for each in changed["api_keys"] if each["api_key"] == 1]
    fetch["max_version"] += 1
    assert foreign_versions({**kafkas, VERSIONS_LISTED: changed}) == [f"Fetch 4-{APIS[1].newest + 1}"]


def test_scenarios_have_one_order() -> None:
    """Some see what those before them have left; which module was imported first is no matter."""
    modules = list(dict.fromkeys(each.module for each in scenarios.load()))
    assert modules == list(scenarios.MODULES)


def test_the_page_shows_what_was_compared(ours: Answers, kafkas: Answers) -> None:
    """Every API, every variation, every reason; docs/compared-answers.md is such a page."""
    text = page(ours, compare(ours, kafkas, EXPLAINED))
    assert all(f"| {key.scenario.partition('/')[0]} |" in text for key in ours)
    assert all(each.reason in text for each in EXPLAINED)
    kept = (Path(__file__).parents[3] / "docs" / "compared-answers.md").read_text(encoding="utf-8")
    assert kept == text, "write it again: python -m tools.trials compare-answers --page docs/compared-answers.md"


def test_every_version_of_every_api_is_compared(kafkas: Answers) -> None:
    """Each row of the table of handlers, in every version served, has answers that are replies."""
    compared = {(key.scenario.partition("/")[0], key.version) for key, answer in kafkas.items() if answer != "<closed>"}
    wanted = {
        (request_type(key).__name__.removesuffix("Request"), version)
        for key, (oldest, newest) in SERVED_VERSIONS.items()
        for version in range(oldest, newest + 1)
    }
    assert wanted <= compared


def test_kafka_played_every_scenario_to_its_end(kafkas: Answers) -> None:
    """A scenario that Kafka does not go along with is a mistake of ours."""
    assert not [str(key) for key in kafkas if key.step == STOPPED]


@pytest.mark.parametrize(
    "plant",
    [
        lambda answer: answer.update(error_code=answer["error_code"] + 1),
        lambda answer: answer.pop("error_code"),
        lambda answer: answer.update(surprise=0),
        lambda answer: answer["api_keys"].pop(),
        lambda answer: answer["api_keys"][0].update(max_version=99),
        lambda answer: answer.update(error_code=False),
    ],
)
def test_a_planted_difference_is_found(ours: Answers, plant: Any) -> None:
    """One number, one missing field, one more, one element less, in one answer of thousands."""
    key = Key("ApiVersions/nothing-filled-in", 2, "defaults")
    assert not compare(ours, ours, EXPLAINED).unexplained
    theirs = {**ours, key: copy.deepcopy(ours[key])}
    plant(theirs[key])
    [found] = compare(ours, theirs, [each for each in EXPLAINED if each.ours != ABSENT]).unexplained
    assert found.key == key


def test_the_command_fails_when_something_is_not_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One changed answer of Kafka's, and the exit status is 1; what was asked wrongly is 2."""
    recorded = read_answers(RECORDED)
    answers = {key: answer for key, answer in recorded.items() if key.scenario == "DescribeCluster/brokers"}
    write_answers(tmp_path / "right", answers)
    assert main(["--recorded", str(tmp_path / "right"), "--only", "DescribeCluster/brokers"]) == 0
    answers[Key("DescribeCluster/brokers", 1, "brokers")]["controller_id"] = 7
    write_answers(tmp_path / "wrong", answers)
    assert main(["--recorded", str(tmp_path / "wrong"), "--only", "DescribeCluster/brokers"]) == 1
    assert "controller_id (v1)\n    ours:  1\n    Kafka: 7" in capsys.readouterr().out
    assert main(["--only", "NoSuchApi"]) == 2
    for wrong in (["--recorded", str(tmp_path / "missing")], ["--record", "x"]):
        with pytest.raises(SystemExit):
            main(wrong)


def test_an_answer_that_only_one_has_is_a_difference() -> None:
    """A closed connection is an answer; none at all is a difference."""
    key = Key("Fetch/x", 4, "y")
    assert len(compare({key: "<connection closed>"}, {key: {"error_code": 0}}, []).unexplained) == 1
    assert len(compare({}, {key: "<connection closed>"}, []).unexplained) == 1
    assert len(compare({key: None}, {}, []).unexplained) == 1


def where(ours: Any, kafkas: Any) -> list[str]:
    return [each.path for each in differences(Key("A/b", 1, "c"), ours, kafkas)]


def test_elements_are_paired_by_what_identifies_them() -> None:
    """A missing element is one difference; so is another order; without identity position counts."""
    one, two = {"name": "one", "x": 1}, {"name": "two", "x": 2}
    assert where([one, two], [two]) == ["[one]"]
    assert where([one, two], [two, one]) == ["[order]"]
    assert where([one, {"name": "two", "x": 3}], [one, two]) == ["[two].x"]
    assert where([1, 2], [1, 3]) == ["[1]"]
    assert where([1, 2], [1]) == ["[1]"]
    assert where([], [one, two]) == [""]
    assert where([one, one], [one, two]) == ["[1].name", "[1].x"]


def test_what_is_explained_is_exactly_what_the_row_says() -> None:
    """Scenario, step, path and, where given, both values have to fit."""
    row = Explanation("Fetch/*: b", "topics[*].error_code", "because", 76, -1)
    key = Key("Fetch/a", 4, "b")

    def unexplained(key: Key, ours: Any, kafkas: Any, field: str = "error_code") -> int:
        one, other = ({key: {"topics": [{"name": "t", field: value}]}} for value in (ours, kafkas))
        return len(compare(one, other, [row]).unexplained)

    assert unexplained(key, 76, -1) == 0
    assert unexplained(key, 76, 0) == 1
    assert unexplained(key, 77, -1) == 1
    assert unexplained(key, 76, -1, "other") == 1
    assert unexplained(key._replace(step="c"), 76, -1) == 1
    assert unexplained(key._replace(scenario="Produce/a"), 76, -1) == 1


def test_a_star_stands_for_anything_and_a_bracket_for_itself() -> None:
    """Patterns look like paths, which are full of brackets."""
    assert matches("topics[*].error_code", "topics[~t].error_code")
    assert matches("*", "") and matches("a*", "a") and matches("*a*", "xax")
    assert not matches("topics[*].error_code", "topics[~t].error_message")
    assert not matches("a*a", "a")
    assert not matches("[ab]", "a")


def metadata(topic_id: bytes, port: int) -> MetadataResponse:
    return MetadataResponse(
        throttle_time_ms=port % 3,
        brokers=[MetadataResponseBroker(node_id=1, host="localhost", port=port)],
        topics=[
            MetadataResponseTopic(name="b", topic_id=topic_id),
            MetadataResponseTopic(name="a", topic_id=topic_id[::-1]),
        ],
    )


def test_what_may_differ_does_not_count_and_everything_else_does() -> None:
    """Hosts, ports and the order of sets are masked; ids are compared by where they appear."""
    one, other = metadata(bytes(range(16)), 9092), metadata(bytes(range(1, 17)), 9093)
    assert canonical(one, 12, Symbols()) == canonical(other, 12, Symbols())
    other.topics[1].topic_id = other.topics[0].topic_id
    assert canonical(one, 12, Symbols()) != canonical(other, 12, Symbols())
    one.brokers[0].port = -1
    assert canonical(one, 12, Symbols())["brokers"][0]["port"] == -1
    assert "topic_id" not in canonical(one, 9, Symbols())["topics"][0]


def test_sentences_do_not_count_but_whether_there_is_one_does() -> None:
    """Null stays null."""
    said, silent = (
        canonical(CreateTopicsResponse(topics=[CreatableTopicResult(name="t", error_message=text)]), 5, Symbols())
        for text in ("why not", None)
    )
    assert (said["topics"][0]["error_message"], silent["topics"][0]["error_message"]) == ("<sentence>", None)


def test_records_are_shown_field_by_field() -> None:
    """Offset, epoch, attributes, payload of each batch; a last one cut off by how much of it there is."""
    batch = bytes(build_batch([RecordData(0, 5, b"k", b"v", ())], base_offset=7, producer_id=4, base_sequence=2))
    part = PartitionData(partition_index=0, records=batch + batch[:30])
    reply = FetchResponse(responses=[FetchableTopicResponse(topic="t", partitions=[part])])
    [first, second] = canonical(reply, 11, Symbols())["responses"][0]["partitions"][0]["records"]
    assert (first["base_offset"], first["producer"], first["base_sequence"]) == (7, "<producer 1>", 2)
    assert second == {"cut off": 30}


def test_a_recording_is_the_same_bytes_for_the_same_answers(tmp_path: Path) -> None:
    """It can be kept under version control: no time, no order of play in it."""
    answers: Answers = {Key("A/x", 1, "s"): {"error_code": 0}, Key("A/x", 2, "s"): "<connection closed>"}
    write_answers(tmp_path / "one", answers)
    write_answers(tmp_path / "two", dict(reversed(answers.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_answers(tmp_path / "one") == answers


def test_each_variation_and_each_explanation_has_a_reason() -> None:
    """Nothing is waved through."""
    assert all(len(rule.reason) > 10 for rule in VARIATIONS.values())
    assert all(len(each.reason) > 10 for each in EXPLAINED)
