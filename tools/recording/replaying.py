"""A recorded conversation held again with another broker.

The events of the recording are taken one after the other. A request is sent on the connection that stands for the
recorded one, with the ids of now (`bindings.py`); where a reply was recorded, the present reply is waited for, and
compared (`comparing.py`). So whatever was sent after a reply is sent after that reply again, also across connections:
what the recorded clients knew when they asked, the present broker has said by then. What raced is put into the order
in which the recorded broker took it (`races.py`). Long polls end when they end: nothing is expected of their timing.
Pauses are not slept through, but for up to `MOST_PAUSE_SECONDS` between requests of different connections, so that
they keep their order at the broker.

What is not sent: logins (the client properties log in), and requests whose connection ended before they were answered
are sent without a reply being waited for. A frame that could not be decoded is sent as it is. A reply that says "not
yet" where the recorded one did not is asked for again, as a client would.

All connections go to the bootstrap servers, so the broker there has to lead the partitions: a broker, or a cluster of
one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from kproto.errors import ErrorCode, ProtocolError
from kproto.headers import read_request_head
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.schema.declare import Request
from tools.failures import Failed
from tools.recording.addresses import Address
from tools.recording.bindings import Bindings
from tools.recording.comparing import METADATA, Compared, Comparison, Difference, Used, is_not_ready
from tools.recording.conversation import (
    Answered,
    Asked,
    Conversation,
    decoded_reply,
    decoded_request,
    request_frame,
)
from tools.recording.frames import FrameStream
from tools.recording.plain import batches, plain
from tools.recording.races import JOIN_GROUP, PRODUCE, Races
from tools.recording.recording_file import Recording, unpacked
from tools.recording.upstream import Upstream

LOGINS: Final = frozenset({17, 36})
MOST_PAUSE_SECONDS: Final = 0.005
AGAIN_SECONDS: Final = 0.05


@dataclass
class Found:
    """A difference, with the request that shows it."""

    connection: int
    number: int
    api: str
    version: int
    request: Any
    difference: Difference


@dataclass
class Outcome:
    """What a replay has found."""

    requests: int = 0
    compared: int = 0
    not_compared: int = 0
    """Replies that the codec does not know."""
    differences: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    whole: bool = True
    """False for a recording that was cut short."""


class _Line:
    """One connection of the recording, and the one that stands for it."""

    def __init__(self) -> None:
        self.stream: FrameStream | None = None
        self.then = Conversation()
        self.now = Conversation()
        self.asked: dict[int, Asked] = {}
        """Recorded requests that wait for their reply, by number; as they were sent."""
        self.present: dict[int, Answered] = {}
        """Replies that came for a later look."""
        self.gone = False
        self.sent = 0
        """Number of the last recorded request that was sent."""
        self.held: deque[dict[str, Any]] = deque()
        """Requests whose turn has not come."""


class Replay:
    """A recording on its way through another broker."""

    def __init__(
        self, recording: Recording, upstream: Upstream, address: Address, *, patience: float = 30.0,
        told: Callable[[Found], None] = lambda found: None,
    ) -> None:  # fmt: skip
        """`patience` in seconds is for each reply. `told` is called with each difference when it is
        found."""
        self._recording = recording
        self._upstream = upstream
        self._address = address
        self._patience = patience
        self._told = told
        self._bindings = Bindings()
        self._used = Used()
        self._comparison = Comparison(self._bindings, self._used)
        self._races = Races()
        self._lines: dict[int, _Line] = {}
        self._topics: dict[bytes, str] = {}  # recorded ids
        self.outcome = Outcome()

    async def run(self, *, make_topics: bool = False) -> Outcome:
        """Hold the conversation. `make_topics`: first make the topics that the recorded cluster had already. Raises
        Failed where the broker cannot be reached."""
        there_before = self._look_through()
        if make_topics and there_before:
            await self._make(there_before)
        before, connection = 0.0, -1
        try:
            for event in self._recording.events():
                at = float(event.get("at", before))
                if event["event"] == "request" and event["connection"] != connection:
                    await trio.sleep(min(max(at - before, 0.0), MOST_PAUSE_SECONDS))
                    connection = event["connection"]
                before = at
                await self._happen(event)
        finally:
            with trio.CancelScope(shield=True):
                for line in self._lines.values():
                    if line.stream is not None:
                        await line.stream.close()
        self.outcome.whole = self._recording.whole
        return self.outcome

    def _look_through(self) -> dict[str, int]:
        """Note what the conversation makes use of; the topics that were there before it, with their partitions."""
        lines: dict[int, Conversation] = {}
        made: set[str] = set()
        there: dict[str, int] = {}
        for event in self._recording.events():
            kind = event["event"]
            if kind == "open":
                lines[event["connection"]] = Conversation()
            elif kind == "request":
                asked = _asked(lines.setdefault(event["connection"], Conversation()), event)
                if asked is None or asked.head is None:
                    continue
                self._used.note(asked.head.api_key, asked.version, asked.message)
                if isinstance(asked.message, CreateTopicsRequest):
                    made |= {topic.name for topic in asked.message.topics}
            elif kind == "reply" and event.get("api") == "Metadata":
                answered = _answered(lines.get(event["connection"]), event)
                for topic in getattr(answered and answered.message, "topics", ()):
                    if topic.error_code in (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.LEADER_NOT_AVAILABLE):
                        made.add(topic.name)  # by itself, while clients ask for it
                    elif topic.name and topic.name not in made and not topic.is_internal and topic.partitions:
                        there.setdefault(topic.name, len(topic.partitions))
            elif kind == "reply":
                answered = _answered(lines.get(event["connection"]), event)
                head = None if answered is None or answered.message is None else answered.asked.head
                if answered is not None and head is not None and head.api_key in (PRODUCE, JOIN_GROUP):
                    place = event["connection"], event["number"]
                    self._races.note(head.api_key, place, answered.asked.message, answered.message)
        self._races.settle()
        return {name: partitions for name, partitions in there.items() if name in self._used.names}

    async def _make(self, topics: dict[str, int]) -> None:
        request = CreateTopicsRequest(
            topics=[
                CreatableTopic(name=name, num_partitions=partitions, replication_factor=-1, assignments=[], configs=[])
                for name, partitions in topics.items()
            ],
            timeout_ms=int(self._patience * 1000),
        )
        reply = await self._ask_aside(request, 5)
        for topic in reply.topics:
            if topic.error_code not in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                raise Failed(f"topic {topic.name} cannot be made: {ErrorCode(topic.error_code).name}")

    # --- events

    async def _happen(self, event: dict[str, Any]) -> None:
        kind, line = event["event"], self._lines.setdefault(event.get("connection", 0), _Line())
        if kind == "request":
            line.held.append(event)
            await self._release()
        elif kind == "reply":
            await self._release()
            while line.held and line.held[0]["number"] <= event["number"]:  # it cannot wait any longer
                await self._request(line, line.held.popleft())
            await self._reply(line, event)
        elif kind == "close":
            while line.held:
                await self._request(line, line.held.popleft())
            line.gone = True
            if line.stream is not None:
                await line.stream.close()
                line.stream = None

    async def _release(self) -> None:
        """Send the requests whose turn has come."""
        more = True
        while more:
            more = False
            for line in [*self._lines.values()]:
                while line.held and await self._is_next(line.held[0]):
                    await self._request(line, line.held.popleft())
                    more = True

    async def _is_next(self, event: dict[str, Any]) -> bool:
        """Whether all that comes before a request has been answered; what has been sent is waited for."""
        place = event["connection"], event["number"]
        for connection, number in self._races.beside(place):
            other = self._lines.get(connection)
            if other is None or (other.sent < number and not other.gone):
                return False
        for connection, number in self._races.before(place):
            other = self._lines.get(connection)
            if other is None or other.gone:
                continue
            if other.sent < number:
                return False
            if (asked := other.asked.get(number)) is not None:
                with trio.move_on_after(self._patience):
                    await self._receive(other, asked)
        return True

    async def _request(self, line: _Line, event: dict[str, Any]) -> None:
        line.sent = event["number"]
        then = _asked(line.then, event)
        if then is None or then.head is None or then.head.api_key in LOGINS or line.gone:
            return
        if line.stream is None:
            line.stream = await self._upstream.connect(self._address)
        frame = unpacked(event["frame"])
        if then.message is not None:
            message, _ = decoded_request(memoryview(frame), then.head)
            assert message is not None
            self._bindings.substitute(message, getattr(message, "group_id", "") or "")
            frame = request_frame(then.head, message)
        asked = line.now.request(memoryview(frame))
        line.asked[then.number] = asked
        self.outcome.requests += 1
        try:
            await line.stream.send(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._difference(event, then, Difference("the connection", "open", "closed by the broker"))
            line.gone = True

    async def _reply(self, line: _Line, event: dict[str, Any]) -> None:
        then = _answered(line.then, event)
        number = event["number"]
        if then is None or then.asked.head is None or number not in line.asked or line.gone:
            return
        asked = line.asked.pop(number)
        now = await self._present(line, event, then, asked)
        if now is None:
            return
        if then.message is None or now.message is None:
            self.outcome.not_compared += 1
            return
        now = await self._until_ready(line, then, now, asked)
        group = str(getattr(asked.message, "group_id", "") or "")
        self._learn(then, now, group)
        head = then.asked.head
        if (then.version, head.api_key) != (now.version, head.api_key):
            self._difference(event, then.asked, Difference("the version of the reply", then.version, now.version))
            return
        compared = self._comparison.compare(head.api_key, then.version, then.message, now.message, group)
        await self._look_for_missing(compared, event, then)
        self.outcome.compared += 1
        for rule, count in compared.explained.items():
            self.outcome.explained[rule] = self.outcome.explained.get(rule, 0) + count
        for difference in compared.unexplained:
            self._difference(event, then.asked, difference)

    async def _present(self, line: _Line, event: dict[str, Any], then: Answered, asked: Asked) -> Answered | None:
        """The present reply to a request; None where there is none, which is a difference."""
        assert line.stream is not None
        with trio.move_on_after(self._patience):
            if await self._receive(line, asked):
                return line.present.pop(asked.number)
            self._difference(event, then.asked, Difference("the reply", "came", "the connection was closed"))
            line.gone = True
            return None
        self._difference(event, then.asked, Difference("the reply", "came", f"none within {self._patience:g} s"))
        line.gone = True
        return None

    async def _receive(self, line: _Line, asked: Asked) -> bool:
        """Read until the reply to a request is in `present`; False if the connection ends before."""
        while asked.number not in line.present:
            if line.stream is None:
                return False
            try:
                frame = await line.stream.next()
            except (trio.BrokenResourceError, trio.ClosedResourceError, ProtocolError):
                return False
            answered = None if frame is None else line.now.reply(memoryview(frame))
            if answered is None:
                return False
            line.present[answered.asked.number] = answered
        return True

    async def _until_ready(self, line: _Line, then: Answered, now: Answered, asked: Asked) -> Answered:
        """The reply to the request, asked again while the broker says "not yet" and nothing else is under way."""
        assert line.stream is not None and asked.head is not None
        if not is_not_ready(then.message, now.message) or line.asked or asked.message is None:
            return now
        with trio.move_on_after(self._patience):
            while is_not_ready(then.message, now.message):
                await trio.sleep(AGAIN_SECONDS)
                frame = request_frame(asked.head, asked.message)
                again = line.now.request(memoryview(frame))
                await line.stream.send(frame)
                reply = await line.stream.next()
                answered = None if reply is None else line.now.reply(memoryview(reply))
                if answered is None or answered.asked.number != again.number or answered.message is None:
                    return now
                now = answered
        return now

    def _learn(self, then: Answered, now: Answered, group: str) -> None:
        assert then.message is not None and then.asked.head is not None
        if type(then.message) is type(now.message):
            self._bindings.learn(then.message, now.message, group)
        if then.asked.head.api_key == METADATA:
            for topic in then.message.topics:  # type: ignore[attr-defined]  # a MetadataResponse
                if topic.name:
                    self._topics[bytes(topic.topic_id)] = topic.name

    def _difference(self, event: dict[str, Any], asked: Asked, difference: Difference) -> None:
        self.outcome.differences += 1
        request = None if asked.message is None else plain(asked.message, asked.version)
        self._told(Found(event["connection"], event["number"], asked.api, asked.version, request, difference))

    # --- records that a Fetch of now has not returned yet

    async def _look_for_missing(self, compared: Compared, event: dict[str, Any], then: Answered) -> None:
        """Read what the recorded Fetch returned and the present one did not; what is not there is a difference."""
        for topic, partition, first, end in compared.missing:
            name = getattr(topic, "topic", "") or self._topics.get(bytes(getattr(topic, "topic_id", b"")), "")
            read = await self._read(name, partition, first, end) if name else first
            if read < end:
                where = f"records of {name or 'a topic'}-{partition} from offset {first} on"
                self._difference(event, then.asked, Difference(where, f"up to {end}", f"up to {read}"))

    async def _read(self, topic: str, partition: int, first: int, end: int) -> int:
        """How far the records of a partition can be read, `end` at most."""
        at = first
        with trio.move_on_after(self._patience):
            while at < end:
                wanted = FetchPartition(partition=partition, fetch_offset=at, partition_max_bytes=1 << 24)
                request = FetchRequest(
                    max_wait_ms=100,
                    min_bytes=1,
                    max_bytes=1 << 26,
                    topics=[FetchTopic(topic=topic, partitions=[wanted])],
                )
                reply = await self._ask_aside(request, 11)
                records = [p.records for t in reply.responses for p in t.partitions if p.records]
                found = [batch for each in records for batch in batches(each)]
                for batch in found:
                    at = max(at, int.from_bytes(batch[:8], "big") + int.from_bytes(batch[23:27], "big") + 1)
        return at

    async def _ask_aside(self, request: Request, version: int) -> Any:
        """One question on a connection of its own."""
        stream = await self._upstream.connect(self._address)
        try:
            head = _head_of(request, version)
            await stream.send(request_frame(head, request))
            frame = await stream.next()
            message = None if frame is None else decoded_reply(memoryview(frame), head)[0]
            if message is None:
                raise Failed(f"the broker at {self._address[0]}:{self._address[1]} does not answer {head.api_key}")
            return message
        finally:
            await stream.close()


def _head_of(request: Request, version: int) -> Any:
    from kproto.headers import RequestHead

    return RequestHead(request.api_key, version, 0, "ottla-replay", 0)


def _asked(line: Conversation, event: dict[str, Any]) -> Asked | None:
    """A recorded request, noted in its conversation."""
    frame = unpacked(event["frame"])
    try:
        head = read_request_head(memoryview(frame))
        if head.api_key in LOGINS:
            return None
        asked = line.request(memoryview(frame))
    except ProtocolError:
        return None
    return asked._replace(number=event["number"])


def _answered(line: Conversation | None, event: dict[str, Any]) -> Answered | None:
    """A recorded reply; None to what was not noted."""
    if line is None:
        return None
    try:
        return line.reply(memoryview(unpacked(event["frame"])))
    except ProtocolError:
        return None
