-- A commit in the plain case, one statement for each kind of row. What is not plain is left alone, and
-- storage/object/postgres/judged_commits.py does it with the rules of storage/producers.py.
--
-- Errors: OT001 not plain, of a simple commit and where several share a transaction; OT002 the key is known, likewise;
-- OT003 fenced.
--
-- Order of locks, here and in every other function: a new row of obj, broker, part (ascending), then run, prod, aborted,
-- then rows of obj that are there (ascending).
--
-- Rows of part are locked in one statement, and prod is looked at in the next one. A single statement that locks a row
-- of part and reads prod would see the newest part and an older prod: under READ COMMITTED it is the statement that has
-- a snapshot.

CREATE OR REPLACE FUNCTION ottla.check_fence(p_node integer, p_incarnation uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM ottla.broker WHERE node_id = p_node AND incarnation = p_incarnation FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fenced' USING ERRCODE = 'OT003';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ottla.lock_parts(p_parts bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM ottla.part WHERE part_id = ANY (p_parts) ORDER BY part_id FOR NO KEY UPDATE;
END $$;

-- What most commits are: one numbered batch in each run, outside of transactions, or batches without a producer. Here
-- nothing is looked at before it is changed: an UPDATE locks a row, and its WHERE judges the row's newest version. That
-- is one visit of a log and one of a producer, where looking first would be two of each. What does not fit is found out
-- by counting, and ends the transaction (OT001).
--
-- Logs are visited in the ascending order of the lines, which the planner keeps as long as it joins from the lines to the
-- rows. Conditions on the lines that always hold see to that: with three of them it expects a single line, for which no
-- other plan is as cheap, however small the tables are when a session makes its plan. The producers' statement begins
-- when all logs are locked, so it sees what earlier commits have made of them.
CREATE OR REPLACE FUNCTION ottla.commit_simple(
    p_obj bigint, p_expiration bigint, p_at bigint,
    r_part bigint[], r_count bigint[], r_pos integer[], r_len integer[], r_ts bigint[], r_expected bigint[],
    r_inline bytea[],
    q_run integer[], q_pid bigint[], q_epoch smallint[], q_first integer[], q_next integer[], q_ts bigint[],
    OUT bases bigint[], OUT starts bigint[], OUT unstables bigint[], OUT sizes bigint[]
)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off AS $$
DECLARE
    v_known integer;
    v_new integer;
BEGIN
    WITH moved AS (
        UPDATE ottla.part p SET
            next_offset = p.next_offset + r.n, bytes = p.bytes + r.len, loose = p.loose + 1,
            cum_max_ts = greatest(p.cum_max_ts, r.ts)
        FROM (
            SELECT * FROM unnest(r_part, r_count, r_pos, r_len, r_ts, r_expected, r_inline)
                WITH ORDINALITY AS u (part_id, n, pos, len, ts, expected, inline, ord)
            WHERE u.n > 0 AND u.pos >= 0 AND u.len > 0
            ORDER BY u.part_id OFFSET 0
        ) r
        WHERE p.part_id = r.part_id AND NOT p.deleted AND (r.expected IS NULL OR r.expected = p.next_offset)
        RETURNING r.ord, p.part_id, p.next_offset, r.n, r.pos, r.len, r.ts, r.inline,
                  p.cum_max_ts, p.log_start, p.first_unstable, p.bytes
    ), laid AS (
        INSERT INTO ottla.run (part_id, last, base, obj_id, max_ts, cum_max_ts, pos, len, kind, inline)
        SELECT m.part_id, m.next_offset - 1, m.next_offset - m.n, p_obj, m.ts, m.cum_max_ts, m.pos, m.len, 1, m.inline
        FROM moved m
    )
    SELECT array_agg(m.next_offset - m.n ORDER BY m.ord), array_agg(m.log_start ORDER BY m.ord),
           array_agg(m.first_unstable ORDER BY m.ord), array_agg(m.bytes ORDER BY m.ord)
    INTO bases, starts, unstables, sizes FROM moved m;
    IF coalesce(cardinality(bases), 0) < cardinality(r_part) THEN
        RAISE EXCEPTION 'not plain' USING ERRCODE = 'OT001';
    END IF;
    IF coalesce(cardinality(q_run), 0) = 0 THEN
        RETURN;
    END IF;
    UPDATE ottla.prod p SET
        last_ts = q.ts, seen = p_at, epoch = q.epoch, next_seq = q.next,
        s1 = q.first, o1 = bases[q.run],
        s2 = CASE WHEN q.epoch = p.epoch AND p.s1 <> -1 THEN p.s1 END,
        o2 = CASE WHEN q.epoch = p.epoch AND p.s1 <> -1 THEN p.o1 END,
        s3 = CASE WHEN q.epoch = p.epoch THEN p.s2 END, o3 = CASE WHEN q.epoch = p.epoch THEN p.o2 END,
        s4 = CASE WHEN q.epoch = p.epoch THEN p.s3 END, o4 = CASE WHEN q.epoch = p.epoch THEN p.o3 END,
        s5 = CASE WHEN q.epoch = p.epoch THEN p.s4 END, o5 = CASE WHEN q.epoch = p.epoch THEN p.o4 END
    FROM unnest(q_run, q_pid, q_epoch, q_first, q_next, q_ts) AS q (run, pid, epoch, first, next, ts)
    WHERE q.run > 0 AND q.pid >= 0 AND q.first >= 0 AND p.part_id = r_part[q.run] AND p.pid = q.pid
        AND p.txn_start IS NULL AND p_at - p.seen < p_expiration AND q.epoch >= p.epoch
        AND q.first = CASE WHEN q.epoch = p.epoch THEN p.next_seq ELSE 0 END;
    GET DIAGNOSTICS v_known = ROW_COUNT;
    IF v_known < cardinality(q_run) THEN
        -- Those that are not known yet; of those that are known and do not fit, none.
        INSERT INTO ottla.prod (part_id, pid, last_ts, seen, epoch, next_seq, s1, o1)
        SELECT r_part[q.run], q.pid, q.ts, p_at, q.epoch, q.next, q.first, bases[q.run]
        FROM unnest(q_run, q_pid, q_epoch, q_first, q_next, q_ts) AS q (run, pid, epoch, first, next, ts)
        ON CONFLICT (part_id, pid) DO NOTHING;
        GET DIAGNOSTICS v_new = ROW_COUNT;
        IF v_known + v_new < cardinality(q_run) THEN
            RAISE EXCEPTION 'not plain' USING ERRCODE = 'OT001';
        END IF;
    END IF;
END $$;

-- The producers of any other commit: one line for all batches of a producer in a run, in arrays of one length. Its batches follow
-- each other without a gap, under one epoch. `first`: sequence of the first, `next`: the one behind the last; `kind`: 0
-- plain, 1 in a transaction, 2 a marker that commits, 3 one that aborts; `d`: where the first batch begins, in offsets
-- from the run's first; `k`: how many batches, at most 5. `own`: it has an epoch for each transaction. s1, d1 are the
-- newest batch. A simple commit says less: all that is null there (kind and d are 0, k is 1).

CREATE OR REPLACE FUNCTION ottla.commit_producers(
    p_bases bigint[], p_now bigint, r_part bigint[],
    q_run integer[], q_pid bigint[], q_epoch smallint[], q_next integer[], q_ts bigint[],
    q_kind smallint[], q_d bigint[], q_k integer[],
    q_s1 integer[], q_s2 integer[], q_s3 integer[], q_s4 integer[], q_s5 integer[],
    q_d1 bigint[], q_d2 bigint[], q_d3 bigint[], q_d4 bigint[], q_d5 bigint[]
) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE ottla.prod p SET
        last_ts = q.ts, seen = p_now, epoch = q.epoch, next_seq = q.next,
        txn_start = CASE WHEN q.kind = 1 THEN coalesce(p.txn_start, p_bases[q.run] + q.d) END,
        s1 = q.s1,
        s2 = CASE WHEN q.k >= 2 THEN q.s2 WHEN q.whole THEN NULL ELSE p.s1 END,
        s3 = CASE WHEN q.k >= 3 THEN q.s3 WHEN q.whole THEN NULL WHEN q.k = 2 THEN p.s1 ELSE p.s2 END,
        s4 = CASE WHEN q.k >= 4 THEN q.s4 WHEN q.whole THEN NULL WHEN q.k = 3 THEN p.s1 WHEN q.k = 2 THEN p.s2
                  ELSE p.s3 END,
        s5 = CASE WHEN q.k >= 5 THEN q.s5 WHEN q.whole THEN NULL WHEN q.k = 4 THEN p.s1 WHEN q.k = 3 THEN p.s2
                  WHEN q.k = 2 THEN p.s3 ELSE p.s4 END,
        o1 = p_bases[q.run] + q.d1,
        o2 = CASE WHEN q.k >= 2 THEN p_bases[q.run] + q.d2 WHEN q.whole THEN NULL ELSE p.o1 END,
        o3 = CASE WHEN q.k >= 3 THEN p_bases[q.run] + q.d3 WHEN q.whole THEN NULL WHEN q.k = 2 THEN p.o1 ELSE p.o2 END,
        o4 = CASE WHEN q.k >= 4 THEN p_bases[q.run] + q.d4 WHEN q.whole THEN NULL WHEN q.k = 3 THEN p.o1
                  WHEN q.k = 2 THEN p.o2 ELSE p.o3 END,
        o5 = CASE WHEN q.k >= 5 THEN p_bases[q.run] + q.d5 WHEN q.whole THEN NULL WHEN q.k = 4 THEN p.o1
                  WHEN q.k = 3 THEN p.o2 WHEN q.k = 2 THEN p.o3 ELSE p.o4 END
    FROM (
        SELECT n.*, o.part_id, (n.epoch <> o.epoch OR n.s1 = -1 OR o.s1 = -1 OR o.s1 IS NULL) AS whole
        FROM unnest(q_run, q_pid, q_epoch, q_next, q_ts, q_kind, q_d, q_k,
                    q_s1, q_s2, q_s3, q_s4, q_s5, q_d1, q_d2, q_d3, q_d4, q_d5)
            AS n (run, pid, epoch, next, ts, kind, d, k, s1, s2, s3, s4, s5, d1, d2, d3, d4, d5)
        JOIN ottla.prod o ON o.part_id = r_part[n.run] AND o.pid = n.pid
        WHERE n.kind < 2
    ) q
    WHERE p.part_id = q.part_id AND p.pid = q.pid;
    INSERT INTO ottla.prod (part_id, pid, last_ts, seen, epoch, next_seq, txn_start,
                            s1, s2, s3, s4, s5, o1, o2, o3, o4, o5)
    SELECT r_part[n.run], n.pid, n.ts, p_now, n.epoch, n.next, CASE WHEN n.kind = 1 THEN p_bases[n.run] + n.d END,
           n.s1, n.s2, n.s3, n.s4, n.s5, p_bases[n.run] + n.d1, p_bases[n.run] + n.d2, p_bases[n.run] + n.d3,
           p_bases[n.run] + n.d4, p_bases[n.run] + n.d5
    FROM unnest(q_run, q_pid, q_epoch, q_next, q_ts, q_kind, q_d,
                q_s1, q_s2, q_s3, q_s4, q_s5, q_d1, q_d2, q_d3, q_d4, q_d5)
        AS n (run, pid, epoch, next, ts, kind, d, s1, s2, s3, s4, s5, d1, d2, d3, d4, d5)
    WHERE n.kind < 2
    ON CONFLICT (part_id, pid) DO NOTHING;
END $$;

-- What transactions change beside their producers: where stable data ends, and which transactions were aborted.
CREATE OR REPLACE FUNCTION ottla.commit_transactions(
    p_bases bigint[], p_now bigint, r_part bigint[],
    q_run integer[], q_pid bigint[], q_epoch smallint[], q_ts bigint[], q_kind smallint[], q_coordinator integer[],
    q_d bigint[]
) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE ottla.part p SET first_unstable = n.opened
    FROM (
        SELECT r_part[u.run] AS part_id, min(p_bases[u.run] + u.d) AS opened
        FROM unnest(q_run, q_kind, q_d) AS u (run, kind, d) WHERE u.kind = 1 GROUP BY u.run
    ) n
    WHERE p.part_id = n.part_id AND p.first_unstable IS NULL;
    IF NOT (q_kind && ARRAY[2, 3]::smallint[]) THEN
        RETURN;
    END IF;
    -- With each abort marker stands where stable data ended behind it, or a lower place: those that end in the same
    -- commit count as open.
    INSERT INTO ottla.aborted (part_id, last_off, first_off, stable, pid)
    SELECT o.part_id, p_bases[n.run] + n.d, o.txn_start,
           least(p_bases[n.run] + n.d + 1, (
               SELECT min(x.txn_start) FROM ottla.prod x
               WHERE x.part_id = o.part_id AND x.txn_start IS NOT NULL AND x.pid <> o.pid)),
           n.pid
    FROM unnest(q_run, q_pid, q_kind, q_d) AS n (run, pid, kind, d)
    JOIN ottla.prod o ON o.part_id = r_part[n.run] AND o.pid = n.pid
    WHERE n.kind = 3 AND o.txn_start IS NOT NULL;
    INSERT INTO ottla.prod AS p (part_id, pid, last_ts, seen, epoch, next_seq, marker, coordinator_epoch)
    SELECT r_part[n.run], n.pid, n.ts, p_now, n.epoch, 0, p_bases[n.run] + n.d, n.coordinator
    FROM unnest(q_run, q_pid, q_epoch, q_ts, q_kind, q_coordinator, q_d)
        AS n (run, pid, epoch, ts, kind, coordinator, d)
    WHERE n.kind >= 2
    ON CONFLICT (part_id, pid) DO UPDATE SET
        last_ts = excluded.last_ts, seen = excluded.seen, epoch = excluded.epoch, marker = excluded.marker,
        coordinator_epoch = excluded.coordinator_epoch, txn_start = NULL,
        next_seq = CASE WHEN p.epoch = excluded.epoch THEN p.next_seq ELSE 0 END,
        s1 = CASE WHEN p.epoch = excluded.epoch THEN p.s1 END, o1 = CASE WHEN p.epoch = excluded.epoch THEN p.o1 END,
        s2 = CASE WHEN p.epoch = excluded.epoch THEN p.s2 END, o2 = CASE WHEN p.epoch = excluded.epoch THEN p.o2 END,
        s3 = CASE WHEN p.epoch = excluded.epoch THEN p.s3 END, o3 = CASE WHEN p.epoch = excluded.epoch THEN p.o3 END,
        s4 = CASE WHEN p.epoch = excluded.epoch THEN p.s4 END, o4 = CASE WHEN p.epoch = excluded.epoch THEN p.o4 END,
        s5 = CASE WHEN p.epoch = excluded.epoch THEN p.s5 END, o5 = CASE WHEN p.epoch = excluded.epoch THEN p.o5 END;
    UPDATE ottla.part p SET first_unstable = (
        SELECT min(x.txn_start) FROM ottla.prod x WHERE x.part_id = p.part_id AND x.txn_start IS NOT NULL)
    WHERE p.part_id IN (SELECT r_part[u.run] FROM unnest(q_run, q_kind) AS u (run, kind) WHERE u.kind >= 2);
END $$;

-- `outcome`: 0 done; 1 not plain, and nothing has been done; 2 the key is known, and nothing has been done. A simple
-- commit that turns out not to be plain is refused (OT001).
CREATE OR REPLACE FUNCTION ottla.commit_runs(
    p_node integer, p_incarnation uuid, p_key text, p_bytes bigint, p_expiration bigint, p_inline_key_ms bigint,
    r_part bigint[], r_count bigint[], r_pos integer[], r_len integer[], r_ts bigint[], r_expected bigint[],
    r_inline bytea[],
    q_run integer[], q_pid bigint[], q_epoch smallint[], q_first integer[], q_next integer[], q_ts bigint[],
    q_kind smallint[], q_since bigint[], q_own boolean[], q_coordinator integer[], q_d bigint[], q_k integer[],
    q_s1 integer[], q_s2 integer[], q_s3 integer[], q_s4 integer[], q_s5 integer[],
    q_d1 bigint[], q_d2 bigint[], q_d3 bigint[], q_d4 bigint[], q_d5 bigint[],
    p_together boolean,
    OUT outcome smallint, OUT bases bigint[], OUT starts bigint[], OUT unstables bigint[], OUT sizes bigint[], OUT at bigint
)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_obj bigint;
    v_live integer;
    v_fit integer;
    v_transactions boolean := false;
BEGIN
    at := ottla.now_ms();
    v_live := CASE WHEN p_bytes > 0 THEN cardinality(r_part) ELSE 0 END;
    INSERT INTO ottla.obj (key, state, node_id, bytes, live, due)
    VALUES (p_key, CASE WHEN p_bytes > 0 THEN 1 ELSE 3 END, p_node, p_bytes, v_live, at + p_inline_key_ms)
    ON CONFLICT DO NOTHING RETURNING obj_id INTO v_obj;
    IF NOT FOUND THEN
        IF p_together THEN
            RAISE EXCEPTION 'known' USING ERRCODE = 'OT002';
        END IF;
        outcome := 2;
        RETURN;
    END IF;
    PERFORM ottla.check_fence(p_node, p_incarnation);
    IF q_k IS NULL THEN
        SELECT c.* INTO bases, starts, unstables, sizes FROM ottla.commit_simple(
            CASE WHEN p_bytes > 0 THEN v_obj ELSE 0 END, p_expiration, at,
            r_part, r_count, r_pos, r_len, r_ts, r_expected, r_inline, q_run, q_pid, q_epoch, q_first, q_next, q_ts) c;
        outcome := 0;
        UPDATE ottla.obj o SET bases = commit_runs.bases WHERE o.obj_id = v_obj;
        RETURN;
    END IF;
    SELECT count(*) INTO v_fit FROM (
        SELECT p.deleted, p.next_offset, r.expected
        FROM unnest(r_part, r_expected) AS r (part_id, expected) JOIN ottla.part p ON p.part_id = r.part_id
        ORDER BY r.part_id FOR NO KEY UPDATE OF p
    ) f WHERE NOT f.deleted AND (f.expected IS NULL OR f.expected = f.next_offset);
    outcome := CASE WHEN v_fit = cardinality(r_part) THEN 0 ELSE 1 END;
    IF outcome = 0 AND cardinality(q_run) > 0 THEN
        PERFORM 1 FROM unnest(q_run, q_pid, q_epoch, q_first, q_kind, q_since, q_own, q_coordinator)
            AS q (run, pid, epoch, first, kind, since, own, coordinator)
        LEFT JOIN ottla.prod p ON p.part_id = r_part[q.run] AND p.pid = q.pid
        WHERE NOT CASE
            WHEN p.pid IS NULL THEN q.kind <> 1 OR (q.since >= 0 AND NOT (q.own AND q.first > 0)) IS TRUE
            WHEN p.txn_start IS NULL AND at - p.seen >= p_expiration THEN false
            WHEN q.epoch < p.epoch THEN false
            WHEN q.kind >= 2 THEN
                q.coordinator >= p.coordinator_epoch AND NOT (q.own AND q.epoch = p.epoch AND p.txn_start IS NOT NULL)
            WHEN q.kind = 0 AND p.txn_start IS NOT NULL THEN false
            WHEN q.epoch > p.epoch AND (q.first > 0 OR p.txn_start IS NOT NULL) THEN false
            WHEN q.epoch = p.epoch AND q.first >= 0 AND q.first <> p.next_seq THEN false
            WHEN q.kind = 1 AND p.txn_start IS NULL THEN
                (coalesce(p.marker, -1) < q.since AND NOT (q.own AND q.first > 0 AND p.s1 IS NULL)) IS TRUE
            ELSE true
        END
        LIMIT 1;
        outcome := CASE WHEN FOUND THEN 1 ELSE 0 END;
    END IF;
    IF outcome = 1 THEN
        IF p_together THEN
            RAISE EXCEPTION 'not plain' USING ERRCODE = 'OT001';
        END IF;
        DELETE FROM ottla.obj WHERE obj_id = v_obj;
        RETURN;
    END IF;
    WITH moved AS (
        UPDATE ottla.part p SET
            next_offset = p.next_offset + r.n, bytes = p.bytes + r.len, loose = p.loose + 1,
            cum_max_ts = greatest(p.cum_max_ts, r.ts)
        FROM unnest(r_part, r_count, r_pos, r_len, r_ts, r_inline)
            WITH ORDINALITY AS r (part_id, n, pos, len, ts, inline, ord)
        WHERE p.part_id = r.part_id
        RETURNING r.ord, p.part_id, p.next_offset, r.n, r.pos, r.len, r.ts, r.inline,
                  p.cum_max_ts, p.log_start, p.first_unstable, p.bytes
    ), laid AS (
        INSERT INTO ottla.run (part_id, last, base, obj_id, max_ts, cum_max_ts, pos, len, kind, inline)
        SELECT m.part_id, m.next_offset - 1, m.next_offset - m.n, CASE WHEN p_bytes > 0 THEN v_obj ELSE 0 END,
               m.ts, m.cum_max_ts, m.pos, m.len, 1, m.inline
        FROM moved m
    )
    SELECT array_agg(m.next_offset - m.n ORDER BY m.ord), array_agg(m.log_start ORDER BY m.ord),
           array_agg(m.first_unstable ORDER BY m.ord), array_agg(m.bytes ORDER BY m.ord)
    INTO bases, starts, unstables, sizes FROM moved m;
    IF cardinality(q_run) > 0 THEN
        v_transactions := q_kind && ARRAY[1, 2, 3]::smallint[];
        -- Batches before markers: what these open counts when the end of stable data is found.
        PERFORM ottla.commit_producers(
            bases, at, r_part, q_run, q_pid, q_epoch, q_next, q_ts, q_kind, q_d, q_k,
            q_s1, q_s2, q_s3, q_s4, q_s5, q_d1, q_d2, q_d3, q_d4, q_d5);
        IF v_transactions THEN
            PERFORM ottla.commit_transactions(
                bases, at, r_part, q_run, q_pid, q_epoch, q_ts, q_kind, q_coordinator, q_d);
            SELECT array_agg(p.first_unstable ORDER BY r.ord) INTO unstables
            FROM unnest(r_part) WITH ORDINALITY AS r (part_id, ord) JOIN ottla.part p ON p.part_id = r.part_id;
        END IF;
    END IF;
    UPDATE ottla.obj o SET bases = commit_runs.bases WHERE o.obj_id = v_obj;
END $$;
