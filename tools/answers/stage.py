"""What a scenario is given: it prepares, it asks, and every answer to something asked is written down.

    @scenario(OffsetFetchRequest)
    def a_committed_offset(stage: Stage) -> None:
        topic = stage.topic("t")
        stage.arrange(commit(stage, topic, 5))
        stage.ask("what was committed", fetch_offsets(stage, topic))

`ask` sends the scenario's own API in the version under test, and any other in its newest; `arrange` does the same and
keeps the answer out of the comparison, for it only sets the stage. A step's name is unique in its scenario: with the
scenario's name and the version it is the key under which two brokers' answers are laid side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from broker.handlers import SERVED_VERSIONS
from kproto.errors import ErrorCode, ProtocolError
from kproto.headers import API_VERSIONS
from kproto.messages.api_versions import ApiVersionsResponse
from kproto.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.describe_transactions import DescribeTransactionsRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.schema.compile import decode, encode
from kproto.schema.declare import Request, Response, Struct
from tools.answers.canonical import Symbols, canonical
from tools.answers.nodes import with_nodes
from tools.answers.peer import PATIENCE_SECONDS, NoReply, Peer
from tools.answers.site import KEPT_BYTES, RECORDED_NODE, Answers, Exchange, Key, NotServed, Plain, Site, plain_prefix

SETTLED_WITHIN_SECONDS = 20.0
POLL_SECONDS = 0.02
NAMING_FIELDS = ("name", "topic", "group_id", "key", "topic_name", "transactional_id", "resource_name")


class Topic(NamedTuple):
    """A topic that a scenario made."""

    name: str
    topic_id: bytes


class Stage:
    """One scenario in one version on one broker."""

    def __init__(
        self, site: Site, scenario: str, api: type[Request], version: int, answers: Answers, peer: Peer | None = None
    ) -> None:
        self.version = version
        self._site = site
        self._scenario = scenario
        self._api = api
        self._answers = answers
        self._peer = peer or Peer(site.connect)
        self._prefix = site.prefix(scenario, version)
        self._symbols = Symbols({**site.texts, plain_prefix(scenario, version): "~"}, site.without_token)

    # Names and ids.

    def name(self, short: str) -> str:
        """A name for a topic or a group that no other scenario has."""
        return self._prefix + short

    def learn(self, value: Any, shown: str) -> None:
        """Show an id by name from now on."""
        self._symbols.learn(value, shown)

    # Asking.

    def ask(self, step: str, request: Request, *, version: int | None = None, only_mine: bool = False) -> Any:
        """Send a request and write its answer down. Returns the reply, or None if there was none.

        `only_mine`: of the reply's lists keep the elements whose name this scenario made.
        """
        return self.begin(step, request, version=version, only_mine=only_mine)()

    def begin(
        self, step: str, request: Request, *, version: int | None = None, only_mine: bool = False
    ) -> Callable[[], Any]:
        """Send a request; the function returned waits for its answer and writes it down."""
        version = self.version_of(request) if version is None else version
        return self.begin_bytes(step, request, version, self._encoded(request, version), only_mine=only_mine)

    def ask_bytes(self, step: str, request: Request, version: int, body: bytes, *, only_mine: bool = False) -> Any:
        """Like `ask` for a body made by hand; `request` says only which API it is for."""
        return self.begin_bytes(step, request, version, body, only_mine=only_mine)()

    def begin_bytes(
        self, step: str, request: Request, version: int, body: bytes, *, only_mine: bool = False
    ) -> Callable[[], Any]:
        """Like `begin` for a body made by hand."""
        number = self._peer.send(request.api_key, version, body, flexible=version >= request.flexible_version)
        sent = self._peer.sent
        self._leave_out_if_older(step, request, version)

        def finish() -> Any:
            found = self._peer.receive(number, flexible_reply=has_flexible_header(request, version))
            reply, shown_version = decoded_reply(found, request, version)
            alike = reply is None or encoded_alike(reply, shown_version, found)
            self._keep(step, Exchange(request.api_key, version, sent, self._peer.received, alike))
            if reply is None:
                self.write_down(step, str(found.value) if isinstance(found, NoReply) else "<not decodable>")
            else:
                reply = self._as_recorded(reply)
                if only_mine:
                    self._keep_mine(reply)
                self.write_down(step, canonical(reply, shown_version, self._symbols))
            return reply

        return finish

    def tell(self, request: Request) -> None:
        """Send a request that has no reply."""
        version = self.version_of(request)
        self._peer.send(
            request.api_key, version, self._encoded(request, version), flexible=version >= request.flexible_version
        )

    def send_bytes(self, step: str, data: bytes, patience: float = PATIENCE_SECONDS) -> None:
        """Send bytes that are no request, and write down what becomes of the connection."""
        self._peer.send_bytes(data)
        found = self._peer.receive(None, patience=patience)
        self._keep(step, Exchange(-1, 0, data, self._peer.received))
        self.write_down(step, str(found.value) if isinstance(found, NoReply) else bytes(found).hex())

    def write_down(self, step: str, answer: Plain) -> None:
        """Keep an answer under this scenario, version and step."""
        key = self._key(step)
        assert key not in self._answers, f"two answers for {key}"
        self._answers[key] = answer

    def version_of(self, request: Request) -> int:
        """The version under test for the scenario's own API, the newest served for others. Raises NotServed."""
        return self.version if request.api_key == self._api.api_key else self._site.newest(request.api_key)

    def _encoded(self, request: Request, version: int) -> bytes:
        """The body of a request, in which nodes have the ids that they have at this broker. Raises NotServed."""
        if self._site.node_id != RECORDED_NODE:
            request = with_nodes(request, self._site.node_id)
        try:
            return encoded(request, version)
        except ValueError as error:
            if version == SERVED_VERSIONS[request.api_key][1] or request.api_key == self._api.api_key:
                raise
            name = type(request).__name__.removesuffix("Request")
            raise NotServed(f"{name} is served up to version {version} only: {error}") from error

    def _as_recorded(self, reply: Any) -> Any:
        """A reply in which nodes have the ids that they had when it was recorded."""
        return reply if self._site.node_id == RECORDED_NODE else with_nodes(reply, self._site.node_id)

    def _keep(self, step: str, exchange: Exchange) -> None:
        """Remember what was sent and received, for those who look for the reason of a difference."""
        sent, received = exchange.sent[:KEPT_BYTES], exchange.received[:KEPT_BYTES]
        self._site.exchanges[self._key(step)] = exchange._replace(sent=sent, received=received)

    def _key(self, step: str) -> Key:
        return Key(self._scenario, self.version, step)

    def _leave_out_if_older(self, step: str, request: Request, version: int) -> None:
        """Of another API than the scenario's the newest version was recorded."""
        recorded = SERVED_VERSIONS[request.api_key][1]
        if (
            request.api_key != self._api.api_key
            and version < recorded
            and not self._site.serves(request.api_key, recorded)
        ):
            name = type(request).__name__.removesuffix("Request")
            self._site.left_out[self._key(step)] = f"recorded in {name} v{recorded}, which is not served"

    def _keep_mine(self, reply: Struct) -> None:
        for name in type(reply)._declared:
            value = getattr(reply, name)
            if isinstance(value, list):
                setattr(reply, name, [each for each in value if self._is_mine(each)])

    def _is_mine(self, element: Any) -> bool:
        for name in NAMING_FIELDS:
            called = getattr(element, name, None)
            if called is not None:
                return bool(called.startswith(self._prefix))
        return True

    # Setting the stage.

    def arrange(self, request: Request, *, version: int | None = None) -> Any:
        """Send a request and return its reply, which is not compared.

        Raises AssertionError if there is none, NotServed if there cannot be one.
        """
        version = self._site.newest(request.api_key) if version is None else version
        found = self._peer.exchange(
            request.api_key,
            version,
            self._encoded(request, version),
            flexible=version >= request.flexible_version,
            flexible_reply=has_flexible_header(request, version),
        )
        reply, _ = decoded_reply(found, request, version)
        assert reply is not None, f"{found} instead of a reply to {request}"
        return self._as_recorded(reply)

    def ask_until(
        self, step: str, request: Request, done: Callable[[Any], bool], *, version: int | None = None,
        only_mine: bool = False,
    ) -> Any:  # fmt: skip
        """Like `ask`, again and again until the reply is as wanted, which is then written down.

        For answers that depend on how far something is. When the reply never becomes as wanted, the last one counts.
        """
        version = self.version_of(request) if version is None else version
        self._leave_out_if_older(step, request, version)
        deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
        while not done(reply := self.arrange(request, version=version)) and time.monotonic() < deadline:
            pause(POLL_SECONDS)
        self._keep(step, Exchange(request.api_key, version, self._peer.sent, self._peer.received))
        if only_mine:
            self._keep_mine(reply)
        self.write_down(step, canonical(reply, version, self._symbols))
        return reply

    def until(self, request: Request, done: Callable[[Any], bool], *, version: int | None = None) -> Any:
        """Ask, out of the comparison, until the reply is as wanted. Raises AssertionError if that takes too long."""
        deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
        while not done(reply := self.arrange(request, version=version)):
            assert time.monotonic() < deadline, f"never as wanted: {request}: {reply}"
            pause(POLL_SECONDS)
        return reply

    def settle(self) -> None:
        """Wait until a change that the broker has confirmed must have reached all its parts."""
        if self._site.lag_seconds:
            pause(self._site.lag_seconds)

    def topic(self, short: str, partitions: int = 1, /, **configs: str) -> Topic:
        """Make a topic and wait until it can be written to. `max_message_bytes="100"` sets `max.message.bytes`."""
        name = self.name(short)
        wanted = [CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()]
        topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, configs=wanted)
        made = self.arrange(CreateTopicsRequest(topics=[topic], timeout_ms=10_000)).topics[0]
        assert made.error_code == 0, f"{name}: {ErrorCode(made.error_code).name} {made.error_message}"
        self.learn(made.topic_id, f"<id of {short}>")
        self.wait_for_topic(name, range(partitions))
        return Topic(name, made.topic_id)

    def wait_for_topic(self, name: str, partitions: Iterable[int] = (0,)) -> None:
        """Until all partitions have a leader that answers."""
        asked = [ListOffsetsPartition(partition_index=each, timestamp=-1) for each in partitions]
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=name, partitions=asked)])
        self.until(request, lambda reply: not any(_error_codes(reply.topics)))

    def wait_until_gone(self, name: str) -> None:
        """Until the partitions of a deleted topic are unknown."""
        asked = ListOffsetsPartition(partition_index=0, timestamp=-1)
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=name, partitions=[asked])])
        self.until(request, lambda reply: list(_error_codes(reply.topics)) == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])

    def elsewhere(self) -> Stage:
        """The same scenario over another connection."""
        other = Stage(self._site, self._scenario, self._api, self.version, self._answers)
        other._symbols = self._symbols
        return other

    def at(self, site: Site) -> Stage:
        """The same scenario at another broker of the cluster."""
        other = Stage(site, self._scenario, self._api, self.version, self._answers)
        other._symbols = self._symbols
        return other

    def close(self) -> None:
        """Close the connection."""
        self._peer.close()


def _error_codes(topics: Sequence[Any]) -> Iterator[int]:
    return (partition.error_code for topic in topics for partition in topic.partitions)


def encoded(request: Request, version: int) -> bytes:
    """The body of a request. Raises ValueError for a field that the version cannot carry."""
    return b"".join(bytes(chunk) for chunk in encode(request, version))  # type: ignore[arg-type]


def has_flexible_header(request: Request, version: int) -> bool:
    """Whether the reply's header has tagged fields."""
    return version >= request.flexible_version and request.api_key != API_VERSIONS


def encoded_alike(reply: Response, version: int, found: memoryview | NoReply) -> bool:
    """Whether a reply's values, encoded here, are the bytes in which they came."""
    return isinstance(found, NoReply) or b"".join(bytes(chunk) for chunk in encode(reply, version)) == found  # type: ignore[arg-type]


def decoded_reply(found: memoryview | NoReply, request: Request, version: int) -> tuple[Response | None, int]:
    """(reply, the version it came in), or (None, version) if it is none."""
    if isinstance(found, NoReply):
        return None, version
    response = type(request).response_type
    if response is ApiVersionsResponse and bytes(found[:2]) == ErrorCode.UNSUPPORTED_VERSION.to_bytes(2, "big"):
        version = 0
    try:
        return decode(response, version, found), version
    except (ProtocolError, ValueError):  # ValueError: a version that there is not, and that should not be answered
        return None, version


def pause(seconds: float) -> None:
    """Let the broker, which is another process, run: it can only be asked again."""
    time.sleep(seconds)


def wait_for_coordinators(site: Site) -> None:
    """Until the broker coordinates all groups and transactions, and has ids for producers; as far as it serves these.

    The first question makes it create the topic of their records; then each of its partitions has to be loaded. Raises
    AssertionError if that takes too long.
    """
    stage = Stage(site, "opening", FindCoordinatorRequest, 0, {})
    # So many names that every partition has some of them.
    names = [f"opening-{number}" for number in range(1000)]
    unknown: tuple[ErrorCode, ...] = (ErrorCode.NONE, ErrorCode.GROUP_ID_NOT_FOUND)
    missing = ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
    groups, transactions = DescribeGroupsRequest(groups=names), DescribeTransactionsRequest(transactional_ids=names)
    openings: tuple[Callable[[], object], ...] = (
        lambda: _wait_for_coordinator(stage, site, 0),
        lambda: stage.until(groups, lambda reply: all(group.error_code in unknown for group in reply.groups)),
        lambda: stage.until(InitProducerIdRequest(transactional_id=None), lambda reply: reply.error_code == 0),
        lambda: _wait_for_coordinator(stage, site, 1),
        lambda: stage.until(
            transactions, lambda reply: all(each.error_code == missing for each in reply.transaction_states)
        ),
    )
    try:
        for opening in openings:
            with suppress(NotServed):
                opening()
    finally:
        stage.close()


def _wait_for_coordinator(stage: Stage, site: Site, key_type: int) -> None:
    version = site.newest(FindCoordinatorRequest.api_key)
    if version >= 4:
        asked = FindCoordinatorRequest(key_type=key_type, coordinator_keys=["any"])
        stage.until(asked, lambda reply: reply.coordinators[0].error_code == 0, version=version)
    else:
        asked = FindCoordinatorRequest(key="any")
        if version >= 1:
            asked.key_type = key_type
        stage.until(asked, lambda reply: reply.error_code == 0, version=version)
