"""The page: a cluster to look at in a browser.

It is a client like any other. Whatever it shows comes over Kafka's protocol, so it works against any broker, acts as
the user whose client properties it was given, and sees what that user may see. What brokers do not say there (who is
connected, how much of what they did) it reads from their metrics, if it is told where these are: Ottla's, or what the
JMX exporter says of a Kafka.

    clusters.py       connections to the cluster, one at a time for each request of the page
    messages.py       reading and searching records
    views.py          what the other views show: topics, groups, transactions, configs
    metrics.py        the metrics of a broker, and what has become of them over time
    histories.py      lag over time
    values.py         bytes as people read them
    pictures.py       small drawings
    guard.py          who is let in
    app.py            paths, forms, templates
"""
