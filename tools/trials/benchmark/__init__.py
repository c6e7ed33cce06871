"""How fast, how small, how soon: Ottla measured beside Apache Kafka, in one run, on the same machine.

Numbers from two runs cannot be compared, least of all on a laptop or in CI: so both brokers are started by the same
command, rounds alternate between them, and medians are compared. Each result names the interpreter, because how it was
built matters as much as its version.

The load comes from `load.py`: requests encoded once and sent again and again over a plain socket, a fixed number in
flight. It is faster than any client library, so the broker is what is measured, and identical for both. CPU seconds are
those of the broker's process, user and system.

`trials bench` runs it; `--kafka COMMAND` names a command that runs Apache Kafka in the foreground, with `{port}` and
`{dir}` where these belong. Without it Ottla is measured alone.
"""
