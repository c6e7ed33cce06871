"""The control API: what tests of other programs command a broker to do, over HTTP.

Nothing here is imported unless `ottla.control.listener` is set. What is installed for it is the extra `ottla[control]`.
Its rooms: `guard` says who is let in, `app` which operations there are and how one is asked for, `serving` where it
listens; each group of operations has a module of its own. Users' page: docs/control.md.
"""
