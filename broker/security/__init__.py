"""Which client may do what. Today every client may do everything; this package says only what *would* be needed.

* `operations.py`: Kafka's operations, which of them a kind of resource supports, and the bit fields of describe
  answers (KIP-430).
* `principals.py`: who a client is.
* `needs.py`: what permission an API needs, as rows of `HANDLERS` (`broker/handlers`) name it.

**Nothing here is enforced, and no setting pretends that it is.** There is no authorizer and no SASL: a configuration
that names an authorizer, a principal builder, or a listener that would ask who its clients are does not start
(`broker/config/keys`, `broker/config/listener_specs.py`). The authorizer will stand here beside the needs that it is
asked about, and SASL's mechanisms in a folder of their own.
"""
