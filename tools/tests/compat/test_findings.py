"""What differs is found and put together; what cannot be compared at an address is left out, and the page says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from socket import socket
from xml.etree import ElementTree

import pytest

from broker.handlers import SERVED_VERSIONS
from kproto.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.heartbeat import HeartbeatRequest
from tools.answers import scenarios
from tools.answers.comparison import Explanation
from tools.answers.nodes import with_nodes
from tools.answers.recording import RECORDED, read_answers
from tools.answers.scenario import STOPPED, registered
from tools.answers.site import Answers, Exchange, Key, Site, plain_prefix, with_token
from tools.answers.stage import Stage, decoded_reply
from tools.client.properties import ClientProperties
from tools.compat import files, showing
from tools.compat.asking import TOKEN_LENGTH, Asked, ask, either, in_lanes, prefixes, wanted
from tools.compat.circumstances import circumstances, left_out_because
from tools.compat.findings import (
    AnswersResult,
    ClientResult,
    Findings,
    ScenarioRun,
    compared,
    explained_failures,
    to_be_asked_again,
    with_unsteady,
)
from tools.compat.page import render, sentence
from tools.compat.playing import address_for_clients
from tools.compat.target import Target
from tools.failures import Failed, Misunderstood

HEARTBEAT = HeartbeatRequest.api_key
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PLAIN = ClientProperties({"bootstrap.servers": "broker:9092"})


@cache
def recording() -> Answers:
    """All of Kafka's answers."""
    return read_answers(RECORDED)


def target(versions: Mapping[int, tuple[int, int]] | None = None, **more: object) -> Target:
    """A broker of one node that serves what Kafka does, and what `more` says."""
    return Target(**{"properties": PLAIN, "versions": versions or SERVED_VERSIONS, "node_id": 1, "nodes": 1, **more})  # type: ignore[arg-type]  # of the test's choice


def asked() -> Asked:
    """Heartbeat's scenarios, all answered as Kafka does."""
    chosen = [each for each in wanted(["Heartbeat"]) if each.name.startswith("Heartbeat/")]
    recorded = recording()
    kafkas = {key: answer for key, answer in recorded.items() if key.scenario in {each.name for each in chosen}}
    return Asked(chosen, dict(kafkas), kafkas, recorded)


def an_answer(of: Answers, step: str = "defaults") -> list[Key]:
    """The keys of one step, in all versions."""
    return sorted(key for key in of if key.scenario == "Heartbeat/nothing-filled-in" and key.step == step)


def findings(answers: AnswersResult, *clients: ClientResult) -> Findings:
    return Findings(target(), "a broker", answers, clients)


def test_the_same_answers_are_no_differences() -> None:
    """Everything is compared, nothing differs."""
    found = compared(asked(), target(), [])
    [api] = [each for each in found.apis if each.name == "Heartbeat"]
    assert (found.differences, api.state, sum(api.compared.values()) > 100) == ([], "same", True)
    assert findings(found).alike


def test_one_cause_is_one_difference_with_its_request() -> None:
    """A field that differs in all versions, with the request of the newest; the page and both files show it."""
    run = asked()
    for key in an_answer(run.here):
        run.here[key] = {**run.here[key], "error_code": 16, "surprise": "<b>"}
        sent = bytes.fromhex("0000001c000c00040000000100066469666665720001000000000100000000")
        run.exchanges[key] = Exchange(HEARTBEAT, key.version, sent, b"\0")
    found = compared(run, target(), [])
    [difference] = found.unexplained
    assert difference.versions == [0, 1, 2, 3, 4]
    assert [(each.path, each.here) for each in difference.fields] == [("error_code", 16), ("surprise", "<b>")]
    assert difference.exchange is not None and difference.exchange.version == 4
    assert "group_id" in showing.decoded(difference.exchange)
    everything = findings(found)
    assert not everything.alike and "differ" in sentence(everything)
    page = render(everything, NOON)
    assert "16 NOT_COORDINATOR" in page and "v0-4" in page and "&lt;b&gt;" in page and "<b>" not in page
    [row] = json.loads(files.as_json(everything, NOON))["differences"]
    assert (row["versions"], row["request"]["hex"]) == ([0, 1, 2, 3, 4], difference.exchange.sent.hex())
    suites = {each.get("name"): each for each in ElementTree.fromstring(files.as_junit(everything))}
    assert suites["Heartbeat"].get("failures") == "5"


def test_what_is_explained_counts_apart() -> None:
    """A known difference has its reason, and the broker is alike."""
    run = asked()
    for key in an_answer(run.here):
        run.here[key] = {**run.here[key], "error_code": 16}
    found = compared(run, target(), [Explanation("Heartbeat/*", "error_code", "as we please")])
    assert not found.unexplained and {each.explained for each in found.differences} == {"as we please"}
    assert "as we please" in render(findings(found), NOON)


def test_other_bytes_for_the_same_values_are_a_difference() -> None:
    """A reply that is not encoded as Kafka encodes it."""
    run = asked()
    [*_, newest] = an_answer(run.here)
    run.exchanges[newest] = Exchange(HEARTBEAT, 4, b"", b"\0", encoded_alike=False)
    [difference] = compared(run, target(), []).unexplained
    assert difference.fields[0].path == "(encoding)"


def test_an_api_that_is_not_served_is_one_line() -> None:
    """Not one difference for each request that it would have refused."""
    lacking = {key: versions for key, versions in SERVED_VERSIONS.items() if key != HEARTBEAT}
    run = asked()
    run.here.clear()
    found = compared(run, target(lacking), [])
    [api] = [each for each in found.apis if each.name == "Heartbeat"]
    assert (found.differences, api.state) == ([], "not served")
    suites = {each.get("name"): each for each in ElementTree.fromstring(files.as_junit(findings(found)))}
    suite = suites["Heartbeat"]
    assert (suite.get("tests"), suite.get("skipped")) == ("1", "1")


def test_versions_that_are_not_served_are_named_and_not_compared() -> None:
    """Of an older broker the versions that it has are compared."""
    run = asked()
    run.here = {key: answer for key, answer in run.here.items() if key.version <= 2}
    found = compared(run, target({**SERVED_VERSIONS, HEARTBEAT: (0, 2)}), [])
    [api] = [each for each in found.apis if each.name == "Heartbeat"]
    assert (found.differences, api.missing, sorted(api.compared)) == ([], [3, 4], [0, 1, 2])


def test_a_scenario_that_ended_early_is_one_difference() -> None:
    """The steps behind it were not asked, so they are no further ones."""
    run = asked()
    ended = ("Heartbeat/too-few-or-too-many-bytes", 3)
    steps = sorted(key for key in run.here if (key.scenario, key.version) == ended)
    for key in steps:
        del run.here[key]
    run.here[steps[0]._replace(step=STOPPED)] = "AssertionError: it did not answer"
    [difference] = compared(run, target(), []).unexplained
    assert (difference.step, difference.fields[0].path) == (STOPPED, "(the scenario ended here)")


def test_what_was_left_out_is_no_difference_and_has_its_reason() -> None:
    """A scenario that needs what is not there."""
    run = asked()
    [*_, newest] = an_answer(run.here)
    del run.here[newest]
    run.left_out[newest._replace(step="")] = "CreateTopics is not served"
    found = compared(run, target(), [])
    assert (found.differences, dict(found.left_out)) == (
        [],
        {"CreateTopics is not served": ["Heartbeat/nothing-filled-in"]},
    )


def test_what_is_kafkas_answer_once_is_no_difference() -> None:
    """It is asked again, since a slow broker is not another one; what differs twice stays."""
    first, again = asked(), asked()
    once, twice = an_answer(first.here)[:2]
    first.here[once] = first.here[twice] = again.here[twice] = "<no answer>"
    differs = compared(first, target(), [])
    assert [each.name for each in to_be_asked_again(first, differs)] == ["Heartbeat/nothing-filled-in"]
    [difference] = compared(either(first, again), target(), []).unexplained
    assert difference.versions == [twice.version]
    steady = with_unsteady(compared(either(first, asked()), target(), []), differs)
    assert not steady.unexplained and steady.unsteady == ["Heartbeat/nothing-filled-in: defaults"]
    assert "What differed once" in render(findings(steady), NOON)


def test_a_broker_that_ends_is_no_end_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenario that it ended in is a difference, and what comes behind is left out with the reason."""
    monkeypatch.setattr("tools.compat.asking.BACK_SECONDS", 0.0)
    monkeypatch.setattr("tools.compat.asking.wait_for_coordinators", lambda site: None)

    def refused(self: Target) -> socket:
        raise Failed("no broker answers")

    monkeypatch.setattr(Target, "connect", refused)
    run = ask(
        target(), [each for each in wanted(["Heartbeat"]) if each.name.startswith("Heartbeat/")], lambda done: None
    )
    [stopped] = [key for key in run.here if key.step == STOPPED]
    reasons = set(run.left_out.values())
    assert f"the broker did not answer any more after {stopped.scenario}" in reasons
    [difference] = compared(run, target(), []).unexplained
    assert difference.scenario == stopped.scenario


def test_settings_of_the_broker_explain_what_follows_from_them() -> None:
    """A value of a setting that is another one here; and no scenario is asked of a cluster of several."""
    recorded = recording()
    here = target(settings={"num.partitions": "7"}, given=frozenset(("num.partitions",)))
    patterns = {each.scenario for each in circumstances(here, recorded)}
    assert "CreateTopics/counts: *" in patterns
    assert left_out_because("Metadata/topics-made-on-demand", here)
    assert "CreateTopics/counts: *" not in {each.scenario for each in circumstances(target(), recorded)}
    assert left_out_because("Fetch/limits", target(nodes=3))
    assert left_out_because("Fetch/limits", target()) is None
    secured = target(properties=ClientProperties({"security.protocol": "SASL_SSL"}))
    assert left_out_because("SaslHandshake/in-plain-text", secured)


def test_names_with_a_token_are_unique_and_as_long_as_before() -> None:
    """So that a broker that is not fresh can be asked, and lengths are still compared."""
    scenarios.load()
    site = Site(lambda: pytest.fail("no connection"), token="q0z9")
    plain = [prefix for each in registered() for prefix in prefixes(each)]
    site.plain = {with_token(prefix, site.token): prefix for prefix in plain}
    assert len(site.plain) == len(plain), "names of two scenarios begin alike"
    for each in registered():
        for version in each.versions:
            prefix = site.prefix(each.name, version)
            assert "q0z9" in prefix and len(prefix) == len(plain_prefix(each.name, version))
            assert site.without_token(f"of {prefix}t") == f"of {plain_prefix(each.name, version)}t"
    assert len(site.token) == TOKEN_LENGTH


def test_another_node_id_changes_places_with_the_recorded_one() -> None:
    """In requests and replies, where a field says that it is a node's; twice is as before."""
    parts = [ReassignablePartition(partition_index=1, replicas=[1, 5, 7])]
    request = AlterPartitionReassignmentsRequest(topics=[ReassignableTopic(name="1", partitions=parts)])
    swapped = with_nodes(request, 7)
    assert swapped.topics[0].partitions[0].replicas == [7, 5, 1]
    assert (swapped.topics[0].name, swapped.topics[0].partitions[0].partition_index) == ("1", 1)
    assert with_nodes(swapped, 7) == request
    configs = DescribeConfigsRequest(
        resources=[DescribeConfigsResource(resource_type=kind, resource_name="1") for kind in (4, 2)]
    )
    assert [each.resource_name for each in with_nodes(configs, 0).resources] == ["0", "1"]


def test_a_stage_leaves_out_answers_that_were_recorded_in_a_version_that_is_not_served() -> None:
    """An older version has other fields."""
    site = Site(lambda: pytest.fail("no connection"), versions={**SERVED_VERSIONS, HEARTBEAT: (0, 2)})
    stage = Stage(site, "Metadata/x", DescribeConfigsRequest, 4, {})
    stage._leave_out_if_older("a step", HeartbeatRequest(), stage.version_of(HeartbeatRequest()))
    assert list(site.left_out) == [Key("Metadata/x", 4, "a step")]


def test_a_reply_in_a_version_that_there_is_not_cannot_be_decoded() -> None:
    """A broker that answers version -1 differs, and ends no run."""
    assert decoded_reply(memoryview(bytes(8)), HeartbeatRequest(), -1) == (None, -1)


def test_scenarios_that_change_the_broker_come_last() -> None:
    """Every scenario is in exactly one lane, or after them."""
    lanes, last = in_lanes(wanted([]))
    assert sum(map(len, lanes)) + len(last) == len(wanted([]))
    assert {"AlterClientQuotas/changes", "IncrementalAlterConfigs/brokers"} <= {each.name for each in last}
    assert {each.name for lane in lanes[:1] for each in lane} >= {"JoinGroup/bad-groups-and-members"}


def test_clients_failures_may_be_explained_one_by_one() -> None:
    """By the client's name and the scenario's."""
    runs = [ScenarioRun("Groups", "a group is listed", "It is", "FAIL", "AssertionError: no")]
    client = ClientResult("aiokafka", "1", runs)
    assert client.failures and not findings(AnswersResult(), client).alike
    why = explained_failures("aiokafka", runs, [Explanation("aiokafka: a group*", "*", "known")])
    known = ClientResult("aiokafka", "1", runs, explained=why)
    assert not known.failures and findings(AnswersResult(), known).alike
    assert "known" in render(findings(AnswersResult(), known), NOON)
    assert explained_failures("java", runs, [Explanation("aiokafka: *", "*", "known")]) == {}


def test_a_client_that_is_not_there_is_skipped_with_its_reason() -> None:
    """On the page and in the XML."""
    found = findings(AnswersResult(), ClientResult("java", "", missing="no java on the path"))
    assert "no java on the path" in render(found, NOON) and "no java on the path" in files.as_junit(found)
    assert found.alike


def test_an_address_for_clients_has_everything_to_connect(tmp_path: Path) -> None:
    """User, password and certificates; what the clients cannot be told is refused."""
    assert address_for_clients(PLAIN, tmp_path) == "broker:9092"
    given = {
        "bootstrap.servers": "broker:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "alice",
        "sasl.password": "a&b",
        "ssl.truststore.certificates": "PEM",
    }
    address = address_for_clients(ClientProperties(given), tmp_path)
    assert address.startswith("SASL_SSL://broker:9093?ca=") and address.endswith("user=alice&password=a%26b")
    assert (tmp_path / "ca.pem").read_text() == "PEM"
    with pytest.raises(Misunderstood, match="check the name"):
        address_for_clients(ClientProperties({**given, "ssl.endpoint.identification.algorithm": ""}), tmp_path)
