"""`trials bench tls`: what encryption costs, beside Apache Kafka with TLS if a command for it is given.

Records of 1,000 bytes, produced in requests of 100 and fetched a mebibyte at a time, over one connection and over four,
in TLS 1.3 with AES-256-GCM, which both brokers prefer; and the same without TLS, to see the difference. Key and
certificate are the same for both (RSA of 2,048 bits). The load is made by threads of this process, which encrypt and
decrypt as much as the broker does, on the same cores: the share of the broker is in its CPU seconds.

And handshakes: connections made and secured one after the other by four threads, each until its first answer.
"""

from __future__ import annotations

import argparse
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from broker.testing.certificates import PASSWORD, write_set
from tools.trials.benchmark import load
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.suite import Results, Target
from tools.trials.brokers import Contender, kafka, ottla, pause, quiet_port
from tools.trials.wire.client import WireClient
from tools.trials.wire.requests import api_versions

CONNECTIONS: Final = (1, 4)
RECORDS: Final = 100
RECORD_BYTES: Final = 1000
FILLED_BYTES: Final = 256 << 20
DIALLERS: Final = 4
TARGETS: Final = {
    f"TLS, {what}, {count} connection{'s' * (count > 1)}: {figure}": target
    for what in ("produce", "fetch")
    for count in CONNECTIONS
    for figure, target in (("MB/s", Target(at_least=1.0)), ("CPU s/GB", Target(at_most=1.0)))
}


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    options = parse(arguments)
    from tools.trials.benchmark.command import machine, report

    print(machine())
    results = Results()
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
        write_set(Path(folder))
        contenders = [own(folder, quiet_port())]
        if options.kafka:
            contenders.append(theirs(options.kafka, folder, quiet_port()))
        measure(contenders, trusting(folder), results, options)
    return report(results, [contender.name for contender, _ in contenders], TARGETS, {})


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `trials bench tls`."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials bench tls", description=__doc__)
    parser.add_argument("--kafka", metavar="COMMAND", help="runs Apache Kafka; {port} and {dir} are filled in")
    parser.add_argument("--rounds", type=int, default=3, help="rounds per broker, alternating (default 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement (default 4)")
    parser.add_argument("--warm-up", type=float, default=8.0, help="seconds of load before measuring (default 8)")
    return parser.parse_args(arguments)


def own(folder: str, port: int) -> tuple[Contender, int]:
    """Ottla with a second listener that has TLS, and the port of that."""
    return ottla(f"listeners=PLAINTEXT://127.0.0.1:{{port}},SSL://127.0.0.1:{port}", *_stores(folder)), port


def theirs(command: str, folder: str, port: int) -> tuple[Contender, int]:
    """Kafka likewise."""
    plain, secured = "PLAINTEXT://127.0.0.1:{port}", f"SSL://127.0.0.1:{port}"
    listeners = f"listeners={plain},CONTROLLER://127.0.0.1:{{controller}},{secured}"
    advertised = f"advertised.listeners={plain},{secured}"
    spoken = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL"
    return kafka(command, listeners, advertised, spoken, *_stores(folder)), port


def _stores(folder: str) -> tuple[str, ...]:
    return (
        "ssl.keystore.type=PKCS12",
        f"ssl.keystore.location={folder}/server.p12",
        f"ssl.keystore.password={PASSWORD}",
        f"ssl.key.password={PASSWORD}",
    )


def trusting(folder: str) -> ssl.SSLContext:
    """A client's context."""
    return ssl.create_default_context(cafile=f"{folder}/ca.pem")


def measure(
    contenders: Sequence[tuple[Contender, int]], tls: ssl.SSLContext, results: Results, options: argparse.Namespace
) -> None:
    """Every figure, the brokers by turns."""
    brokers = [BrokerProcess(contender, secured=(port, tls)) for contender, port in contenders]
    try:
        for broker in brokers:
            load.delete_files_soon(broker)
            load.create_topic(broker, "filled", 1)
            end = load.fill(broker, "filled", FILLED_BYTES)
            load.create_topic(broker, "warm-up", 1)
            produce(broker, "warm-up", 4, options.warm_up / 2)
            fetch(broker, "filled", end, 4, options.warm_up / 2)
        for number in range(options.rounds):
            for broker in brokers if number % 2 == 0 else reversed(brokers):
                print(f"\rround {number + 1}, {broker.name}".ljust(40), end="", file=sys.stderr, flush=True)
                one_round(broker, f"round-{number}", end, results, options.seconds)
                pause(1.0)
        for broker in brokers:
            results.add("memory after load: MB", broker.name, broker.resident_bytes() / 1e6)
    finally:
        print("\r".ljust(40), end="\r", file=sys.stderr)
        for broker in brokers:
            broker.stop()


def one_round(broker: BrokerProcess, topic: str, end: int, results: Results, seconds: float) -> None:
    """Each figure once."""
    load.create_topic(broker, topic, 4, retention_bytes="536870912", segment_bytes="134217728")
    for secured in (True, False):
        kind = "TLS" if secured else "plain"
        with broker.loaded_in_tls(secured):
            for count in CONNECTIONS:
                which = f"{count} connection{'s' * (count > 1)}"
                for what, done in (
                    ("produce", produce(broker, topic, count, seconds)),
                    ("fetch", fetch(broker, "filled", end, count, seconds)),
                ):
                    results.add(f"{kind}, {what}, {which}: MB/s", broker.name, done.megabytes_per_second)
                    results.add(f"{kind}, {what}, {which}: CPU s/GB", broker.name, done.cpu_per_gigabyte)
    load.delete_topic(broker, topic)
    made, spent = handshakes(broker, seconds / 2)
    results.add("TLS, connections made: a second", broker.name, made / (seconds / 2))
    results.add("TLS, connections made: CPU ms", broker.name, spent / made * 1e3)


def produce(broker: BrokerProcess, topic: str, connections: int, seconds: float) -> load.Measured:
    """By so many connections at once, acks=1."""

    def one(_: int) -> load.Measured:
        return load.produce(broker, topic, seconds=seconds, records=RECORDS, record_bytes=RECORD_BYTES)

    return together(broker, one, connections)


def fetch(broker: BrokerProcess, topic: str, end: int, connections: int, seconds: float) -> load.Measured:
    """By so many connections at once, each from the start of the log on."""
    return together(broker, lambda _: load.fetch(broker, topic, end, seconds=seconds), connections)


def together(broker: BrokerProcess, one: Callable[[int], load.Measured], count: int) -> load.Measured:
    """What `count` threads have done in all. Raises what one of them raises."""
    done: list[load.Measured] = []
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            done.append(one(number))
        except Exception as error:
            failures.append(error)

    cpu, user, began = broker.cpu_seconds(), broker.user_seconds(), time.perf_counter()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return load.Measured(
        time.perf_counter() - began,
        broker.cpu_seconds() - cpu,
        broker.user_seconds() - user,
        sum(each.requests for each in done),
        sum(each.records for each in done),
        sum(each.bytes for each in done),
    )


def handshakes(broker: BrokerProcess, seconds: float) -> tuple[int, float]:
    """How many connections were made and secured in that time, and the broker's CPU seconds for them."""
    made = [0] * DIALLERS
    port, tls = broker.secured

    def dial(number: int) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            with WireClient(port, tls=tls) as client:
                api_versions(client)
            made[number] += 1

    cpu = broker.cpu_seconds()
    threads = [threading.Thread(target=dial, args=(number,)) for number in range(DIALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(made), broker.cpu_seconds() - cpu
