"""Cycles among transactions that follow from each other: Adya's G0 and G1c, found by Tarjan's algorithm.

An edge says that one operation comes before another: `wr`, the other has read what the one has written; `ww`, in some
log its write stands directly behind the other's. A cycle says that each comes before itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Set

Graph = Mapping[int, Set[int]]


def components(graph: Graph) -> list[list[int]]:
    """The strongly connected components of more than one operation, each sorted."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    found: list[list[int]] = []
    for root in graph:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(sorted(graph[root])))]
        while work:
            node, following = work[-1]
            for after in following:
                if after not in index:
                    index[after] = low[after] = len(index)
                    stack.append(after)
                    on_stack.add(after)
                    work.append((after, iter(sorted(graph.get(after, ())))))
                    break
                if after in on_stack:
                    low[node] = min(low[node], index[after])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    if len(component) > 1:
                        found.append(sorted(component))
    return found


def shortest_cycle(graph: Graph, component: list[int]) -> list[int]:
    """One of the shortest cycles through a component's first operation, that operation at both ends."""
    start, inside = component[0], set(component)
    before: dict[int, int] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for after in sorted(graph.get(node, ())):
            if after == start:
                path = [start, node]
                while path[-1] != start:
                    path.append(before[path[-1]])
                return path[::-1]
            if after in inside and after not in before:
                before[after] = node
                waiting.append(after)
    raise AssertionError("a component has a cycle through each of its members")
