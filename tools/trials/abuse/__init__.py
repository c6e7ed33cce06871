"""Can one client stop another? Attacks of a few lines each, and a second client that measures what it feels.

    python -m tools.trials abuse                          every attack, each against a fresh broker
    python -m tools.trials abuse --kafka 'COMMAND'        the same against Apache Kafka beside it
    python -m tools.trials abuse --address HOST:PORT      against a broker that runs, one attack after the other
    python -m tools.trials abuse DescribeGroups parked    those whose names hold one of these words
    python -m tools.trials abuse --save F; ... --table F.ottla.json F.kafka.json    the table of docs/abuse.md

For each attack a line: the longest that the witness has waited for Metadata and for an acknowledgement with acks=all,
the memory that the broker took beyond what it had, the longest turn and round of the event loop that Ottla's log names
(in the CPU time of its thread, so that a busy machine does not count), and whether the broker still answers afterwards.
The goals are in `figures.py`.

* **The witness** (`witness.py`) is a process of its own, so that the attacker's work is not in its figures. It has two
  connections and asks on each as soon as it has an answer.
* **An attack** (`attack.py`) is a generator: what it does before its first `yield` is preparation and not measured,
  what comes after is. It has `PATIENCE_SECONDS`, after which its sockets are closed.
* `largest_lists.py` is generated: every API that the broker serves is sent the longest list that fits, once with equal
  and once with different entries. An API is tried by being served.
* `members.py`, `replies.py`, `connections.py` hold what has to be thought of.
"""
