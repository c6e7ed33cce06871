"""`ottla check-log DIRECTORY`: hold a data directory, or one partition's, against what its files promise.

    ottla check-log data                  every file of a data directory
    ottla check-log data/orders-0         one partition
    ottla check-log data --records        also the records inside the batches

Every batch is read and its CRC computed; offsets, leader epochs, indexes, producer snapshots, transaction indexes,
checkpoints, topic ids and names are held against each other. What is wrong comes out as one sentence a line, the file
in front; lines that begin with `note:` tell of what is nothing wrong, such as the torn end that a killed broker leaves.
Nothing is ever written. A broker may be at work in the directory: what it has not finished yet is then let pass.

The exit status is 0 if nothing is wrong, 1 if something is, 2 if the directory cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.log_check.directory import DirectoryCheck, known_of
from tools.log_check.findings import Finding, plural
from tools.log_check.partition import PartitionCheck, is_partition


def main(arguments: Sequence[str]) -> int:
    """Check what was asked for and return the exit status."""
    options = parse(arguments)
    wrong = notes = 0
    try:
        check = checker(options.directory, options.records)
        for finding in check.findings():
            wrong += not finding.note
            notes += finding.note
            if not (finding.note and options.quiet):
                print(line(finding, options.json))
    except OSError as error:
        print(f"ottla check-log: {error.filename}: {error.strerror}" if error.filename else f"ottla check-log: {error}",
              file=sys.stderr)  # fmt: skip
        return 2
    except NotADataDirectory as error:
        print(f"ottla check-log: {error}", file=sys.stderr)
        return 2
    if not options.json:
        looked_at = ", ".join(map(plural, check.counted, ("log", "segment", "batch", "record", "byte")))
        print(f"{looked_at}: {wrong or 'nothing'} wrong" + (f", {plural(notes, 'note')}" if notes else ""))
    return 1 if wrong else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `ottla check-log`; prints usage and exits with 2 on words it does not know."""
    return parser().parse_args(arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla check-log`."""
    made = argparse.ArgumentParser(prog="ottla check-log", description="Verify a data directory; nothing is written.")
    made.add_argument("directory", type=Path, metavar="DIRECTORY", help="a data directory, or one partition's in it")
    made.add_argument("--records", "--deep", action="store_true", help="also decompress and count the records")
    made.add_argument("--quiet", action="store_true", help="leave out the notes")
    made.add_argument("--json", action="store_true", help="one JSON object per finding: path, sentence, note")
    return made


class NotADataDirectory(Exception):
    """Neither a data directory nor a partition's; the sentence says so."""


def checker(directory: Path, records: bool) -> DirectoryCheck | PartitionCheck:
    """The check that fits a directory. Raises OSError, NotADataDirectory."""
    if is_partition(directory):
        return PartitionCheck(directory, known_of(directory), records=records)
    check = DirectoryCheck(directory, records=records)
    if not check.looks_right():
        raise NotADataDirectory(f"{directory} holds nothing of a data directory")
    return check


def line(finding: Finding, as_json: bool) -> str:
    """One finding as it is printed."""
    if as_json:
        return json.dumps({"path": str(finding.path), "sentence": finding.sentence, "note": finding.note})
    return f"{'note: ' if finding.note else ''}{finding.path}: {finding.sentence}"
