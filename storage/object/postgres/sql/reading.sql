-- Questions. A function that is STABLE sees what the statement that calls it sees: all of its answer is of one moment.

-- Runs of several logs. `what`: 0 the log's positions (a start, b end, c first unstable, d bytes); 1 a run (a base,
-- b last, c object, d largest timestamp); 2 an aborted transaction (a producer, b first offset, c marker). A log that is
-- not there has no rows.
CREATE OR REPLACE FUNCTION ottla.runs(
    p_parts bigint[], p_starts bigint[], p_bytes bigint[], p_uptos bigint[], p_committed boolean[]
) RETURNS TABLE (
    question integer, what smallint, a bigint, b bigint, c bigint, d bigint, key text, pos integer, len integer,
    kind smallint, inline bytea
)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_part ottla.part;
    r record;
    v_bytes bigint;
    v_end bigint;
BEGIN
    FOR i IN 1 .. cardinality(p_parts) LOOP
        SELECT * INTO v_part FROM ottla.part p WHERE p.part_id = p_parts[i] AND NOT p.deleted;
        CONTINUE WHEN NOT FOUND;
        question := i; what := 0; a := v_part.log_start; b := v_part.next_offset; c := v_part.first_unstable;
        d := v_part.bytes; key := NULL; pos := NULL; len := NULL; kind := NULL; inline := NULL;
        RETURN NEXT;
        what := 1; v_bytes := 0; v_end := NULL;
        FOR r IN
            SELECT u.*, o.key FROM ottla.run u LEFT JOIN ottla.obj o ON o.obj_id = u.obj_id
            WHERE u.part_id = p_parts[i] AND u.last >= p_starts[i] ORDER BY u.last
        LOOP
            EXIT WHEN r.base >= p_uptos[i] OR (v_end IS NOT NULL AND v_bytes >= p_bytes[i]);
            a := r.base; b := r.last; c := r.obj_id; d := r.max_ts; key := r.key; pos := r.pos; len := r.len;
            kind := r.kind; inline := r.inline;
            RETURN NEXT;
            v_bytes := v_bytes + r.len;
            v_end := r.last + 1;
        END LOOP;
        CONTINUE WHEN NOT p_committed[i] OR v_end IS NULL;
        what := 2; d := NULL; key := NULL; pos := NULL; len := NULL; kind := NULL; inline := NULL;
        FOR r IN SELECT * FROM ottla.aborted_in(p_parts[i], p_starts[i], least(p_uptos[i], v_end)) LOOP
            a := r.pid; b := r.first_off; c := r.last_off;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;

-- Aborted transactions that overlap [p_start, p_upto), in the order of their markers.
CREATE OR REPLACE FUNCTION ottla.aborted_in(p_part bigint, p_start bigint, p_upto bigint)
RETURNS TABLE (pid bigint, first_off bigint, last_off bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM ottla.aborted t WHERE t.part_id = p_part AND t.last_off >= p_start ORDER BY t.last_off LOOP
        IF r.first_off < p_upto THEN
            pid := r.pid; first_off := r.first_off; last_off := r.last_off;
            RETURN NEXT;
        END IF;
        EXIT WHEN r.stable >= p_upto;
    END LOOP;
END $$;

-- The `last` of the first run behind the log's start whose largest timestamp is at least p_time. The largest timestamps
-- so far never fall, so they are searched by halves; behind what that finds, runs may be left whose predecessor with
-- the large timestamp is gone.
CREATE OR REPLACE FUNCTION ottla.run_for_time(p_part bigint, p_time bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_low bigint;
    v_high bigint;
    v_middle bigint;
    v_run record;
    v_found bigint;
BEGIN
    SELECT p.log_start, p.next_offset INTO v_low, v_high FROM ottla.part p WHERE p.part_id = p_part AND NOT p.deleted;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    WHILE v_low < v_high LOOP
        v_middle := v_low + (v_high - v_low) / 2;
        SELECT u.last, u.cum_max_ts INTO v_run FROM ottla.run u
        WHERE u.part_id = p_part AND u.last >= v_middle ORDER BY u.last LIMIT 1;
        IF NOT FOUND OR v_run.cum_max_ts >= p_time THEN
            v_high := v_middle;
        ELSE
            v_low := v_run.last + 1;
        END IF;
    END LOOP;
    SELECT u.last INTO v_found FROM ottla.run u
    WHERE u.part_id = p_part AND u.last >= v_low AND u.max_ts >= p_time ORDER BY u.last LIMIT 1;
    RETURN v_found;
END $$;

-- The `last` of the run with the largest timestamp, the earliest of equals.
CREATE OR REPLACE FUNCTION ottla.run_of_latest(p_part bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_start bigint;
    v_largest bigint;
    v_found bigint;
BEGIN
    SELECT p.log_start INTO v_start FROM ottla.part p WHERE p.part_id = p_part AND NOT p.deleted;
    SELECT u.cum_max_ts INTO v_largest FROM ottla.run u
    WHERE u.part_id = p_part AND u.last >= v_start ORDER BY u.last DESC LIMIT 1;
    v_found := ottla.run_for_time(p_part, v_largest);
    IF v_found IS NULL THEN
        SELECT u.last INTO v_found FROM ottla.run u
        WHERE u.part_id = p_part AND u.last >= v_start ORDER BY u.max_ts DESC, u.last LIMIT 1;
    END IF;
    RETURN v_found;
END $$;
