"""`ottla restore`: what a backup has kept becomes a data directory, or the state of a running broker.

    ottla restore monday.tar --data data            a new directory, for `ottla serve --data data`, or for Kafka
    ottla restore monday.tar --control http://127.0.0.1:9481/?token=...

All of a backup is read and held against its manifest before anything is done. A directory has its name when it is
whole. A running broker forgets what it had, and its clients connect again; with `--control`, a backup has at most
256 MiB, and a larger one is what `ottla serve --from` begins with.

The exit status is 0 if that is done, 1 if it is not, 2 for words that make no sense.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ottla.control import ControlError
from storage.portable.backup import BadBackup
from storage.portable.places import backup_at, pack, unpack
from storage.seams.disk import SystemDisk
from tools.commands.backup import add_control_options, control_of, described
from tools.failures import Failed, Misunderstood

PROGRAM = "ottla restore"


def main(arguments: Sequence[str]) -> int:
    """Restore what was asked for and return the exit status. Raises Failed."""
    options = parse(arguments)
    disk = SystemDisk()
    if options.data is not None and (options.control is not None or options.user is not None):
        raise Misunderstood("a backup becomes a directory (--data) or the state of a broker (--control), not both")
    control = control_of(options) if options.data is None else None
    if options.data is not None and os.path.exists(options.data):
        raise Misunderstood(f"{options.data} is there already: name another directory")
    try:
        backup = backup_at(disk, options.backup)
        if control is None:
            unpack(backup, disk, options.data.rstrip("/"))
        else:
            control.restore_backup(pack(backup))
    except (ControlError, BadBackup, OSError) as error:
        raise Failed(str(error)) from error
    print(f"{options.data or 'the broker'}: {described(backup)}")
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `ottla restore`; prints usage and exits with 2 on words it does not know."""
    return parser().parse_args(arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla restore`."""
    made = argparse.ArgumentParser(prog=PROGRAM, description="Bring back what a backup has kept.")
    made.add_argument("backup", metavar="BACKUP", help="what ottla backup has made: an archive, or a folder")
    made.add_argument("--data", metavar="DIR", help="make this data directory of it")
    add_control_options(made)
    return made
