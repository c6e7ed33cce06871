"""Kill the broker again and again under load, and hold it to every acknowledgement it ever gave.

`python -m tools.trials kill-test` is three parties that share nothing but a port and a file:

* **The broker** (`broker_process.py`), a process of its own, killed by SIGKILL at random moments and started again at
  once on the same data and port. Now and then it is killed while it is still recovering from the last kill.
* **The load** (`load.py`), another process, which is never killed: producers of six kinds, a group of consumers that
  commits, an observer, and an administrator who creates and deletes topics. What the broker answered goes into a
  ledger (`ledger.py`), and nothing else does: the broker has no say in what it is held to.
* **The checker** (`checker.py`, `registers.py`, `consumption.py`, `topics.py`), pure functions over the ledger and
  over what the logs hold in the end. Every value says who wrote it, where to, and as which of its writes, with a
  checksum (`values.py`), so a record that is lost, doubled, damaged, misplaced or made up shows which of these it is.

What is promised for SIGKILL, which takes the process but leaves the operating system's cache: a record acknowledged
with acks=1 or acks=all is at its offset forever; idempotent producers' records are there once; each producer's
records keep their order; offsets are dense; the end of a log, as anybody saw it, and the offsets that a group has
committed never go back; topics and settings stay as they were acknowledged; producer ids are given out once; and a
producer that sends one of its last five batches again is answered with the first offset, however often the broker died
in between. acks=0 promises nothing, and is there for the noise.

Violations are printed with the values around them. The same test runs against any broker that a command starts
(`--launch`). In Apache Kafka it finds one thing, `forgot-producer`: of the last five batches Kafka remembers
over a restart only those behind its newest snapshot, and the one before. A checker that finds no more than that there,
and each of the violations that its unit tests plant, is one to believe.
"""
