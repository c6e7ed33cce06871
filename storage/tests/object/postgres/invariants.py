"""What is true of the rows in PostgreSQL, whatever has happened."""

from __future__ import annotations

from storage.testing.postgres import PostgresServer

# Each finds the rows of which it is not true.
INVARIANTS = {
    "an object knows how many runs lie in it": """
        SELECT o.key FROM ottla.obj o LEFT JOIN ottla.run u ON u.obj_id = o.obj_id
        GROUP BY o.obj_id HAVING count(u.obj_id) <> o.live OR (o.live > 0) <> (o.state = 1)""",
    "no run lies in an object without a row": """
        SELECT u.part_id FROM ottla.run u WHERE u.obj_id <> 0
        AND NOT EXISTS (SELECT 1 FROM ottla.obj o WHERE o.obj_id = u.obj_id)""",
    "runs lie one behind the other": """
        SELECT part_id FROM (SELECT part_id, base, last, lag(last) OVER (PARTITION BY part_id ORDER BY last) AS before
        FROM ottla.run) r WHERE base > last OR base <= before""",
    "the largest timestamps never fall": """
        SELECT part_id FROM (SELECT part_id, max_ts, cum_max_ts,
        lag(cum_max_ts) OVER (PARTITION BY part_id ORDER BY last) AS before FROM ottla.run) r
        WHERE max_ts > cum_max_ts OR before > cum_max_ts""",
    "a log knows its size, its runs and its open transactions": """
        SELECT p.part_id FROM ottla.part p LEFT JOIN ottla.run u ON u.part_id = p.part_id GROUP BY p.part_id
        HAVING coalesce(sum(u.len), 0) <> p.bytes OR count(*) FILTER (WHERE u.kind = 1) <> p.loose
        OR p.first_unstable IS DISTINCT FROM (
            SELECT min(x.txn_start) FROM ottla.prod x WHERE x.part_id = p.part_id)""",
    "a log ends behind its last run": """
        SELECT p.part_id FROM ottla.part p JOIN ottla.run u ON u.part_id = p.part_id WHERE u.last >= p.next_offset""",
}


def broken_promises(server: PostgresServer, database: str) -> list[str]:
    """The promises that some row breaks."""
    return [promise for promise, query in INVARIANTS.items() if server.execute(query, database)]
