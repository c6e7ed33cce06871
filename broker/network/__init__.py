"""One client of the broker: its socket, its frames in order, and the ways in which a request can end.

From the outside in, as a request travels:

* `listener.py`: sockets, and the only file that knows them: binding, accepting, moving bytes.
* `connections.py`: every connection of the broker: how many there may be, which are overdue, how all of them stop.
* `connection.py`: one of them: a task that reads and dispatches, a task that waits for replies and sends.
* `watch.py`: when each of them is looked at, for what its peer does not do.
* `dispatch.py`: one request on its way to its handler, and every way in which that can end.
"""
