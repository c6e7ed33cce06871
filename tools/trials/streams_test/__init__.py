"""A Kafka Streams application with `exactly_once_v2`, under which its broker is killed, or those of a cluster in turn.

`python -m tools.trials streams-test` runs a word count (`WordCount.java`): lines come in, their words go through a
repartition topic, and are counted in a state store whose changelog is a topic. Nothing is cached, so every word that
comes in brings one more record out. So exactly once is seen word by word: for each of them the output must be 1, 2, 3
... up to the number of times it was sent, with nothing left out, repeated or out of order, for readers of committed
records.

Kafka's library comes through Maven (`pom.xml`), or from the class path in OTTLA_KAFKA_STREAMS_JARS.
"""
