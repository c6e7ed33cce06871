"""Apache Kafka's own reader of its files: `org.apache.kafka.tools.DumpLogSegments`, run and understood.

Every line it prints is either understood here, and then becomes a line as `tools.log_files.lines` has them, or is a
complaint: the tool says what it does not like in sentences of its own, and a sentence not foreseen here must not pass
for approval. One thing it says of its own broker's files as well: with `--deep-iteration` it takes the first record of
a file for the successor of offset -1, and so calls every segment but the first non-consecutive. What is left of that
are gaps, which compacted logs have. Nor can it make sense of the time index of a segment that Kafka itself has
compacted, where the batch with the largest timestamp has lost all of its records and keeps its header only.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

CLASS: Final = "org.apache.kafka.tools.DumpLogSegments"
TIMEOUT_SECONDS: Final = 300
FILES_AT_A_TIME: Final = 200
DECODERS: Final = {
    "__cluster_metadata": "--cluster-metadata-decoder",
    "__consumer_offsets": "--offsets-decoder",
    "__transaction_state": "--transaction-log-decoder",
    "__share_group_state": "--share-group-state-decoder",
}
"""The option that has the tool read what the records of an internal topic say."""

_BATCH = re.compile(
    r"baseOffset: (?P<base_offset>\d+) lastOffset: (?P<last_offset>\d+) count: (?P<count>\d+) "
    r"baseSequence: (?P<base_sequence>-?\d+) lastSequence: (?P<last_sequence>-?\d+) producerId: (?P<producer_id>-?\d+) "
    r"producerEpoch: (?P<producer_epoch>-?\d+) partitionLeaderEpoch: (?P<leader_epoch>-?\d+) "
    r"isTransactional: (?P<transactional>true|false) isControl: (?P<control>true|false) "
    r"deleteHorizonMs: (?:OptionalLong\.empty|OptionalLong\[(?P<delete_horizon>\d+)\]) position: (?P<position>\d+) "
    r"(?P<timestamp_type>CreateTime|LogAppendTime): (?P<max_timestamp>-?\d+) size: (?P<size>\d+) magic: 2 "
    r"compresscodec: (?P<codec>\w+) crc: (?P<crc>\d+) isvalid: (?P<crc_valid>true|false)\Z"
)
_RECORD = re.compile(
    r"\| offset: (?P<offset>\d+) (?:CreateTime|LogAppendTime): (?P<timestamp>-?\d+) keySize: (?P<key_size>-?\d+) "
    r"valueSize: (?P<value_size>-?\d+) sequence: (?P<sequence>-?\d+) headerKeys: \[(?P<headers>[^\]]*)\]"
    r"(?: (?P<control>\S.*))?\Z"
)
_DECODED = re.compile(
    r"\| offset: (?P<offset>\d+) (?:CreateTime|LogAppendTime): -?\d+ keySize: -?\d+ valueSize: -?\d+ "
    r"sequence: -?\d+ headerKeys: \[[^\]]*\](?: key: (?P<key>.*?))? payload: (?P<value>.*)\Z"
)
_OFFSET_ENTRY = re.compile(r"offset: (?P<offset>\d+) position: (?P<position>\d+)\Z")
_TIME_ENTRY = re.compile(r"timestamp: (?P<timestamp>-?\d+) offset: (?P<offset>\d+)\Z")
_ABORTED = re.compile(
    r"version: 0 producerId: (?P<producer_id>\d+) firstOffset: (?P<first_offset>\d+) lastOffset: (?P<last_offset>\d+) "
    r"lastStableOffset: (?P<last_stable_offset>\d+)\Z"
)
_PRODUCER = re.compile(
    r"producerId: (?P<producer_id>\d+) producerEpoch: (?P<producer_epoch>-?\d+) "
    r"coordinatorEpoch: (?P<coordinator_epoch>-?\d+) "
    r"currentTxnFirstOffset: (?:OptionalLong\.empty|OptionalLong\[(?P<transaction_first_offset>\d+)\]) "
    r"lastTimestamp: -?\d+(?: firstSequence: -?\d+ lastSequence: (?P<last_sequence>-?\d+) "
    r"lastOffset: (?P<last_offset>-?\d+) offsetDelta: (?P<offset_delta>\d+) timestamp: (?P<timestamp>-?\d+))?\s*\Z"
)
_PATTERNS: Final = (
    ("batch", _BATCH), ("record", _RECORD), ("entry", _OFFSET_ENTRY), ("entry", _TIME_ENTRY), ("aborted", _ABORTED),
    ("producer", _PRODUCER),
)  # fmt: skip
_DUMPING = re.compile(r"Dumping (.+)\Z")
_HARMLESS = re.compile(
    r"(?:Log starting offset: \d+|Snapshot end offset: \d+, epoch: \d+|.+ passed sanity check\.|.+index is empty\.)\Z"
)
_NON_CONSECUTIVE = re.compile(r"Non-consecutive offsets in (.+)\Z")
_FOLLOWED = re.compile(r" +(-?\d+) is followed by (\d+)\Z")
_MISMATCH = re.compile(r"Found timestamp mismatch in :(.+)\Z")
_HOLLOW = re.compile(r" +Index timestamp: \d+, log timestamp: -1\Z")

Line = dict[str, Any]


class KafkaDump(NamedTuple):
    """What the tool said: lines by file, and everything else."""

    files: dict[str, list[Line]]
    gaps: list[tuple[str, int, int]]
    """Files where one offset is followed by another that is not the next."""
    hollow: list[str]
    """Time indexes with an entry for a batch without records."""
    complaints: list[str]


class Decoded(NamedTuple):
    """A record of an internal topic as the tool understands it: two values of JSON, None where there is nothing."""

    offset: int
    key: Any
    value: Any


class ToolFailed(Exception):
    """The tool did not run; the message says how it ended."""


def run(command: str, files: Sequence[Path], *options: str) -> KafkaDump:
    """Dump `files` with the tool that `command CLASS ...` runs. Raises ToolFailed."""
    dump = KafkaDump({}, [], [], [])
    for output in _outputs(command, files, options):
        understood = understand(output)
        dump.files.update(understood.files)
        dump.gaps.extend(understood.gaps)
        dump.hollow.extend(understood.hollow)
        dump.complaints.extend(understood.complaints)
    return dump


def decoded(command: str, topic: str, files: Sequence[Path]) -> tuple[dict[str, list[Decoded]], list[str]]:
    """What the tool reads out of the records of an internal topic, by file, and its complaints. Raises ToolFailed."""
    found: dict[str, list[Decoded]] = {}
    complaints = []
    for output in _outputs(command, files, (DECODERS[topic],)):
        current: list[Decoded] = []
        for text in output:
            if match := _DUMPING.match(text):
                current = found.setdefault(match[1], [])
            elif match := _DECODED.match(text):
                try:
                    current.append(Decoded(int(match["offset"]), _json(match["key"]), _json(match["value"])))
                except ValueError:
                    complaints.append(text)
            elif not _BATCH.match(text) and not _RECORD.match(text) and text.strip() and not _HARMLESS.match(text):
                complaints.append(text)
    return found, complaints


def _json(text: str | None) -> Any:
    return None if text in (None, "<DELETE>") else json.loads(text)


def _outputs(command: str, files: Sequence[Path], options: Sequence[str]) -> Iterator[list[str]]:
    """The tool's output, for some files at a time. Raises ToolFailed."""
    for first in range(0, len(files), FILES_AT_A_TIME):
        chosen = ",".join(map(str, files[first : first + FILES_AT_A_TIME]))
        words = [*shlex.split(command), CLASS, *options, "--files", chosen]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolFailed(str(error)) from error
        if done.returncode:
            raise ToolFailed(f"{words[0]} ended with status {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
        yield done.stdout.split("\n") + done.stderr.splitlines()


def understand(output: Sequence[str]) -> KafkaDump:
    """What the lines of the tool's output say."""
    dump = KafkaDump({}, [], [], [])
    current: list[Line] = []
    with_gaps = mismatched = ""
    for text in output:
        if match := _DUMPING.match(text):
            current = dump.files.setdefault(match[1], [])
            continue
        if match := _NON_CONSECUTIVE.match(text):
            with_gaps = match[1]
            continue
        if with_gaps and (match := _FOLLOWED.match(text)):
            if match[1] != "-1":
                dump.gaps.append((with_gaps, int(match[1]), int(match[2])))
            continue
        if match := _MISMATCH.match(text):
            mismatched = match[1]
            continue
        if mismatched and _HOLLOW.match(text):
            dump.hollow.append(mismatched)
            continue
        for kind, pattern in _PATTERNS:
            if match := pattern.match(text):
                current.append({"type": kind, **_values(match)})
                break
        else:
            if text.strip() and not _HARMLESS.match(text):
                dump.complaints.append(f"{mismatched}: {text}" if text.startswith(" ") else text)
    return dump


def _values(match: re.Match[str]) -> Line:
    values: Line = {}
    for name, text in match.groupdict().items():
        if text is None:
            values[name] = None
        elif text in ("true", "false"):
            values[name] = text == "true"
        elif text.lstrip("-").isdigit():
            values[name] = int(text)
        else:
            values[name] = text
    return values
