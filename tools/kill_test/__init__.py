"""Kill the broker again and again under load, and hold it to every acknowledgement it ever gave.

`ottla kill-test` is three parties that share nothing but a port and a file:

* **The broker** (`broker_process.py`), a process of its own, killed by SIGKILL at random moments and started again at
  once on the same data and port. Now and then it is killed while it is still recovering from the last kill.
* **The load** (`load.py`), another process, which is never killed: producers of six kinds, a group of consumers that
  commits, and an observer. What the broker answered goes into a ledger (`ledger.py`), and nothing else does: the
  broker has no say in what it is held to.
* **The checker** (`checker.py`, `registers.py`, `consumption.py`), pure functions over the ledger and over what the
  logs hold in the end. Every value says who wrote it, where to, and as which of its writes, with a checksum
  (`values.py`), so a record that is lost, doubled, damaged, misplaced or made up tells which of these it is.

What is promised for SIGKILL, which takes the process but leaves the operating system's cache: a record acknowledged
with acks=1 or acks=all is at its offset for ever; idempotent producers' records are there once; each producer's records
keep their order; offsets are dense; the end of a log, as anybody saw it, and the offsets that a group has committed
never go back; producer ids are given out once; and a producer that sends one of its last five batches again is answered
with the first offset, however often the broker died in between. acks=0 promises nothing, and is there for the noise.

Violations are printed with the values around them. The same test runs against any broker that a command starts
(`--launch`); a checker that finds nothing in Apache Kafka either, and finds each of the planted violations of its unit
tests, is one to believe.
"""
