"""Sentences for the keys in `keys/network.py`."""

from typing import Final

TEXT: Final = """
advertised.listeners: Where clients shall connect, as NAME://host:port for each listener; a listener that is not
 listed advertises the address by which the client came.
background.threads: Threads for chores such as deleting files.
connection.failed.authentication.delay.ms: How long a refused login waits before its connection is closed, which slows
 guessing down.
connections.max.idle.ms: A connection on which nothing happened for this long is closed; zero or less keeps it forever.
connections.max.reauth.ms: Longest time a SASL login lasts before the client must log in again; 0 asks for it never.
delete.records.purgatory.purge.interval.requests: After how many DeleteRecords requests finished waiters are cleared.
early.start.listeners: Listeners that open before the authorizer has finished loading.
fetch.max.bytes: Most bytes that one answer to Fetch may hold, whatever the client asks for; one batch is always sent.
fetch.purgatory.purge.interval.requests: After how many Fetch requests finished waiters are cleared.
inter.broker.listener.name: The listener that brokers use among themselves.
listener.security.protocol.map: What each listener speaks, as NAME:PROTOCOL pairs; the four protocols stand for
 themselves.
listeners: Addresses to accept connections on, as NAME://host:port; no host means all addresses, port 0 a free one.
max.connection.creation.rate: New connections accepted per second, over all listeners.
max.connections: Connections open at one time; more are closed at once.
max.connections.per.ip: Connections open at one time from one address.
max.connections.per.ip.overrides: Exceptions from max.connections.per.ip, as address:count pairs.
max.incremental.fetch.session.cache.slots: Fetch sessions remembered at one time; 0 serves every Fetch without a
 session.
max.request.partition.size.limit: Most partitions in one answer to DescribeTopicPartitions.
num.io.threads: Threads that work on requests.
num.network.threads: Threads that read requests and write answers.
producer.purgatory.purge.interval.requests: After how many Produce requests finished waiters are cleared.
queued.max.request.bytes: Bytes of large requests, and of replies not read, held in memory before reading stops; -1
 stands for 1 GiB.
queued.max.requests: Requests waiting for a thread before reading stops.
request.timeout.ms: How long the broker waits for an answer to a request of its own.
socket.connection.setup.timeout.max.ms: Longest wait for a connection that the broker opens, after repeated failures.
socket.connection.setup.timeout.ms: First wait for a connection that the broker opens.
socket.listen.backlog.size: Connections the system may hold that were not accepted yet.
socket.receive.buffer.bytes: Size of a connection's receive buffer in the system; -1 leaves it to the system.
socket.request.max.bytes: Largest request; a connection that announces a larger one is closed.
socket.send.buffer.bytes: Size of a connection's send buffer in the system; -1 leaves it to the system.
"""
