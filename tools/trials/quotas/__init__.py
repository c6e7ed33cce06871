"""Is a quota of bytes kept, by few producers and by many, and what does holding them back cost?

`python -m tools.trials quotas --kafka COMMAND --picture FILE` has Ottla and Apache Kafka held to the same quota at the
same time, by the same load: producers that offer twice of what they may send. Each asks its next question as soon as it
has its answer and its turn in the offered rate, and pays no heed to `throttle_time_ms`: only the broker holds it back.

`load` sends and notes; `picture` draws; `command` puts them together and judges.
"""
