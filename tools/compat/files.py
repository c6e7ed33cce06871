"""The findings for programs: JSON with everything, and JUnit's XML, which continuous integration shows.

In the XML an API's scenario in one version is a test case (`Produce`, `a-gap v9`), and so is each scenario of a client.
What was left out is skipped there, and says why; a failure has its request in hexadecimal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from kproto.release import RELEASE
from tools.compat import showing
from tools.compat.findings import ApiResult, ClientResult, Difference, Findings


def as_json(found: Findings, when: datetime) -> str:
    """Everything that was found; `differences` and `clients` are lists of objects, `format` grows when they change."""
    from ottla import __version__

    content = {
        "format": 1,
        "name": found.name,
        "address": found.target.name,
        "protocol": found.target.properties.protocol,
        "brokers": found.target.nodes,
        "time": when.astimezone(UTC).isoformat(timespec="seconds"),
        "kafka": RELEASE,
        "ottla": __version__,
        "alike": found.alike,
        "apis": [_api(each) for each in found.answers.apis],
        "differences": [_difference(each) for each in found.answers.differences],
        "left_out": found.answers.left_out,
        "unsteady": list(found.answers.unsteady),
        "clients": [_client(each) for each in found.clients],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _api(result: ApiResult) -> dict[str, Any]:
    return {
        "key": result.key,
        "name": result.name,
        "state": result.state,
        "kafkas_versions": list(result.recorded),
        "served_versions": list(result.served) if result.served else None,
        "compared": result.compared,
        "differing": result.differing,
        "explained": result.explained,
    }


def _difference(each: Difference) -> dict[str, Any]:
    request = None
    if each.exchange is not None:
        request = {
            "version": each.exchange.version,
            "decoded": showing.decoded(each.exchange).splitlines(),
            "hex": showing.hexadecimal(each.exchange.sent),
            "reply_hex": showing.hexadecimal(each.exchange.received),
        }
    return {
        "api": each.api,
        "scenario": each.scenario,
        "step": each.step,
        "versions": each.versions,
        "explained": each.explained,
        "fields": [
            {"path": field.path, "here": field.here, "kafka": field.kafkas, "versions": list(field.versions)}
            for field in each.fields
        ],
        "request": request,
    }


def _client(result: ClientResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "version": result.version,
        "missing": result.missing or None,
        "unsteady": list(result.unsteady),
        "scenarios": [{**each._asdict(), "explained": result.explained.get(each.scenario)} for each in result.runs],
    }


def as_junit(found: Findings) -> str:
    """The same as test suites, one for each API and each client."""
    root = ElementTree.Element("testsuites", name=f"{found.name} beside Apache Kafka {RELEASE}")
    for api in found.answers.apis:
        _api_suite(root, api, found)
    for client in found.clients:
        cases = [
            _Case(f"{run.theme}: {run.scenario}", *_outcome(client, run.scenario, run.result, run.reason))
            for run in client.runs
        ]
        _suite(root, client.name, cases or [_Case("all scenarios", skipped=client.missing)])
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


class _Case:
    """A test case: passed if neither of the texts is there."""

    def __init__(self, name: str, failed: str = "", skipped: str = "") -> None:
        self.name, self.failed, self.skipped = name, failed, skipped


def _outcome(client: ClientResult, scenario: str, result: str, reason: str) -> tuple[str, str]:
    if result == "FAIL" and scenario not in client.explained:
        return reason or "it failed", ""
    return "", "" if result == "pass" else client.explained.get(scenario) or reason or "left out"


def _api_suite(root: ElementTree.Element, api: ApiResult, found: Findings) -> None:
    if api.served is None:
        _suite(root, api.name, [_Case("all versions", skipped="not served")])
        return
    texts: dict[tuple[str, int], list[str]] = {}
    for each in found.answers.unexplained:
        for version in each.versions:
            texts.setdefault((each.scenario, version), []).append(_text(each, version))
    scenes: Mapping[tuple[str, int], str | None] = found.answers.scenes
    cases = [
        _Case(f"{scenario.partition('/')[2]} v{version}", "\n".join(texts.get((scenario, version), ())), why or "")
        for (scenario, version), why in scenes.items()
        if scenario.startswith(f"{api.name}/")
    ]
    _suite(root, api.name, cases)


def _text(each: Difference, version: int) -> str:
    lines = [
        f"{each.step}: {field.path or 'the answer'}: here {showing.value(field.here, field.path)}, "
        f"Kafka {showing.value(field.kafkas, field.path)}"
        for field in each.fields
        if version in field.versions
    ]
    if each.exchange is not None:
        lines.append(f"  request, v{each.exchange.version}: {showing.hexadecimal(each.exchange.sent)}")
    return "\n".join(lines)


def _suite(root: ElementTree.Element, name: str, cases: list[_Case]) -> None:
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=str(sum(bool(case.failed) for case in cases)),
        skipped=str(sum(bool(case.skipped and not case.failed) for case in cases)),
        errors="0",
    )
    for case in cases:
        element = ElementTree.SubElement(suite, "testcase", classname=name, name=_printable(case.name))
        if case.failed:
            lines = case.failed.splitlines()
            failure = ElementTree.SubElement(element, "failure", message=_printable(lines[0]))
            failure.text = _printable(case.failed)
        elif case.skipped:
            ElementTree.SubElement(element, "skipped", message=_printable(case.skipped))


def _printable(text: str) -> str:
    """Without the characters that XML cannot carry."""
    return "".join(letter if letter >= " " or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text)
