"""Where offsets move to in `ottla groups reset-offsets`: every way of `kafka-consumer-groups.sh`.

| option | new offset of a partition |
|---|---|
| `--to-earliest`, `--to-latest` | the first one of its log, its end |
| `--to-current` | the one committed; its end if there is none |
| `--to-offset N` | N |
| `--shift-by N` | the committed one and N |
| `--to-datetime T`, `--by-duration D` | the first record from then on, from D ago on; its end if none is as late |
| `--from-file F` | what F says, in lines of `topic,partition,offset` or `group,topic,partition,offset` |

A log has no other offsets than those from its first one to its end, so what lies outside becomes the nearer of these,
and a warning says so.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from kproto.ids import TopicPartition
from tools.actions import Options
from tools.client.cluster import EARLIEST, LATEST, Cluster, Refused
from tools.client.groups import committed_offsets
from tools.failures import Failed, Misunderstood
from tools.moments import parse_duration, parse_moment

WAYS = ("to_earliest", "to_latest", "to_current", "to_offset", "shift_by", "to_datetime", "by_duration", "from_file")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a reset."""
    parser.add_argument("-t", "--topic", action="append", metavar="TOPIC", help="TOPIC or TOPIC:0,1; may be repeated")
    parser.add_argument("--all-topics", action="store_true", help="all for which the group has committed")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--to-earliest", action="store_true", help="to the first record")
    way.add_argument("--to-latest", action="store_true", help="to the end")
    way.add_argument("--to-current", action="store_true", help="to what is committed")
    way.add_argument("--to-offset", type=int, metavar="OFFSET", help="to this offset")
    way.add_argument("--shift-by", type=int, metavar="N", help="so many records on, or back if negative")
    way.add_argument("--to-datetime", metavar="MOMENT", help="to a moment: 2026-11-30T18:00:00.000")
    way.add_argument("--by-duration", metavar="DURATION", help="to so long ago: PT1H30M, 90m")
    way.add_argument("--from-file", metavar="FILE", help="to the offsets of a CSV file, as --export writes it")
    parser.add_argument("--dry-run", action="store_true", help="change nothing (the default)")
    parser.add_argument("--execute", action="store_true", help="change it")
    parser.add_argument("--export", action="store_true", help="print CSV for --from-file")


def planned(cluster: Cluster, group: str, options: Options) -> dict[TopicPartition, int]:
    """Partition -> its new offset. Raises Failed."""
    if options.from_file:
        return _within(cluster, read_plan(options.from_file, group))
    committed = {place: found.offset for place, found in committed_offsets(cluster, group).items() if found.offset >= 0}
    if options.all_topics:
        places = sorted(committed)
    elif options.topic:
        places = places_of(cluster, options.topic)
    else:
        raise Misunderstood("which topics? One of --all-topics, --topic, --from-file says it")
    if options.to_offset is not None:
        return _within(cluster, dict.fromkeys(places, options.to_offset))
    if options.shift_by is not None:
        if unknown := [place for place in places if place not in committed]:
            raise Failed(
                f"Cannot shift offset for partition {_name(unknown[0])} since there is no current committed offset"
            )
        return _within(cluster, {place: committed[place] + options.shift_by for place in places})
    if options.to_current:
        ends = _offsets(cluster, [place for place in places if place not in committed], LATEST)
        return {place: committed.get(place, ends.get(place, 0)) for place in places}
    return _offsets(cluster, places, _timestamp(options))


def _timestamp(options: Options) -> int:
    if options.to_earliest or options.to_latest:
        return EARLIEST if options.to_earliest else LATEST
    if options.by_duration:
        return int(time.time() * 1000) - parse_duration(options.by_duration)
    return parse_moment(options.to_datetime)


def places_of(cluster: Cluster, words: Iterable[str]) -> list[TopicPartition]:
    """The partitions that words of the form `TOPIC` and `TOPIC:0,1` name. Raises Failed."""
    narrowed: dict[str, list[int] | None] = {}
    for word in words:
        topic, colon, partitions = word.partition(":")
        if colon and not all(part.isdecimal() for part in partitions.split(",")):
            raise Misunderstood(f"{word} is not of the form TOPIC:PARTITION,PARTITION")
        narrowed[topic] = [int(part) for part in partitions.split(",")] if colon else None
    found = []
    for topic, every in cluster.partitions_of(narrowed).items():
        wanted = narrowed[topic]
        if missing := set(wanted or ()) - set(every):
            raise Failed(f"Topic '{topic}' has no partition {min(missing)}")
        found += [TopicPartition(topic, partition) for partition in (every if wanted is None else wanted)]
    return sorted(found)


def read_plan(path: str, group: str) -> dict[TopicPartition, int]:
    """What a CSV file says of a group. Raises Misunderstood."""
    plan: dict[TopicPartition, int] = {}
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misunderstood(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    for number, row in enumerate(csv.reader(text.splitlines()), 1):
        if not row:
            continue
        if len(row) not in (3, 4) or not row[-2].strip().isdecimal() or not row[-1].strip().isdecimal():
            raise Misunderstood(
                f"{path}, line {number}: it is not 'topic,partition,offset' or 'group,topic,partition,offset'"
            )
        if len(row) == 3 or row[0] == group:
            plan[TopicPartition(row[-3], int(row[-2]))] = int(row[-1])
    return plan


def _offsets(cluster: Cluster, places: Iterable[TopicPartition], timestamp: int) -> dict[TopicPartition, int]:
    """The offset of a moment in each partition; its end where no record is as late."""
    found = cluster.offsets(dict.fromkeys(places, timestamp))
    for place, answer in found.items():
        if answer.error:
            raise Refused(answer.error, what=_name(place))
    late = [place for place, answer in found.items() if answer.offset < 0]
    ends = cluster.offsets(dict.fromkeys(late, LATEST)) if late else {}
    return {place: ends[place].offset if place in ends else answer.offset for place, answer in found.items()}


def _within(cluster: Cluster, wanted: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """`wanted`, moved to where each log has records."""
    starts, ends = _offsets(cluster, wanted, EARLIEST), _offsets(cluster, wanted, LATEST)
    moved = {}
    for place, offset in wanted.items():
        moved[place] = min(max(offset, starts[place]), ends[place])
        if moved[place] != offset:
            which = "lower than earliest" if offset < moved[place] else "higher than latest"
            print(
                f"New offset ({offset}) is {which} offset for topic partition {_name(place)}. Value will be set to "
                f"{moved[place]}",
                file=sys.stderr,
            )
    return moved


def _name(place: TopicPartition) -> str:
    return f"{place.topic}-{place.partition}"
