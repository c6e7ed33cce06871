"""Lag over time.

Brokers keep no history, so the page does, from when it first shows a group: every `SECONDS` it asks for the lag of the
groups that were looked at last, `WATCHED` of them, and keeps an hour of it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import Final

from tools.client.cluster import Cluster
from tools.page.views import lags_of, total_lag

SECONDS: Final = 10
WATCHED: Final = 200
KEPT: Final = 360


class Histories:
    """The lag of groups over time, in seconds of a steady clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._courses: OrderedDict[str, deque[tuple[float, float]]] = OrderedDict()

    def watch(self, group: str, lag: int) -> list[tuple[float, float]]:
        """The lag of this group so far, and now; it is watched from now on."""
        with self._lock:
            course = self._courses.setdefault(group, deque(maxlen=KEPT))
            self._courses.move_to_end(group)
            while len(self._courses) > WATCHED:
                self._courses.popitem(last=False)
            now = time.monotonic()
            if not course or now - course[-1][0] > 1:
                course.append((now, float(lag)))
            return list(course)

    def look(self, cluster: Cluster) -> None:
        """Ask for the lag of all groups that are watched. Raises Failed."""
        with self._lock:
            groups = list(self._courses)
        lags = lags_of(cluster, groups)
        now = time.monotonic()
        with self._lock:
            for group, each in lags.items():
                if group in self._courses:
                    self._courses[group].append((now, float(total_lag(each))))
