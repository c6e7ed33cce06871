"""One client of the broker: its socket, its frames in order, and the ways in which a request can end."""
