"""Ottla and Apache Kafka, fresh and with the same settings, asked the same things (`tools/answers`).

`contenders.py`   the two brokers, started with the same settings
`page.py`         what was found, as a page of the documentation
`command.py`      `python -m tools.trials compare-answers`, which also records Kafka's answers
"""
