"""The statements that are not in `sql/`: each prepared once for a connection, its parameters cast where they stand."""

from __future__ import annotations

from typing import Final

from storage.object.postgres.connection import Statement
from storage.object.postgres.judged_commits import PRODUCER_COLUMNS

NOW: Final = Statement("now", "SELECT ottla.now_ms()")
FENCE: Final = Statement("fence", "SELECT ottla.check_fence($1::int, $2::uuid)")
TAKE_NODE: Final = Statement("take_node", "SELECT ottla.take_node($1::int, $2::uuid, $3::bigint)")

DURABILITY: Final = Statement(
    "durability",
    "SELECT current_setting('fsync')::boolean AND current_setting('synchronous_commit') NOT IN ('off', 'local'), "
    "current_setting('synchronous_standby_names') <> ''",
)

# -- logs --------------------------------------------------------------------------------------------------------------

CREATE_LOGS: Final = Statement(
    "create_logs",
    "INSERT INTO ottla.part (topic_id, idx, topic, internal) "
    "SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::boolean[]) "
    "ON CONFLICT (topic_id, idx) WHERE NOT deleted DO NOTHING",
)
FIND_LOGS: Final = Statement(
    "find_logs",
    "SELECT n.place::int, p.part_id FROM unnest($1::uuid[], $2::int[]) WITH ORDINALITY AS n (topic_id, idx, place) "
    "JOIN ottla.part p ON p.topic_id = n.topic_id AND p.idx = n.idx AND NOT p.deleted",
)
LIST_LOGS: Final = Statement(
    "list_logs", "SELECT part_id, topic, topic_id, idx, internal FROM ottla.part WHERE NOT deleted ORDER BY part_id"
)
DELETE_LOGS: Final = Statement(
    "delete_logs",
    "WITH gone AS (SELECT part_id FROM ottla.part WHERE part_id = ANY ($1::bigint[]) ORDER BY part_id FOR UPDATE) "
    "UPDATE ottla.part p SET deleted = true FROM gone WHERE p.part_id = gone.part_id",
)
POSITIONS: Final = Statement(
    "positions",
    "SELECT part_id, log_start, next_offset, first_unstable, bytes FROM ottla.part "
    "WHERE part_id = ANY ($1::bigint[]) AND NOT deleted",
)

# -- commits -----------------------------------------------------------------------------------------------------------

LOCK_PARTS: Final = Statement("lock_parts", "SELECT ottla.lock_parts($1::bigint[])")
_COMMIT_TYPES: Final = (
    *("int", "uuid", "text", "bigint", "bigint", "bigint"),
    *("bigint[]", "bigint[]", "int[]", "int[]", "bigint[]", "bigint[]", "bytea[]"),
    *("int[]", "bigint[]", "smallint[]", "int[]", "int[]", "bigint[]"),
    *("smallint[]", "bigint[]", "boolean[]", "int[]", "bigint[]", "int[]"),
    *("int[]", "int[]", "int[]", "int[]", "int[]"),
    *("bigint[]", "bigint[]", "bigint[]", "bigint[]", "bigint[]"),
    "boolean",
)
COMMIT_RUNS: Final = Statement(
    "commit_runs",
    "SELECT * FROM ottla.commit_runs("
    + ", ".join(f"${place}::{kind}" for place, kind in enumerate(_COMMIT_TYPES, 1))
    + ")",
)
KNOWN_COMMIT: Final = Statement("known_commit", "SELECT bases, outcomes FROM ottla.obj WHERE key = $1::text")

# -- reading -----------------------------------------------------------------------------------------------------------

RUNS: Final = Statement(
    "runs", "SELECT * FROM ottla.runs($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[])"
)
_RUN: Final = (
    "SELECT u.base, u.last, u.obj_id, o.key, u.pos, u.len, u.max_ts, u.kind, u.inline FROM ottla.run u "
    "LEFT JOIN ottla.obj o ON o.obj_id = u.obj_id WHERE u.part_id = $1::bigint AND u.last = "
)
RUN_FOR_TIME: Final = Statement("run_for_time", _RUN + "(SELECT ottla.run_for_time($1::bigint, $2::bigint))")
RUN_OF_LATEST: Final = Statement("run_of_latest", _RUN + "(SELECT ottla.run_of_latest($1::bigint))")
ABORTED: Final = Statement(
    "aborted", "SELECT pid, first_off, last_off FROM ottla.aborted_in($1::bigint, $2::bigint, $3::bigint)"
)
PRODUCERS: Final = Statement(
    "producers", f"SELECT ottla.now_ms(), {PRODUCER_COLUMNS} FROM ottla.prod WHERE part_id = $1::bigint"
)
SOME_PRODUCERS: Final = Statement(
    "some_producers", f"{PRODUCERS.sql} AND pid = ANY ($2::bigint[])"
)  # fmt: skip

# -- log starts, retention, merging ------------------------------------------------------------------------------------

DELETE_BEFORE: Final = Statement(
    "delete_before",
    "UPDATE ottla.part SET trimmed = trimmed AND log_start >= $2::bigint, log_start = greatest(log_start, $2::bigint) "
    "WHERE part_id = $1::bigint AND NOT deleted AND $2::bigint BETWEEN 0 AND next_offset "
    "RETURNING log_start, next_offset, first_unstable, bytes",
)
EXPIRE: Final = Statement("expire", "SELECT * FROM ottla.expire($1::bigint[], $2::bigint[], $3::bigint[])")
TRIM: Final = Statement("trim", "SELECT ottla.trim($1::int, $2::bigint)")
EXPIRE_PRODUCERS: Final = Statement(
    "expire_producers", "SELECT ottla.expire_producers(ottla.now_ms() - $1::bigint, $2::int, $3::int)"
)
CANDIDATES: Final = Statement(
    "candidates",
    "SELECT part_id, loose FROM ottla.part WHERE loose >= $1::int AND NOT deleted ORDER BY loose DESC LIMIT $2::int",
)
SWAP: Final = Statement(
    "swap",
    "SELECT ottla.swap($1::int, $2::uuid, $3::text, $4::bigint, $5::bigint, $6::bigint, $7::bigint[], $8::int[], "
    "$9::bigint[], $10::bigint[], $11::bigint[], $12::int[], $13::int[], $14::int[], $15::bigint[], $16::bigint[], "
    "$17::int[], $18::int[], $19::bigint[], $20::bytea[], $21::int[], $22::bigint[])",
)

# -- objects -----------------------------------------------------------------------------------------------------------

DELETABLE: Final = Statement(
    "deletable",
    "WITH ripe AS (SELECT obj_id, due FROM ottla.obj WHERE state = 2 AND due <= ottla.now_ms() ORDER BY due "
    "LIMIT $1::int FOR UPDATE SKIP LOCKED) "
    "UPDATE ottla.obj o SET due = ottla.now_ms() + 60000 FROM ripe WHERE o.obj_id = ripe.obj_id "
    "RETURNING ripe.due, o.key",
)
DELETED: Final = Statement(
    "deleted",
    "WITH gone AS (SELECT obj_id FROM ottla.obj WHERE key = ANY ($1::text[]) AND state = 2 ORDER BY obj_id FOR UPDATE) "
    "UPDATE ottla.obj o SET state = 9, due = ottla.now_ms() + $2::bigint, bases = NULL, outcomes = NULL "
    "FROM gone WHERE o.obj_id = gone.obj_id",
)
BURY: Final = Statement(
    "bury",
    "INSERT INTO ottla.obj (key, state, node_id, bytes, live, due) "
    "SELECT k, 9, $2::int, 0, 0, ottla.now_ms() + $3::bigint FROM unnest($1::text[]) k "
    "ON CONFLICT DO NOTHING RETURNING key",
)
BURIED: Final = Statement("buried", "SELECT key FROM ottla.obj WHERE key = ANY ($1::text[]) AND state = 9")
FORGET_TOMBSTONES: Final = Statement(
    "forget_tombstones",
    "DELETE FROM ottla.obj WHERE obj_id = ANY (ARRAY(SELECT obj_id FROM ottla.obj WHERE state IN (3, 9) "
    "AND due <= ottla.now_ms() LIMIT $1::int FOR UPDATE SKIP LOCKED)) RETURNING obj_id",
)
OBJECT_COUNTS: Final = Statement(
    "object_counts",
    "SELECT count(*) FILTER (WHERE state = 1), coalesce(sum(bytes) FILTER (WHERE state = 1), 0)::bigint, "
    "count(*) FILTER (WHERE state = 2), coalesce(sum(bytes) FILTER (WHERE state = 2), 0)::bigint, "
    "count(*) FILTER (WHERE state = 9) FROM ottla.obj",
)

# -- beside the logs ---------------------------------------------------------------------------------------------------

BLOBS: Final = Statement(
    "blobs", 'SELECT name, octet_length(content) FROM ottla.blob WHERE part_id = $1::bigint ORDER BY name COLLATE "C"'
)
READ_BLOB: Final = Statement(
    "read_blob", "SELECT content FROM ottla.blob WHERE part_id = $1::bigint AND name = $2::text"
)
WRITE_BLOB: Final = Statement(
    "write_blob",
    "INSERT INTO ottla.blob (part_id, name, content) SELECT part_id, $2::text, $3::bytea FROM ottla.part "
    "WHERE part_id = $1::bigint AND NOT deleted "
    "ON CONFLICT (part_id, name) DO UPDATE SET content = excluded.content RETURNING part_id",
)
REMOVE_BLOBS: Final = Statement(
    "remove_blobs", "DELETE FROM ottla.blob WHERE part_id = $1::bigint AND name = ANY ($2::text[])"
)
SETTING: Final = Statement("setting", "SELECT value FROM ottla.setting WHERE name = $1::text")
SETTLE: Final = Statement(
    "settle", "INSERT INTO ottla.setting (name, value) VALUES ($1::text, $2::bytea) ON CONFLICT DO NOTHING"
)
