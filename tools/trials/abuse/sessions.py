"""`trials abuse-sessions`: random sessions of several clients at once, and honest clients that must not feel them.

Each session is a connection with requests drawn from what the broker serves: any API, any version, fields filled at
random (the same values that codec tests use), lists repeated up to `LONGEST` times, some sent many at a time, some cut
off or with a byte changed; answers are read, read slowly, or left; then the connection is closed, half closed or reset.
The seed makes the same sessions again.

What must hold, and is looked at throughout: the broker's log names no turn above 20 ms (`broker/observe/turns.py`) and
no fault of its own; its memory, looked at when all sessions have been closed, does not grow from one minute to the next
beyond `GROWTH_MB`; the witness is answered all the time. Exit status 1: something did not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from kproto.messages import request_type
from kproto.schema.declare import Request, fields_of
from kproto.tests.arbitrary_messages import filled
from tools.trials.abuse.attack import Site, drain, framed
from tools.trials.abuse.command import served
from tools.trials.abuse.witness import Witness
from tools.trials.brokers import Process, ottla, pause

CLIENTS = 6
LONGEST = 20_000
GROWTH_MB = 64
ROUND_SECONDS = 20.0
LONGEST_WAIT_MS = 2_000.0
"""The witness shares two cores with the attackers here; what a turn may take is held by the broker's own watchdog."""


class Attacker(threading.Thread):
    """One session after the other, until the round is over."""

    def __init__(self, site: Site, seed: int) -> None:
        super().__init__(daemon=True)
        self._site = site
        self._chance = random.Random(seed)
        self.sent: Counter[str] = Counter()

    def run(self) -> None:
        """Play sessions."""
        while not self._site.over.is_set():
            with suppress(OSError):
                self._session()

    def _session(self) -> None:
        chance = self._chance
        with socket.create_connection(("127.0.0.1", self._site.port), 5) as peer:
            peer.settimeout(chance.choice([0.05, 0.5, 2.0]))
            for _ in range(chance.randrange(1, 8)):
                data = bytearray(self._request() * chance.choice([1, 1, 1, 2, 50]))
                if chance.random() < 0.1:
                    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                if chance.random() < 0.1:
                    data = data[: chance.randrange(len(data))]
                peer.sendall(data)
                if chance.random() < 0.7:
                    drain(peer, chance.choice([4, 4096, 1 << 20, 64 << 20]))
            if chance.random() < 0.2:
                peer.shutdown(socket.SHUT_WR)
                drain(peer, 1 << 20)
            if chance.random() < 0.3:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _request(self) -> bytes:
        chance = self._chance
        key = chance.choice(sorted(self._site.versions))
        oldest, newest = self._site.versions[key]
        api: type[Request] = request_type(key)
        version = chance.randint(max(oldest, api.min_version), min(newest, api.max_version))
        message = filled(api, version, chance)
        if chance.random() < 0.4:
            repeat_a_list(message, version, chance)
        self.sent[api.__name__] += 1
        with suppress(ValueError):
            return framed(message, version, chance.randrange(1 << 20))
        return framed(api(), version)


def repeat_a_list(message: Request, version: int, chance: random.Random) -> None:
    """Make one of the lists of a request long, of its own elements."""
    carried = [each for each in fields_of(type(message)) if version in each.versions]
    lists = [each.name for each in carried if each.type.element is not None and getattr(message, each.name)]
    if lists:
        name = chance.choice(lists)
        elements: list[Any] = getattr(message, name)
        setattr(message, name, elements * chance.choice([10, 100, 1000, max(1, LONGEST // len(elements))]))


def main(arguments: Sequence[str]) -> int:
    """Play for so many minutes and say what did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials abuse-sessions", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--seed", type=int, default=None, help="play the same sessions again")
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}, {options.minutes:g} minutes, {CLIENTS} clients", flush=True)
    with tempfile.TemporaryDirectory(prefix="abuse-sessions-") as folder:
        output = Path(folder) / "output"
        settings = ("ottla.log.format=json", "auto.create.topics.enable=false", "log.retention.bytes=50000000")
        with Process(ottla(*settings), Path(folder) / "data", output) as broker:
            broker.start()
            broker.wait_until()
            found = play(broker, seed, options.minutes * 60)
        found += faults(output)
    for sentence in found:
        print(sentence)
    print("0 findings" if not found else f"{len(found)} findings")
    return 1 if found else 0


def play(broker: Process, seed: int, seconds: float) -> list[str]:
    """Rounds of sessions; what did not hold, a sentence each."""
    found: list[str] = []
    sent: Counter[str] = Counter()
    process = psutil.Process(broker.pid)
    least, rounds, ends = 0.0, 0, time.monotonic() + seconds
    place = Site(broker.port, served(broker.port))
    with Witness(broker.port, place.topic()) as witness:
        while time.monotonic() < ends:
            site = Site(broker.port, place.versions)
            attackers = [Attacker(site, seed * 1000 + rounds * CLIENTS + number) for number in range(CLIENTS)]
            for attacker in attackers:
                attacker.start()
            pause(min(ROUND_SECONDS, max(1.0, ends - time.monotonic())))
            site.over.set()
            for attacker in attackers:
                attacker.join(30)
                sent += attacker.sent
            pause(1.0)
            rounds += 1
            broker.check_alive()
            metadata, durable, answers = witness.take()
            megabytes = process.memory_info().rss / 1e6
            print(
                f"round {rounds}: {sum(sent.values()):,} requests, witness {answers:,} answers, longest waits "
                f"{metadata:.0f} and {durable:.0f} ms, {megabytes:.0f} MB",
                flush=True,
            )
            if max(metadata, durable) > LONGEST_WAIT_MS:
                found.append(f"round {rounds}: the witness waited {metadata:.0f} and {durable:.0f} ms")
            if rounds == 3:
                least = megabytes
    if least and megabytes > least + GROWTH_MB:
        found.append(f"memory grew from {least:.0f} to {megabytes:.0f} MB")
    return found


def faults(output: Path) -> list[str]:
    """Turns that were too long, and errors that the broker did not expect, out of its log; each kind once."""
    kinds: dict[str, tuple[int, str]] = {}
    for line in output.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            said = json.loads(line)
            if said["event"] == "the event loop was held":
                kind = f"a turn above 20 ms in {said.get('api', said.get('task'))}"
            elif said["level"] == "error":
                kind = f"{said['event']} {said.get('api', '')}"
            else:
                continue
            count, first = kinds.get(kind, (0, line))
            kinds[kind] = count + 1, first
    return [f"{kind}, {count} times; the first: {first[:600]}" for kind, (count, first) in sorted(kinds.items())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
