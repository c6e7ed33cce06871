"""`trials bench-authorizer`: what a decision among very many ACLs costs, and what a request costs with an authorizer.

**Decisions.** 100,000 ACLs of 5,000 principals, 70 of 100 with a prefix, on names as teams give them. Each question is
about another name, so that nothing is answered from memory. Shown are the median and the worst mean of a hundred, of a
hundred thousand questions, for a client with few ACLs, with many, and without any; and for the worst that an
administrator can do: prefixes of every length there is.

**Requests.** Produce, Fetch and Metadata of one topic, handled in this process without sockets, with and without an
authorizer that holds those ACLs, by turns; of the rounds of each the best quarter's end counts.

Times are the processor's, so that what else the machine does counts little.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import trio

from broker.config.keys.security import STANDARD_AUTHORIZER
from broker.coordinators.cluster import NewTopic
from broker.security.acls import Acl, PatternType, Permission
from broker.security.authorizer import Authorizer
from broker.security.operations import Operation, Resource
from broker.security.principals import Principal
from broker.testing.contexts import World, world
from kproto.batches.records import RecordData, build_batch
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.schema.declare import Request

ACLS = 100_000
PRINCIPALS = 5_000
QUESTIONS = 100_000
TOPIC = "team-17.orders"
ROUNDS, REQUESTS = 80, 100
HOST = "10.0.0.7"


def acls(chance: random.Random, count: int) -> Iterator[Acl]:
    """Different ACLs, 70 of 100 of them with a prefix."""
    for number in range(count):
        principal = f"User:service-{chance.randrange(PRINCIPALS)}"
        prefixed = number % 10 < 7
        name = f"team-{chance.randrange(500)}.{chance.choice(('orders', 'payments', 'audit', 'x'))}"
        yield Acl(
            Resource.TOPIC,
            f"{name}-{number}" if not prefixed else f"{name[: chance.randrange(5, len(name) + 1)]}{number % 97}",
            PatternType.PREFIXED if prefixed else PatternType.LITERAL,
            principal,
            "*" if number % 20 else HOST,
            chance.choice((Operation.READ, Operation.WRITE, Operation.DESCRIBE)),
            Permission.ALLOW if number % 50 else Permission.DENY,
        )


def authorizer_of(given: Sequence[Acl]) -> Authorizer:
    """An authorizer with these ACLs, each once."""
    made = Authorizer(frozenset(), False, time.monotonic)
    made.update((), dict.fromkeys(given))
    return made


def decisions(made: Authorizer, principal: Principal, names: Sequence[str]) -> tuple[float, float]:
    """Microseconds of one decision: the median and the worst of the means of a hundred."""
    means = []
    for start in range(0, len(names), 100):
        began = time.thread_time()
        for name in names[start : start + 100]:
            made.authorized(principal, HOST, Operation.READ, Resource.TOPIC, name, quiet=True)
        means.append((time.thread_time() - began) / 100)
    return statistics.median(means) * 1e6, max(means) * 1e6


def show_decisions() -> None:
    """Print the table of decisions."""
    chance = random.Random(1)
    given = list(acls(chance, ACLS))
    began = time.thread_time()
    made = authorizer_of(given)
    print(f"{ACLS:,} ACLs taken up in {time.thread_time() - began:.1f} s")
    names = [f"team-{chance.randrange(500)}.orders-{number}" for number in range(QUESTIONS)]
    rows = {
        "a client with 20 ACLs": Principal.parse("User:service-1"),
        "a client without ACLs": Principal.parse("User:stranger"),
    }
    for label, principal in rows.items():
        median, worst = decisions(made, principal, names)
        print(f"{label}: {median:.2f} us, at worst {worst:.1f} us")
    one = [acl._replace(principal="User:one") for acl in given]
    median, worst = decisions(authorizer_of(one), Principal.parse("User:one"), names)
    print(f"a client with all {ACLS:,} ACLs: {median:.2f} us, at worst {worst:.1f} us")
    long_names = ["x" * 240 + f"{number:09}" for number in range(20_000)]
    every_length = [
        Acl(2, "x" * length, PatternType.PREFIXED, principal, "*", 4, 3)
        for length in range(1, 250)
        for principal in ("User:one", "User:*")
    ]
    median, worst = decisions(authorizer_of([*one, *every_length]), Principal.parse("User:one"), long_names)
    print(f"and prefixes of every length, of a name of 249 characters: {median:.2f} us, at worst {worst:.1f} us")


def _requests(topic_id: bytes) -> dict[str, Callable[[], tuple[Request, int]]]:
    batch = bytes(build_batch([RecordData(0, 0, None, b"x" * 100)]))
    produced = [TopicProduceData(topic_id=topic_id, partition_data=[PartitionProduceData(index=0, records=batch)])]
    part = [FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=10_000)]
    fetched = [FetchTopic(topic_id=topic_id, partitions=part)]
    return {
        "Produce": lambda: (ProduceRequest(acks=1, timeout_ms=1000, topic_data=produced), 13),
        "Fetch": lambda: (FetchRequest(max_bytes=10_000, session_epoch=-1, topics=fetched), 16),
        "Metadata": lambda: (MetadataRequest(topics=[MetadataRequestTopic(name=TOPIC)]), 12),
    }


async def _time(w: World, make: Callable[[], tuple[Request, int]]) -> float:
    began = time.thread_time()
    for _ in range(REQUESTS):
        reply: Any = await w.ask(*make())
        assert reply is not None
    return (time.thread_time() - began) / REQUESTS * 1e6


async def show_requests() -> None:
    """Print the table of requests: decoded, handled and encoded, in microseconds."""
    given = dict.fromkeys(acls(random.Random(1), ACLS))
    needed = [
        Acl(2, "team-17.", PatternType.PREFIXED, "User:service-1", "*", operation, Permission.ALLOW)
        for operation in (Operation.READ, Operation.WRITE)
    ]
    async with world({"authorizer.class.name": STANDARD_AUTHORIZER}) as w:
        authorizer = w.services.authorizer
        assert authorizer is not None
        authorizer.update((), [*given, *needed])
        await w.cluster.create_topics([NewTopic(TOPIC, partition_count=1)])
        w.be(Principal.parse("User:service-1"))
        gc.collect()
        gc.freeze()  # a broker's searches for cycles are a task of its own
        for name, make in _requests(w.cluster.image.topics[TOPIC].topic_id).items():
            times: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(ROUNDS):
                for with_it, found in times.items():
                    w.services.authorizer = authorizer if with_it else None
                    found.append(await _time(w, make))
            without, secured = (statistics.quantiles(found, n=4)[0] for found in times.values())
            print(f"{name}: {without:.1f} us without, {secured:.1f} us with it, {secured / without - 1:+.1%}")


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials bench-authorizer", description=__doc__)
    parser.add_argument("--only", choices=("decisions", "requests"), help="one of the two")
    options = parser.parse_args(arguments)
    if options.only != "requests":
        show_decisions()
    if options.only != "decisions":
        trio.run(show_requests)
    return 0
