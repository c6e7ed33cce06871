"""What raced in the recording is asked in the order in which the recorded broker took it."""

from __future__ import annotations

from kproto.messages.join_group import JoinGroupRequest, JoinGroupResponse
from kproto.messages.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from tools.recording.races import JOIN_GROUP, PRODUCE, Place, Races


def produced(races: Races, place: Place, topic: str, **offsets: int) -> None:
    partitions = [PartitionProduceResponse(index=int(key[1:]), base_offset=at) for key, at in offsets.items()]
    reply = ProduceResponse(responses=[TopicProduceResponse(name=topic, partition_responses=partitions)])
    races.note(PRODUCE, place, None, reply)


def joined(races: Races, place: Place, group: str, generation: int, error: int = 0) -> None:
    reply = JoinGroupResponse(generation_id=generation, error_code=error)
    races.note(JOIN_GROUP, place, JoinGroupRequest(group_id=group), reply)


def test_a_produce_waits_for_those_that_were_appended_before_it() -> None:
    """In each partition it writes to; those of its own connection are in order anyway."""
    races = Races()
    produced(races, (1, 1), "t", _0=10)
    produced(races, (1, 2), "t", _0=20, _1=5)
    produced(races, (2, 1), "t", _0=0)
    produced(races, (3, 1), "t", _1=0)
    produced(races, (4, 1), "other", _0=5)
    races.settle()
    assert races.before((1, 1)) == {(2, 1)}
    assert races.before((1, 2)) == {(3, 1)}
    assert races.before((2, 1)) == races.before((4, 1)) == set()


def test_what_was_refused_has_no_place() -> None:
    """It was never appended, and joined no generation."""
    races = Races()
    produced(races, (1, 1), "t", _0=-1)
    produced(races, (2, 1), "t", _0=3)
    joined(races, (3, 1), "g", -1, error=79)
    joined(races, (4, 1), "g", 1)
    races.settle()
    assert races.before((2, 1)) == races.before((4, 1)) == set()


def test_a_join_waits_for_the_generation_before() -> None:
    """For all that were part of that one; those of one generation, and of other groups, do not wait for each other."""
    races = Races()
    joined(races, (1, 1), "g", 1)
    joined(races, (2, 1), "g", 1)
    joined(races, (3, 1), "g", 2)
    joined(races, (1, 2), "g", 2)
    joined(races, (4, 1), "h", 3)
    races.settle()
    assert races.beside((1, 2)) == {(3, 1)}, "its coming back completes the generation"
    assert races.beside((3, 1)) == races.beside((1, 1)) == set()
    assert races.before((3, 1)) == {(1, 1), (2, 1)}
    assert races.before((1, 2)) == {(2, 1)}
    assert races.before((1, 1)) == races.before((4, 1)) == set()
