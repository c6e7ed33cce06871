-- What is done by and by. Each function does a bounded part of it, so that no lock is held for long.

-- So many runs less lie in these objects. With the last one their end begins, p_grace milliseconds from now.
CREATE OR REPLACE FUNCTION ottla.release(p_objects bigint[], p_runs bigint[], p_grace bigint) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    PERFORM 1 FROM ottla.obj WHERE obj_id = ANY (p_objects) ORDER BY obj_id FOR NO KEY UPDATE;
    UPDATE ottla.obj o SET
        live = o.live - u.runs,
        state = CASE WHEN o.live <= u.runs AND o.state = 1 THEN 2 ELSE o.state END,
        due = CASE WHEN o.live <= u.runs AND o.state = 1 THEN ottla.now_ms() + p_grace ELSE o.due END
    FROM unnest(p_objects, p_runs) AS u (obj_id, runs)
    WHERE o.obj_id = u.obj_id;
END $$;

-- Move starts to where retention says. It looks at 500 runs of a log, and may be called again.
CREATE OR REPLACE FUNCTION ottla.expire(p_parts bigint[], p_ms bigint[], p_bytes bigint[])
RETURNS TABLE (part_id bigint, log_start bigint, next_offset bigint, first_unstable bigint, bytes bigint)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint := ottla.now_ms();
    v_part ottla.part;
    v_start bigint;
    v_newest bigint;
    v_excess bigint;
    v_order bigint[];
    i bigint;
    r record;
BEGIN
    -- By ascending numbers of logs, as all who lock several.
    SELECT array_agg(t.ord ORDER BY t.part) INTO v_order FROM unnest(p_parts) WITH ORDINALITY AS t (part, ord);
    FOREACH i IN ARRAY coalesce(v_order, '{}') LOOP
        SELECT * INTO v_part FROM ottla.part p WHERE p.part_id = p_parts[i] AND NOT p.deleted;
        CONTINUE WHEN NOT FOUND;
        v_start := NULL; v_newest := -1; v_excess := -1;
        IF p_bytes[i] >= 0 THEN
            v_excess := v_part.bytes - p_bytes[i];
            IF NOT v_part.trimmed THEN
                v_excess := v_excess - coalesce((
                    SELECT sum(u.len) FROM ottla.run u WHERE u.part_id = p_parts[i] AND u.last < v_part.log_start), 0);
            END IF;
        END IF;
        FOR r IN
            SELECT u.last, u.len, u.max_ts FROM ottla.run u
            WHERE u.part_id = p_parts[i] AND u.last >= v_part.log_start ORDER BY u.last LIMIT 500
        LOOP
            v_newest := greatest(v_newest, r.max_ts);
            EXIT WHEN NOT (p_ms[i] >= 0 AND v_newest >= 0 AND v_now - v_newest > p_ms[i]) AND v_excess < r.len;
            v_excess := v_excess - r.len;
            v_start := r.last + 1;
        END LOOP;
        CONTINUE WHEN v_start IS NULL;
        RETURN QUERY UPDATE ottla.part p SET log_start = greatest(p.log_start, v_start), trimmed = false
            WHERE p.part_id = p_parts[i] AND NOT p.deleted
            RETURNING p.part_id, p.log_start, p.next_offset, p.first_unstable, p.bytes;
    END LOOP;
END $$;

-- Take away runs before the start of their log, and all that deleted logs had; returns how many runs.
CREATE OR REPLACE FUNCTION ottla.trim(p_limit integer, p_grace bigint) RETURNS integer
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_left integer := p_limit;
    v_part ottla.part;
    v_runs bigint[];
    v_objects bigint[] := '{}';
    v_count integer;
    v_bytes bigint;
    v_loose integer;
BEGIN
    FOR v_part IN
        SELECT * FROM ottla.part p WHERE p.deleted OR NOT p.trimmed ORDER BY p.part_id LIMIT 1000
        FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN v_left <= 0;
        WITH gone AS (
            DELETE FROM ottla.run u WHERE u.part_id = v_part.part_id AND u.last = ANY (ARRAY(
                SELECT t.last FROM ottla.run t
                WHERE t.part_id = v_part.part_id AND (v_part.deleted OR t.last < v_part.log_start)
                ORDER BY t.last LIMIT v_left))
            RETURNING u.obj_id, u.len, u.kind
        )
        SELECT count(*), coalesce(sum(len), 0), count(*) FILTER (WHERE kind = 1),
               coalesce(array_agg(obj_id) FILTER (WHERE obj_id <> 0), '{}')
        INTO v_count, v_bytes, v_loose, v_runs FROM gone;
        v_objects := v_objects || v_runs;
        IF v_part.deleted AND v_count < v_left THEN
            DELETE FROM ottla.prod x WHERE x.part_id = v_part.part_id;
            DELETE FROM ottla.aborted x WHERE x.part_id = v_part.part_id;
            DELETE FROM ottla.blob x WHERE x.part_id = v_part.part_id;
            DELETE FROM ottla.part x WHERE x.part_id = v_part.part_id;
        ELSE
            DELETE FROM ottla.aborted x WHERE x.part_id = v_part.part_id AND x.last_off < v_part.log_start;
            UPDATE ottla.part p SET bytes = p.bytes - v_bytes, loose = p.loose - v_loose, trimmed = v_count < v_left
            WHERE p.part_id = v_part.part_id;
        END IF;
        v_left := v_left - v_count;
    END LOOP;
    PERFORM ottla.release(array_agg(t.obj_id), array_agg(t.runs), p_grace)
    FROM (SELECT o AS obj_id, count(*) AS runs FROM unnest(v_objects) o GROUP BY o) t
    HAVING count(*) > 0;
    RETURN p_limit - v_left;
END $$;

-- Put new runs in the place of planned ones, log by log. s: planned, n: new, f: abort markers forgotten; each line says
-- which log it is of, counted from 1.
CREATE OR REPLACE FUNCTION ottla.swap(
    p_node integer, p_incarnation uuid, p_key text, p_bytes bigint, p_inline_key_ms bigint, p_grace bigint,
    l_part bigint[],
    s_log integer[], s_base bigint[], s_last bigint[], s_obj bigint[], s_pos integer[], s_len integer[],
    n_log integer[], n_base bigint[], n_last bigint[], n_pos integer[], n_len integer[], n_ts bigint[], n_inline bytea[],
    f_log integer[], f_off bigint[]
) RETURNS bigint[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint := ottla.now_ms();
    v_obj bigint;
    v_done bigint[] := '{}';
    v_objects bigint[] := '{}';
    v_gone bigint[];
    v_planned integer;
    v_found integer;
    v_between integer;
    v_bytes bigint;
    v_loose integer;
    v_first bigint;
    v_before bigint;
    v_new bigint;
    v_live integer := 0;
    v_count integer;
BEGIN
    INSERT INTO ottla.obj (key, state, node_id, bytes, live, due)
    VALUES (p_key, CASE WHEN p_bytes > 0 THEN 1 ELSE 3 END, p_node, p_bytes, 0, v_now + p_inline_key_ms)
    ON CONFLICT DO NOTHING RETURNING obj_id INTO v_obj;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'known' USING ERRCODE = 'OT002';
    END IF;
    PERFORM ottla.check_fence(p_node, p_incarnation);
    PERFORM 1 FROM ottla.part WHERE part_id = ANY (l_part) ORDER BY part_id FOR NO KEY UPDATE;
    FOR i IN 1 .. cardinality(l_part) LOOP
        SELECT count(*), min(s.base) INTO v_planned, v_first
        FROM unnest(s_log, s_base) AS s (log, base) WHERE s.log = i;
        SELECT count(*) INTO v_found
        FROM unnest(s_log, s_base, s_last, s_obj, s_pos, s_len) AS s (log, base, last, obj, pos, len)
        JOIN ottla.run u ON u.part_id = l_part[i] AND u.last = s.last
        WHERE s.log = i AND u.base = s.base AND u.obj_id = s.obj AND u.pos = s.pos AND u.len = s.len;
        SELECT count(*) INTO v_between FROM ottla.run u
        WHERE u.part_id = l_part[i] AND u.last >= v_first
            AND u.last <= (SELECT max(s.last) FROM unnest(s_log, s_last) AS s (log, last) WHERE s.log = i);
        IF v_found <> v_planned OR v_between <> v_planned
            OR NOT EXISTS (SELECT 1 FROM ottla.part p WHERE p.part_id = l_part[i] AND NOT p.deleted)
        THEN
            v_done := v_done || 0::bigint;
            CONTINUE;
        END IF;
        WITH gone AS (
            DELETE FROM ottla.run u USING unnest(s_log, s_last) AS s (log, last)
            WHERE s.log = i AND u.part_id = l_part[i] AND u.last = s.last
            RETURNING u.obj_id, u.len, u.kind
        )
        SELECT coalesce(sum(len), 0), count(*) FILTER (WHERE kind = 1),
               coalesce(array_agg(obj_id) FILTER (WHERE obj_id <> 0), '{}')
        INTO v_bytes, v_loose, v_gone FROM gone;
        v_objects := v_objects || v_gone;
        SELECT u.cum_max_ts INTO v_before FROM ottla.run u
        WHERE u.part_id = l_part[i] AND u.last < v_first ORDER BY u.last DESC LIMIT 1;
        WITH laid AS (
            INSERT INTO ottla.run (part_id, last, base, obj_id, max_ts, cum_max_ts, pos, len, kind, inline)
            SELECT l_part[i], n.last, n.base, CASE WHEN n.inline IS NULL THEN v_obj ELSE 0 END, n.ts,
                   greatest(coalesce(v_before, -1), max(n.ts) OVER (ORDER BY n.last)), n.pos, n.len, 2, n.inline
            FROM unnest(n_log, n_base, n_last, n_pos, n_len, n_ts, n_inline) AS n (log, base, last, pos, len, ts, inline)
            WHERE n.log = i
            RETURNING len, obj_id
        )
        SELECT coalesce(sum(len), 0), count(*) FILTER (WHERE obj_id <> 0) INTO v_new, v_count FROM laid;
        v_live := v_live + v_count;
        UPDATE ottla.part p SET bytes = p.bytes + v_new - v_bytes, loose = p.loose - v_loose
        WHERE p.part_id = l_part[i];
        DELETE FROM ottla.aborted t USING unnest(f_log, f_off) AS f (log, off)
        WHERE f.log = i AND t.part_id = l_part[i] AND t.last_off = f.off;
        v_done := v_done || 1::bigint;
    END LOOP;
    PERFORM ottla.release(array_agg(t.obj_id), array_agg(t.runs), p_grace)
    FROM (SELECT o AS obj_id, count(*) AS runs FROM unnest(v_objects) o GROUP BY o) t
    HAVING count(*) > 0;
    UPDATE ottla.obj o SET
        live = v_live, bases = v_done,
        state = CASE WHEN o.state = 1 AND v_live = 0 THEN 2 ELSE o.state END,
        due = CASE WHEN o.state = 1 AND v_live = 0 THEN v_now ELSE o.due END
    WHERE o.obj_id = v_obj;
    RETURN v_done;
END $$;

-- Forget producers: those unused since p_before, and of logs with more than p_most those unused longest.
CREATE OR REPLACE FUNCTION ottla.expire_producers(p_before bigint, p_most integer, p_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    v_count integer;
    v_more integer;
BEGIN
    DELETE FROM ottla.prod WHERE ctid = ANY (ARRAY(
        SELECT p.ctid FROM ottla.prod p WHERE p.txn_start IS NULL AND p.seen <= p_before LIMIT p_limit));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    DELETE FROM ottla.prod WHERE ctid = ANY (ARRAY(
        SELECT r.ctid FROM (
            SELECT p.ctid, p.txn_start, row_number() OVER (PARTITION BY p.part_id ORDER BY p.seen DESC) AS place
            FROM ottla.prod p
            WHERE p.part_id IN (SELECT x.part_id FROM ottla.prod x GROUP BY x.part_id HAVING count(*) > p_most)
        ) r WHERE r.place > p_most AND r.txn_start IS NULL LIMIT greatest(0, p_limit - v_count)));
    GET DIAGNOSTICS v_more = ROW_COUNT;
    RETURN v_count + v_more;
END $$;
