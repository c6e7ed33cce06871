"""What of the recording means nothing at some address, and why: one table.

The recording is of one fresh node in plain text, which asks no one who it is, with the settings that
`tools/trials/differential/contenders.py` lists. Where an address is another, some scenarios are left out (`LEFT_OUT`),
and of others some values are not compared (`circumstances`): what follows from a setting, from a name that had to be
another one, or from what was there before, says nothing about the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tools.answers.comparison import ABSENT, Explanation, matches
from tools.answers.site import Answers, Key
from tools.compat.target import Target

LEFT_OUT: Final[Sequence[tuple[str, Callable[[Target], bool], str]]] = (
    ("*", lambda target: target.nodes > 1, "recorded on a cluster of one broker; this one has more"),
    ("*/*in-plain-text*", lambda target: target.asks_who, "recorded on a listener that asks no one who it is"),
    ("*Acls/*", lambda target: target.authorizes, "recorded on a broker without an authorizer"),
    (
        "Metadata/topics-made-on-demand",
        lambda target: target.settings.get("auto.create.topics.enable") == "false",
        "recorded with auto.create.topics.enable=true",
    ),
    (
        "Metadata/topics-made-on-demand",
        lambda target: target.settings.get("num.partitions", "4") != "4",
        "recorded with num.partitions=4",
    ),
)
SETTINGS_RECORDED: Final = Key("DescribeConfigs/brokers", 4, "all")
"""The answer that says how the broker of the recording was set up."""
DEFAULT: Final = 5
"""Where a value comes from that was not set."""

OTHERS: Final = "topics and groups of others are listed too"
NAMES: Final = "it follows from a name, which is another one in each run"

ALWAYS: Final = (
    Explanation(
        "OffsetFetch/*: all of an empty group", "*topics*", "the group without a name has what was committed before"
    ),
    Explanation("TxnOffsetCommit/unannounced-offsets: described", "*topics[__consumer_offsets].partitions*", NAMES),
    Explanation("DescribeUserScramCredentials/users: set", "results[*].user", NAMES),
    Explanation(
        "DescribeLogDirs/*", "results[*].topics[__*]*", "internal topics are there when they were first needed"
    ),
    Explanation(
        "FindCoordinator/share-partitions: negative", "*",
        "the topic of share groups' states is there when it was first needed",
    ),
    Explanation("DescribeLogDirs/*", "results[*].topics[*", OTHERS, kafkas=ABSENT),
    Explanation("DescribeTopicPartitions/*", "next_cursor", OTHERS, kafkas=None),
    Explanation("ListTransactions/*", "transaction_states[*", OTHERS, kafkas=ABSENT),
    Explanation("ListGroups/*", "groups[*", OTHERS, kafkas=ABSENT),
    Explanation("Metadata/*", "topics[*", OTHERS, kafkas=ABSENT),
)  # fmt: skip


def left_out_because(scenario: str, target: Target) -> str | None:
    """Why a scenario means nothing at an address, or None."""
    return next((why for pattern, holds, why in LEFT_OUT if matches(pattern, scenario) and holds(target)), None)


def circumstances(target: Target, recorded: Answers) -> list[Explanation]:
    """What differs at an address because of its settings, its names and its past."""
    found = list(ALWAYS)
    if target.rack:
        found.append(Explanation("*", "*brokers[*].rack", f"broker.rack is {target.rack} here", kafkas=None))
    for key, value in _recorded_settings(recorded).items():
        if key in target.settings and (target.settings[key], key in target.given) != value:
            why = f"{key} is set up differently here"
            for name in {key, key.removeprefix("log.")}:
                found += [
                    Explanation(f"{api}/*", f"*configs[{name}].*", why)
                    for api in ("DescribeConfigs", "CreateTopics", "AlterConfigs", "IncrementalAlterConfigs")
                ]
            if key == "num.partitions":
                found.append(Explanation("CreateTopics/counts: *", "*num_partitions", why))
    return found


def _recorded_settings(recorded: Answers) -> Mapping[str, tuple[str | None, bool]]:
    """Key -> (value, whether it was set)."""
    answer = recorded.get(SETTINGS_RECORDED)
    if answer is None:
        return {}
    return {
        each["name"]: (each["value"], each["config_source"] != DEFAULT)
        for result in answer["results"]
        for each in result["configs"]
    }
