-- The tables of the schema: everything that brokers have to agree on. The docstring of storage/object/control_plane.py
-- says what the words mean. Numbers of milliseconds are since 1970, by this database's clock.
--
-- Rows are as narrow as can be, for each commit writes up to four of them for each log it touches: no foreign keys, no
-- triggers, no index that a commit would have to change but the primary keys.

CREATE SCHEMA ottla;

CREATE TABLE ottla.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,        -- of this schema
    oldest integer NOT NULL,         -- a broker that knows no newer version than this may not use it
    cluster_id text NOT NULL
);

-- A log. What a commit changes stands in this row, and its lock is what orders commits: no page is filled beyond half,
-- so that new versions of a row stay on its page and touch no index.
CREATE TABLE ottla.part (
    part_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_start bigint NOT NULL DEFAULT 0,
    next_offset bigint NOT NULL DEFAULT 0,
    first_unstable bigint,           -- where the oldest open transaction begins
    bytes bigint NOT NULL DEFAULT 0,
    cum_max_ts bigint NOT NULL DEFAULT -1,  -- the largest timestamp that was ever committed
    loose integer NOT NULL DEFAULT 0,       -- runs that are as they were committed
    idx integer NOT NULL,
    topic_id uuid NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    trimmed boolean NOT NULL DEFAULT true,  -- no run lies before log_start
    internal boolean NOT NULL,
    topic text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE UNIQUE INDEX part_place ON ottla.part (topic_id, idx) WHERE NOT deleted;
CREATE INDEX part_to_trim ON ottla.part (part_id) WHERE deleted OR NOT trimmed;

-- An object, and the commit or merge that brought it. state: 1 live, 2 waits for its deletion, 3 a commit without an
-- object, 9 a tombstone. `bases` are the base offsets of its runs, in order, if all went plainly; else `outcomes` is
-- what has become of each append, as storage/object/postgres packs it. Both are for a broker that asks again.
CREATE TABLE ottla.obj (
    obj_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bytes bigint NOT NULL,
    due bigint NOT NULL,
    live integer NOT NULL,
    node_id integer NOT NULL,
    state smallint NOT NULL,
    key text COLLATE "C" NOT NULL UNIQUE,
    bases bigint[],
    outcomes bytea
) WITH (fillfactor = 80);
CREATE INDEX obj_due ON ottla.obj (state, due) WHERE state <> 1;

-- A run: offsets [base, last] of a log. kind: 1 relative, 2 absolute. obj_id is 0 for an inline run.
CREATE TABLE ottla.run (
    part_id bigint NOT NULL,
    last bigint NOT NULL,
    base bigint NOT NULL,
    obj_id bigint NOT NULL,
    max_ts bigint NOT NULL,
    cum_max_ts bigint NOT NULL,      -- the largest of this run and those before it: never falls
    pos integer NOT NULL,
    len integer NOT NULL,
    kind smallint NOT NULL,
    inline bytea,
    PRIMARY KEY (part_id, last)
);
ALTER TABLE ottla.run ALTER COLUMN inline SET STORAGE EXTERNAL;

-- What a log remembers of a producer. s1 to s5 are the first sequences of its last batches, newest first, o1 to o5 their
-- base offsets: batches in a window follow each other without a gap, so that is all there is to know. A batch without a
-- sequence stands alone in its window, as -1 with its *last* offset.
CREATE TABLE ottla.prod (
    part_id bigint NOT NULL,
    pid bigint NOT NULL,
    last_ts bigint NOT NULL,
    seen bigint NOT NULL,            -- when it was last heard of
    o1 bigint, o2 bigint, o3 bigint, o4 bigint, o5 bigint,
    txn_start bigint,                -- where its open transaction begins
    marker bigint,                   -- where its last marker lies
    next_seq integer NOT NULL,
    s1 integer, s2 integer, s3 integer, s4 integer, s5 integer,
    coordinator_epoch integer NOT NULL DEFAULT -1,
    epoch smallint NOT NULL,
    PRIMARY KEY (part_id, pid)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX prod_open ON ottla.prod (part_id, txn_start) WHERE txn_start IS NOT NULL;

-- The transaction index: a line for each abort marker. No transaction that ends later begins before `stable`.
CREATE TABLE ottla.aborted (
    part_id bigint NOT NULL,
    last_off bigint NOT NULL,
    first_off bigint NOT NULL,
    stable bigint NOT NULL,
    pid bigint NOT NULL,
    PRIMARY KEY (part_id, last_off)
);

CREATE TABLE ottla.broker (
    node_id integer PRIMARY KEY,
    incarnation uuid NOT NULL,
    lease_until bigint NOT NULL,
    joined bigint NOT NULL,
    draining boolean NOT NULL DEFAULT false,
    rack text,
    version text NOT NULL,
    endpoints text NOT NULL          -- JSON: listener to [host, port]
) WITH (fillfactor = 50);

CREATE TABLE ottla.shard (
    topic text NOT NULL,
    idx integer NOT NULL,
    owner integer NOT NULL,          -- -1: none
    incarnation uuid NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (topic, idx)
) WITH (fillfactor = 50);

CREATE TABLE ottla.blob (
    part_id bigint NOT NULL,
    name text NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (part_id, name)
);
ALTER TABLE ottla.blob ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE ottla.setting (
    name text PRIMARY KEY,
    value bytea NOT NULL
);

CREATE FUNCTION ottla.now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE AS
    $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;
