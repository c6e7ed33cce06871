"""`ottla compat`: how a broker, at whatever address, differs from Apache Kafka.

Two things are laid beside each other for everyone who builds a broker, a proxy or a client:

* **Answers.** Thousands of requests, valid and broken, of every API in every version, each made by hand
  (`tools/answers`), and what Kafka was recorded to answer. Values that any two brokers may differ in, such as ids, are
  compared by where they appear; all else, down to the bytes in which it is encoded, has to be the same.
* **Clients.** Scenarios that real, unmodified clients play (`compat_tests`), each of which holds on Kafka. They run in
  processes of their own, one for each client, since a client library may take its process down with it.

How it hangs together, in the order in which one reads it:

`target.py`         the address: what it serves, which node it is, what it says of its settings
`circumstances.py`  what of the recording cannot be compared at that address, and why
`asking.py`         the scenarios of `tools/answers` are played there
`playing.py`        the scenarios of `compat_tests` are played there
`findings.py`       what differs, put together so that one cause is one line
`page.py`           the page for people; `files.py`: JSON for programs, JUnit's XML for continuous integration

What a broker does not serve at all is one line, and not one for each request that it would have refused.
"""
