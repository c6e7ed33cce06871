"""The Kafka wire: messages, frames, record batches and the records of internal topics, as functions from bytes to
values and back.

Nothing in here opens a socket or a file, asks for the time or draws a random number. The package imports none of the
others; everything above it (``storage``, ``broker``, ``tools``) speaks its vocabulary.
"""
