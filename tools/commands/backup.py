"""`ottla backup`: all that a running broker knows at one moment, data and groups included, without stopping it.

    ottla backup --to monday.tar                    an archive
    ottla backup --to monday                        the same, unpacked: a data directory, which Kafka serves as well
    ottla backup --to monday.tar --control http://127.0.0.1:9481/?token=...

The broker has to take commands (`ottla serve --control`); it prints the address, with its token, when it starts.
Clients write on meanwhile; what they write after the moment of the backup is not in it. It comes over one connection,
so the broker may be on another machine, and nothing is written there that is as large.

What has come is read once more and held against its manifest before it gets its name, so a file of that name is a whole
backup. `ottla restore` and `ottla serve --from` read it.

The exit status is 0 for a whole backup, 1 if there is none, 2 for words that make no sense.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ottla.control import Control, ControlError
from storage.portable.backup import BadBackup
from storage.portable.places import Backup, backup_at, unpack
from storage.seams.disk import SystemDisk
from tools.commands.serve import CONTROL_ADDRESS
from tools.failures import Failed, Misunderstood

PROGRAM = "ottla backup"
ARCHIVE = ".tar"


def main(arguments: Sequence[str]) -> int:
    """Make the backup that was asked for and return the exit status. Raises Failed."""
    options = parse(arguments)
    path = options.to.rstrip("/") or "/"
    is_archive = path.endswith(ARCHIVE)
    if os.path.exists(path):
        raise Misunderstood(f"{path} is there already: name another file or folder")
    control = control_of(options)
    whole = f"{path}.part"
    try:
        control.backup_to(whole)
        backup = backup_at(SystemDisk(), whole)
        if is_archive:
            os.replace(whole, path)
        else:
            unpack(backup, SystemDisk(), path)
    except (ControlError, BadBackup, OSError) as error:
        raise Failed(f"no backup was made: {error}") from error
    finally:
        if os.path.exists(whole):
            os.unlink(whole)
    print(f"{path}: {described(backup)}")
    return 0


def described(backup: Backup) -> str:
    """A backup in a few words."""
    logs = len(backup.copy.logs)
    return f"{logs} log{'s' if logs != 1 else ''}, {backup.copy.size} bytes, of cluster {backup.copy.cluster_id}"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `ottla backup`; prints usage and exits with 2 on words it does not know."""
    return parser().parse_args(arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla backup`."""
    made = argparse.ArgumentParser(prog=PROGRAM, description="Copy all that a running broker knows, at one moment.")
    made.add_argument("--to", required=True, metavar="FILE.tar|FOLDER", help="an archive, or a new data directory")
    add_control_options(made)
    return made


def add_control_options(made: argparse.ArgumentParser) -> None:
    """The words that say how a broker is commanded."""
    made.add_argument(
        "--control",
        metavar="ADDRESS",
        help=f"where the broker takes commands, as it prints it: http://127.0.0.1:{CONTROL_ADDRESS}/?token=... "
        "(default: $OTTLA_CONTROL)",
    )
    made.add_argument("--user", metavar="NAME", help="a super user, where the broker is secured")
    made.add_argument("--password-file", metavar="FILE", help="the file that holds the password of that user")


def control_of(options: argparse.Namespace) -> Control:
    """The control API that the options name. Raises Misunderstood."""
    address = options.control or os.environ.get("OTTLA_CONTROL")
    if not address:
        raise Misunderstood("say by --control, or in $OTTLA_CONTROL, where the broker takes commands")
    password = None
    if (options.user is None) != (options.password_file is None):
        raise Misunderstood("--user and --password-file go together")
    if options.password_file is not None:
        try:
            with open(options.password_file, encoding="utf-8") as file:
                password = file.read().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Misunderstood(f"{options.password_file} cannot be read: {error}") from error
    try:
        return Control(address, user=options.user, password=password)
    except ValueError as error:
        raise Misunderstood(str(error)) from error
