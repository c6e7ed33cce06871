"""Brokers asked things by hand, Kafka's recorded answers, and the comparison of both field by field.

How it hangs together, in the order in which one reads it:

`scenarios/`      what is asked: a module per API, a function per situation, run once for every version of the API
`site.py`         a broker to ask, wherever it is; `nodes.py`: the ids of its nodes
`stage.py`        what a scenario is given: it asks, it prepares, and everything asked is written down
`peer.py`         the connection beneath: frames, and the two answers that are no frame (closed, silent)
`canonical.py`    an answer as plain values: ids made at run time become symbols, what `variations.py` names is masked
`variations.py`   the one table of what may differ between any two brokers, and why
`explained.py`    the one table of where Ottla answers something else than Kafka on purpose, and why
`comparison.py`   two sets of answers in, differences out
`recording.py`    Kafka's answers in a file, so that the comparison also runs where no Java is

A scenario runs against one broker at a time and does not know which. Names are made from the scenario's own name and
version, so the answers of two runs can be laid side by side without a mapping.

`ottla compat` (`tools/compat`) asks a broker at any address. `python -m tools.trials compare-answers` asks Ottla, and
Kafka to record it; both are fresh and have the same settings.
"""
