"""The recorded requests, asked at an address.

Scenarios mostly wait: for a change to reach all of a broker, for an answer that never comes. So they are played in
lanes, at the same time, as far as one cannot see what another has done: those about groups and offsets share what is
in the group without a name, those about transactions are listed together, and those that change the broker itself
(settings, quotas, users) come last, one after the other.
"""

from __future__ import annotations

import re
import secrets
import string
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tools.answers import scenarios
from tools.answers.recording import RECORDED, read_answers
from tools.answers.scenario import STOPPED, Scenario, perform
from tools.answers.site import Answers, Exchange, Key, Site, plain_prefix, with_token
from tools.answers.stage import pause, wait_for_coordinators
from tools.compat.circumstances import left_out_because
from tools.compat.target import Target
from tools.failures import Failed

LAG_SECONDS: Final = 0.25
"""How long a change may take until it holds everywhere at a broker, and all its answers know of it. It is that of the
recording: some scenarios have a request wait for twice as long while something changes."""
TOKEN_LENGTH: Final = 4
BACK_SECONDS: Final = 10.0
"""How long a broker that has ended may take until it is there again."""
LANES: Final = (
    ("Group", "Offset"),
    ("Txn", "Transaction", "ProducerId", "DescribeProducers"),
    ("Produce",),
    ("Fetch",),
)
"""Names of APIs whose scenarios are played one after the other, in words that are part of them."""
ALTERS_THE_BROKER: Final = (
    "Configs/", "ConfigResources/", "Quotas/", "Acls/", "Scram", "Raft", "Unregister", "Elect", "Telemetry", "Features",
    "beyond-a-quota",
)  # fmt: skip


@dataclass
class Asked:
    """What came of it."""

    scenarios: Sequence[Scenario]
    here: Answers
    kafkas: Answers
    """Of the same scenarios."""
    recorded: Answers
    """All of Kafka's."""
    exchanges: dict[Key, Exchange] = field(default_factory=dict)
    left_out: dict[Key, str] = field(default_factory=dict)
    """Answers that were not compared; an empty step stands for a whole scenario in a version, or its rest."""


def wanted(words: Sequence[str]) -> list[Scenario]:
    """The scenarios of an API, or with a part of a name, in any case of letters; all for no words."""
    return [each for each in scenarios.load() if not words or any(_is_meant(each.name, word) for word in words)]


def _is_meant(name: str, word: str) -> bool:
    """Whether a word is the name of the scenario's API, or a part of the scenario's own."""
    api, _, own = name.lower().partition("/")
    return word.lower() in (api, name.lower()) or word.lower() in own


def ask(target: Target, chosen: Sequence[Scenario], advance: Callable[[int], None]) -> Asked:
    """Play scenarios at an address; `advance` is called with 1 after each. Raises Failed where nothing answers."""
    token = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(TOKEN_LENGTH))
    site = Site(
        target.connect,
        texts_of(target),
        LAG_SECONDS,
        target.versions,
        token=token,
        plain={with_token(prefix, token): prefix for each in scenarios.load() for prefix in prefixes(each)},
        node_id=target.node_id,
    )
    names = {each.name for each in chosen}
    recorded = read_answers(RECORDED)
    kafkas = {key: answer for key, answer in recorded.items() if key.scenario in names}
    asked = Asked(chosen, {}, kafkas, recorded, site.exchanges, site.left_out)
    playable = []
    for each in chosen:
        why = left_out_because(each.name, target)
        if why is None:
            playable.append(each)
        else:
            site.left_out.update({Key(each.name, version, ""): why for version in each.versions})
            advance(1)
    with suppress(AssertionError):  # then it is not ready in Kafka's way, which its answers will show
        wait_for_coordinators(site)
    lanes, last = in_lanes(playable)

    ended: list[str] = []

    def play(lane: Sequence[Scenario]) -> Answers:
        answers: Answers = {}
        for each in lane:
            if ended:
                site.left_out.update({Key(each.name, version, ""): ended[0] for version in each.versions})
            else:
                answers.update(_play(each, site, target, ended))
            advance(1)
        return answers

    with ThreadPoolExecutor(len(lanes)) as threads:
        for answers in threads.map(play, lanes):
            asked.here.update(answers)
    asked.here.update(play(last))
    return asked


def _play(scenario: Scenario, site: Site, target: Target, ended: list[str]) -> Answers:
    """One scenario. If the broker does not come back after it, `ended` gets a sentence about it."""
    try:
        return perform([scenario], site)
    except (OSError, Failed) as error:
        oldest = scenario.versions[0]
        found: Answers = {Key(scenario.name, oldest, STOPPED): f"the broker did not answer any more: {error}"}
        site.left_out.update({Key(scenario.name, each, ""): "the broker ended" for each in scenario.versions[1:]})
        deadline = time.monotonic() + BACK_SECONDS
        while time.monotonic() < deadline:
            try:
                target.connect().close()
                return found
            except (OSError, Failed):
                pause(0.2)
        ended.append(f"the broker did not answer any more after {scenario.name}")
        return found


def prefixes(scenario: Scenario) -> Iterator[str]:
    """What the names of a scenario begin with in each version."""
    return (plain_prefix(scenario.name, version) for version in scenario.versions)


def in_lanes(chosen: Sequence[Scenario]) -> tuple[list[list[Scenario]], list[Scenario]]:
    """(lanes that may be played at the same time, what is played after them)."""
    lanes: list[list[Scenario]] = [[] for _ in range(len(LANES) + 1)]
    last = []
    for each in chosen:
        if any(word in each.name for word in ALTERS_THE_BROKER):
            last.append(each)
        else:
            api = each.name.partition("/")[0]
            lanes[next((at for at, words in enumerate(LANES) if any(word in api for word in words)), -1)].append(each)
    return lanes, last


def either(first: Asked, again: Asked) -> Asked:
    """What was asked twice, with the better of both answers: how fast a broker was is no difference."""
    names = {each.name for each in again.scenarios}
    merged = Asked(first.scenarios, {}, first.kafkas, first.recorded)
    for key in {**first.here, **again.here}:
        kept = first if key.scenario not in names or first.here.get(key) == first.kafkas.get(key) else again
        if key in kept.here:
            merged.here[key] = kept.here[key]
        if key in kept.exchanges:
            merged.exchanges[key] = kept.exchanges[key]
    for each in (first, again):
        merged.left_out.update(
            {key: why for key, why in each.left_out.items() if (key.scenario in names) == (each is again)}
        )
    return merged


def texts_of(target: Target) -> dict[str, str]:
    """What the broker says of its place, and what is compared instead."""
    found = {}
    for key in ("log.dirs", "log.dir"):
        if key in target.given and (folder := target.settings.get(key)):
            found[folder] = "<directory>"
    port = target.properties.bootstrap[0][1]
    for other in re.findall(r":(\d+)", target.settings.get("controller.quorum.bootstrap.servers") or ""):
        found[f":{other}"] = ":<controller>"
    found[f":{port}"] = ":<port>"
    return found
