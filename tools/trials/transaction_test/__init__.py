"""What concurrent transactions did and saw, recorded against a broker that is killed and paused, and checked.

`python -m tools.trials transaction-test` is three parties:

* **The lanes** (`lanes.py`), threads with a transactional producer and a consumer of committed records each, real
  clients (librdkafka). They send and poll in transactions of one to four steps, abort some, lose their clients now and
  then, and write what they did, and what they know of how it ended, into a history (`history.py`).
* **The faults** (`faults.py`): the broker's process is killed and started again, or stopped and continued. A broker
  that is only known by its address gets none.
* **The checker** (`checker.py`, `cycles.py`), pure functions over the history. They rebuild from all that was seen what
  each log must look like, and name what contradicts it.

The design is that of Jepsen's test of Kafka (`jepsen.tests.kafka`): every value is sent once, an operation is `ok`,
`fail` (it cannot have happened) or `info` (unknown), and an unknown one counts as having happened when a part of it has
been read. Then it must have happened as a whole.
"""
