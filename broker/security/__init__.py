"""Which client may do what.

* `operations.py`: Kafka's operations, which of them a kind of resource supports, and the bit fields of describe
  answers (KIP-430).
* `principals.py`: who a client is; `sasl/`: how it proves that; `tokens.py`: delegation tokens.
* `needs.py`: what permission an API needs, as rows of `HANDLERS` (`broker/handlers`) name it. The dispatch enforces it.
* `acls.py`: access control entries, and an index that finds those about one client and one resource.
* `authorizer.py`: super users, ACLs and the audit log, behind one question.

Where what a request needs depends on its contents, its handler asks: see `RequestContext` in `broker/context.py`.
Without `authorizer.class.name` there is no authorizer, and every client may do everything.
"""
