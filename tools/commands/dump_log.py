"""`ottla dump-log PATH...`: print the files of a data directory, for people or as JSON lines.

    ottla dump-log data/orders-0                                   every file of a partition
    ottla dump-log data/orders-0/00000000000000000000.log --records
    ottla dump-log data/*checkpoint data/meta.properties
    ottla dump-log data/__consumer_offsets-7 --records --json | jq 'select(.type == "record")'

A directory stands for the files in it, those of its partitions included. The lines are described in
`tools/log_files/lines.py`. Files are only read, and may be read while a broker writes them: its newest batch may then
look torn, and the newest entries of its indexes may be missing.

The exit status is 0 if everything could be made sense of, 1 if something is not what its name says, 2 if a file is
missing or cannot be read.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.log_check.findings import Finding
from tools.log_files import lines, names, text


def main(arguments: Sequence[str]) -> int:
    """Print what was asked for and return the exit status."""
    options = parse(arguments)
    status = 0
    for path in options.paths:
        try:
            for file in files_of(path):
                for line in dumped(file, options):
                    if lines.is_wrong(line):
                        status = max(status, 1)
                    print(json.dumps(line, ensure_ascii=False) if options.json else text.rendered(line))
        except BrokenPipeError:  # the reader has seen enough
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (the interpreter flushes it at its end)
            return status
        except (OSError, ValueError) as error:
            print(f"ottla dump-log: {sentence(error)}", file=sys.stderr)
            status = 2
    return status


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `ottla dump-log`; prints usage and exits with 2 on words it does not know."""
    return parser().parse_args(arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla dump-log`."""
    made = argparse.ArgumentParser(
        prog="ottla dump-log", description="Print files of a data directory: batches, records, indexes, checkpoints."
    )
    made.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file, or a directory for all in it")
    made.add_argument("--json", action="store_true", help="one JSON object a line")
    made.add_argument("--records", "--deep", action="store_true", help="also the records inside the batches")
    made.add_argument(
        "--index-check", action="store_true", help="hold indexes and snapshots against the segment they belong to"
    )
    return made


def files_of(path: Path) -> Iterator[Path]:
    """The file itself; for a directory, those in it and in the partitions beneath it. Raises OSError."""
    if not path.is_dir():
        yield path
        return
    entries = sorted(path.iterdir())
    yield from (entry for entry in entries if names.file_named(entry.name) is not None)
    for entry in entries:
        if entry.is_dir() and names.directory_named(entry.name) is not None:
            yield from files_of(entry)


def dumped(file: Path, options: argparse.Namespace) -> Iterator[lines.Line]:
    """The lines of one file. Raises OSError, ValueError."""
    yield from lines.of_file(file, records=options.records)
    if options.index_check and names.directory_named(file.resolve().parent.name) is not None:
        for finding in found_in(file.resolve().parent):
            if finding.path.name == file.name:
                yield {"type": "wrong", "sentence": finding.sentence}


@functools.lru_cache(maxsize=1)
def found_in(partition: Path) -> list[Finding]:
    """What a check of a partition finds; kept while its files are printed one after the other. Raises OSError."""
    from tools.log_check.directory import known_of
    from tools.log_check.partition import PartitionCheck

    return [finding for finding in PartitionCheck(partition, known_of(partition)).findings() if not finding.note]


def sentence(error: Exception) -> str:
    """What went wrong, in words."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
