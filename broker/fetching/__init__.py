"""Fetching: looking at partitions, waiting for more bytes, and the sessions that keep answers short.

Everything here speaks of partitions, offsets and error codes, and nothing of messages: the handler of Fetch translates
its request once into `Asked` and what was found once into its reply, and any other reader (ShareFetch, KIP-932) can do
the same.

* `fetches.py`: one request from its session to its end; what may be asked for `statistics()`.
* `look.py`: one question to the engine, and whether what it found is worth an answer.
* `sessions.py`: what a client reads, what it was answered, and which partitions may have news (KIP-227).
* `purgatory.py`: those who wait.
"""
