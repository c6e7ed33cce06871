"""`ottla consume TOPIC`: print records as they come, or those of a range.

    ottla consume orders                              from now on, until Ctrl-C, as kafka-console-consumer.sh
    ottla consume orders --from-beginning -e          all that there is, then end
    ottla consume orders -o -10 -e                    the last ten of each partition
    ottla consume orders --from -15m --to 2026-11-30T18:00:00 -J
    ottla consume orders -G payments                  as a member of a group, which commits what was printed

Without a group, nothing is committed and the ranges are offsets: `--from` and `--to` are an offset or a moment
(`tools/moments.py`), looked up before the first record is read. A range with an end ends there; so does `-e`, at the
end that there was when it began.

The exit status is 0 at the end of a range, after `-c` records and after the silence of `--timeout-ms`. SIGINT and
SIGTERM end it by the signal, after the group is left. What was printed is committed, nothing else.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kproto.ids import TopicPartition
from tools.actions import Options
from tools.client.cluster import EARLIEST, LATEST, Cluster, Refused
from tools.client.library import made, missing
from tools.client.properties import ClientProperties, add_connection_options, milliseconds, properties_of
from tools.commands.produce import delimiter_of
from tools.failures import Failed, Misunderstood
from tools.moments import parse_moment
from tools.output.progress import progress
from tools.output.records import PARTS, Formatter, console, json_lines, kcat_format
from tools.output.tables import is_terminal
from tools.standard_output import find_reader
from tools.stopping import Stopping

BATCH = 500
POLL_SECONDS = 0.2
CONNECT_MS = 30_000


class Span(NamedTuple):
    """The records of one partition that are wanted: offsets from `start` to below `end`; None: there is no end."""

    start: int
    end: int | None


def main(arguments: Sequence[str]) -> int:
    """Print what was asked for and return the exit status. Raises Failed."""
    options = parser().parse_args(with_moments_joined(arguments))
    topics = [*options.names, *(options.topic or [])]
    if not topics:
        raise Misunderstood("which topic? Name it first")
    _check(options)
    printed = formatter(options)
    properties = properties_of(options, CONNECT_MS)
    with Cluster(properties) as cluster:
        if options.json:
            printed = json_lines(leaders(cluster, topics))
        if options.group:
            spans = None
            cluster.partitions_of(topics)
        else:
            spans = spans_of(cluster, topics, options)
    reading = Reading(properties, options, topics, spans)
    with Stopping() as stopping:
        try:
            reading.run(printed, lambda: stopping.requested)
        finally:
            reading.close()
    stopping.end("ottla consume", f"after {reading.count} records")
    if not options.quiet and is_terminal(sys.stderr):
        print(f"Processed a total of {reading.count} messages", file=sys.stderr)
    return 0


class Reading:
    """A consumer, and how far it is in what is wanted."""

    def __init__(
        self,
        properties: ClientProperties,
        options: Options,
        topics: Sequence[str],
        spans: Mapping[TopicPartition, Span] | None,
    ) -> None:
        try:
            from confluent_kafka import Consumer
        except ImportError:
            raise missing() from None
        own: dict[str, Any] = {
            "group.id": options.group or "ottla",
            "enable.auto.commit": options.group is not None,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "isolation.level": options.isolation_level,
        }
        if options.group and options.from_beginning:
            own["auto.offset.reset"] = "earliest"
        self._consumer: Any = made(Consumer, properties, own)
        self._left = None if spans is None else {place: span for place, span in spans.items() if span.start != span.end}
        self._ends_when_read = options.exit
        self._group = options.group is not None
        self._most: int | None = options.max_messages
        self._silence = None if options.timeout_ms is None else options.timeout_ms / 1000
        self._at_end: set[TopicPartition] = set()
        self.count = 0
        if spans is None:
            self._consumer.subscribe(list(topics))
        else:
            self._assign()

    def close(self) -> None:
        """Commit what was printed and leave the group."""
        self._consumer.close()

    def run(self, printed: Formatter, stopped: Callable[[], bool]) -> None:
        """Print until there is no more to print, or `stopped`. Raises Failed."""
        heard = time.monotonic()
        total = self._total()
        wanted = not is_terminal(sys.stdout)
        with progress("consuming", total, wanted=wanted) as advance:
            while not stopped() and not self._done():
                room = BATCH if self._most is None else min(BATCH, self._most - self.count)
                messages = self._consumer.consume(room, POLL_SECONDS)
                before = self.count
                self._print(messages, printed)
                advance(self.count - before)
                if self.count != before:
                    heard = time.monotonic()
                    continue
                find_reader()
                if self._silence is not None and time.monotonic() - heard > self._silence:
                    break

    def _print(self, messages: Sequence[Any], printed: Formatter) -> None:
        """Print those that are wanted, flush, and only then let them be committed."""
        out = sys.stdout.buffer
        last: dict[TopicPartition, int] = {}
        for message in messages:
            place = TopicPartition(message.topic(), message.partition())
            if message.error() is not None:
                self._note_error(place, message)
                continue
            self._at_end.discard(place)
            span = None if self._left is None else self._left.get(place)
            if self._left is not None and span is None:
                continue  # behind the end: it was on its way before the partition was let go
            if span is not None and span.end is not None and message.offset() >= span.end:
                self._let_go(place)
                continue
            out.write(printed(message))
            self.count += 1
            last[place] = message.offset() + 1
            if span is not None and last[place] == span.end:
                self._let_go(place)
        out.flush()
        if last and self._group:
            from confluent_kafka import TopicPartition as Position

            self._consumer.store_offsets(offsets=[Position(*place, offset) for place, offset in last.items()])

    def _note_error(self, place: TopicPartition, message: Any) -> None:
        from confluent_kafka import KafkaError

        error = message.error()
        if error.code() == KafkaError._PARTITION_EOF:
            self._at_end.add(place)
            span = None if self._left is None else self._left.get(place)
            if span is not None and span.end is not None and message.offset() >= span.end:
                self._let_go(place)  # its last records are marks of transactions, which no one sees
        elif not self._group and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            pass  # librdkafka looks for the coordinator of any consumer's group; without one there is nothing to ask it
        elif error.fatal() or not error.retriable():
            raise Failed(f"{error.name()}: {error.str()}")

    def _let_go(self, place: TopicPartition) -> None:
        if self._left is not None and self._left.pop(place, None) is not None:
            from confluent_kafka import TopicPartition as Position

            self._consumer.incremental_unassign([Position(*place)])

    def _done(self) -> bool:
        if self._most is not None and self.count >= self._most:
            return True
        if self._left is not None:
            return not self._left
        assigned = {TopicPartition(each.topic, each.partition) for each in self._consumer.assignment()}
        return bool(self._ends_when_read and assigned and assigned <= self._at_end)

    def _total(self) -> int | None:
        """How many records there may be; None if that is not known."""
        ends = [] if self._left is None else [(span.start, span.end) for span in self._left.values()]
        known: int = sum(end - start for start, end in ends if end is not None)
        if self._most is not None:
            return min(self._most, known) if known else self._most
        return known or None

    def _assign(self) -> None:
        from confluent_kafka import TopicPartition as Position

        assert self._left is not None
        self._consumer.assign([Position(*place, span.start) for place, span in self._left.items()])


def spans_of(cluster: Cluster, topics: Sequence[str], options: Options) -> dict[TopicPartition, Span]:
    """What is wanted of each partition. Raises Failed."""
    places = [
        TopicPartition(topic, partition)
        for topic, partitions in cluster.partitions_of(topics).items()
        for partition in partitions
        if not options.partition or partition in options.partition
    ]
    if not places:
        raise Failed(f"{topics[0]} has no partition {min(options.partition)}")
    starts, ends = _found(cluster, places, EARLIEST), _found(cluster, places, LATEST)
    begin = options.start or ("beginning" if options.from_beginning else "end")
    begins = _positions(cluster, begin, starts, ends)
    limits = _positions(cluster, options.to, starts, ends) if options.to else ends
    ending = options.to is not None or options.exit
    return {
        place: Span(begins[place], max(begins[place], limits[place]) if ending else None) for place in sorted(places)
    }


def leaders(cluster: Cluster, topics: Sequence[str]) -> dict[TopicPartition, int]:
    """The node that leads each partition."""
    return {
        TopicPartition(topic.name, each.partition_index): each.leader_id
        for topic in cluster.metadata(topics).topics
        for each in topic.partitions
    }


def _positions(
    cluster: Cluster, word: str, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """The offset that a word of `--from`, `--to` or `-o` means in each partition: kcat's forms, Kafka's, a moment."""
    if word in ("beginning", "earliest"):
        return dict(starts)
    if word in ("end", "latest"):
        return dict(ends)
    if word.isdecimal() and len(word) <= 8:
        return {place: min(max(int(word), starts[place]), ends[place]) for place in starts}
    if word[:1] == "-" and word[1:].isdecimal():
        return {place: max(starts[place], ends[place] - int(word[1:])) for place in starts}
    moment = parse_moment(word[2:] if word[:2] in ("s@", "e@") else word)
    found = cluster.offsets(dict.fromkeys(starts, moment))
    for place, answer in found.items():
        if answer.error:
            raise Refused(answer.error, what=f"{place.topic}-{place.partition}")
    return {place: ends[place] if answer.offset < 0 else answer.offset for place, answer in found.items()}


def _found(cluster: Cluster, places: Sequence[TopicPartition], timestamp: int) -> dict[TopicPartition, int]:
    found = cluster.offsets(dict.fromkeys(places, timestamp))
    for place, answer in found.items():
        if answer.error:
            raise Refused(answer.error, what=f"{place.topic}-{place.partition}")
    return {place: answer.offset for place, answer in found.items()}


def formatter(options: Options) -> Formatter:
    """How records are printed. Raises Misunderstood."""
    null = (options.null if options.null is not None else "null").encode()
    if options.format is not None:
        return kcat_format(options.format, (options.null or "").encode())
    parts = {"value", *(options.print or "").split(",")} - {""}
    if options.key_delimiter is not None:
        parts.add("key")
    separators = {
        "key.separator": options.key_delimiter or b"\t",
        "line.separator": options.delimiter,
        "null.literal": null,
    }
    for word in options.formatter_property:
        key, _, value = word.partition("=")
        if key in separators:
            separators[key] = delimiter_of(value)
        else:
            parts = _with_property(parts, word)
    return console(parts, *separators.values())


def _count(word: str) -> int:
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of records")
    return int(word)


def _check(options: Options) -> None:
    """Raise Misunderstood for options that contradict each other."""
    if options.group and (options.start or options.to or options.partition):
        raise Misunderstood(
            "a group goes on where it was, in all its partitions: --from, --to and --partition are for reading without "
            "one (ottla groups reset-offsets moves a group)"
        )
    if options.follow and (options.exit or options.to):
        raise Misunderstood("--follow goes on, --exit and --to end: they contradict each other")
    if options.start and options.from_beginning:
        raise Misunderstood("--from and --from-beginning contradict each other")


def with_moments_joined(arguments: Sequence[str]) -> list[str]:
    """`--from -15m` as `--from=-15m`: argparse takes `-15m` for an option, and `-15` alone for a number."""
    words: list[str] = []
    for word in arguments:
        before = words[-1] if words else ""
        if before in ("--from", "--to", "--offset", "-o") and word[:1] == "-" and word[1:2].isdecimal():
            words[-1] = f"{before}{word}" if before == "-o" else f"{before}={word}"
        else:
            words.append(word)
    return words


def _with_property(parts: set[str], word: str) -> set[str]:
    """`--formatter-property print.key=true`, and `print.value=false`."""
    key, _, value = word.partition("=")
    part = key.removeprefix("print.")
    if part == key or part not in PARTS or value not in ("true", "false"):
        raise Misunderstood(
            f"--formatter-property is {word}; here there are print.{{{','.join(PARTS)}}}=true or false, key.separator, "
            "line.separator and null.literal"
        )
    return parts | {part} if value == "true" else parts - {part}


def parser() -> argparse.ArgumentParser:
    """All words of `ottla consume`."""
    made = argparse.ArgumentParser(prog="ottla consume", description="Print records as they come, or those of a range.")
    made.add_argument("names", nargs="*", metavar="TOPIC", help="topics")
    made.add_argument("-t", "--topic", action="append", metavar="TOPIC", help="the same, in Kafka's and kcat's way")
    where = made.add_argument_group("which records")
    where.add_argument("-p", "--partition", type=int, action="append", metavar="N", help="this one; may be repeated")
    where.add_argument("--from-beginning", action="store_true", help="from the first record on; default: what comes")
    where.add_argument(
        "-o", "--offset", "--from", dest="start", metavar="WHERE",
        help="beginning, end, an offset, -N (the last N), or a moment: 2026-11-30T18:00, -15m, s@MS",
    )  # fmt: skip
    where.add_argument("--to", metavar="WHERE", help="end there: the same forms")
    where.add_argument("-e", "--exit", action="store_true", help="end at the end that there is now")
    where.add_argument("--follow", action="store_true", help="go on with what comes (the default)")
    where.add_argument("-c", "--max-messages", type=_count, metavar="N", help="end after so many")
    where.add_argument("--timeout-ms", type=milliseconds, metavar="MS", help="end when nothing has come for so long")
    where.add_argument(
        "-G", "--group", metavar="GROUP", help="as a member of this group, which commits what was printed"
    )
    where.add_argument(
        "--isolation-level", choices=("read_uncommitted", "read_committed"), default="read_uncommitted",
        help="read_committed: nothing of open and aborted transactions",
    )  # fmt: skip
    how = made.add_argument_group("how they are printed")
    how.add_argument("-J", "--json", action="store_true", help="JSON, one line a record, as kcat -J")
    how.add_argument("-f", "--format", metavar="FORMAT", help="kcat's: %%t %%p %%o %%k %%s %%h %%T %%K %%S, \\n \\t")
    how.add_argument("--print", metavar="PART,...", help=f"Kafka's console format with these: {', '.join(PARTS)}")
    how.add_argument(
        "--formatter-property", action="append", default=[], metavar="KEY=VALUE", help="print.key=true ..."
    )
    how.add_argument("-K", "--key-delimiter", type=delimiter_of, metavar="D", help="print the key, and this behind it")
    how.add_argument("-D", "--delimiter", type=delimiter_of, default=b"\n", metavar="D", help="between records (\\n)")
    how.add_argument("-Z", "--null", metavar="TEXT", help="how null is printed (null)")
    how.add_argument("-q", "--quiet", action="store_true", help="no sentence at the end on a terminal")
    add_connection_options(made, with_timeout=False)
    return made
