"""The control API: what tests of other programs command a broker to do, over HTTP.

Nothing here is imported unless `ottla.control.listener` is set. What is installed for it is the extra `ottla[control]`.
Its rooms: `guard` says who is let in, `app` how an operation is asked for, `operations` which there are, `serving`
where it listens; each kind of operations has a module of its own. Users' page: docs/control.md.
"""
