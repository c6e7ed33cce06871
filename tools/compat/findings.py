"""What differs, put together so that a reader sees causes and not their effects.

An answer that differs in ten fields, in five versions, is one `Difference`, with the request of its newest version.
What is not served is a property of the API and no difference. Clients' scenarios come to one `ClientRun` each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from broker.handlers import SERVED_VERSIONS
from kproto.messages import APIS, api_name
from tools.answers.comparison import Difference as FieldDifference
from tools.answers.comparison import Explanation, alike, compare, matches
from tools.answers.scenario import STOPPED, Scenario
from tools.answers.site import Exchange, Key, Plain
from tools.compat.asking import Asked
from tools.compat.target import Target

STOPPED_PATH: Final = "(the scenario ended here)"
ENCODING: Final = "(encoding)"
MOST_ASKED_AGAIN: Final = 60
"""Scenarios. A broker that differs in more is another broker, and no slow one."""

API_KEYS: Final = {api.name: key for key, api in APIS.items()}

Versions = Sequence[int]


class Field(NamedTuple):
    """A place in an answer, what stands there here, and what at Kafka."""

    path: str
    here: Plain
    kafkas: Plain
    versions: Versions


@dataclass(frozen=True)
class Difference:
    """One answer, in some versions, that is not Kafka's."""

    scenario: str
    step: str
    fields: Sequence[Field]
    exchange: Exchange | None
    """In the newest of the versions; None where nothing was asked."""
    explained: str | None = None

    @property
    def api(self) -> str:
        """The API it is about."""
        return self.scenario.partition("/")[0]

    @property
    def versions(self) -> list[int]:
        """All versions in which it differs."""
        return sorted({version for each in self.fields for version in each.versions})


@dataclass(frozen=True)
class ApiResult:
    """What became of the requests of one API."""

    key: int
    name: str
    recorded: tuple[int, int]
    """The versions of the recording."""
    served: tuple[int, int] | None
    compared: Mapping[int, int]
    """Version -> answers that were compared."""
    differing: Mapping[int, int]
    """Version -> those of them that differ without an explanation."""
    explained: Mapping[int, int]

    @property
    def missing(self) -> list[int]:
        """The recorded versions that are not served."""
        low, high = self.served or (0, -1)
        return [version for version in range(self.recorded[0], self.recorded[1] + 1) if not low <= version <= high]

    @property
    def state(self) -> Literal["not served", "not asked", "same", "differs"]:
        """In a word."""
        if self.served is None:
            return "not served"
        if not self.compared:
            return "not asked"
        return "differs" if self.differing else "same"


class ScenarioRun(NamedTuple):
    """What became of a client's scenario, or of one variant of it."""

    theme: str
    scenario: str
    promise: str
    result: Literal["pass", "FAIL", "gap", "skip"]
    reason: str


@dataclass(frozen=True)
class ClientResult:
    """What a client's scenarios came to; `missing` says why there are none."""

    name: str
    version: str
    runs: Sequence[ScenarioRun] = ()
    missing: str = ""
    explained: Mapping[str, str] = field(default_factory=dict)
    """Scenario -> why its failure is no surprise."""
    unsteady: Sequence[str] = ()
    """Scenarios that failed, and did not when they were played again."""

    def count(self, result: str) -> int:
        """How many runs came to that."""
        return sum(each.result == result for each in self.runs)

    @property
    def failures(self) -> list[ScenarioRun]:
        """Those without an explanation."""
        return [each for each in self.runs if each.result == "FAIL" and each.scenario not in self.explained]


@dataclass(frozen=True)
class AnswersResult:
    """What the comparison with the recorded answers found."""

    apis: Sequence[ApiResult] = ()
    differences: Sequence[Difference] = ()
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Reason -> the scenarios, or steps of them, that were not compared for it."""
    scenes: Mapping[tuple[str, int], str | None] = field(default_factory=dict)
    """(scenario, version) -> why it was left out, or None."""

    unsteady: Sequence[str] = ()
    """Steps that differed, and did not when they were asked again."""

    @property
    def unexplained(self) -> list[Difference]:
        """The differences that nothing accounts for."""
        return [each for each in self.differences if each.explained is None]

    @property
    def compared(self) -> int:
        """How many answers."""
        return sum(sum(each.compared.values()) for each in self.apis)


@dataclass(frozen=True)
class Findings:
    """Everything that a run has found."""

    target: Target
    name: str
    """What the broker is called."""
    answers: AnswersResult
    clients: Sequence[ClientResult]

    @property
    def alike(self) -> bool:
        """Whether nothing differs without an explanation."""
        return not self.answers.unexplained and not any(each.failures for each in self.clients)


def compared(asked: Asked, target: Target, explanations: Sequence[Explanation]) -> AnswersResult:
    """Lay the answers beside Kafka's."""
    stopped = {(key.scenario, key.version) for key in asked.here if key.step == STOPPED}

    def comparable(key: Key) -> bool:
        return (
            key not in asked.left_out
            and key._replace(step="") not in asked.left_out
            and _serves(target, key)
            # What stands behind the step at which a scenario ended was not asked.
            and (key in asked.here or (key.scenario, key.version) not in stopped)
        )

    here = {key: answer for key, answer in asked.here.items() if comparable(key)}
    kafkas = {key: answer for key, answer in asked.kafkas.items() if comparable(key)}
    report = compare(here, kafkas, explanations)
    found = [*_differences(report.unexplained, asked, None), *_odd_encodings(asked, here)]
    for why, explained in report.explained.items():
        found += _differences(explained, asked, why.reason)
    reasons: dict[str, dict[str, None]] = {}
    for key, reason in asked.left_out.items():
        reasons.setdefault(reason, {})[f"{key.scenario}: {key.step}" if key.step else key.scenario] = None
    scenes = {
        (each.name, version): "not served"
        if not _serves(target, Key(each.name, version, ""))
        else asked.left_out.get(Key(each.name, version, ""))
        for each in asked.scenarios
        for version in each.versions
    }
    keys = sorted({each.api.api_key for each in asked.scenarios})
    apis = [_result(key, target, {**kafkas, **here}, found) for key in keys]
    return AnswersResult(apis, found, {why: list(names) for why, names in sorted(reasons.items())}, scenes)


def to_be_asked_again(asked: Asked, result: AnswersResult) -> list[Scenario]:
    """The scenarios with differences that may be a matter of time, since most others have none."""
    names = {each.scenario for each in result.unexplained}
    return [each for each in asked.scenarios if each.name in names] if len(names) <= MOST_ASKED_AGAIN else []


def with_unsteady(result: AnswersResult, first: AnswersResult) -> AnswersResult:
    """A result that also has what differed at first only."""
    lasting = {(each.scenario, each.step) for each in result.unexplained}
    steps = dict.fromkeys((each.scenario, each.step) for each in first.unexplained)
    return replace(
        result, unsteady=[f"{scenario}: {step}" for scenario, step in steps if (scenario, step) not in lasting]
    )


def _serves(target: Target, key: Key) -> bool:
    low, high = target.versions.get(API_KEYS[key.scenario.partition("/")[0]], (0, -1))
    return low <= key.version <= high


def _differences(found: Sequence[FieldDifference], asked: Asked, why: str | None) -> Iterator[Difference]:
    """Those of one step, in all versions, as one."""
    steps: dict[tuple[str, str], list[FieldDifference]] = {}
    for each in found:
        steps.setdefault((each.key.scenario, each.key.step), []).append(each)
    for (scenario, step), differences in steps.items():
        fields = [
            Field(
                STOPPED_PATH if step == STOPPED else group[0].path,
                group[0].ours,
                group[0].kafkas,
                [each.key.version for each in group],
            )
            for group in alike(differences)
        ]
        newest = max(each.key.version for each in differences)
        yield Difference(scenario, step, fields, asked.exchanges.get(Key(scenario, newest, step)), why)


def _odd_encodings(asked: Asked, here: Iterable[Key]) -> Iterator[Difference]:
    """Replies whose values are written in other bytes than Kafka's, which no comparison of values shows."""
    odd: dict[tuple[str, str], list[int]] = {}
    for key in here:
        exchange = asked.exchanges.get(key)
        if exchange is not None and not exchange.encoded_alike:
            odd.setdefault((key.scenario, key.step), []).append(key.version)
    for (scenario, step), versions in odd.items():
        field = Field(ENCODING, "other bytes for the same values", "the shortest", versions)
        yield Difference(scenario, step, [field], asked.exchanges[Key(scenario, max(versions), step)])


def _result(key: int, target: Target, compared_keys: Iterable[Key], found: Sequence[Difference]) -> ApiResult:
    name = api_name(key)
    counts = Counter(each.version for each in compared_keys if each.scenario.startswith(f"{name}/"))
    here = [each for each in found if each.api == name]
    differing = Counter(version for each in here if each.explained is None for version in each.versions)
    explained = Counter(version for each in here if each.explained is not None for version in each.versions)
    return ApiResult(key, name, SERVED_VERSIONS[key], target.versions.get(key), counts, differing, explained)


def explained_failures(client: str, runs: Sequence[ScenarioRun], explanations: Sequence[Explanation]) -> dict[str, str]:
    """Scenario -> reason, for failures of a client that an explanation for `client: scenario` is about."""
    found = {}
    for run in runs:
        for why in explanations:
            if run.result == "FAIL" and matches(why.scenario, f"{client}: {run.scenario}"):
                found[run.scenario] = why.reason
    return found
