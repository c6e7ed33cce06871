"""Real, unmodified clients against a real broker, over real sockets: see README.md.

Nothing in here imports the broker or any of its layers. What the scenarios know of a broker is its address and how to
start and kill its process; what they know of Kafka is what a client shows them.
"""
