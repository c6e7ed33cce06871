"""Conversations between clients and a cluster: kept, looked at, disturbed, and held again with another broker.

| module | knows |
| --- | --- |
| `conversation` | one connection's frames: which reply belongs to which request, what both say |
| `addresses` | where replies send clients, and that they come back to the recorder |
| `secrets` | what is not to be read in a recording |
| `plain` | messages as JSON |
| `recording_file` | the file: a line for each thing that happened |
| `explaining` | the file printed, byte by byte |
| `disturbances` | faults: the words for them, and which request suffers one |
| `frames`, `upstream` | frames on a socket; connections to brokers |
| `proxy` | the program between: listeners, connections, both directions |
| `bindings`, `races`, `comparing`, `replaying` | the same conversation with another broker, and its answers |

Nothing but `frames`, `upstream`, `proxy` and `replaying` does I/O.
"""
