"""The exchange itself: what is written by one broker, read by the other, step by step.

====================  ==============================================================================================
step                  what has to hold
====================  ==============================================================================================
written               the writer's directory is sound by `check-log`; Kafka's tool reads every file without a complaint
                      and prints what `dump-log` prints (Ottla is killed in between, and started again)
partitions moved      logs taken out of one broker's directory and put into the other's, under topics of the same name:
                      every record, offset, time and transaction is as before; looking changes no file; an
                      idempotent producer goes on where it was
directory moved       the other broker starts on the whole directory: the same, and topics, settings and committed
                      offsets as well
directory moved back  the first broker starts on what the other has left
killed                the first broker is killed; the other starts on that
====================  ==============================================================================================

While a broker writes, `check-log` looks at its directory again and again and must not find anything wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from storage.local import checkpoints, partition_metadata
from tools.log_check.directory import DirectoryCheck
from tools.trials.brokers import Contender
from tools.trials.kafka_exchange import brokers, load, open_transactions, sequences
from tools.trials.kafka_exchange.agreement import Agreement
from tools.trials.kafka_exchange.brokers import Site
from tools.trials.kafka_exchange.listing import Listing, differences, listing
from tools.trials.kafka_exchange.open_transactions import OpenTransaction
from tools.trials.kafka_exchange.sequences import Numbered

CHECKPOINTS: Final = (
    checkpoints.RECOVERY_POINTS, checkpoints.LOG_STARTS, checkpoints.HIGH_WATERMARKS, checkpoints.CLEANER_OFFSETS,
)  # fmt: skip
SUFFIXES: Final = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")


class Commands(NamedTuple):
    """How Apache Kafka is run: a broker (with `{port}`, `{dir}`, `{settings}`), and the tool of a class."""

    kafka: str
    tool: str


class Written(NamedTuple):
    """A directory that a broker has filled and left, what it said of it, and the producers that are to go on."""

    site: Site
    listing: Listing
    producer: Numbered
    transaction: OpenTransaction


class Exchange:
    """Runs the steps. `wrong` collects what did not hold, a sentence each; `say` reports progress."""

    def __init__(self, commands: Commands, folder: Path, records: int, say: Callable[[str], None]) -> None:
        self.wrong: list[str] = []
        self._commands = commands
        self._folder = folder
        self._records = records
        self._say = say

    def run(self) -> None:
        """Everything, in both directions. Raises BrokerFailed, ToolFailed, KafkaException, TimeoutError."""
        kafka = brokers.kafka(self._commands.kafka)
        ottlas = self.written(brokers.ottla())
        kafkas = self.written(kafka)
        self.partitions_moved(ottlas, kafka)
        self.partitions_moved(kafkas, brokers.ottla())
        self.partitions_moved(kafkas, brokers.ottla(), clean=False)
        self.directory_moved(ottlas, kafka, brokers.ottla())
        self.directory_moved(kafkas, brokers.ottla(), kafka)

    # -- steps ---------------------------------------------------------------------------------------------------------

    def written(self, contender: Contender) -> Written:
        """Let a broker fill a directory of its own."""
        site = self._site(contender, "writes")
        site.prepare()
        begun = 0
        if contender.name == "ottla":
            with site.running(kill=True) as port:
                begun = load.begin(port, self._records // 4)
            self._say(f"Ottla was killed after {begun:,} records")
        with site.running() as port, self._checking(contender.name, site.data):
            load.write(port, self._records, begun)
        with site.running() as port:
            producer = sequences.begin(port)
            transaction = open_transactions.begin(port)
            listed = self._listing(port, contender)
        records = sum(len(partition.records) for partition in listed.partitions.values())
        self._say(f"{contender.name} has written {records:,} records that clients read")
        self._sound(f"what {contender.name} wrote", site.data)
        return Written(site, listed, producer, transaction)

    def partitions_moved(self, written: Written, target: Contender, *, clean: bool = True) -> None:
        """Put the writer's logs into a directory of `target`'s own. Not `clean`: as if both had been killed."""
        source = written.site.contender.name
        how = f"{source}'s partitions in {target.name}" + ("" if clean else ", without checkpoints")
        site = self._site(target, f"serves-{source}s-partitions" + ("" if clean else "-recovered"))
        site.prepare()
        with site.running() as port:
            load.create_topics(port, frozen=True)
        move_partitions(written.site.data, site.data, clean=clean)
        with site.running() as port:
            self._compare(how, written.listing, self._listing(port, target), group=False)
        if clean:
            self._report(how, changed_files(written.site.data, site.data))
        with site.running() as port:
            self._report(how, sequences.go_on(port, written.producer, target.name))
        self._sound(how, site.data)

    def directory_moved(self, written: Written, target: Contender, back: Contender) -> None:
        """Start `target` on a copy of the whole directory, and then `back` on what that has left."""
        source = written.site.contender.name
        how = f"{source}'s directory under {target.name}"
        site = self._site(target, f"serves-{source}s-directory")
        site.prepare()
        site.put(written.site.data)
        if target.name == "Kafka":
            # Ottla's metadata do not name the voters of a quorum, so the configuration has to.
            site.contender = brokers.kafka_with_fixed_voter(self._commands.kafka)
        with site.running() as port:
            self._compare(how, written.listing, self._listing(port, target))
            self._report(how, sequences.go_on(port, written.producer, target.name))
            wrong, transaction = open_transactions.go_on(port, written.transaction, target.name)
            self._report(how, wrong)
            listed = self._listing(port, target)
        self._sound(how, site.data)
        again = f"{how} and back under {back.name}"
        home = self._site(back, f"serves-{target.name}s-directory-again")
        home.prepare()
        home.put(site.data)
        with home.running() as port:
            self._compare(again, listed, self._listing(port, back))
            wrong, transaction = open_transactions.go_on(port, transaction, back.name)
            self._report(again, wrong)
            listed = self._listing(port, back)
        self._sound(again, home.data)
        killed = f"{again}, which is killed, and under {target.name}"
        with home.running(kill=True):
            pass
        self._check(killed, home.data)
        site.put(home.data)
        with site.running() as port:
            self._compare(killed, listed, self._listing(port, target))
            self._report(killed, open_transactions.go_on(port, transaction, target.name)[0])
        self._sound(killed, site.data)

    # -- their parts ---------------------------------------------------------------------------------------------------

    def _site(self, contender: Contender, purpose: str) -> Site:
        return Site(contender, self._folder / f"{contender.name.lower()}-{purpose}".lower())

    def _listing(self, port: int, contender: Contender) -> Listing:
        return listing(port, by_kafka=contender.name == "kafka")

    def _compare(self, how: str, before: Listing, after: Listing, *, group: bool = True) -> None:
        found = differences(before, after, group=group)
        self._say(f"{how}: {'the same in every answer' if not found else 'NOT the same'}")
        self._report(how, found)

    def _sound(self, how: str, data: Path) -> None:
        self._check(how, data)
        agreement = Agreement(data, self._commands.tool)
        complaints = list(agreement.complaints())
        counted = ", ".join(f"{count:,} x {what}" for what, count in agreement.counted.items())
        self._say(f"{how}: DumpLogSegments and dump-log {'agree' if not complaints else 'DISAGREE'}: {counted}")
        self._report(f"{how}, by Kafka's tool", complaints)

    def _check(self, how: str, data: Path) -> None:
        findings = DirectoryCheck(data, records=True).findings()
        self._report(
            f"{how}, by check-log", [f"{found.path}: {found.sentence}" for found in findings if not found.note]
        )

    @contextmanager
    def _checking(self, name: str, data: Path) -> Iterator[None]:
        """Check the directory again and again, for as long as this lasts."""
        over = threading.Event()
        wrong: list[str] = []
        times = 0

        def check() -> None:
            nonlocal times
            while not over.wait(1.0):
                findings = DirectoryCheck(data).findings()
                wrong.extend(f"{found.path}: {found.sentence}" for found in findings if not found.note)
                times += 1

        thread = threading.Thread(target=check, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        self._say(f"check-log looked {times} times while {name} was writing")
        self._report(f"while {name} was writing, by check-log", wrong)

    def _report(self, how: str, sentences: list[str]) -> None:
        for sentence in sentences:
            self.wrong.append(f"{how}: {sentence}")
            self._say(f"WRONG: {how}: {sentence}")


def move_partitions(source: Path, target: Path, *, clean: bool = True) -> None:
    """Replace the logs in `target` by those of the same names in `source`; the topics keep the ids they have there.

    With the logs go their lines in the checkpoints; if not `clean`, the marker of a clean stop goes instead.
    """
    for topic, (count, _) in load.TOPICS.items():
        for number in range(count):
            old, new = source / f"{topic}-{number}", target / f"{topic}-{number}"
            new.mkdir(exist_ok=True)
            for path in new.iterdir():
                if path.name != partition_metadata.NAME:
                    path.unlink()
            for path in old.iterdir() if old.is_dir() else ():
                if path.name != partition_metadata.NAME:
                    (new / path.name).write_bytes(path.read_bytes())
    for name in CHECKPOINTS:
        moved = {key: offset for key, offset in _offsets(source / name).items() if key[0] in load.TOPICS}
        kept = {key: offset for key, offset in _offsets(target / name).items() if key[0] not in load.TOPICS}
        if clean or name == checkpoints.LOG_STARTS:
            kept |= moved
        (target / name).write_bytes(checkpoints.encode_offsets(kept.items()))
    if not clean:
        (target / checkpoints.CLEAN_SHUTDOWN).unlink()


def _offsets(path: Path) -> dict[tuple[str, int], int]:
    found = checkpoints.decode_offsets(path.read_bytes()) if path.exists() else {}
    assert found is not None, f"{path} is damaged"
    return found


def changed_files(source: Path, target: Path) -> list[str]:
    """Files of moved logs that are not what they were; snapshots of producers may have been added or dropped."""
    changed = []
    for topic, (count, _) in load.TOPICS.items():
        for number in range(count):
            for path in sorted((source / f"{topic}-{number}").glob("*")):
                now = target / path.parent.name / path.name
                if path.suffix in SUFFIXES and not now.exists() and path.suffix != ".snapshot":
                    changed.append(f"{path.parent.name}/{path.name} is gone")
                elif path.suffix in SUFFIXES and now.exists() and now.read_bytes() != path.read_bytes():
                    changed.append(f"{path.parent.name}/{path.name} has changed by being looked at")
    return changed
