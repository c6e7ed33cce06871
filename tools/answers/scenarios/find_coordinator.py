"""FindCoordinator: who looks after a group, a transaction, a share partition."""

from __future__ import annotations

from kproto.messages.find_coordinator import FindCoordinatorRequest
from tools.answers.requests import unknown_topic
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


@scenario(FindCoordinatorRequest)
def groups(stage: Stage) -> None:
    def asked(key: str, kind: int = 0) -> FindCoordinatorRequest:
        if stage.version < 1 and kind:
            return FindCoordinatorRequest(key=key)
        if stage.version < 4:
            return FindCoordinatorRequest(key=key, key_type=kind)
        return FindCoordinatorRequest(coordinator_keys=[key], key_type=kind)

    stage.ask("a group", asked(stage.name("g")))
    stage.ask("an empty group", asked(""))
    stage.ask("a group with strange characters", asked("what is\nthis \u00e4?"))
    for kind in (2, 3, -1, 127):
        stage.ask(f"kind {kind}", asked(stage.name("g"), kind))


@scenario(FindCoordinatorRequest, since=4)
def many_at_once(stage: Stage) -> None:
    def asked(*keys: str, kind: int = 0) -> FindCoordinatorRequest:
        return FindCoordinatorRequest(coordinator_keys=list(keys), key_type=kind)

    stage.ask("none", asked())
    stage.ask("two", asked("a", "b"))
    stage.ask("the same twice", asked("a", "a"))
    stage.ask("one empty", asked("a", "", "b"))
    stage.ask("none of an unknown kind", asked(kind=9))
    stage.ask("two of an unknown kind", asked("a", "b", kind=9))


@scenario(FindCoordinatorRequest, since=4)
def share_partitions(stage: Stage) -> None:
    """Their key is group:topic-id:partition."""
    from kproto.ids import format_uuid

    topic_id = format_uuid(unknown_topic(stage).topic_id)
    cases = {
        "no colons": "g", "one": f"g:{topic_id}", "not an id": "g:what:0", "not a number": f"g:{topic_id}:x",
        "negative": f"g:{topic_id}:-1", "no group": f":{topic_id}:0", "four": f"g:{topic_id}:0:1",
    }  # fmt: skip
    for name, key in cases.items():
        stage.ask(name, FindCoordinatorRequest(coordinator_keys=[key], key_type=2))
