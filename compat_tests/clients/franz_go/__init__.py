"""franz-go: a client in pure Go, first to speak the newest versions of everything."""

from __future__ import annotations

NAME = "franz-go"
NEEDS = "the Go worker (python -m compat_tests prepare franz_go)"
CANNOT = {
    "leave_for_a_while": "a static member of franz-go says nothing when it is closed, so the broker waits for it",
    "max_poll_interval": "a franz-go member stays one whether it is polled or not",
    "recreated_topics": "a franz-go producer does not write to a topic whose id has changed",
}
