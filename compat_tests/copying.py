"""`python -m compat_tests copy`: a program that consumes, transforms and produces exactly once, until it is killed.

It is what an application of a client library looks like that a trial may kill at any moment: all it knows is in the
broker. After an error it begins again with clients of its own, as applications do. It ends with its standard input.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time

from compat_tests.clients import Client
from compat_tests.clients.contract import Copier, CopySettings, Failed, Refused

WITHIN = 0.5
AGAIN_AFTER = 0.05
# An open transaction of a copier that is killed holds readers back for so long, if no other copier ends it before.
TRANSACTION_TIMEOUT = 20.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is copied where to, and by whom."""
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT")
    parser.add_argument("--group", required=True)
    parser.add_argument("--source", required=True, metavar="TOPIC")
    parser.add_argument("--target", required=True, metavar="TOPIC")
    parser.add_argument("--transactional-id", required=True)
    parser.add_argument("--session-timeout", type=float, default=10.0, metavar="SECONDS")


def copy_forever(subject: Client, options: argparse.Namespace) -> None:
    """Copy until the process ends. Raises Missing."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    settings = CopySettings(
        options.transactional_id, options.group, options.source, options.target,
        timeout=TRANSACTION_TIMEOUT, session_timeout=options.session_timeout,
    )  # fmt: skip
    driver = subject.open_driver()
    while True:
        copier: Copier | None = None
        try:
            copier = driver.copier(options.bootstrap, settings)
            _copy(copier)
        except (Refused, Failed) as error:
            print(f"{subject.name}: {error}", file=sys.stderr, flush=True)
        finally:
            _close(copier)
        time.sleep(AGAIN_AFTER)


def _copy(copier: Copier) -> None:
    while True:
        copier.copy(WITHIN)


def _close(copier: Copier | None) -> None:
    if copier is not None:
        try:
            copier.close()
        except (Refused, Failed) as error:
            print(error, file=sys.stderr, flush=True)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)
