"""Programs that people run beside a broker, unmodified, against a secured one: Kafka Connect and MirrorMaker 2.

A scenario elsewhere asks one client one thing. These programs are a dozen clients each, of kinds that hardly occur
otherwise: logs read to their end as tables, a group protocol of the worker's own, offsets set for others' groups. So
each is started as its manual says, over SASL_SSL, with a user that may do no more than it must, and is judged by what
it does and by its log.

`acls.py` says what each may do, in a list that is the page's table (docs/security.md) as well; `guarded.py` is a broker
with such users; `running.py` the process of a program. It takes minutes, so it runs with `make programs` only.
"""
