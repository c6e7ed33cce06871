"""Which of the quotas that are set is a client's.

A client has a user and a client id. Quotas may be set for a user, a client id, both, and for the default of each. The
first of these that is there decides whose rate it is that counts, and the limit of it:

1. this user with this client id, or with the default client id
2. this user, whatever its client ids: they share one rate
3. the default user with this client id, or with the default client id
4. the default user: each user has a rate, whatever its client ids
5. this client id, or the default client id: users share one rate

In 1 and 3 each pair of a user and a client id has a rate of its own, also where the limit is that of a default. Users
without a name, and client ids that are empty, have no quota of that part.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from broker.coordinators.cluster.quotas import CLIENT_ID, IP, USER, Entity

Whose: TypeAlias = tuple[str, str]
"""User and client id that share a rate; empty where any are meant."""

_ANY: Final = ""
_DEFAULT: Final = None


class Limits:
    """The limits under one key, by user and client id."""

    __slots__ = ("_limits",)

    def __init__(self) -> None:
        self._limits: dict[tuple[str | None, str | None], float] = {}

    def __len__(self) -> int:
        return len(self._limits)

    def put(self, entity: Entity, limit: float | None) -> None:
        """Set one limit, or remove it."""
        names = dict(entity)
        key = names.get(USER, _ANY), names.get(CLIENT_ID, _ANY)
        if limit is None or IP in names or key == (_ANY, _ANY):
            self._limits.pop(key, None)
        else:
            self._limits[key] = limit

    def of(self, user: str, client_id: str) -> tuple[Whose, float] | None:
        """Whose rate counts for this client, and the limit of it; None for no limit."""
        limits = self._limits
        for one in (user, _DEFAULT):
            found = limits.get((one, client_id)) if client_id else None
            if found is None:
                found = limits.get((one, _DEFAULT)) if client_id else None
            if found is not None:
                return (user, client_id), found
            found = limits.get((one, _ANY))
            if found is not None:
                return (user, _ANY), found
        if not client_id:
            return None
        found = limits.get((_ANY, client_id))
        if found is None:
            found = limits.get((_ANY, _DEFAULT))
        return None if found is None else ((_ANY, client_id), found)
