-- Who lives, and who has which shard. All times are this database's.

-- Take a node id for a new process. Returns how many milliseconds an older process of the same node id has left to
-- live: then nothing has been done. 0: taken.
CREATE OR REPLACE FUNCTION ottla.take_node(p_node integer, p_incarnation uuid, p_lease bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint;
    v_broker ottla.broker;
BEGIN
    SELECT * INTO v_broker FROM ottla.broker WHERE node_id = p_node FOR UPDATE;
    v_now := ottla.now_ms();
    IF FOUND AND v_broker.incarnation <> p_incarnation AND v_broker.lease_until > v_now THEN
        RETURN v_broker.lease_until - v_now;
    END IF;
    INSERT INTO ottla.broker AS b (node_id, incarnation, lease_until, joined, version, endpoints)
    VALUES (p_node, p_incarnation, v_now + p_lease, v_now, '', '')
    ON CONFLICT (node_id) DO UPDATE SET
        incarnation = p_incarnation, lease_until = v_now + p_lease, joined = v_now, draining = false, rack = NULL,
        version = '', endpoints = '';
    RETURN 0;
END $$;

-- Those of these shards that no living broker has are the caller's from now on.
CREATE OR REPLACE FUNCTION ottla.claim_shards(p_node integer, p_incarnation uuid, p_topics text[], p_idx integer[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint;
BEGIN
    PERFORM ottla.check_fence(p_node, p_incarnation);
    INSERT INTO ottla.shard (topic, idx, owner, incarnation, epoch)
    SELECT t.topic, t.idx, -1, p_incarnation, 0 FROM unnest(p_topics, p_idx) AS t (topic, idx)
    ORDER BY t.topic, t.idx
    ON CONFLICT DO NOTHING;
    PERFORM 1 FROM ottla.shard s JOIN unnest(p_topics, p_idx) AS t (topic, idx) ON s.topic = t.topic AND s.idx = t.idx
    ORDER BY s.topic, s.idx FOR UPDATE OF s;
    v_now := ottla.now_ms();
    UPDATE ottla.shard s SET owner = p_node, incarnation = p_incarnation, epoch = s.epoch + 1
    FROM unnest(p_topics, p_idx) AS t (topic, idx)
    WHERE s.topic = t.topic AND s.idx = t.idx
        AND NOT EXISTS (
            SELECT 1 FROM ottla.broker b
            WHERE b.node_id = s.owner AND b.incarnation = s.incarnation
                AND (b.lease_until > v_now OR b.node_id = p_node))
        AND EXISTS (SELECT 1 FROM ottla.broker b WHERE b.node_id = p_node AND b.lease_until > v_now);
END $$;
