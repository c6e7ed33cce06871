"""One blocking client of the protocol for every instrument: `client` is the connection, `requests` single questions."""
